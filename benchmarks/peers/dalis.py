"""NVIDIA DALI on the CPU: its reader, its fused decode and crop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import Batches, Entry, Epochs
from benchmarks.peers.pictures import PAD, RATIO, SCALE
from benchmarks.peers.threads import THREADS
from benchmarks.peers.workload import Workload


def _documented(work: Workload, folder: Path) -> Epochs:
    """Its reader shuffles through a buffer of the whole view; soft labels are looked up by row."""
    from nvidia.dali import fn, pipeline_def, types

    files = [work.paths[row] for row in work.entries]

    @pipeline_def(batch_size=work.batch, num_threads=THREADS, device_id=None, seed=0, prefetch_queue_depth=3)
    def pipeline() -> Any:
        encoded, row = fn.readers.file(
            files=files, labels=work.entries.tolist(), random_shuffle=True, initial_fill=len(files),
            pad_last_batch=True,
        )  # fmt: skip
        mirror = fn.random.coin_flip(probability=0.5)
        if work.photos:
            image = fn.decoders.image_random_crop(
                encoded, device="cpu", output_type=types.RGB, random_area=list(SCALE), random_aspect_ratio=list(RATIO)
            )
            image = fn.resize(image, size=(work.size, work.size), interp_type=types.INTERP_LINEAR)
            return fn.flip(image, horizontal=mirror), row
        image = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
        side = work.size + 2 * PAD
        image = fn.crop(image, crop=(side, side), out_of_bounds_policy="pad", fill_values=0)
        x, y = (fn.random.uniform(range=(0.0, 1.0)) for _ in range(2))
        image = fn.crop(image, crop=(work.size, work.size), crop_pos_x=x, crop_pos_y=y)
        return fn.flip(image, horizontal=mirror), row

    made = pipeline()
    made.build()
    soft, total = work.soft, len(files)

    def epochs(epoch: int) -> Batches:
        left = total
        while left:  # the last batch is padded with repeats, which are cut off
            images, rows = made.run()
            size = min(left, work.batch)
            yield images.as_array()[:size], soft[np.asarray(rows.as_array()).ravel()[:size]]
            left -= size

    return epochs


ENTRIES = [Entry("DALI, CPU", "documented", ("nvidia.dali",), _documented)]

"""SPDL: a pipeline of threads over any source; here, files. Its own decoder is FFmpeg's."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import FAST, Batches, Entry, Epochs
from benchmarks.peers.pictures import PAD, RATIO, SCALE, decoded_from_files, fast
from benchmarks.peers.threads import THREADS
from benchmarks.peers.workload import Array, Workload


def _filters(work: Workload, draw: random.Random) -> str:
    """A random crop in FFmpeg's words: it knows the picture's size, we do not."""
    mirror = "hflip," if draw.random() < 0.5 else ""
    if not work.photos:
        x, y, wide = draw.randint(0, 2 * PAD), draw.randint(0, 2 * PAD), work.size + 2 * PAD
        return f"format=rgb24,pad={wide}:{wide}:{PAD}:{PAD},crop={work.size}:{work.size}:{x}:{y},{mirror}format=rgb24"
    scale, ratio = draw.uniform(*SCALE), math.exp(draw.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
    width, height = f"min(iw,sqrt(iw*ih*{scale * ratio:.6f}))", f"min(ih,sqrt(iw*ih*{scale / ratio:.6f}))"
    place = f"(iw-ow)*{draw.random():.6f}:y=(ih-oh)*{draw.random():.6f}"
    resize = f"scale={work.size}:{work.size}:flags=bilinear"
    return f"format=rgb24,crop=w='{width}':h='{height}':x={place},{resize},{mirror}format=rgb24"


def _documented(work: Workload, folder: Path) -> Epochs:
    import spdl.io
    from spdl.pipeline import PipelineBuilder

    def decode(row: int) -> Any:
        filters = _filters(work, random.Random())
        return row, spdl.io.decode_packets(spdl.io.demux_image(work.paths[row]), filter_desc=filters)

    def collate(items: list[Any]) -> Any:
        buffer = spdl.io.convert_frames([frames for _, frames in items])
        return spdl.io.to_numpy(buffer), work.soft[[row for row, _ in items]]

    def epochs(epoch: int) -> Batches:
        builder = PipelineBuilder().add_source(work.order(epoch).tolist()).pipe(decode, concurrency=THREADS)
        builder = builder.aggregate(work.batch).pipe(collate).add_sink(3)
        with (pipeline := builder.build(num_threads=THREADS)).auto_stop():
            yield from pipeline

    return epochs


def _best(work: Workload, folder: Path) -> Epochs:
    """Quarters of batches, so that no thread waits for a whole one of another."""
    from spdl.pipeline import PipelineBuilder

    decode, parts = fast(work), 4

    def make(rows: Array) -> tuple[Array, Array]:
        return decoded_from_files(work, decode, rows)

    def collate(items: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        return np.concatenate([images for images, _ in items]), np.concatenate([soft for _, soft in items])

    def epochs(epoch: int) -> Batches:
        order, share = work.order(epoch), work.batch // parts
        source = [order[at : at + share] for at in range(0, len(order), share)]
        builder = PipelineBuilder().add_source(source).pipe(make, concurrency=THREADS, output_order="input")
        builder = builder.aggregate(parts).pipe(collate).add_sink(3)
        with (pipeline := builder.build(num_threads=THREADS + 1)).auto_stop():
            yield from pipeline

    return epochs


ENTRIES = [
    Entry("SPDL, its own decoder", "documented", ("spdl.io", "spdl.pipeline"), _documented),
    Entry("SPDL", "best", ("spdl.pipeline", *FAST), _best),
]

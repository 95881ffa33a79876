"""nsdata: a store with a generation of soft labels, a view of it, and the view's batches."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import Batches, Entry, Epochs
from benchmarks.peers.pictures import pad_crop_flip
from benchmarks.peers.threads import in_threads
from benchmarks.peers.workload import THRESHOLD, Array, Workload


def convert(work: Workload, folder: Path) -> None:
    """A store of the pictures without people's labels, with the teacher's as generation 1, sealed."""
    from nsdata import Store
    from nsdata.importers import Item
    from nsdata.labels import labelling

    store = Store.create(folder / "lake", [f"{k:04d}" for k in range(work.classes)])
    store.add_items(lambda: [Item(p, Path(p).read_bytes(), None, "train") for p in work.paths], source="benchmark")
    assert len(store) == len(work.pseudo), "the store refused pictures of the workload"
    run = labelling.begin(store, 1, {"teacher_sha256": "synthetic"})
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            for rows in np.array_split(part.pending, -(-len(part.pending) // 256)):
                writer.write(work.probabilities[rows])
    run.seal({})


def _view(work: Workload, folder: Path) -> Any:
    from nsdata import Store

    view = Store.open(folder / "lake").view(gen=1).confident(THRESHOLD).balanced(work.per_class, seed=0)
    assert (np.sort(view.rows) == np.sort(work.entries)).all(), "the view is not the workload's"
    return view


def _photos(work: Workload, folder: Path) -> Epochs:
    view = _view(work, folder)
    return lambda epoch: view.batches(work.batch, size=work.size, crop="random", flip=True, seed=epoch)


def _blocks(work: Workload, folder: Path) -> Epochs:
    view = _view(work, folder)
    shown = {"size": work.size, "crop": "random", "flip": True}
    return lambda epoch: view.batches(work.batch, seed=epoch, order="blocks", **shown)


def _small(work: Workload, folder: Path) -> Epochs:
    view = _view(work, folder)

    def epochs(epoch: int) -> Batches:
        draw = np.random.default_rng(epoch)
        for images, soft in view.batches(work.batch, seed=epoch):
            yield pad_crop_flip(images, draw), soft

    return epochs


def _cached(work: Workload, folder: Path) -> Epochs:
    """One stream of all epochs: what the first one decoded is kept for those after it."""
    batches = _view(work, folder).batches(work.batch, seed=0, epochs=1 << 20, cache_bytes=1 << 30)
    draw = np.random.default_rng(0)

    def epochs(epoch: int) -> Batches:
        for images, soft in itertools.islice(batches, -(-len(work.entries) // work.batch)):
            yield pad_crop_flip(images, draw), soft

    return epochs


def _decoder_alone(work: Workload, folder: Path) -> Epochs:
    """nsdata's own decoder on bytes in memory: the difference to ours is what store, soft labels and order cost."""
    from nsdata.images.crops import random_resized, whole
    from nsdata.images.decoder import decode_into
    from nsdata.images.headers import header

    blobs, soft = work.blobs(), work.soft
    heads = [header(data) for data in blobs]
    upright = [(h.height, h.width) if h.orientation >= 5 else (h.width, h.height) for h in heads]
    widths, heights = np.array(upright, np.int64).T
    crop = random_resized(work.size, flip=True) if work.photos else whole(work.size, work.size)

    def decode(rows: Any, out: Array, draw: random.Random) -> None:
        keys = np.frombuffer(draw.randbytes(8 * len(rows)), np.uint64)
        decode_into(out, [blobs[row] for row in rows], widths[rows], heights[rows], keys, crop)
        if not work.photos:
            pad_crop_flip(out, np.random.default_rng(int(keys[0])), out=out)

    return lambda epoch: in_threads(work, epoch, lambda rows: (rows.tolist(), soft[rows]), decode)


ENTRIES = [
    Entry("nsdata", "ours", ("nsdata",), _photos, convert, "nsdata", "P"),
    Entry("nsdata, in an order by blocks", "ours", ("nsdata",), _blocks, convert, "nsdata", "P"),
    Entry("nsdata", "ours", ("nsdata",), _small, convert, "nsdata", "C"),
    Entry("nsdata, decoded pictures kept", "ours", ("nsdata",), _cached, convert, "nsdata", "C"),
    Entry("nsdata's decoder, bytes in memory", "limit", ("nsdata.images.decoder",), _decoder_alone),
]

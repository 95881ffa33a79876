"""A stream shows each row of a view exactly as often as the view says, with its own pixels and labels."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, ROOT, digits, labelled_by_a_teacher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsdata import Store, View
from nsdata.errors import BadInput, EmptyView, StoreDamaged
from nsdata.images.crops import Crop, centre, mirrored, random_resized
from nsdata.images.pillow import pixels, sampled
from nsdata.streaming import blocks, memory, stream
from nsdata.streaming.cache import DecodedCache
from nsdata.streaming.soft_labels import SoftLabels

Seal = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def view() -> View:
    """A view with repeats over two imports, with a generation in two parts' worth of rows."""
    store = Store.create("mem://streamed", CLASSES)
    images, _ = digits(180)
    store.add_arrays(images[:100], None)
    store.add_arrays(images[100:], None)
    return labelled_by_a_teacher(store).view(gen=1).confident(0.3).balanced(12)


def as_it_is(view: View, row: int) -> np.ndarray:
    return pixels(view.store.table.blobs(np.array([row]))[0])


def nsdata_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("nsdata")]


def test_every_row_streams_exactly_as_often_as_the_view_says(view: View) -> None:
    counts = Counter(view.rows.tolist())
    assert max(counts.values()) > 1
    options: list[dict[str, Any]] = [{}, {"decode": lambda data, key: pixels(data)}, {"decode": centre(8)}]
    for batch_size, shuffle, option in itertools.product((1, 7, 64, 1000), (True, False), options):
        batches = list(view.stream(batch_size, shuffle=shuffle, epochs=2, **option))
        rows = np.concatenate([batch.rows for batch in batches])
        assert Counter(rows.tolist()) == {row: 2 * n for row, n in counts.items()}
        for batch in batches[:8]:
            assert (batch.soft == view.store.labels(1).take(batch.rows)).all()
            assert (batch.labels == view.store.table.label[batch.rows]).all()
            assert (batch.images == np.stack([as_it_is(view, row) for row in batch.rows])).all()


@given(
    batch_size=st.integers(1, 50), threads=st.integers(1, 5), world=st.integers(1, 3), start=st.integers(0, 9),
    order=st.sampled_from(["exact", "blocks"]), cached=st.integers(0, 200),
)  # fmt: skip
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_neither_threads_nor_ranks_nor_a_cache_nor_a_new_start_change_what_is_shown(
    view: View, batch_size: int, threads: int, world: int, start: int, order: str, cached: int
) -> None:
    crop = centre(6)
    seen: Counter[int] = Counter()
    for rank in range(world):
        options: dict[str, Any] = {
            "decode": crop, "seed": 2, "epochs": 2, "order": order, "rank": rank, "world": world
        }  # fmt: skip
        plain = list(view.stream(batch_size, threads=1, **options))
        cache = DecodedCache(cached * 6 * 6 * 3)
        other = list(view.stream(batch_size, threads=threads, start=start, cache=cache, **options))
        assert len(other) == max(0, len(plain) - start)
        for one, two in zip(plain[start:], other, strict=True):
            for name in ("rows", "keys", "labels", "soft", "images"):
                assert np.array_equal(getattr(one, name), getattr(two, name))
        seen.update(int(row) for batch in plain for row in batch.rows)
    assert seen == {row: 2 * n for row, n in Counter(view.rows.tolist()).items()}


def test_random_crops_are_drawn_from_each_images_key(view: View) -> None:
    crop = random_resized(6, flip=True)
    for batch in view.stream(32, decode=crop, seed=4):
        sizes = np.full(len(batch), 8)
        boxes = crop.boxes(sizes, sizes, batch.keys)
        blobs = view.store.table.blobs(batch.rows)
        for image, blob, box, mirror in zip(batch.images, blobs, boxes, mirrored(batch.keys), strict=True):
            assert np.array_equal(image, sampled(blob, tuple(box.tolist()), 6, 6, reduce=True, mirror=bool(mirror)))
    first, again, other = (
        np.concatenate([images for images, _ in view.batches(50, size=6, crop="random", seed=seed)])
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_stream_depends_on_its_seed_alone(view: View) -> None:
    def rows(**options: int) -> list[int]:
        return [int(row) for batch in view.stream(16, **options) for row in batch.rows]

    assert rows(seed=1, threads=1) == rows(seed=1, threads=4)
    assert rows(seed=1) != rows(seed=2)
    assert rows(seed=1, start=3) == rows(seed=1)[48:]


def test_batches_that_are_kept_keep_their_pixels(view: View) -> None:
    """Memory is used again for later batches, but never under the feet of whoever still looks at it."""
    kept = [(batch, batch.images.copy()) for batch in view.stream(8, decode=centre(8), epochs=3)]
    assert len(kept) > 20
    for batch, copy in kept:
        assert np.array_equal(batch.images, copy)
    parts, copies = [], []
    for batch in view.stream(8, decode=centre(8), epochs=3):
        parts.append(batch.images[0, 2:])  # a part of the array, and nothing else, is kept
        copies.append(parts[-1].copy())
        del batch
    assert all(np.array_equal(part, copy) for part, copy in zip(parts, copies, strict=True))


@pytest.mark.parametrize(
    "made", [lambda a, s: a.reshape(s), lambda a, s: a.reshape(s)[:], lambda a, s: a.view().reshape(s)]
)
def test_memory_that_is_a_view_of_other_memory_is_kept_too(view: View, made: Callable[..., np.ndarray]) -> None:
    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        return made(np.empty(int(np.prod(shape)), np.uint8), shape)

    images = [batch.images for batch in view.stream(8, allocate=allocate)]
    assert all(np.array_equal(a, b.images) for a, b in zip(images, view.stream(8), strict=True))


def test_memory_is_used_again_once_nobody_refers_to_it() -> None:
    made: list[tuple[int, ...]] = []

    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        made.append(shape)
        return np.empty(shape, np.uint8)

    reused = memory.Buffers(allocate)
    for _ in range(5):
        reused.get(4, 2, 2)
    assert made == [(4, 2, 2, 3)]
    held = [reused.get(4, 2, 2)[1:] for _ in range(3)]
    assert len(made) == 3 and len({part.ctypes.data for part in held}) == 3
    assert reused.get(2, 2, 2).shape == (2, 2, 2, 3)


def test_leaving_a_stream_in_the_middle_leaves_no_thread(view: View) -> None:
    for options in ({"decode": centre(8)}, {"decode": lambda data, key: pixels(data)}):
        left = view.stream(8, epochs=None, **options)
        next(left)
        assert nsdata_threads()
        left.close()
        assert not nsdata_threads()
        for _ in zip(range(3), view.stream(8, epochs=None, **options), strict=False):
            pass
        assert not nsdata_threads()  # forgotten, not closed

    def fail(data: bytes, key: int) -> np.ndarray:
        raise RuntimeError("broken decoder")

    with pytest.raises(RuntimeError, match="broken decoder"):
        list(view.stream(8, decode=fail))
    assert not nsdata_threads()
    with pytest.raises(KeyboardInterrupt):
        for _ in view.stream(8, epochs=None):
            raise KeyboardInterrupt
    assert not nsdata_threads()


def test_streams_in_cycles_are_collected_without_a_deadlock(view: View) -> None:
    """The collector runs inside of anything, an executor's own locks included, so a forgotten stream takes none."""

    class Trainer:
        def __init__(self) -> None:
            self.batches = view.stream(16, epochs=None, threads=2)
            self.step = self.take  # a cycle, as in many a trainer

        def take(self) -> Any:
            return next(self.batches)

    threshold = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(40):
            Trainer().step()
    finally:
        gc.set_threshold(*threshold)
    until = time.monotonic() + 10
    while nsdata_threads() and time.monotonic() < until:
        gc.collect()  # which does nothing while another thread collects
        time.sleep(0.01)
    assert not nsdata_threads()


def test_a_stream_ends_once(view: View) -> None:
    batches = view.stream(8)
    next(batches)
    batches.close()
    batches.close()
    assert list(batches) == []


def test_a_stream_belongs_to_its_process(tmp_path: Path) -> None:
    """In a process of its own: the engine's hook on fork may crash one that has talked to a bucket before."""
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(digits(40)[0], None)
    program = f"""
import os
from nsdata import Store
from nsdata.errors import BadInput
batches = Store.open({str(tmp_path / "lake")!r}).view().stream(8)
next(batches)
child = os.fork()
if not child:
    try:
        next(batches)
    except BadInput:
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
next(batches)
batches.close()
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


@pytest.mark.parametrize("how", ["exit", "exception", "global", "thread", "kill"])
def test_a_program_that_ends_in_the_middle_ends(tmp_path: Path, how: str) -> None:
    """A stream that nobody takes from must not keep the process, nor leave a file behind."""
    images, _ = digits(120)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images, None)
    cache = tmp_path / "cache"
    cache.mkdir()
    program = f"""
import os, signal, sys, threading
from nsdata import Store
from nsdata.streaming.cache import DecodedCache
batches = Store.open({str(tmp_path / "lake")!r}).view().stream(
    4, epochs=None, cache=DecodedCache(1 << 20, {str(cache)!r}))
def take():
    for number, batch in enumerate(batches):
        if number == 40:
            return
if {how!r} == "thread":
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
else:
    take()
print("taken", flush=True)
if {how!r} == "exit":
    sys.exit(3)
if {how!r} == "exception":
    raise SystemError
if {how!r} == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "NSDATA_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, env=environment)
    assert done.stdout == b"taken\n"
    expected = {"exit": 3, "exception": 1, "global": 0, "thread": 0, "kill": -9}[how]
    assert done.returncode == expected, done.stderr.decode()
    assert not list(cache.iterdir())


def test_no_more_is_read_ahead_than_the_memory_allows(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    blobs = type(view.store.table).blobs
    monkeypatch.setattr(blocks, "_SMALL", 0)
    monkeypatch.setattr(
        type(view.store.table), "blobs", lambda self, rows: (reads.append(len(rows)), blobs(self, rows))[1]
    )
    slow = view.stream(8, decode=centre(8), epochs=None)
    next(slow)
    time.sleep(0.3)  # nobody takes; what can be read ahead has been
    assert 8 <= sum(reads) <= 8 * 10
    slow.close()
    monkeypatch.setattr(stream, "_UNDECODED", 1)  # bytes: one piece at a time, whatever its size
    assert sum(map(len, view.stream(8, decode=centre(8)))) == len(view)


def test_pictures_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    store = Store.create("mem://sizes", CLASSES)
    draw = np.random.default_rng(0)
    store.add_arrays(draw.integers(0, 255, (3, 20, 30, 3), np.uint8), None)
    store.add_arrays(draw.integers(0, 255, (3, 40, 24, 3), np.uint8), None)
    for options in ({}, {"decode": lambda data, key: pixels(data)}):
        with pytest.raises(BadInput, match="different sizes"):
            list(store.view().stream(6, **options))
    images, labels = next(iter(store.view().batches(6, size=16)))
    assert images.shape == (6, 16, 16, 3)
    assert labels.tolist() == [-1] * 6


def test_wrong_wishes_are_refused(view: View) -> None:
    for options, message in (
        ({"batch_size": 0}, "batch size is 0"),
        ({"threads": -1}, "threads"),
        ({"threads": 0}, "threads"),
        ({"start": -1}, "start is -1"),
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": 1.5}, "whole number"),
        ({"seed": 1.5}, "whole number"),
        ({"decode": lambda data, key: None}, "gave NoneType"),
        ({"decode": lambda data, key: np.zeros((8, 8))}, "float64"),
        ({"decode": Crop(4, 4, lambda w, h, k: np.tile([0.0, 0, 9, 9], (len(w), 1)))}, "crop asks for"),
        ({"decode": dataclasses.replace(centre(8), flip=True), "cache": DecodedCache(9)}, "cannot be kept"),
        ({"order": "random"}, "no order"),
        ({"rank": 3, "world": 2}, "Rank 3 of 2"),
        ({"decode": random_resized(8), "cache": DecodedCache(1 << 20)}, "cannot be kept"),
    ):
        with pytest.raises(BadInput, match=message):
            next(view.stream(**{"batch_size": 8, **options}))  # type: ignore[arg-type]
    with pytest.raises(EmptyView):
        next(stream.stream(view.store.table, np.empty(0, np.int64), 8))
    cache = DecodedCache(1 << 20)
    list(view.stream(8, cache=cache))
    with pytest.raises(BadInput, match="one view in one size"):
        next(view.stream(8, decode=centre(4), cache=cache))
    with pytest.raises(BadInput, match="-1 bytes"):
        DecodedCache(-1)


def test_a_picture_that_cannot_be_decoded_is_named(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    table = view.store.table
    blobs, lost = type(table).blobs, int(view.rows[5])

    def damaged(self: Any, rows: np.ndarray) -> list[bytes]:
        return [b"\xff\xd8\xff" if row == lost else blob for row, blob in zip(rows, blobs(self, rows), strict=True)]

    monkeypatch.setattr(blocks, "_SMALL", 0)
    monkeypatch.setattr(type(table), "blobs", damaged)
    with pytest.raises(StoreDamaged, match=bytes(table.ids[lost]).hex()):
        list(view.stream(16, decode=centre(8)))
    assert not nsdata_threads()


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_blocks_of_neighbours_hold_what_the_store_holds(view: View, block: int, most: int) -> None:
    table, rows = view.store.table, view.rows[view.rows % 50 < 13]  # some blocks are dense, some are not
    near = blocks.Neighbours(table, rows, block, most)
    with ThreadPoolExecutor(4) as pool:
        parts = np.array_split(np.random.default_rng(0).permutation(rows), 20)
        for part, blobs in zip(parts, pool.map(near.blobs, parts), strict=True):
            assert blobs == table.blobs(part)
    kept = blocks.Kept(table, block)
    assert all(kept.blobs(part) == table.blobs(part) for part in parts)
    assert table.blobs_between(90, 110) == table.blobs(np.arange(90, 110))  # over the edge of two imports


def test_small_pictures_first_do_not_hide_large_ones() -> None:
    store = Store.create("mem://thumbnails", CLASSES)
    draw = np.random.default_rng(0)
    store.add_arrays(draw.integers(0, 255, (5000, 4, 4, 3), np.uint8), None)
    store.add_arrays(draw.integers(0, 255, (40, 300, 300, 3), np.uint8), None)
    table, rows = store.table, store.view().rows
    assert blocks.typical(table, rows) > 300
    monkeyed = blocks._SMALL
    try:
        blocks._SMALL = 40 * 300 * 300  # type: ignore[misc]
        assert blocks.reader_of(table, rows, None) is table
    finally:
        blocks._SMALL = monkeyed  # type: ignore[misc]


@given(st.integers(0, 40_000), st.lists(st.integers(0, 179), min_size=1, max_size=50))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_soft_labels_from_memory_are_those_of_the_store(view: View, budget: int, asked: list[int]) -> None:
    labels, rows = view.store.labels(1), np.array(asked)
    soft = SoftLabels(labels, rows, budget)
    soft._step = 7  # rows in bulk: several calls see it half filled
    for _ in range(30):
        assert np.array_equal(soft.take(rows), labels.take(rows))


def test_a_cache_may_lie_in_a_file(view: View, tmp_path: Path) -> None:
    cache = DecodedCache(60 * 8 * 8 * 3, tmp_path)  # room for some of them
    plain = list(view.stream(16, epochs=3))
    kept = list(view.stream(16, epochs=3, cache=cache))
    assert all(np.array_equal(a.images, b.images) for a, b in zip(plain, kept, strict=True))
    assert not list(tmp_path.iterdir())
    with pytest.raises(BadInput, match="No cache can be kept"):
        next(view.stream(16, cache=DecodedCache(1 << 20, tmp_path / "missing")))
    assert isinstance(centre(8), Crop)

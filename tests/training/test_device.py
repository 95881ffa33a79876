"""Batches on their way to a device: in order, so many ahead, and the host's memory held until it has been read.

Copies of CUDA's need a GPU; here others stand in for them, and "meta", a device without memory, for the GPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from conftest import CLASSES, digits
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata import Store, View
from nsdata.errors import BadInput
from nsdata.images.crops import centre
from training.data import Source, mixed_batches
from training.device import _CudaCopy, as_tensor, copied_ahead, mapped, pinned, to_device
from training.loader import Loader


class Pair(NamedTuple):
    images: Any
    soft: Any


@pytest.fixture(scope="module")
def view() -> View:
    store = Store.create("mem://device", CLASSES)
    store.add_arrays(*digits(40))
    return store.view()


class Memory:
    """A batch in the host's memory."""

    def __init__(self, number: int) -> None:
        self.number = number


class Progress:
    """What became of a copy; it does not hold the host's memory."""

    def __init__(self) -> None:
        self.done = self.handed_over = False


class FakeCopy:
    """A copy that is done when its Progress says so, or when it is waited for."""

    def __init__(self, batch: Memory, progress: Progress) -> None:
        self.host, self.progress = batch, progress

    def hand_over(self) -> int:
        assert not self.progress.handed_over
        self.progress.handed_over = True
        return self.host.number

    def is_done(self) -> bool:
        return self.progress.done

    def wait(self) -> None:
        self.progress.done = True


@given(done=st.lists(st.booleans(), max_size=8), ahead=st.integers(1, 4), stop=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_memory_is_held_until_it_was_read_and_batches_come_in_order(done: list[bool], ahead: int, stop: int) -> None:
    """done: whether each copy is done soon after its batch was handed over. stop: when the consumer leaves."""
    memories: list[weakref.ref[Memory]] = []
    copies: list[Progress] = []
    closed: list[bool] = []

    def source() -> Iterator[Memory]:
        try:
            for number in range(len(done)):
                memory = Memory(number)
                memories.append(weakref.ref(memory))
                yield memory
                del memory
        finally:
            closed.append(True)

    def send(batch: Memory) -> FakeCopy:
        copies.append(Progress())
        return FakeCopy(batch, copies[-1])

    moving: Any = copied_ahead(source(), send, ahead)
    for expected, number in enumerate(itertools.islice(moving, stop)):
        assert number == expected
        assert len(copies) == min(len(done), expected + ahead + 1)
        copies[expected].done = done[expected]
        assert all(memories[n]() is not None for n, copy in enumerate(copies) if not copy.done)
        read = list(itertools.takewhile(lambda n: copies[n].done, range(expected)))
        assert all(memories[n]() is None for n in read)  # let go of as soon as the next one is asked for
    moving.close()
    assert all(copy.done for copy in copies)  # nobody may write where a copy still reads
    assert not any(memory() for memory in memories)
    assert closed == [True] * (stop > 0)


def test_a_gpu_copies_beside_the_stream_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls that are made of CUDA, in their order. That they do what they should, only a GPU can tell."""
    told: list[tuple[Any, ...]] = []

    class Event:
        def record(self, stream: str) -> None:
            told.append(("record", stream))

        def query(self) -> bool:
            return False

        def synchronize(self) -> None:
            told.append(("synchronize",))

    class Computing:
        def wait_event(self, event: Event) -> None:
            told.append(("wait", type(event).__name__))

    computing = Computing()
    monkeypatch.setattr("torch.cuda.Event", Event)
    monkeypatch.setattr("torch.cuda.stream", lambda stream: contextlib.nullcontext(told.append(("on", stream))))
    monkeypatch.setattr("torch.cuda.current_stream", lambda device: computing)
    monkeypatch.setattr("torch.Tensor.is_pinned", lambda tensor: tensor.dtype == torch.uint8)
    monkeypatch.setattr("torch.Tensor.pin_memory", lambda tensor: told.append(("pin", tensor.dtype)) or tensor.clone())
    monkeypatch.setattr("torch.Tensor.record_stream", lambda tensor, stream: told.append(("used on", stream)))
    meta = torch.device("meta")
    batches = [Pair(np.zeros((2, 3), np.uint8), np.ones(2, np.float16)), Pair(np.zeros((1, 3), np.uint8), None)]
    moving = copied_ahead(batches, lambda batch: _CudaCopy(batch, meta, "side"), 1)  # type: ignore[arg-type]
    first = next(moving)
    assert told == [
        ("on", "side"), ("pin", torch.float16), ("record", "side"),
        ("on", "side"), ("record", "side"),
        ("wait", "Event"), ("used on", computing), ("used on", computing),
    ]  # fmt: skip
    assert first.images.device == first.soft.device == meta
    del told[:]
    assert next(moving).soft is None
    moving.close()
    assert told == [("wait", "Event"), ("used on", computing), ("synchronize",), ("synchronize",)]


def test_the_source_is_closed_and_its_error_arrives() -> None:
    closed: list[bool] = []

    def failing() -> Iterator[Pair]:
        try:
            yield Pair(np.zeros(2), None)
            raise RuntimeError("broken source")
        finally:
            closed.append(True)

    for device in ("cpu", "meta"):
        moving = to_device(failing(), device)
        with pytest.raises(RuntimeError, match="broken source"):
            list(moving)
        left = to_device(iter(lambda: Pair(1, 2), None), device)
        next(left)
        left.close()  # a source without close() is fine
    assert closed == [True, True]


def test_on_the_cpu_batches_are_the_very_same(view: View) -> None:
    batches = [Pair(np.zeros(3), None), Pair(torch.ones(2), "kept")]
    assert all(one is two for one, two in zip(to_device(batches, "cpu", ahead=2), batches, strict=True))
    stream = view.stream(8)
    moving = to_device(stream, torch.device("cpu"))
    next(moving)
    moving.close()
    assert next(stream, None) is None  # closed with it


def test_on_a_device_arrays_are_tensors_there_and_the_rest_is_kept(view: View) -> None:
    labelled = view.labelled()
    (mixed,) = itertools.islice(mixed_batches(Source(labelled, centre(8)), None, batch_size=4, ratio=0, seed=0), 1)
    (moved,) = to_device([mixed], "meta")
    assert type(moved) is type(mixed)
    for field in dataclasses.fields(mixed):
        here, there = as_tensor(getattr(mixed, field.name)), getattr(moved, field.name)
        assert there.device.type == "meta" and there.dtype == here.dtype and there.shape == here.shape
    soft = np.full((2, 4), 0.25, np.float16)
    kinds: list[Any] = [Pair(soft, None), {"soft": soft, "name": "a"}, (soft, 1), [soft], soft]
    for given_, got in zip(kinds, to_device(kinds, "meta", ahead=3), strict=True):
        assert type(got) is (torch.Tensor if given_ is soft else type(given_))
    streamed = list(Loader(view, 16, device="meta"))
    assert [batch.images.shape for batch in streamed] == [(16, 3, 8, 8), (16, 3, 8, 8), (8, 3, 8, 8)]
    assert all(batch.images.is_contiguous(memory_format=torch.channels_last) for batch in streamed)
    assert all(batch.labels.dtype == torch.int64 and batch.rows.device.type == "meta" for batch in streamed)


def test_copying_ahead_does_not_move_the_loaders_place(view: View) -> None:
    mine = Loader(view, 8, device="meta")
    places = [mine.state_dict()["batches"] for _ in mine]
    assert places == [1, 2, 3, 4, 0]


def test_arrays_become_tensors_without_a_copy_where_they_may_be_written() -> None:
    array = np.arange(4)
    assert as_tensor(array).data_ptr() == array.ctypes.data
    array.setflags(write=False)
    assert as_tensor(array).data_ptr() != array.ctypes.data
    tensor = torch.ones(2)
    assert as_tensor(tensor) is tensor
    nested = mapped({"a": [np.ones(2), 3]}, lambda values: as_tensor(values) + 1)
    assert nested["a"][0].tolist() == [2.0, 2.0] and nested["a"][1] == 3


def test_memory_for_a_stream_is_as_it_asks(view: View) -> None:
    array = pinned((2, 3, 4, 3))
    assert array.shape == (2, 3, 4, 3) and array.dtype == np.uint8 and array.flags.writeable
    plain = [batch.images.copy() for batch in view.stream(8)]
    assert all(np.array_equal(a, b.images) for a, b in zip(plain, view.stream(8, allocate=pinned), strict=True))


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadInput, match="no device 'cuda' here: this machine has none"):
        to_device([], "cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(BadInput, match="no device 'cuda:2' here: this machine has 2 GPUs"):
        to_device([], "cuda:2")
    with pytest.raises(BadInput, match="no device 'gpu'"):
        to_device([], "gpu")
    for ahead in (0, -1, 1.5):
        with pytest.raises(BadInput, match="ahead"):
            to_device([], "cpu", ahead=ahead)  # type: ignore[arg-type]

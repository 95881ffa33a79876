"""Batches to a GPU while the one before is trained on, from memory that the GPU reads by itself.

**What has not been run.** There was no GPU where this was written. Tests run the CPU's path, the order of the copies
and how long the host's memory is held, with copies that stand in for CUDA's. ``_CudaCopy`` and page-locked memory have
never run.

Legend: B images in a batch.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nsdata.arguments import whole_number, wrong
from nsdata.errors import BadInput
from training.early import check_device

T = TypeVar("T")
Array = NDArray[Any]


def to_device(batches: Iterable[T], device: str | torch.device, ahead: int = 1) -> Generator[T, None, None]:
    """The same batches on a device, on a GPU copied ``ahead`` batches before they are asked for, on a side stream.

    batches: NamedTuples, dataclasses, tuples, lists or dicts that hold arrays and tensors: a ``Loader``'s, a stream's,
             ``training.data.Mixed``. On the CPU they come back unchanged, the very same objects; on another device
             each array and tensor in them is a tensor there, of the same shape and dtype, and the rest is kept.
    device:  "cuda", "cuda:1", "cpu", …; "cuda" is the current GPU.
    ahead:   1 or more. So many more batches than were handed out are taken from the source, and lie on the device.

    The copy does not make the CPU wait if the batches lie in page-locked memory (``allocate=pinned``); others are
    copied there first. The host's memory is held until it has been read, so that a stream may use it again as soon as
    it is let go of. A batch may be used on the stream that is current when it is asked for.

    Closing the generator waits for the copies under way and closes the source. Raises BadInput for a device that is
    not there, or for a bad ``ahead``.
    """
    if whole_number("ahead", ahead) < 1:
        raise BadInput(f"ahead is {ahead}; 1 or more batches were expected.", "to_device(batches, 'cuda', ahead=1)")
    place = _there(device)
    if place.type == "cpu":
        return _unchanged(batches)
    if place.type == "cuda":
        stream = torch.cuda.Stream(place)  # type: ignore[no-untyped-call]
        return copied_ahead(batches, lambda batch: _CudaCopy(batch, place, stream), ahead)
    return copied_ahead(batches, lambda batch: _PlainCopy(batch, place), ahead)


def pick_device(name: str | torch.device, hint: str = "--device auto") -> torch.device:
    """The device of that name; "auto" is a GPU if there is one. Raises BadInput for one that is not there."""
    check_name(name)
    check_device(name, hint)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"There is no device '{name}' here.", hint) from error


def check_name(device: object) -> None:
    """Raise BadInput for what names no device; an index of a GPU does, as in PyTorch."""
    if isinstance(device, bool) or not isinstance(device, str | int | torch.device):
        raise wrong("device", device, "the name of one", "device='cpu' or 'cuda'")


def pinned(shape: tuple[int, ...]) -> Array:
    """A uint8 array of this shape, with any content, that a GPU copies from without the CPU waiting for it.

    For a stream's ``allocate``. Where there is no GPU it is ordinary memory.
    """
    array: Array = torch.empty(shape, dtype=torch.uint8, pin_memory=torch.cuda.is_available()).numpy()
    return array


def as_tensor(values: Array | Tensor) -> Tensor:
    """The tensor that shares an array's memory; of a read-only array a copy. A tensor is returned as it is."""
    if isinstance(values, Tensor):
        return values
    return torch.from_numpy(values if values.flags.writeable else values.copy())


class Copy(Protocol):
    """A batch on its way to a device."""

    def hand_over(self) -> Any:
        """The batch over there, safe to use on the current stream. Once only."""
        ...

    def is_done(self) -> bool:
        """Whether the host's memory has been read."""
        ...

    def wait(self) -> None:
        """Until it has."""
        ...


def copied_ahead(batches: Iterable[T], send: Callable[[T], Copy], ahead: int) -> Generator[T, None, None]:
    """What ``send`` makes of each batch, in order, begun ``ahead`` batches early.

    A copy, and with it the host's memory, is held until it is done, also where the batch was handed over before.
    """
    source = iter(batches)
    coming: deque[Copy] = deque()
    under_way: deque[Copy] = deque()
    try:
        while True:
            while under_way and under_way[0].is_done():
                under_way.popleft()
            while len(coming) <= ahead:
                try:
                    copy = send(next(source))
                except StopIteration:
                    break
                coming.append(copy)
                under_way.append(copy)
                del copy
            if not coming:
                return
            yield coming.popleft().hand_over()
    finally:
        for copy in under_way:
            copy.wait()
        _close(source)


class _CudaCopy:
    """One batch, copied on a side stream.

    An event says when the copy is done: the stream that uses the batch waits for it, the CPU does not. The GPU's memory
    belongs to the side stream; ``record_stream`` keeps it from being used again while the other stream works on it.
    """

    def __init__(self, batch: Any, device: torch.device, stream: torch.cuda.Stream) -> None:
        self._device, self._host, self._there = device, list[Tensor](), list[Tensor]()
        with torch.cuda.stream(stream):
            self._moved = mapped(batch, self._send)
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done.record(stream)

    def _send(self, values: Array | Tensor) -> Tensor:
        tensor = as_tensor(values)
        if tensor.device.type == "cpu" and tensor.numel() and not tensor.is_pinned():
            tensor = tensor.pin_memory()
        there = tensor.to(self._device, non_blocking=True)
        self._host.append(tensor)
        self._there.append(there)
        return there

    def hand_over(self) -> Any:
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(self._done)
        for tensor in self._there:
            tensor.record_stream(stream)
        moved, self._moved, self._there = self._moved, None, []
        return moved

    def is_done(self) -> bool:
        return bool(self._done.query())  # type: ignore[no-untyped-call]

    def wait(self) -> None:
        self._done.synchronize()


class _PlainCopy:
    """One batch, copied at once: for devices without streams of CUDA's."""

    def __init__(self, batch: Any, device: torch.device) -> None:
        self._moved = mapped(batch, lambda values: as_tensor(values).to(device))

    def hand_over(self) -> Any:
        moved, self._moved = self._moved, None
        return moved

    def is_done(self) -> bool:
        return True

    def wait(self) -> None:
        pass


def mapped(batch: Any, change: Callable[[Array | Tensor], Tensor]) -> Any:
    """A batch of the same kind with its arrays and tensors changed: NamedTuple, dataclass, tuple, list or dict."""
    if isinstance(batch, (np.ndarray, Tensor)):
        return change(batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        names = [field.name for field in dataclasses.fields(batch) if field.init]
        return dataclasses.replace(batch, **{name: mapped(getattr(batch, name), change) for name in names})
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(mapped(value, change) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(mapped(value, change) for value in batch)
    if isinstance(batch, dict):
        return {key: mapped(value, change) for key, value in batch.items()}
    return batch


def _unchanged(batches: Iterable[T]) -> Generator[T, None, None]:
    source = iter(batches)
    try:
        yield from source
    finally:
        _close(source)


def _close(source: object) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        close()


def _there(device: str | torch.device) -> torch.device:
    """The device, with a number if it is a GPU. Raises BadInput."""
    check_name(device)
    try:
        place = torch.device(device)
        if place.type != "cuda":
            return torch.empty(0, device=place).device
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise BadInput(f"There is no device {str(device)!r} here.", "to_device(batches, 'cuda') or 'cpu'") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (place.index or 0) >= count:
        have = f"{count} GPUs" if count else "none that PyTorch can use"
        raise BadInput(f"There is no device '{place}' here: this machine has {have}.", "to_device(batches, 'cpu')")
    return torch.device("cuda", torch.cuda.current_device() if place.index is None else place.index)

"""What bounds the memory of a stream: batches that are used again, and a gate for what is read and not yet decoded."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Allocate = Callable[[tuple[int, ...]], Array]


class Buffers:
    """Arrays for batches, used again when nobody refers to them any more: new memory is slow at first touch."""

    def __init__(self, allocate: Allocate, most: int = 16) -> None:
        self._allocate, self._most, self._lock = allocate, most, threading.Lock()
        self._owned: list[Array] = []

    def get(self, images: int, height: int, width: int) -> Array:
        """(images, height, width, 3) uint8, with any content."""
        with self._lock:
            for at in range(len(self._owned)):
                # held by the list and by the call itself, and by nobody's view of it
                if sys.getrefcount(self._owned[at]) == 2 and len(self._owned[at]) >= images:
                    return self._owned[at][:images]
            # behind a memoryview: else numpy refers slices of an array that is itself a view to that one's owner
            made: Array = np.asarray(memoryview(self._allocate((images, height, width, 3))))  # type: ignore[arg-type]
            if len(self._owned) < self._most:
                self._owned.append(made)
            return made[:images]


class Gate:
    """Lets so many bytes through until some have left. What is larger than the room goes in alone.

    closed: set it to let nothing more in; who waits or checks finds out within a twentieth of a second.
    """

    def __init__(self, room: int) -> None:
        self._room, self._inside, self.closed = room, 0, False
        self._changed = threading.Condition()

    def check(self) -> None:
        """Raise InterruptedError if the gate is closed, or if the program ends with a stream open."""
        if self.closed or not threading.main_thread().is_alive():
            self.closed = True
            raise InterruptedError

    def enter(self, size: int) -> None:
        """Wait for room. Raises InterruptedError once the gate is closed."""
        with self._changed:
            self.check()
            while self._inside and self._inside + size > self._room:
                self._changed.wait(0.05)
                self.check()
            self._inside += size

    def leave(self, size: int) -> None:
        """What had entered is gone."""
        with self._changed:
            self._inside -= size
            self._changed.notify_all()


def empty(shape: tuple[int, ...]) -> Array:
    """uint8, with any content."""
    return np.empty(shape, np.uint8)

"""Decoded pictures kept from epoch to epoch, in memory or in a file: for small ones, decoding costs more than training.

Legend: u images of a view (repeats left out), h x w pixels.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import path, whole_number
from nsdata.errors import BadInput
from nsdata.images.crops import Crop

Array = NDArray[Any]


class DecodedCache:
    """As many of a view's decoded pictures as fit the budget, filled while they are first streamed.

    budget: bytes. folder: None keeps them in memory; else they lie in a file in this folder that has no name, so that
    nothing is left of it when the process ends, however it ends. One cache serves any number of streams over the same
    images in the same size, one after the other.
    """

    def __init__(self, budget: int, folder: str | Path | None = None) -> None:
        self.budget, self.folder = whole_number("the cache's bytes", budget), folder
        if folder is not None:
            path("The cache's folder", folder)
        if self.budget < 0:
            raise BadInput(f"A cache of {budget:,} bytes cannot be.")
        self._made_for: Crop | None = None
        self._rows: Array = np.empty(0, np.int64)

    @staticmethod
    def check(crop: Crop) -> None:
        """Raise BadInput for a crop whose pixels are others in each epoch."""
        if not crop.fixed or crop.flip:
            raise BadInput(
                "A random crop differs in every epoch, so its pixels cannot be kept.", "Leave out the cache."
            )

    def prepare(self, rows: Array, crop: Crop) -> None:
        """Make room for these images. Raises BadInput if the cache holds others, or for a random crop."""
        self.check(crop)
        held = np.unique(rows)[: self.budget // (crop.height * crop.width * 3)]
        if self._made_for is not None:
            if self._made_for != crop or not np.array_equal(self._rows, held):
                raise BadInput("A cache of decoded pictures serves one view in one size.", "Make another cache.")
            return
        self._rows, self._made_for = held, crop
        self._filled = np.zeros(len(held), bool)
        shape = (len(held), crop.height, crop.width, 3)
        if self.folder is None or not len(held):
            self._images: Array = np.empty(shape, np.uint8)  # takes memory only where it is written
            return
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)))  # a full disk is found now
                file.truncate(int(np.prod(shape)))
                self._images = np.memmap(file, np.uint8, "r+", shape=shape)
        except OSError as error:
            raise BadInput(
                f"No cache can be kept in {self.folder}: {error.strerror}.", "Give a folder on a local disk."
            ) from error

    def places(self, rows: Array) -> Array:
        """(n,) int64: where each row's picture lies or will lie; -1 where there is no room for it."""
        if not len(self._rows):
            return np.full(len(rows), -1, np.int64)
        at = np.searchsorted(self._rows, rows).clip(max=len(self._rows) - 1)
        return np.where(self._rows[at] == rows, at, -1)

    def known(self, places: Array) -> Array:
        """(n,) bool: which of these places hold a picture."""
        if not len(self._rows):
            return np.zeros(len(places), bool)
        return self._filled[places] & (places >= 0)

    def get(self, places: Array, out: Array) -> None:
        """Copy the pictures at these places into out (n, h, w, 3)."""
        np.take(self._images, places, axis=0, out=out, mode="clip")

    def pick(self, places: Array) -> Array:
        """(n, h, w, 3): the pictures at these places."""
        return self._images[places]

    def put(self, places: Array, images: Array) -> None:
        """Keep pictures (n, h, w, 3) at these places, where they have one."""
        room = places >= 0
        self._images[places[room]] = images[room]
        self._filled[places[room]] = True  # after the pixels: other threads look at it

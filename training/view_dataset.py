"""A view as a map-style data set of PyTorch's: for a sampler, a ``collate_fn`` and worker processes of your own.

Legend: n rows of the view (repeats included), H x W pixels, K classes.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from nsdata import View
from nsdata.errors import BadImage, BadInput
from nsdata.images.crops import named
from nsdata.images.decoder import decode_into
from nsdata.images.pillow import pixels
from nsdata.labels.labels import Labels
from nsdata.log.history import History
from nsdata.storage.buckets import is_bucket
from nsdata.storage.objects import Objects
from nsdata.streaming.assembly import undecodable
from nsdata.versions.readers import Readers
from nsdata.versions.table import Table
from nsdata.views.changed import tell
from training import arguments
from training.device import as_tensor


class ViewDataset(Dataset[tuple[Tensor, Tensor | int, int]]):
    """A view as a map-style data set: item i is its i-th entry, (image, target, row).

    image:  (3, H, W) uint8, 0 to 255. row: the store's number of it.
    target: the generation's soft label, (K,) float16; of a view without one a person's label, 0 to K-1, -1 = none.
    size, crop, scale, flip, resample: as in ``View.batches``; size=None gives each picture in its own size. Chance is
            drawn from PyTorch's generator, as torchvision's transforms draw theirs: other crops in each epoch.

    ``__getitems__`` reads a list at once, and PyTorch's DataLoader uses it. Nothing but plain data goes to worker
    processes; each opens the store for itself. Forked ones (PyTorch's default on Linux) can read stores on a
    local disk; a bucket needs ``multiprocessing_context="spawn"``, and a mem:// store is read in its own process alone.

    Raises EmptyView; BadInput, also where images moved to val or test since the view's version; IndexError beyond the
    view; StoreDamaged for a picture that cannot be decoded.
    """

    def __init__(
        self,
        view: View,
        *,
        size: int | None = None,
        crop: str = "centre",
        scale: tuple[float, float] = (0.08, 1.0),
        flip: bool = False,
        resample: str = "bilinear",
    ) -> None:
        self._crop = {"crop": crop, "size": size, "scale": scale, "flip": flip, "resample": resample}
        named(**self._crop)  # type: ignore[arg-type]  # refuses what cannot be
        tell(arguments.view("view", view).need_rows())
        table = view.store.table
        self.rows, self.gen = view.rows, view.gen
        self._url, self._state, self._newest = table.readers.url, table.state, table.readers.newest
        self._made_in, self._tables = os.getpid(), {os.getpid(): table}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor | int, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor | int, int]]:
        """The items at these places, in this order, read from the store in one request."""
        places = np.asarray([operator.index(index) for index in indices], np.int64)
        n = len(self.rows)
        if ((places < -n) | (places >= n)).any():
            raise IndexError(
                f"The view has {n:,} rows; item {int(places[(places < -n) | (places >= n)][0]):,} was asked."
            )
        rows = self.rows[places]
        table = self._table()
        targets: Sequence[Tensor | int]
        if self.gen is None:
            targets = table.label[rows].tolist()
        else:
            targets = list(as_tensor(Labels(table, self._state.generations[self.gen]).take(rows)))
        images = [as_tensor(image).permute(2, 0, 1) for image in self._images(table, rows)]
        return list(zip(images, targets, rows.tolist(), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        if self._url.startswith("mem://"):
            raise BadInput(
                f"The store {self._url} lies in the memory of this process; another one cannot read it.",
                "DataLoader(…, num_workers=0), or Store.create('lake', …)",
            )
        return {**self.__dict__, "_tables": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "_made_in": os.getpid()})

    def _table(self) -> Table:
        """The store's images as this process may read them: an engine's handle does not survive a fork.

        The parent's is not let go of: a handle that is closed waits for threads that a forked process does not have.
        """
        here = os.getpid()
        if here not in self._tables:
            if self._made_in != here and is_bucket(self._url):
                raise BadInput(
                    f"A forked process cannot read {self._url}: it lacks the threads that speak to the bucket.",
                    'DataLoader(…, multiprocessing_context="spawn")',
                )
            readers = Readers(self._url, History(Objects(self._url)).newest)
            readers.newest = self._newest
            self._tables[here] = Table(self._state, readers)
        return self._tables[here]

    def _images(self, table: Table, rows: np.ndarray) -> Sequence[np.ndarray]:
        """(H, W, 3) uint8 for each row."""
        crop, blobs = named(**self._crop), table.blobs(rows)  # type: ignore[arg-type]
        try:
            if crop is None:
                return [pixels(blob) for blob in blobs]
            out = np.empty((len(rows), crop.height, crop.width, 3), np.uint8)
            keys = torch.randint(1 << 62, (len(rows),)).numpy().astype(np.uint64)
            decode_into(out, blobs, table.width[rows], table.height[rows], keys, crop)
            return list(out)
        except BadImage as error:
            raise undecodable(table, rows, blobs, error) from None

"""From views to mixed batches, and the guards that keep test and held-out images out of training."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata import View
from nsdata.errors import BadInput, EmptyView
from nsdata.images.crops import Crop
from nsdata.streaming.cache import DecodedCache
from nsdata.streaming.stream import Stream
from training.device import pinned
from training.noise import Decode

CACHE_BYTES = 4 * 2**30
"""So many bytes of decoded images are kept in memory, of each view, if decoding them again would give the same."""


@dataclass(frozen=True, slots=True, repr=False)
class Mixed:
    """One step's images, the labelled and the unlabelled ones.

    labelled: (n, S, S, 3) uint8. labels: (n,) int32, 0 … K-1. unlabelled: (m, S, S, 3) uint8, m may be 0.
    soft: (m, K) float16, rows sum to 1. Arrays, or the same as tensors once they are on a device.
    """

    labelled: Any
    labels: Any
    unlabelled: Any
    soft: Any

    def __len__(self) -> int:
        return len(self.labelled) + len(self.unlabelled)

    def __repr__(self) -> str:
        return f"<Mixed: {len(self.labelled)} labelled and {len(self.unlabelled)} unlabelled images>"


@dataclass(frozen=True, slots=True)
class Split:
    """What trains and what judges. ``val`` is None if nothing was held out."""

    labelled: View
    unlabelled: View | None
    val: View | None
    warnings: list[str] = field(default_factory=list)


def held_out(people: View, fraction: float) -> tuple[View, View | None]:
    """(training view, validation view or None) of people's labels.

    A store with labelled val images validates on all of them. Else an image is held out if the first 8 bytes of
    its id, as a big-endian number, are below fraction * 2**64: a matter of the image alone, so it is the same
    images in every generation, whatever is imported later.
    """
    val = people.store.view().split("val").labelled()
    if len(val):
        return people, val
    if not fraction:
        return people, None
    held = _first_eight(people) < np.uint64(int(fraction * 2**64))
    if not held.any() or held.all():
        return people, None
    first = np.zeros(len(people), bool)
    first[np.unique(people.rows, return_index=True)[1]] = True  # an image counts once, however often repeated
    percent = f"{100 * fraction:g} %"
    return people.only(~held, f"not held out ({percent})"), people.only(held & first, f"held out ({percent})")


def prepare(people: View, pseudo: View | None, fraction: float, *, gen: int | None = None, ratio: int = 1) -> Split:
    """Checks the views and holds validation images out of both.

    Raises EmptyView for a view without rows; BadInput for test or val images in either view, images without a
    label in ``people``, a ``pseudo`` without a generation, of another than ``gen``, or of other classes, ratio 0.
    """
    _refuse_evaluation_images(people, "labelled")
    bare = int((people.labels < 0).sum())
    if bare:
        text = f"The labelled view holds {bare:,} images without a person's label, of {len(people):,}."
        raise BadInput(text, "store.view().split('train').labelled()")
    warnings: list[str] = []
    if pseudo is not None:
        if pseudo.gen is None:
            text = "The view of unlabelled images has no generation, so it has no soft labels to learn from."
            raise BadInput(text, "store.view(gen=1)…")
        if gen is not None and pseudo.gen != gen:
            raise BadInput(
                f"The view brings the soft labels of generation {pseudo.gen}; model {gen} learns generation {gen}'s.",
                f"store.view(gen={gen})…, or nsdata view student-{gen} --gen {gen} …",
            )
        if not ratio:
            raise BadInput("The ratio is 0, so the soft labels would not be used.", "--set ratio=3, or no view")
        if pseudo.store.classes != people.store.classes:
            raise BadInput("The two views come from stores with different classes.")
        _refuse_evaluation_images(pseudo, "pseudo-labelled")
    labelled, val = held_out(people, fraction)
    if val is not None and pseudo is not None:
        leaked = np.isin(_first_eight(pseudo), _first_eight(val))
        if leaked.any():
            warnings.append(f"{int(leaked.sum()):,} held-out images were left out of the pseudo-labelled view.")
            pseudo = pseudo.only(~leaked, "not held out")
            _need_rows(pseudo, "pseudo-labelled")
    seen = np.bincount(labelled.labels, minlength=len(people.store.classes))
    missing = [name for name, n in zip(people.store.classes, seen, strict=True) if not n]
    if missing:
        names = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        warnings.append(f"{len(missing)} of {len(seen)} classes have no labelled training image: {names}.")
    return Split(labelled, pseudo, val, warnings)


class Source:
    """A view's batches, streamed from the store. Where decoding again would give the same pixels, they are kept."""

    def __init__(self, view: View, decode: Decode) -> None:
        self.view, self.decode = view, decode
        keeps = isinstance(decode, Crop) and decode.fixed
        cache = DecodedCache(CACHE_BYTES) if keeps else None
        self._options: dict[str, Any] = {"decode": decode, "cache": cache, "allocate": pinned}

    def batches(self, batch_size: int, *, seed: int = 0, for_ever: bool = False, start: int = 0) -> Stream:
        """Shuffled and without end for training; else one pass in order. The first ``start`` batches are left out."""
        epochs = None if for_ever else 1
        return self.view.stream(batch_size, shuffle=for_ever, seed=seed, epochs=epochs, start=start, **self._options)


def mixed_batches(
    labelled: Source, unlabelled: Source | None, *, batch_size: int, ratio: int, seed: int, start: int = 0
) -> Generator[Mixed, None, None]:
    """Steps without end: ``batch_size`` labelled images and ``ratio`` times as many unlabelled ones.

    Every step has exactly that many; a batch may span two epochs. The first ``start`` steps are left out, without
    decoding them. Close it (or let it go) to stop its threads.
    """
    classes = len(labelled.view.store.classes)
    no_soft = np.empty((0, classes), np.float16)
    with ExitStack() as stack:
        people = labelled.batches(batch_size, seed=seed, for_ever=True, start=start)
        stack.enter_context(closing(people))
        if unlabelled is None or not ratio:
            for batch in people:
                yield Mixed(batch.images, batch.labels, batch.images[:0], no_soft)
        else:
            pseudo = unlabelled.batches(batch_size * ratio, seed=seed, for_ever=True, start=start)
            stack.enter_context(closing(pseudo))
            for ours, theirs in zip(people, pseudo, strict=True):
                assert theirs.soft is not None
                yield Mixed(ours.images, ours.labels, theirs.images, theirs.soft)


def _first_eight(view: View) -> NDArray[np.uint64]:
    """(n,) the first 8 bytes of each id as a big-endian number."""
    return np.ascontiguousarray(view.ids[:, :8]).view(">u8").ravel().astype(np.uint64)


def _need_rows(view: View, what: str) -> None:
    if not len(view):
        raise EmptyView(
            f"The {what} view keeps no rows, so there is nothing to train on.", "nsdata import FOLDER_OF_CLASS_FOLDERS"
        )


def _refuse_evaluation_images(view: View, what: str) -> None:
    _need_rows(view, what)
    for code, name in ((2, "test"), (1, "val")):
        count = int((view.splits == code).sum())
        if count:
            text = f"The {what} view holds {count:,} {name} images, of {len(view):,}; they must not train a model."
            raise BadInput(text, "view.split('train')")

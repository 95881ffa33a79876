"""Soft labels as somebody else wrote them: checked, and in the store's order of classes.

Legend: n rows of the table, B of them, K classes.
"""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import shown
from nsdata.errors import BadLabels
from nsdata.labels.codec import Codec
from nsdata.labels.invariants import HALF_EPSILON, HALF_TINY, SUM_TOLERANCE
from nsdata.labels.same_class import likely, notice, recased
from nsdata.text import listed, visible

Array = NDArray[Any]

_PERCENT = 0.5  # how far from 100 a row's percents may be, which people round
_AT_ONCE = 1 << 22  # probabilities worked on at a time
_FEW = 5  # classes that a hint names


@dataclass
class SoftTable:
    """n soft labels, each with the name of its image: an id, a source, or a file name that is unique.

    blocks: (n_i, K) numbers of any kind, in the order of ``names``: one array, or as they were read. what: holds them,
    for messages. classes: of the columns, in their order; None where nothing says so, and the store's order is meant.
    logits: whether they are called so. others: a second name of each image. pseudo, confidence: (n,) class and
    probability that the teacher gave before its soft labels were rounded, of nsdata's own exports. codec: how
    their store kept them. exported: by nsdata, and others are ids of the pictures as they were written. facts: for the
    provenance. missing: what their store did with images that had none; of ``given.MISSING``.
    """

    names: list[str]
    blocks: list[Array]
    what: str
    sha256: str
    classes: list[str] | None = None
    logits: bool = False
    others: list[str] | None = None
    pseudo: Array | None = None
    confidence: Array | None = None
    codec: str | None = None
    exported: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    missing: str = "leave"

    def __len__(self) -> int:
        return len(self.names)


class Prepared:
    """A table's soft labels as the store keeps them. Raises BadLabels for classes, shapes and values that cannot be.

    logits: a softmax at ``temperature`` is applied first.
    """

    def __init__(self, table: SoftTable, classes: Sequence[str], logits: bool, temperature: float) -> None:
        self.table, self._classes = table, list(classes)
        self._logits, self._temperature = logits, temperature
        self._columns = columns_of(classes, table.classes, table.what) if table.classes is not None else None
        same = recased(map(plain_name, classes), map(plain_name, table.classes or ()))
        self.notices = notice(same) if table.classes is not None else []
        self._ends = np.cumsum([len(block) for block in table.blocks], dtype=np.int64)
        assert (int(self._ends[-1]) if len(self._ends) else 0) == len(table.names)
        for block in table.blocks:
            if block.ndim != 2 or block.shape[1] != len(classes):
                raise BadLabels(
                    f"The soft labels of {table.what} have shape {block.shape}; the store has {len(classes)} classes, "
                    f"so ({len(block)}, {len(classes)}) was expected.",
                    "nsdata classes",
                )
            if block.dtype.kind not in "fiu":
                raise BadLabels(f"The soft labels of {table.what} are {block.dtype}; numbers were expected.")
        if table.logits and not logits:
            raise BadLabels(f"The soft labels of {table.what} are called logits.", "--logits  (applies a softmax)")
        self.check()

    @property
    def classes(self) -> int:
        """K."""
        return len(self._classes)

    def take(self, places: Array) -> Array:
        """(B, K) float32, 0 to 1: the soft labels at these places of the table, in the store's order of classes."""
        soft_BK = np.empty((len(places), len(self._classes)), np.float32)
        which = np.searchsorted(self._ends, places, side="right")
        for number in np.unique(which):
            here = np.flatnonzero(which == number)
            block = self.table.blocks[number]
            start = self._ends[number] - len(block)
            found = block[places[here] - start]
            soft_BK[here] = found if self._columns is None else found[:, self._columns]
        return self._softmax(soft_BK) if self._logits else soft_BK

    def encode(self, codec: Codec, places: Array) -> dict[str, Array]:
        """The columns of a part for these places; -1: an image that nothing is known of, so every class alike."""
        table, classes = self.table, len(self._classes)
        soft_BK = np.full((len(places), classes), 1 / classes, np.float32)
        known = np.flatnonzero(places >= 0)
        soft_BK[known] = self.take(places[known])
        if table.pseudo is None or table.confidence is None:
            return codec.encode(soft_BK)
        # of equals in float16 the teacher's own class comes first: a bit more of it in float32 is no more in float16
        pseudo = self._pseudo(places[known])
        soft_BK[known, pseudo] = np.nextafter(soft_BK[known, pseudo], np.float32(2))
        columns = codec.encode(soft_BK)
        columns["confidence"] = columns["confidence"].copy()
        columns["confidence"][known] = table.confidence[places[known]]
        return columns

    def check(self) -> None:
        """Raise BadLabels for the first soft label that is none, naming its image."""
        alike = percent = len(self.table) > 0  # to probabilities, to percent
        for start, stop, raw in self._raw():
            if not np.isfinite(raw).all():
                bad = start + int(np.flatnonzero(~np.isfinite(raw).all(1))[0])
                raise BadLabels(f"{self._of(bad)} holds NaN, infinity or nothing in the place of a number.")
            sums_N = raw.sum(1, dtype=np.float64)
            percent = percent and bool(raw.min() >= 0 and np.abs(sums_N - 100).max() <= _PERCENT)
            if percent and not self._logits:
                break
            if self._logits:
                alike = alike and bool(raw.min() >= 0 and np.abs(sums_N - 1).max() <= SUM_TOLERANCE)
                continue
            low_N, high_N = raw.min(1), raw.max(1)
            if low_N.min() < 0 or high_N.max() > 1 + SUM_TOLERANCE:
                bad = int(np.flatnonzero((low_N < 0) | (high_N > 1 + SUM_TOLERANCE))[0])
                raise BadLabels(
                    f"{self._of(start + bad)} ranges from {low_N[bad]:.3g} to {high_N[bad]:.3g}; probabilities from 0 "
                    "to 1 were expected.",
                    "--logits  if they are logits: a softmax is applied",
                )
            off_N = np.abs(sums_N - 1)
            far_N = off_N > SUM_TOLERANCE
            if far_N.any():  # numbers of float16 are not rounded once more
                exact_N = (raw.astype(np.float16).astype(np.float32) == raw).all(1)
                far_N &= ~(exact_N & (off_N <= 2 * SUM_TOLERANCE))
            if far_N.any():
                bad = int(np.flatnonzero(far_N)[0])
                raise BadLabels(
                    f"{self._of(start + bad)} sums to {sums_N[bad]:.4f}; 1 was expected, within {SUM_TOLERANCE:g}.",
                    "more digits; or divide each row by its sum: soft.div(soft.sum(axis=1), axis=0) of pandas",
                )
            self._check_teachers(start, stop)
        if percent:
            raise BadLabels(
                f"The soft labels of {self.table.what} are percent, 0 to 100 with a sum of 100; probabilities "
                "from 0 to 1 were expected.",
                "Divide them by 100.",
            )
        if self._logits and alike:
            raise BadLabels(
                f"The soft labels of {self.table.what} are probabilities already, 0 to 1 with a sum of 1: a softmax "
                "would flatten them.",
                "Leave out --logits.",
            )

    def _check_teachers(self, start: int, stop: int) -> None:
        """The class and confidence that stand beside soft labels are theirs."""
        table = self.table
        if table.pseudo is None or table.confidence is None:
            return
        places = np.arange(start, stop)
        soft_BK, pseudo, confidence = self.take(places), self._pseudo(places), table.confidence[start:stop]
        named = soft_BK[np.arange(len(places)), pseudo.clip(0, len(self._classes) - 1)]
        near = np.abs(named.clip(0, 1) - confidence) <= HALF_EPSILON * confidence + HALF_TINY
        agrees = near & (named >= soft_BK.max(1)) & (pseudo >= 0) & (confidence <= 1)
        if not agrees.all():
            bad = int(np.flatnonzero(~agrees)[0])
            raise BadLabels(f"{self._of(start + bad)} is not that of the confidence and class beside it.")

    def _pseudo(self, places: Array) -> Array:
        """(B,) int64: the classes that stand beside soft labels, of the store's; -1 for none of them."""
        assert self.table.pseudo is not None
        found = self.table.pseudo[places].astype(np.int64)
        inside = (found >= 0) & (found < len(self._classes))
        if self._columns is not None:
            found = np.argsort(self._columns)[found.clip(0, len(self._classes) - 1)]
        return np.where(inside, found, -1)

    def _raw(self) -> Iterator[tuple[int, int, Array]]:
        """First place, the one behind the last, and the numbers as they were given, as float32, block by block."""
        step, first = max(1, _AT_ONCE // max(1, len(self._classes))), 0
        for block in self.table.blocks:
            for start in range(0, len(block), step):
                some = block[start : start + step]
                with np.errstate(over="ignore"):
                    yield first + start, first + start + len(some), some.astype(np.float32, copy=False)
            first += len(block)

    def _softmax(self, raw_BK: Array) -> Array:
        scaled_BK = raw_BK / np.float32(self._temperature)
        scaled_BK -= scaled_BK.max(1, keepdims=True)
        np.exp(scaled_BK, out=scaled_BK)
        scaled_BK /= scaled_BK.sum(1, keepdims=True)
        return scaled_BK

    def _of(self, place: int) -> str:
        return f"The soft label of {visible(self.table.names[place][:200])} in {self.table.what}"


def columns_of(classes: Sequence[str], given: Sequence[str], what: str) -> Array:
    """(K,) int64: where the store's classes are in a list that names all of them, each once. Raises BadLabels."""
    places: dict[str, int] = {}
    for place, name in enumerate(given):
        if not isinstance(name, str):
            raise BadLabels(f"A class in {what} is {shown(name)}; a name was expected.")
        if (plain := plain_name(name)) in places:
            raise BadLabels(f"{what} has the class '{visible(plain)}' twice.")
        places[plain] = place
    wanted = [plain_name(name) for name in classes]
    same = recased(wanted, places)
    places |= {mine: places[theirs] for theirs, mine in same.items()}
    unknown = [visible(name) for name in given if plain_name(name) not in {*wanted, *same}]
    missing = [visible(name) for name in classes if plain_name(name) not in places]
    if unknown or missing:
        parts = [f"lacks the class{'es' if len(missing) > 1 else ''} {listed(missing)}"] if missing else []
        parts += [f"has {listed(unknown)}, which the store has not"] if unknown else []
        close = [f"{visible(mine)} for {visible(theirs)}" for theirs, mine in likely(wanted, places).items()]
        if close:
            way_on = f"if these are the same, name them as the store does: {listed(close, 5)}"
        elif missing:
            way_on = "nsdata classes   # a column for each, of zeros where nothing is known"
        else:
            way_on = (
                f"leave out what is no class; if it is one, for ever: nsdata classes add {shlex.join(unknown[:_FEW])}"
            )
        raise BadLabels(f"{what} {' and '.join(parts)}; its classes must be the store's: {listed(classes)}.", way_on)
    return np.asarray([places[name] for name in wanted], np.int64)


def plain_name(name: str) -> str:
    """A class name as it is compared: Unicode's NFC, without blanks around it."""
    return unicodedata.normalize("NFC", name).strip()

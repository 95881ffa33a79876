"""Columns and types of every dataset in a store, and the names that SQL gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1  # of the store, as its first event says
NEWEST = 2  # that is read here, also of a checkpoint: 2 has embeddings or plans; a higher one is refused

SPLITS = ("train", "val", "test")  # position = code in the column ``split``
NO_LABEL = -1

ID_BYTES = 16
MOST = 2**31 - 1  # of an int32

_SECTOR, _FEW = 512, 4096  # bytes; rows


@dataclass(frozen=True, slots=True)
class Column:
    """One column: "bytes", "text", a numpy scalar type, or vectors of ``width`` numbers of that type.

    low, high: what its numbers lie between, both included, where other numbers would be followed blindly. peak: of
    vectors that are too many bytes to be hashed, what the largest number of each row is at least.
    """

    type: str
    width: int = 0
    low: float | None = None
    high: float | None = None
    peak: float | None = None

    @property
    def empty(self) -> np.ndarray[Any, Any] | list[Any]:
        """What reading no rows gives."""
        if self.type in ("bytes", "text"):
            return []
        import numpy as np

        return np.empty((0, self.width) if self.width else (0,), self.type)

    @property
    def hashed(self) -> bool:
        """Whether its files are hashed when it is first read, however large they are: a millisecond for a megabyte."""
        return self.type != "bytes" and self.peak is None

    def holds(self, values: np.ndarray[Any, Any]) -> bool:
        """Whether all numbers lie between ``low`` and ``high``; NaN does not. And each row has its peak.

        Of many rows some are looked at, so dense that a disk's sector of zeros, 512 bytes, cannot hide between them.
        """
        if self.low is None or self.high is None or not values.size:
            return True
        import numpy as np

        peak = self.peak
        if values.dtype == np.float16:  # numpy is slow at them; from 0 up, their bits are ordered as they are
            assert self.low == 0
            values = values.view(np.uint16)
            fine = values.max() <= np.float16(self.high).view(np.uint16)
            peak = None if peak is None else int(np.float16(peak).view(np.uint16))
        else:
            fine = values.min() >= self.low and values.max() <= self.high
        if not fine:
            return False
        if peak is None:
            return True
        each = values.itemsize * self.width
        step = 1 if len(values) <= _FEW else max(1, (_SECTOR + 1 - each) // each)
        return bool(values[::step].max(1).min() >= peak)


Schema = Mapping[str, Column]

SEGMENT: Schema = {
    "id": Column("uint8", ID_BYTES),  # content hash
    "image": Column("bytes"),  # the encoded file, exactly as it came
    "label": Column("int32", low=-1, high=MOST),  # a person's label, -1 = none
    "split": Column("int8", low=0, high=len(SPLITS) - 1),  # code in SPLITS
    "source": Column("text"),  # where it came from, relative to what was imported
    "width": Column("int32", low=0, high=MOST),  # pixels of the upright picture
    "height": Column("int32", low=0, high=MOST),
}

PEOPLE: Schema = {"id": Column("uint8", ID_BYTES), "label": Column("int32", low=-1, high=MOST)}

VIEW: Schema = {"row": Column("int64", low=0, high=2**53)}


def part(classes: int, top: int | None = None) -> Schema:
    """A part of one generation's labels for K = ``classes``: dense soft labels, or their ``top`` largest numbers."""
    most, least = 1.002, 0.99 / classes  # of what sums to 1 within 1e-3, rounded; and of its largest number
    soft: Schema = {"soft_label": Column("float16", classes, low=0, high=most, peak=least)}  # 0 to 1, rows sum to 1
    if top is not None:
        kind = "int16" if classes <= 32_767 else "int32"
        soft = {
            "top_class": Column(kind, top, low=0, high=classes - 1, peak=top - 1),  # the most probable classes first
            "top_probability": Column("float16", top, low=0, high=most, peak=least),  # theirs, 0 to 1, descending
            "residual": Column("float32", low=0, high=most),  # what all other classes have together, 0 to 1
            "kl": Column("float32", low=0, high=1e38),  # nats that reading back loses, 0 or more
        }
    return {  # of the float32 probabilities: the most probable class, and its probability, 0 to 1
        **soft,
        "pseudo_label": Column("int32", low=0, high=classes - 1),
        "confidence": Column("float32", low=0, high=1),
    }


def vectors(width: int) -> Schema:
    """A part of one model's vectors, of so many finite numbers."""
    return {"vector": Column("float16", width)}


def sql_columns(generations: tuple[int, ...]) -> list[str]:
    """Names of the columns of the table ``images`` in SQL, in order."""
    names = ["id", "label", "class", "split", "source", "width", "height"]
    for gen in generations:
        names += [f"gen{gen}_confidence", f"gen{gen}_pseudo_label", f"gen{gen}_class", f"gen{gen}_soft_label"]
    return names

"""Columns and types of every dataset in a store, and the names that SQL gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1  # of the store; a higher one in the first event is refused

SPLITS = ("train", "val", "test")  # position = code in the column ``split``
NO_LABEL = -1

ID_BYTES = 16
MOST = 2**31 - 1  # of an int32


@dataclass(frozen=True, slots=True)
class Column:
    """One column: "bytes", "text", a numpy scalar type, or vectors of ``width`` numbers of that type.

    low, high: what its numbers lie between, both included, where other numbers would be followed blindly.
    """

    type: str
    width: int = 0
    low: float | None = None
    high: float | None = None

    @property
    def empty(self) -> np.ndarray[Any, Any] | list[Any]:
        """What reading no rows gives."""
        if self.type in ("bytes", "text"):
            return []
        import numpy as np

        return np.empty((0, self.width) if self.width else (0,), self.type)

    def holds(self, values: np.ndarray[Any, Any]) -> bool:
        """Whether all numbers lie between ``low`` and ``high``; NaN does not."""
        if self.low is None or self.high is None or not values.size:
            return True
        import numpy as np

        if values.dtype == np.float16:  # numpy is slow at them; from 0 up, their bits are ordered as they are
            assert self.low == 0
            return bool(values.view(np.uint16).max() <= np.float16(self.high).view(np.uint16))
        return bool(values.min() >= self.low and values.max() <= self.high)


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
    most = 1.002  # of what sums to 1 within 1e-3, rounded
    soft: Schema = {"soft_label": Column("float16", classes, low=0, high=most)}  # 0 to 1, rows sum to 1
    if top is not None:
        kind = "int16" if classes <= 32_767 else "int32"
        soft = {
            "top_class": Column(kind, top, low=0, high=classes - 1),  # the most probable classes first
            "top_probability": Column("float16", top, low=0, high=most),  # theirs, 0 to 1, descending
            "residual": Column("float32", low=0, high=most),  # what all other classes have together, 0 to 1
            "kl": Column("float32", low=0, high=1e38),  # nats that reading back loses, 0 or more
        }
    return {  # of the float32 probabilities: the most probable class, and its probability, 0 to 1
        **soft,
        "pseudo_label": Column("int32", low=0, high=classes - 1),
        "confidence": Column("float32", low=0, high=1),
    }


def sql_columns(generations: tuple[int, ...]) -> list[str]:
    """Names of the columns of the table ``images`` in SQL, in order."""
    names = ["id", "label", "class", "split", "source", "width", "height"]
    for gen in generations:
        names += [f"gen{gen}_confidence", f"gen{gen}_pseudo_label", f"gen{gen}_class", f"gen{gen}_soft_label"]
    return names

"""Columns and types of every dataset in a store, and the names that SQL gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

FORMAT = 1  # of the store; a higher one in the first event is refused

SPLITS = ("train", "val", "test")  # position = code in the column ``split``
NO_LABEL = -1

ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Column:
    """One column: "bytes", "text", a numpy scalar type, or vectors of ``width`` numbers of that type."""

    type: str
    width: int = 0

    @property
    def empty(self) -> np.ndarray[Any, Any] | list[Any]:
        """What reading no rows gives."""
        if self.type in ("bytes", "text"):
            return []
        return np.empty((0, self.width) if self.width else (0,), self.type)


Schema = Mapping[str, Column]

SEGMENT: Schema = {
    "id": Column("uint8", ID_BYTES),  # content hash
    "image": Column("bytes"),  # the encoded file, exactly as it came
    "label": Column("int32"),  # what a person said, -1 = nothing
    "split": Column("int8"),  # code in SPLITS
    "source": Column("text"),  # where it came from, relative to what was imported
    "width": Column("int32"),  # pixels of the upright picture
    "height": Column("int32"),
}

PEOPLE: Schema = {"id": Column("uint8", ID_BYTES), "label": Column("int32")}

VIEW: Schema = {"row": Column("int64")}


def part(classes: int, top: int | None = None) -> Schema:
    """A part of one generation's labels for K = ``classes``: dense soft labels, or their ``top`` largest numbers."""
    soft: Schema = {"soft_label": Column("float16", classes)}  # 0 to 1, rows sum to 1
    if top is not None:
        soft = {
            "top_class": Column("int16" if classes <= 32_767 else "int32", top),  # the most probable classes first
            "top_probability": Column("float16", top),  # theirs, 0 to 1, descending
            "residual": Column("float32"),  # what all other classes have together, 0 to 1
            "kl": Column("float32"),  # nats that reading back loses, 0 or more
        }
    return {
        **soft,
        "pseudo_label": Column("int32"),  # the most probable class, from the float32 probabilities
        "confidence": Column("float32"),  # its probability, 0 to 1, from the float32 probabilities
    }


def sql_columns(generations: tuple[int, ...]) -> list[str]:
    """Names of the columns of the table ``images`` in SQL, in order."""
    names = ["id", "label", "class", "split", "source", "width", "height"]
    for gen in generations:
        names += [f"gen{gen}_confidence", f"gen{gen}_pseudo_label", f"gen{gen}_class", f"gen{gen}_soft_label"]
    return names

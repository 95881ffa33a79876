"""What an export writes of each image, and what it says of itself.

Legend: K classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput
from nsdata.images import heif

COLUMNS = ("id", "label", "split", "source", "pseudo_label", "confidence", "copies")
META = "nsdata"  # under this name an export says of itself which classes and generations it has
SHARED = ".nsdata.json"  # the same in a .tar, whose readers pass over hidden files


@dataclass(frozen=True, slots=True)
class Predicted:
    """One generation's label of one image: class index, 0..1, and (K,) float16, 0..1, with a sum of 1."""

    pseudo: int
    confidence: float
    soft: NDArray[np.float16] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One row of a view.

    data: encoded image, None where only the table is wanted. label, pseudo: class index 0..K-1 or None.
    confidence: 0..1 or None. soft: (K,) float16, 0..1, sums to 1, or None. copies: how often the view has it.
    others: what more generations say, by number; pseudo, confidence and soft are then None. labelled_by: "people" or
    "generation 1", where ``label`` may be a pseudo-label. name: a file name to keep, None: the id. path: where the
    picture lies. file_id: what the id of the bytes is, where it is another: of images that came as arrays.
    """

    id_hex: str
    data: bytes | None = field(repr=False)
    label: int | None
    split: str
    source: str
    pseudo: int | None = None
    confidence: float | None = None
    soft: NDArray[np.float16] | None = field(default=None, repr=False)
    copies: int = 1
    others: dict[int, Predicted] = field(default_factory=dict, repr=False)
    labelled_by: str | None = None
    name: str | None = None
    path: str | None = None
    file_id: str | None = None


@dataclass(frozen=True)
class About:
    """What an export says of itself. generations: number -> facts; one of several has columns of its own."""

    classes: Sequence[str] = ()
    generations: dict[int, dict[str, Any]] = field(default_factory=dict)
    store: str = ""
    version: int | None = None
    pseudo: bool = False  # labels may be pseudo-labels
    images: bool = False  # beside a table

    @property
    def several(self) -> list[int]:
        """The generations that have columns of their own: where there are more than one."""
        return sorted(self.generations) if len(self.generations) > 1 else []

    def meta(self) -> dict[str, Any]:
        """Plain JSON; nsdata.importers.soft reads it."""
        found = [
            {"number": gen, "prefix": prefix(gen) if self.several else "", **facts}
            for gen, facts in sorted(self.generations.items())
        ]
        return {"format": 1, "classes": list(self.classes), "generations": found, "store": self.store,
                "version": self.version}  # fmt: skip

    def columns(self) -> list[str]:
        """Those of a table, soft labels left out."""
        more = [f"{prefix(gen)}{name}" for gen in self.several for name in ("pseudo_label", "confidence")]
        plain = [name for name in COLUMNS if not (more and name in ("pseudo_label", "confidence"))]
        return [*plain, *more, *(["labelled_by"] if self.pseudo else [])]

    def soft_columns(self) -> list[str]:
        """Those of soft labels."""
        return [f"{prefix(gen)}soft_label" for gen in self.several] or ["soft_label"]

    def cells(self, row: ExportRow) -> list[Any]:
        """A row's facts for a person, in the order of ``columns``: class names, the shortest exact confidence."""
        facts = {
            "id": row.id_hex, "label": self.name(row.label), "split": row.split, "source": row.source,
            "pseudo_label": self.name(row.pseudo), "confidence": _short(row.confidence), "copies": row.copies,
            "labelled_by": row.labelled_by,
        }  # fmt: skip
        for gen, said in row.others.items():
            facts |= {f"{prefix(gen)}pseudo_label": self.name(said.pseudo)}
            facts |= {f"{prefix(gen)}confidence": _short(said.confidence)}
        return [facts.get(name) for name in self.columns()]

    def soft(self, row: ExportRow) -> list[NDArray[np.float16] | None]:
        """A row's soft labels, in the order of ``soft_columns``."""
        if not self.several:
            return [row.soft]
        return [row.others[gen].soft if gen in row.others else None for gen in self.several]

    def name(self, label: int | None) -> str | None:
        """A class."""
        return None if label is None else self.classes[label]


def prefix(gen: int) -> str:
    """Of the columns of one of several generations, as SQL calls them."""
    return f"gen{gen}_"


def image(row: ExportRow) -> bytes:
    """Its bytes. Raises BadInput where it came without."""
    if row.data is None:
        raise BadInput(f"Image {row.id_hex[:12]} came without its bytes.", "--format csv writes the table alone")
    return row.data


_STARTS = [
    (re.compile(start, re.DOTALL), name)
    for start, name in (
        (rb"\xff\xd8\xff", "jpg"),
        (rb"\x89PNG", "png"),
        (rb"GIF8", "gif"),
        (rb"BM", "bmp"),
        (rb"RIFF....WEBP", "webp"),
        (rb"II[*+]|MM\0", "tif"),
        (rb"\0\0\0\x0cjP  ", "jp2"),
        (rb"\xff\x4f\xff\x51", "j2k"),
        (rb"P[14]\s", "pbm"),
        (rb"P[25]\s", "pgm"),
        (rb"P[36]\s", "ppm"),
        *((magic.pattern, {"AVIF": "avif", "HEIC": "heic", "HEIF": "heif"}[kind]) for magic, kind in heif.KINDS),
    )
]


def ending(data: bytes) -> str:
    """The file ending for encoded bytes by their real format: "jpg", "png", …; "bin" if it is unknown."""
    return next((name for start, name in _STARTS if start.match(data)), "bin")


def _short(confidence: float | None) -> str | None:
    return None if confidence is None else str(np.float32(confidence))

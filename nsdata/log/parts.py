"""Columns beside the images: the parts that runs published, as a State holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Piece:
    """A dataset that one process wrote of a part: its first ``rows`` rows count."""

    name: str  # labels/gen-2-<run>/part-00000/0000000000-<process>
    rows: int
    files: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A run of rows of one generation's labels, or of a model's vectors: row r of it is of row ``start + r`` of the
    store.

    It lies in one piece, or in several where the run was interrupted; the digests are of all of it.
    """

    name: str  # labels/gen-2-<run>/part-00000
    start: int
    rows: int
    digests: dict[str, str] = field(repr=False)  # column -> BLAKE2b of its values; "ids" -> of the ids that it is of
    pieces: tuple[Piece, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of one model, by their name. ``provenance`` says which model, how it saw the images, when."""

    name: str
    event: int
    version: int  # of the store whose images they are of
    run: str
    width: int  # numbers of a vector
    parts: tuple[Part, ...] = field(repr=False)  # in the order of their rows
    provenance: dict[str, Any] = field(repr=False)
    extends: int | None = None  # the event of the vectors whose parts it took over

    @property
    def rows(self) -> int:
        """Images that have a vector."""
        return sum(part.rows for part in self.parts)

    @property
    def pieces(self) -> list[Piece]:
        """The datasets that its vectors lie in."""
        return [piece for part in self.parts for piece in part.pieces]

"""One image of a view, as ``view[i]`` gives it; and many at a time, for those who show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import whole_number
from nsdata.arithmetic.ids import hexes
from nsdata.errors import NotFound, NsdataError
from nsdata.schema import SPLITS
from nsdata.text import to_html
from nsdata.versions.pictures import Line, one

if TYPE_CHECKING:
    from PIL import Image

    from nsdata.labels.labels import Labels
    from nsdata.versions.table import Table
    from nsdata.views.view import View


@dataclass(frozen=True)
class Entry:
    """An image and what it is trained as. label: people's; pseudo, confidence: the generation's; None without one."""

    id: str
    row: int
    source: str
    split: str
    label: str | None
    pseudo: str | None
    confidence: float | None
    _table: Table = field(repr=False, compare=False)

    @property
    def picture(self) -> Image.Image:
        """The picture, upright, in RGB. Raises NotFound for purged images."""
        from nsdata.images.pillow import picture

        return picture(self._encoded())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: value for name, value in self.__dict__.items() if name != "_table"}

    def caption(self) -> list[Line]:
        """Its classes in lines: "label cat", "cat 0.93"."""
        lines: list[Line] = [] if self.label is None else [(f"label {self.label}", "")]
        return lines if self.pseudo is None else [*lines, (self.pseudo, f"{self.confidence:.2f}")]

    def _repr_html_(self) -> str:
        rows = [(key, str(value)) for key, value in self.to_dict().items() if value is not None]
        try:
            data = self._encoded()
        except NsdataError:
            data = b""  # purged, or not to be read
        return one(data, self.source) + to_html(rows)

    def _encoded(self) -> bytes:
        return self._table.blobs(np.asarray([self.row]))[0]


def entries(table: Table, rows: NDArray[Any], labels: Labels | None) -> list[Entry]:
    """What is known of these rows, in this order. labels: of the generation that they are trained as, if any."""
    if not len(rows):
        return []
    known, classes = table.label[rows].tolist(), table.state.classes
    pseudo = [-1] * len(rows) if labels is None else labels.all_pseudo[rows].tolist()
    sure = [0.0] * len(rows) if labels is None else labels.all_confidence[rows].tolist()
    ids, sources, splits = hexes(table.ids[rows]), table.sources(rows.tolist()), table.split[rows].tolist()
    return [
        Entry(
            id=ids[at],
            row=row,
            source=sources[at],
            split=SPLITS[splits[at]],
            label=classes[known[at]] if known[at] >= 0 else None,
            pseudo=classes[pseudo[at]] if pseudo[at] >= 0 else None,
            confidence=sure[at] if pseudo[at] >= 0 else None,
            _table=table,
        )
        for at, row in enumerate(rows.tolist())
    ]


def entry(view: View, place: object) -> Entry:
    """See View.__getitem__."""
    number = whole_number("The place in a view", place)
    if not -len(view) <= number < len(view):
        raise _Beyond(f"There is no image {number:,} in the view; it has {len(view):,}.")
    return entries(view.store.table, view.rows[[number]], view.soft_labels)[0]


def captions(found: Sequence[Entry], times: Sequence[int]) -> list[list[Line]]:
    """Lines for each, and how often the view has it where it has it more than once."""
    return [[*repeats(n), *one.caption()] for one, n in zip(found, times, strict=True)]


def repeats(times: int) -> list[Line]:
    """A line for what was chosen more than once: 3×."""
    return [(f"{times:,}×", "")] if times > 1 else []


class _Beyond(NotFound, IndexError):
    """A place that a view has not. An IndexError, so that a loop over a view ends."""

"""What is known of one image, one generation, one store: plain rows for the terminal, HTML for notebooks."""

from __future__ import annotations

import builtins
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata.arithmetic.ids import hexes
from nsdata.labels.labels import of_generation
from nsdata.schema import SPLITS
from nsdata.text import to_html, visible
from nsdata.versions.named_rows import rows_meant
from nsdata.versions.pictures import one

if TYPE_CHECKING:
    from PIL import Image

    from nsdata.versions.handle import Handle


@dataclass(frozen=True)
class Prediction:
    """What one generation's teacher predicts of an image. ``top``: (class, probability), most probable first."""

    gen: int
    pseudo: str
    confidence: float
    top: list[tuple[str, float]]


@dataclass(frozen=True, repr=False)
class Card:
    """One image: where it came from, its splits and people's labels (oldest first), each generation's.

    moves: the splits that it was in, the first with the import, where it was in more than one. encoded: its bytes as
    they came.
    """

    id: str
    row: int
    source: str
    split: str
    width: int
    height: int
    bytes: int
    label: str | None
    people: list[dict[str, Any]]
    moves: list[dict[str, Any]]
    generations: list[Prediction]
    encoded: builtins.bytes = field(default=b"", compare=False)

    @property
    def picture(self) -> Image.Image:
        """The picture, upright, in RGB."""
        from nsdata.images.pillow import picture

        return picture(self.encoded)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without the picture."""
        facts = {name: value for name, value in self.__dict__.items() if name != "encoded"}
        return {**facts, "generations": [asdict(prediction) for prediction in self.generations]}

    def __repr__(self) -> str:
        label = f"label {self.label}" if self.label is not None else "no label"
        known = [f"gen-{s.gen} {s.pseudo} {s.confidence:.3f}" for s in self.generations]
        shown = known if len(known) <= 4 else ["…", *known[-4:]]
        about = ", ".join([self.split, label, f"{self.width}x{self.height}", *shown])
        return visible(f"<Image {self.id} from {self.source[:60]}: {about}>")

    def _repr_html_(self) -> str:
        rows = [(key, str(getattr(self, key))) for key in ("id", "source", "split", "label")]
        rows += [(f"generation {s.gen}", f"{s.pseudo} {s.confidence:.3f}") for s in self.generations]
        return one(self.encoded, self.source) + to_html(rows)


def card(store: Handle, image: str) -> Card:
    """See Store.image."""
    table = store.table
    row = int(rows_meant(table, [image])[0])
    place = np.asarray([row])
    label, encoded = int(table.label[row]), table.blobs(place)[0]
    return Card(
        id=hexes(table.ids[place])[0],
        row=row,
        source=table.sources([row])[0],
        split=SPLITS[int(table.split[row])],
        width=int(table.width[row]),
        height=int(table.height[row]),
        bytes=len(encoded),
        label=store.classes[label] if label >= 0 else None,
        people=_people(store, row),
        moves=_moves(store, row),
        generations=[found for gen in sorted(store.state.generations) if (found := _predicted(store, gen, row))],
        encoded=encoded,
    )


def _people(store: Handle, row: int) -> list[dict[str, Any]]:
    """People's labels of an image, oldest first: at import, then by relabelling."""
    history: list[dict[str, Any]] = []
    first = int(store.table.imported_label[row])
    if first >= 0:
        history.append({"label": store.classes[first], "version": _import_of(store, row), "by": "import"})
    by = {batch.event: batch.by for batch in store.state.people}
    rows, labels, events = store.table.people
    for place in np.flatnonzero(rows == row):
        name = store.classes[labels[place]] if labels[place] >= 0 else None
        history.append({"label": name, "version": int(events[place]), "by": by[int(events[place])]})
    return history


def _moves(store: Handle, row: int) -> list[dict[str, Any]]:
    """The splits of an image, oldest first, if it was in more than one."""
    rows, codes, events = store.table.moves
    places = np.flatnonzero(rows == row)
    if not len(places):
        return []
    first = SPLITS[int(store.table.imported_split[row])]
    by = {batch.event: batch.by for batch in store.state.splits}
    return [
        {"split": first, "version": _import_of(store, row), "by": "import"},
        *(
            {"split": SPLITS[codes[place]], "version": int(events[place]), "by": by[int(events[place])]}
            for place in places
        ),
    ]


def _import_of(store: Handle, row: int) -> int:
    """The event that brought an image in."""
    return next(s.event for s in store.state.segments if s.start <= row < s.start + s.rows)


def _predicted(store: Handle, gen: int, row: int) -> Prediction | None:
    labels = of_generation(store, gen)
    pseudo = int(labels.all_pseudo[row])
    if pseudo < 0:
        return None
    soft = labels.take(np.asarray([row]))[0].astype(np.float64)
    best = np.argsort(-soft, kind="stable")[:5]
    return Prediction(
        gen,
        store.classes[pseudo],
        float(labels.all_confidence[row]),
        [(store.classes[k], float(soft[k])) for k in best],
    )

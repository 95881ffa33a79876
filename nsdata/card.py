"""What is known of one image, one generation, one store: plain rows for the terminal, HTML for notebooks."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata.ids import hexes
from nsdata.objects import checkpoint, near
from nsdata.schema import SPLITS
from nsdata.state import Generation

if TYPE_CHECKING:
    from nsdata.store import Store

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Said:
    """What one generation's teacher said of an image. ``top``: (class, probability), most probable first."""

    gen: int
    pseudo: str
    confidence: float
    top: list[tuple[str, float]]


@dataclass(frozen=True)
class Card:
    """One image: where it came from, what people said (oldest first), what each generation said."""

    id: str
    row: int
    source: str
    split: str
    width: int
    height: int
    bytes: int
    label: str | None
    people: list[dict[str, Any]]
    generations: list[Said]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        said = [{"gen": s.gen, "pseudo": s.pseudo, "confidence": s.confidence, "top": s.top} for s in self.generations]
        return {**{k: v for k, v in self.__dict__.items() if k != "generations"}, "generations": said}

    def _repr_html_(self) -> str:
        rows = [(key, str(getattr(self, key))) for key in ("id", "source", "split", "label")]
        rows += [(f"generation {s.gen}", f"{s.pseudo} {s.confidence:.3f}") for s in self.generations]
        return to_html(rows)


def card(store: Store, prefix: str) -> Card:
    """See Store.image."""
    table = store.table
    row = table.row_of(prefix)
    one = np.asarray([row])
    label = int(table.label[row])
    return Card(
        id=hexes(table.ids[one])[0],
        row=row,
        source=table.sources([row])[0],
        split=SPLITS[int(table.split[row])],
        width=int(table.width[row]),
        height=int(table.height[row]),
        bytes=len(table.blobs(one)[0]),
        label=store.classes[label] if label >= 0 else None,
        people=_people(store, row),
        generations=[said for gen in sorted(store.state.generations) if (said := _said(store, gen, row))],
    )


def summary(store: Store) -> Rows:
    """The store in a few lines: what ``nsdata show`` prints."""
    table = store.table
    visible = table.visible
    label, split = table.label[visible], table.split[visible]
    hidden = [f"{count:,} {why}" for why, count in _hidden(store).items() if count]
    rows: Rows = [
        ("store", f"{store.url} at version {store.version}"),
        ("classes", f"{len(store.classes)}: {', '.join(store.classes[:12])}{' …' if len(store.classes) > 12 else ''}"),
        ("images", f"{int(visible.sum()):,}" + (f" ({', '.join(hidden)})" if hidden else "")),
    ]
    for code, name in enumerate(SPLITS):
        inside = split == code
        if inside.any():
            known = int((label[inside] >= 0).sum())
            rows.append((f"  {name}", f"{int(inside.sum()):,} · {known:,} labelled, {int(inside.sum()) - known:,} not"))
    for gen, model in sorted(store.state.models.items()):
        accuracy = "val not measured" if model.val_accuracy is None else f"val {100 * model.val_accuracy:.1f} %"
        where = near(checkpoint(store.url, model.path, model.sha256))
        rows.append((f"model {gen}", f"{model.name} · {accuracy} · sha256 {model.sha256[:8]} · {where}"))
    for gen, generation in sorted(store.state.generations.items()):
        s = generation.summary
        rows.append(
            (f"gen-{gen}", f"{generation.rows:,} images · confidence mean {s['confidence_mean'] or 0:.2f} · "
             f"{s['at_least_0.9']:,} ≥ 0.9 · {s['below_0.3']:,} < 0.3" + _stale(generation))
        )  # fmt: skip
    for view in store.state.views.values():
        gen = view.recipe["gen"]
        of = "people's labels" if gen is None else f"generation {gen}"
        rows.append((f"view {view.name}", f"{view.rows:,} rows of {of}"))
    return rows


def facts(store: Store) -> dict[str, Any]:
    """The store as plain JSON: what ``nsdata show --json`` prints."""
    table = store.table
    label, split = table.label[table.visible], table.split[table.visible]
    return {
        "store": store.url,
        "version": store.version,
        "classes": list(store.classes),
        "images": len(store),
        **_hidden(store),
        "splits": {
            name: {"images": int((split == code).sum()), "labelled": int(((split == code) & (label >= 0)).sum())}
            for code, name in enumerate(SPLITS)
        },
        "models": {gen: asdict(model) for gen, model in store.models.items()},
        "generations": {
            gen: {"version": g.event, "images": g.rows, "stale": g.stale, **g.summary}
            for gen, g in store.generations.items()
        },
        "views": {name: {"rows": view.rows, "recipe": view.recipe} for name, view in store.views.items()},
        "tags": store.tags,
    }


def _hidden(store: Store) -> dict[str, int]:
    """Images that nobody sees: removed by a person, or undone with their import."""
    state = store.state
    undone = sum(segment.rows for segment in state.segments if segment.event in state.undone)
    return {"removed": len(store.table) - len(store) - undone, "undone": undone}


def generation_rows(generation: Generation) -> Rows:
    """One generation and where it comes from: what ``nsdata show --gen`` prints."""
    rows: Rows = [
        ("generation", f"{generation.number}, sealed at version {generation.event}{_stale(generation)}"),
        ("images", f"{generation.rows:,} of version {generation.version}"),
    ]
    rows += [(key, str(value)) for key, value in generation.summary.items() if key != "images"]
    for key, value in sorted(generation.provenance.items()):
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
        rows.append((key, text))
    return rows


def _stale(generation: Generation) -> str:
    return " · stale: an earlier generation was sealed anew" if generation.stale else ""


def to_html(rows: Sequence[tuple[str, str]]) -> str:
    """A two-column table; everything that came from outside is escaped."""
    body = "".join(
        f"<tr><th style='text-align:left'>{html.escape(visible(key))}</th><td>{html.escape(visible(value))}</td></tr>"
        for key, value in rows
    )
    return f"<table>{body}</table>"


def visible(text: str) -> str:
    """Text within a line, as class names and paths are shown: what controls a terminal, or turns the direction of what
    is read, is seen and not obeyed.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _people(store: Store, row: int) -> list[dict[str, Any]]:
    """What people said of an image, oldest first: at import, then by relabelling."""
    said: list[dict[str, Any]] = []
    first = int(store.table.imported_label[row])
    if first >= 0:
        segment = next(s for s in store.state.segments if s.start <= row < s.start + s.rows)
        said.append({"label": store.classes[first], "version": segment.event, "by": "import"})
    by = {batch.event: batch.by for batch in store.state.people}
    rows, labels, events = store.table.people
    for place in np.flatnonzero(rows == row):
        name = store.classes[labels[place]] if labels[place] >= 0 else None
        said.append({"label": name, "version": int(events[place]), "by": by[int(events[place])]})
    return said


def _said(store: Store, gen: int, row: int) -> Said | None:
    labels = store.labels(gen)
    pseudo = int(labels.all_pseudo[row])
    if pseudo < 0:
        return None
    soft = labels.take(np.asarray([row]))[0].astype(np.float64)
    best = np.argsort(-soft, kind="stable")[:5]
    return Said(
        gen,
        store.classes[pseudo],
        float(labels.all_confidence[row]),
        [(store.classes[k], float(soft[k])) for k in best],
    )

"""What a frozen store says, as plain JSON: figures that hold for ever, whatever version reads it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from nsdata import Store


def figures(store: Store) -> dict[str, Any]:
    """All versions of a store, one by one; diffs, queries and saved views at the newest."""
    return {
        "classes": list(store.classes),
        "tags": store.tags,
        "kinds": [event.kind for event in store.events],
        "by": sorted({event.by for event in store.events}),
        "versions": {str(number): _version(store.at(number)) for number in range(1, store.version + 1)},
        "views": {name: _view(store, name) for name in sorted(store.views)},
        "diffs": {f"{a} {b}": _diff(store, a, b) for a, b in _pairs(store)},
        "models": {
            str(gen): [model.name, model.sha256, model.parameters, model.val_accuracy]
            for gen, model in store.models.items()
        },
        "pictures": _digest(*(np.frombuffer(blob, np.uint8) for blob in _pictures(store))),
        "query": store.query(
            "select class, count(*) as images, sum(gen1_confidence)::decimal(9, 4)::varchar as sure, "
            "count(*) filter (gen2_class = class) as agree from images group by class order by class"
        ).to_pylist(),
        **_later(store),
    }


def _later(store: Store) -> dict[str, Any]:
    """What stores of format 1 had not."""
    found: dict[str, Any] = {}
    for name in store.state.embeddings:
        vectors = store.embeddings(name)
        found[f"embeddings {name}"] = [len(vectors), vectors.width, _digest(vectors.vectors), _digest(vectors.rows)]
    for plan in store.state.plans:
        found[f"plan {plan.event}"] = [plan.name, plan.digest, plan.ran, list(plan.steps)]
    return found


def _pairs(store: Store) -> list[tuple[str | int, str | int]]:
    """Versions worth comparing."""
    return [("gen-1", "gen-2"), ("begun", "gen-1"), (2, store.version)]


def _diff(store: Store, a: str | int, b: str | int) -> dict[str, Any]:
    """A diff, as it was when there were no moves to another split, and nobody judged."""
    found = store.diff(a, b).to_dict(ids=True)
    del found["judged"], found["generations"]
    assert (found.pop("moved"), found.pop("moves"), found["ids"].pop("moved")) == (0, [], [])
    return found


def _version(store: Store) -> dict[str, Any]:
    """One version: its images with people's labels, and what each generation says of them."""
    table = store.table
    rows = np.flatnonzero(table.visible)
    found: dict[str, Any] = {"images": len(store), "rows": len(table)}
    if len(rows):
        found["ids"] = _digest(table.ids[rows])
        found["labels"] = _digest(table.label[rows])
        found["splits"] = _digest(table.split[rows])
        found["sizes"] = _digest(table.width[rows], table.height[rows])
        found["sources"] = hashlib.blake2b("\0".join(table.sources(rows)).encode(), digest_size=8).hexdigest()
    if store.generations:
        found["generations"] = {str(gen): _generation(store, gen) for gen in store.generations}
    return found


def _generation(store: Store, gen: int) -> dict[str, Any]:
    labels, generation = store.labels(gen), store.generations[gen]
    return {
        "images": len(labels),
        "event": generation.event,
        "stale": generation.stale,
        "ids": _digest(store.table.ids[labels.rows]),
        "pseudo": _digest(labels.pseudo),
        "confidence": _digest(labels.confidence),
        "soft": _digest(labels.soft),
    }


def _view(store: Store, name: str) -> dict[str, Any]:
    view = store.load_view(name)
    soft = view.soft_labels
    return {
        "rows": view.rows.tolist(),
        "ids": _digest(view.ids),
        "counts": [[count.text, count.rows, count.change, count.remark] for count in view.counts],
        "soft": None if soft is None else _digest(soft.take(view.rows)),
        "steps": view.recipe["steps"],
    }


def _pictures(store: Store) -> list[bytes]:
    return list(store.table.blobs(np.flatnonzero(store.table.visible)))


def _digest(*arrays: np.ndarray[Any, Any]) -> str:
    """Of numbers, whatever the machine's byte order."""
    whole = hashlib.blake2b(digest_size=8)
    for array in arrays:
        whole.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    return whole.hexdigest()

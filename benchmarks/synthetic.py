"""Stores of any size: pictures of one byte, random ids, 5 % labelled, 2 % of another split, labels of every kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nsdata import Store
from nsdata.labels import labelling, staging
from nsdata.labels.codec import Codec
from nsdata.schema import SEGMENT
from nsdata.storage import inventory, writing

Array = np.ndarray[Any, Any]

IMPORT = 1 << 22  # rows of one import
APPEND = 1 << 16
CONFIDENCES: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "uniform": lambda draw, n: draw.random(n) * 0.98 + 0.01,
    "sharp": lambda draw, n: np.minimum(draw.random(n) * 1.5 + 0.01, 1.0),  # a third of them 1
    "levels": lambda draw, n: np.ceil(draw.random(n) * 256) / 256,
    "equal": lambda draw, n: np.full(n, 0.75),
}


def images(store: Store, rows: int) -> None:
    """Import ``rows`` synthetic images."""
    draw = np.random.default_rng(0)
    counts = dict.fromkeys(("added", "labelled", "present", "gained", "skipped", "clashes", "train", "val", "test"), 0)
    for start in range(0, rows, IMPORT):
        name, count = f"images/synthetic-{start}", min(IMPORT, rows - start)
        with writing.Writer(f"{store.url}/{name}", SEGMENT) as writer:
            for first in range(0, count, APPEND):
                n = min(APPEND, count - first)
                label = np.where(draw.random(n) < 0.05, draw.integers(len(store.classes), size=n), -1)
                side = np.full(n, 8, np.int32)
                writer.append(
                    {
                        "id": draw.integers(256, size=(n, 16), dtype=np.uint8),
                        "image": [b"."] * n,
                        "label": label.astype(np.int32),
                        "split": (draw.random(n) < 0.02).astype(np.int8),
                        "source": ["."] * n,
                        "width": side,
                        "height": side,
                    }
                )
            writer.commit("images")
        segment = {"name": name, "rows": count, "digests": {}, "files": inventory.finish(store.objects, name)}
        data = {"source": "synthetic", "segment": segment, "people": None, "counts": counts | {"added": count}}
        store.publish("imported", partial(_unchanged, data))


def _unchanged(data: dict[str, Any], _: object) -> dict[str, Any]:
    return data


def label(store: Store, gen: int, codec: Codec, columns: Callable[[Array], Mapping[str, Array]]) -> None:
    """Seal a generation: ``columns`` gives those of a part for its rows."""
    run = labelling.begin(store, gen, {"teacher_sha256": f"{gen:064}", "codec": codec.name, "batch_size": 256})
    for part in run.parts:
        with staging.PartWriter(part) as writer:
            writer.write_columns(dict(columns(part.pending)))
    run.seal({})
    store.refresh()


def sure_columns(confidence: str, classes: int) -> Callable[[Array], dict[str, Array]]:
    """Columns of top-1 labels: random classes, with confidences of this kind."""
    draw = np.random.default_rng(1)

    def of(rows: Array) -> dict[str, Array]:
        n = len(rows)
        pseudo = draw.integers(classes, size=n).astype(np.int32)
        sure = CONFIDENCES[confidence](draw, n).astype(np.float32)
        return {
            "top_class": pseudo.astype(np.int16 if classes <= 32_767 else np.int32)[:, None],
            "top_probability": sure.astype(np.float16)[:, None],
            "residual": 1 - sure,
            "kl": np.zeros(n, np.float32),
            "pseudo_label": pseudo,
            "confidence": sure,
        }

    return of


def soft_columns(gen: int, classes: int) -> Callable[[Array], dict[str, Array]]:
    """Columns of dense labels: of two generations, the second is the first with noise."""
    codec = Codec()

    def of(rows: Array) -> dict[str, Array]:
        first, noise = np.random.default_rng([0, int(rows[0])]), np.random.default_rng([gen, int(rows[0])])
        found = []
        for start in range(0, len(rows), 4096):
            n = min(4096, len(rows) - start)
            logits = first.standard_normal((n, classes), np.float32)
            logits[np.arange(n), first.integers(classes, size=n)] += first.normal(8, 4, n).clip(0)
            logits += np.float32(0.7) * noise.standard_normal((n, classes), np.float32)
            soft = np.exp(logits - logits.max(1, keepdims=True))
            found.append(codec.encode((soft / soft.sum(1, keepdims=True)).astype(np.float32)))
        return {name: np.concatenate([block[name] for block in found]) for name in found[0]}

    return of


def build(folder: str, rows: int, classes: int, *gens: Callable[[Array], Mapping[str, Array]], top: bool) -> str:
    """A store of these images and generations; its address."""
    url = str(Path(folder) / f"lake-{rows}-{classes}-{time.monotonic_ns()}")
    store = Store.create(url, [f"class {k}" for k in range(classes)])
    images(store, rows)
    for gen, columns in enumerate(gens, 1):
        label(store, gen, Codec(1 if top else None), columns)
    return url

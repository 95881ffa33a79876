"""What is asked of a store from Python, in a process of its own; the answer is a file of JSON."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def labels(of: str, out: str) -> int:
    """All values of one generation."""

    def asked(store: Any) -> Any:
        found = store.labels(int(of))
        return {
            "ids": list(map(str, found.ids)),
            "pseudo": found.pseudo.tolist(),
            "confidence": found.confidence.tolist(),
            "soft": found.soft.astype(float).tolist(),
        }

    return _answer(asked, out)


def batches(of: str, out: str) -> int:
    """The digest of each picture's pixels, and its soft label, in order: of a saved view, or of generation 2."""

    def asked(store: Any) -> Any:
        view = store.load_view(of) if of else store.view(gen=2)
        found: list[Any] = []
        for images, soft in view.batches(16, shuffle=False):
            found += [
                [_digest(image.tobytes()), row.astype(float).tolist()] for image, row in zip(images, soft, strict=True)
            ]
        return found

    return _answer(asked, out)


def exported(path: Path) -> Any:
    """What an export wrote: the digest of each picture's bytes, and what is told of each."""
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        told = list(csv.reader((path / "labels.csv").read_text().splitlines()))
        return {
            "bytes": {str(f.relative_to(path)): _digest(f.read_bytes()) for f in files if f.suffix != ".csv"},
            "told": told,
        }
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    return {"bytes": [_digest(row.pop("image")["bytes"]) for row in rows], "told": rows}


def _answer(asked: Callable[[Any], Any], out: str) -> int:
    """Ask, and end as a command does."""
    from cli import render
    from nsdata.errors import NsdataError
    from nsdata.store import Store

    try:
        Path(out).write_text(json.dumps(asked(Store.open("lake"))))
    except NsdataError as error:
        render.error(error)
        return 1
    return 0


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]

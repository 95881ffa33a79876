"""Soft labels in an export to .tar: an array beside each image, and in front what the export says of itself."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput, BadLabels
from nsdata.importers.soft.blocks import NUMBERS, Block, indices, names_of
from nsdata.importers.soft.columns import MOST_META, SHARED, Columns, hashed, parsed, table_of
from nsdata.labels.soft_table import SoftTable

Array = NDArray[Any]


def tar(path: Path, classes: Sequence[str], gen: int | None) -> SoftTable:
    """The soft labels of one generation of an export. Raises BadInput, BadLabels."""
    meta = said(path)
    if not meta:
        raise BadInput(f"{path} is no export of nsdata with soft labels.", "nsdata export OUT.tar --gen 1")
    prefix = ""
    columns = Columns(["id", "file_id", *_tar_names(meta)], classes, path.name, meta, gen)
    prefix = columns.meta.get("prefix", "")
    ending = f".{prefix.rstrip('_')}.npy" if prefix else ".npy"

    def blocks() -> Iterator[Block]:
        step = max(64, NUMBERS // max(1, len(classes)))
        facts: dict[str, Any] = {}
        some: list[tuple[dict[str, Any], Array]] = []
        for name, data in _members(path):
            key, dot, rest = name.partition(".")
            if rest == "json":
                facts = {**parsed(data), "key": key}
            elif f"{dot}{rest}" == ending and facts.get("key") == key:
                some.append((facts, _array(data, classes, name, path.name)))
            if len(some) == step:
                yield block(some)
                some = []
        if some:
            yield block(some)

    def block(some: list[tuple[dict[str, Any], Array]]) -> Block:
        of = [facts.get(prefix.rstrip("_")) or {} if prefix else facts for facts, _ in some]
        pseudo, certain = ([facts.get(name) for facts in of] for name in ("pseudo_label", "confidence"))
        keys = names_of(facts.get("id") for facts, _ in some)
        second = names_of(facts.get("file_id") for facts, _ in some)
        return (
            keys,
            np.stack([soft for _, soft in some]),
            second,
            indices(pseudo, columns),
            [c or 0.0 for c in certain],
        )

    return table_of(path, columns, blocks(), lambda: hashed(path))


def _tar_names(meta: dict[str, Any]) -> list[str]:
    """The columns that samples of a .tar stand for."""
    prefixes = [str(g.get("prefix", "")) for g in meta.get("generations", []) if isinstance(g, dict)]
    return [f"{prefix}{name}" for prefix in prefixes for name in ("soft_label", "pseudo_label", "confidence")]


def _array(data: bytes, classes: Sequence[str], name: str, what: str) -> Array:
    try:
        found: Array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BadLabels(f"{name} in {what} holds no array.") from error
    if found.shape != (len(classes),) or found.dtype.kind != "f":
        raise BadLabels(
            f"{name} in {what} has shape {found.shape}; the store has {len(classes)} classes.", "nsdata classes"
        )
    return found


def said(path: Path) -> dict[str, Any]:
    """What the export says of itself; {} for any other archive."""
    name, data = next(_members(path), ("", b""))
    return parsed(data) if name == SHARED else {}


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of what lies beside the images of a .tar."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isfile() and member.name.endswith((".json", ".npy")) and member.size <= MOST_META:
                    file = tar.extractfile(member)
                    yield member.name, b"" if file is None else file.read()
    except (OSError, tarfile.TarError) as error:
        raise BadInput(f"{path} is no tar archive: {error}.", f"file {path}") from error

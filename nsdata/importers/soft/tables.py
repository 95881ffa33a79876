"""Soft labels in .parquet and .npz files, and in arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput, BadLabels
from nsdata.importers.soft.blocks import NUMBERS, Block, block_of, name_of
from nsdata.importers.soft.columns import KEYS, LOGITS, META, VECTORS, Columns, hashed, parsed, table_of
from nsdata.labels.soft_table import SoftTable
from nsdata.text import listed

Array = NDArray[Any]

_CLASSES = ("classes", "class_names")  # arrays of an .npz that name the columns


def parquet(path: Path, classes: Sequence[str], gen: int | None) -> SoftTable:
    """The soft labels in a parquet file, some thousand rows at a time. Raises BadInput, BadLabels."""
    with opened(path) as file:
        schema = file.schema_arrow
        facts = schema.metadata or {}
        columns = Columns(schema.names, classes, path.name, parsed(facts.get(META.encode())), gen)
        if columns.vector is not None and columns.classes is None:
            columns.classes = _class_labels(parsed(facts.get(b"huggingface")))
        return table_of(path, columns, _batches(path, file, columns, len(classes)), lambda: hashed(path))


def _class_labels(meta: dict[str, Any]) -> list[str] | None:
    """The names that Hugging Face's ClassLabel gives to classes, in their order; None where there are none."""
    try:
        features = meta["info"]["features"]
        found = [features[name]["names"] for name in ("pseudo_label", "label") if "names" in features.get(name, {})]
        return [str(name) for name in found[0]] if found else None
    except (KeyError, TypeError, AttributeError):
        return None


def opened(path: Path) -> Any:
    """A parquet file. Raises BadInput for any other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadInput(f"{path} is no parquet file: {str(error).splitlines()[0]}", f"file {path}") from error


def _batches(path: Path, file: Any, columns: Columns, classes: int) -> Iterator[Block]:
    import pyarrow as pa

    try:
        for batch in file.iter_batches(batch_size=max(64, NUMBERS // max(1, classes)), columns=columns.wanted):
            yield block_of(batch, columns, classes, path.name)
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path} is damaged: {str(error).splitlines()[0]}", f"file {path}") from error


def npz(path: Path, classes: Sequence[str], gen: int | None) -> SoftTable:
    """The soft labels in an .npz, its arrays as they are. Raises BadInput, BadLabels."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files if name in {*KEYS, *VECTORS, *_CLASSES}}
            names = list(file.files)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise BadInput(
            f"{path} is no .npz of plain arrays: {str(error).splitlines()[0] if str(error) else 'damaged'}.",
            "np.savez('probs.npz', ids=np.array(ids, str), soft=soft, classes=np.array(classes, str))",
        ) from error
    keys, vectors = [name for name in KEYS if name in found], [name for name in VECTORS if name in found]
    named = [name for name in _CLASSES if name in found]
    if len(named) > 1:
        raise BadLabels(f"{path.name} names its classes twice: {listed(named)}.", "Leave one of the two arrays.")
    if len(keys) != 1 or len(vectors) != 1:
        raise BadLabels(
            f"{path.name} has the arrays {listed(names)}; one of ids (or sources) and one of soft labels were "
            "expected.",
            "np.savez('probs.npz', ids=np.array(ids, str), soft=soft, classes=np.array(classes, str))",
        )
    ids, soft = found[keys[0]], found[vectors[0]]
    own = None if not named else [_text(name) for name in found[named[0]].reshape(-1).tolist()]
    facts = {"file": path.name, "bytes": path.stat().st_size}
    return of_arrays(ids, soft, own, path.name, hashed(path), logits=vectors[0] == LOGITS, facts=facts)


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def of_arrays(
    ids: Any, soft: Any, classes: list[str] | None, what: str, sha256: str, *, logits: bool = False, facts: Any = None
) -> SoftTable:
    """A table of (n,) ids or sources, or (n, 16) uint8 ids, and (n, K) numbers."""
    if soft.ndim != 2:
        raise BadLabels(f"The soft labels of {what} have shape {soft.shape}; (N, K) was expected.")
    if soft.dtype.kind not in "fiu":
        raise BadLabels(f"The soft labels of {what} are {soft.dtype}; numbers were expected.")
    if getattr(ids, "ndim", 1) == 2 and ids.shape[1] == 16 and ids.dtype == np.uint8:
        names = hexes(ids)
    else:
        values = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        names = [name_of(value) or "" for value in values]
    if len(names) != len(soft):
        raise BadLabels(f"{what} has {len(names):,} names of images and {len(soft):,} soft labels.")
    if not names:
        raise BadLabels(f"{what} holds no soft label.")
    return SoftTable(names, [soft], what, sha256, classes, logits, facts=facts or {})

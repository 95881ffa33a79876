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
from nsdata.importers.formats.tables import normal
from nsdata.importers.soft.blocks import NUMBERS, Block, block_of, names_of
from nsdata.importers.soft.columns import KEYS, LOGITS, META, VECTORS, Columns, hashed, parsed, table_of
from nsdata.importers.soft.order import NAMES, PREDICTED, check_predicted, filled, naming, texts
from nsdata.labels.naming import names_by_number
from nsdata.labels.soft_table import SoftTable
from nsdata.text import listed

Array = NDArray[Any]


def parquet(path: Path, classes: Sequence[str], gen: int | None) -> SoftTable:
    """The soft labels in a parquet file, some thousand rows at a time. Raises BadInput, BadLabels."""
    with opened(path) as file:
        schema = file.schema_arrow
        facts = schema.metadata or {}
        meta, named = parsed(facts.get(META.encode())), _named(facts)
        columns = Columns(schema.names, classes, path.name, meta, gen, _sample(path, file), named)
        return table_of(path, columns, _batches(path, file, columns, len(classes)), lambda: hashed(path))


def _named(facts: dict[bytes, bytes]) -> list[str] | None:
    """The names that a file's metadata gives to its classes, in their order: of Hugging Face's ClassLabel, of ``attrs``
    of pandas, or under a key ``classes``. None where there are none."""
    attrs = parsed(facts.get(b"PANDAS_ATTRS"))
    for name in NAMES:
        if (found := texts(attrs.get(name) or facts.get(name.encode(), b"").decode("utf-8", "replace"))) is not None:
            return found
    try:
        features = parsed(facts.get(b"huggingface"))["info"]["features"]
        of = ("pseudo_label", "label", *features)
        return next(
            ([str(name) for name in features[one]["names"]] for one in of if "names" in features.get(one, {})), None
        )
    except (KeyError, TypeError, AttributeError):
        return None


def _sample(path: Path, file: Any) -> dict[str, Any]:
    """The first row's cells of the columns that may name classes: texts, lists of texts, mappings such as id2label. Of
    one that is empty there the first cell that is not."""
    import pyarrow as pa
    import pyarrow.types as t

    def text(kind: Any) -> bool:
        return bool(t.is_string(kind) or t.is_large_string(kind))

    kinds = {field.name: field.type for field in file.schema_arrow}
    many = (t.is_list, t.is_large_list, t.is_fixed_size_list)
    lists = [n for n, kind in kinds.items() if any(is_(kind) for is_ in many) and text(kind.value_type)]
    maps = [n for n, kind in kinds.items() if names_by_number(n) and t.is_struct(kind)]
    wanted = [*lists, *maps, *(name for name, kind in kinds.items() if text(kind))]

    def rows(columns: list[str]) -> Iterator[dict[str, Any]]:
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()

    try:
        batch = next(file.iter_batches(batch_size=1, columns=wanted), None) if wanted else None
        first = {} if batch is None or not len(batch) else batch.to_pylist()[0]
        return filled(first, rows)
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path} is damaged: {str(error).splitlines()[0]}", f"file {path}") from error


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
            names = list(file.files)
            found = {name: file[name] for name in names if name in {*KEYS, *VECTORS, *NAMES}}
            texts_ = {name: file[name] for name in names if name not in found and _of_texts(file, name)}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise BadInput(
            f"{path} is no .npz of plain arrays: {str(error).splitlines()[0] if str(error) else 'damaged'}.",
            "np.savez('probs.npz', ids=np.array(ids, str), soft=soft, classes=np.array(classes, str))",
        ) from error
    keys, vectors = [name for name in KEYS if name in found], [name for name in VECTORS if name in found]
    if len(keys) != 1 or len(vectors) != 1:
        raise BadLabels(
            f"{path.name} has the arrays {listed(names)}; one of ids (or sources) and one of soft labels were "
            "expected.",
            "np.savez('probs.npz', ids=np.array(ids, str), soft=soft, classes=np.array(classes, str))",
        )
    ids, soft = found[keys[0]], found[vectors[0]]
    short = {name: found[name] for name in NAMES if name in found}
    short |= {name: array for name, array in texts_.items() if len(array) == len(classes) != len(soft)}
    _, own = naming({name: array.reshape(-1).tolist() for name, array in short.items()}, classes, path.name)
    facts = {"file": path.name, "bytes": path.stat().st_size}
    table = of_arrays(ids, soft, own, path.name, hashed(path), logits=vectors[0] == LOGITS, facts=facts)
    for name, array in texts_.items() if own is None and soft.shape[1] == len(classes) else ():
        if normal(name) in PREDICTED and len(array) == len(soft):
            check_predicted(soft, name, array.tolist(), classes, table.names, path.name)
    return table


def _of_texts(file: Any, name: str) -> bool:
    """Whether an array of an .npz is a row of texts, by its header: the others are not read."""
    with file.zip.open(name if name in file.zip.namelist() else f"{name}.npy") as member:
        try:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(member)
        except ValueError:
            return False
    return kind.kind in "US" and len(shape) == 1


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
        names = [name or "" for name in names_of(values)]
    if len(names) != len(soft):
        raise BadLabels(f"{what} has {len(names):,} names of images and {len(soft):,} soft labels.")
    if not names:
        raise BadLabels(f"{what} holds no soft label.")
    return SoftTable(names, [soft], what, sha256, classes, logits, facts=facts or {})

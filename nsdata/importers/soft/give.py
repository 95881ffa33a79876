"""Soft labels of a file, of arrays or of an export, given to a store as generations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata import arguments
from nsdata.errors import BadInput, BadLabels, GenerationError
from nsdata.importers.files import files_of
from nsdata.importers.soft import read, tables
from nsdata.importers.soft.columns import generation_of, generations_of, hashed, soft_file
from nsdata.labels import given
from nsdata.labels.eligibility import check_as_asked
from nsdata.labels.given import Given
from nsdata.labels.soft_table import Prepared, columns_of
from nsdata.text import listed

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

_AT_ONCE = 1 << 26  # bytes hashed at a time


def file(store: Handle, gen: int, path: str | Path, **options: Any) -> Given:
    """Generation ``gen`` from a file; see Store.add_soft_label_file. options: of ``given.add``."""
    gen = arguments.whole_number("gen", gen)
    classes = _classes(store.refresh(), gen, path) if not options.get("replace") else store.refresh().classes
    return given.add(store, gen, read.read(path, classes, gen), **options)


def _classes(store: Handle, gen: int, path: str | Path) -> Sequence[str]:
    """Those that the soft labels in a file are to be of."""
    return given.classes_of(store, gen, lambda: hashed(soft_file(path)))


def arrays(
    store: Handle, gen: int, ids_or_sources: Any, soft: Any, *, classes: Sequence[str] | None = None, **options: Any
) -> Given:
    """Generation ``gen`` from arrays; see Store.add_soft_labels."""
    _check_index(ids_or_sources, soft)
    named = _columns(soft)
    soft = arguments.array("soft", soft)
    if isinstance(ids_or_sources, np.ndarray) and ids_or_sources.ndim == 2:
        names: Any = ids_or_sources
        if ids_or_sources.shape[1] != 16 or ids_or_sources.dtype != np.uint8:
            raise arguments.wrong("ids_or_sources", ids_or_sources, "a list of ids or sources, or (N, 16) uint8")
    else:
        names = [arguments.image_id(name) for name in arguments.listing("ids_or_sources", ids_or_sources, "ids")]
    own = None if classes is None else [str(name) for name in arguments.listing("classes", classes, "names")]
    own = _agreed(own, named, store.refresh().classes)
    table = tables.of_arrays(names, soft, own, "what is given", "")
    table.sha256 = _hashed(table.names, soft, own)
    return given.add(store, gen, table, **options)


def _check_index(ids_or_sources: Any, soft: Any) -> None:
    """Raise BadInput where pandas names what an array would lose: in a list of columns with an index; in a
    table whose index has the ids, or the index of the ids, in another order."""
    each = [_index(row) for row in soft] if isinstance(soft, list | tuple) else []
    if any(index is not None and index != list(range(len(index))) for index in each):
        raise BadInput(
            "soft is a list of columns of pandas, each with names of its own, which an array does not keep.",
            "pandas.DataFrame(soft), whose columns are the classes of their names",
        )
    rows = _index(soft)
    if rows is None:
        return
    for names in (_index(ids_or_sources), list(ids_or_sources) if np.ndim(ids_or_sources) == 1 else None):
        if names is not None and rows != names and {*map(str, rows)} & {*map(str, names)} == {*map(str, rows)}:
            raise BadInput(
                "The index of soft has the rows in another order than ids_or_sources, which goes by position.",
                "soft.loc[ids_or_sources], or soft.reset_index(drop=True) where positions are right",
            )


def _index(values: Any) -> list[Any] | None:
    """The index of a column or table of pandas; None of anything else."""
    found = getattr(values, "index", None)
    return None if found is None or callable(found) else list(found)


def _columns(soft: Any) -> list[Any] | None:
    """The names that a table gives to its columns: pandas', polars' or Arrow's; None for an array."""
    found = getattr(soft, "column_names", None) or getattr(soft, "columns", None)
    if found is None or callable(found) or getattr(soft, "ndim", 2) != 2:
        return None
    return [name.as_py() if hasattr(name, "as_py") else name for name in found]


def _agreed(said: list[str] | None, named: list[Any] | None, classes: Sequence[str]) -> list[str] | None:
    """The classes of the columns, in their order: as they are called, or as ``classes`` of the call says. Raises
    BadLabels where both say it, and differ."""
    if named is None:
        return said
    numbered = named == list(range(len(named)))  # by pandas, where nobody named them
    if numbered and not (said is None and {*classes} == {*map(str, named)} and list(classes) != list(map(str, named))):
        return said
    if numbered:
        raise BadLabels(
            "The columns of soft are called 0, 1, …: places, or the classes of these names?",
            "classes=list(store.classes) for places; classes=list(soft.columns) for names",
        )
    own = [str(name) for name in named]
    if said is not None and said != own:
        raise BadLabels(
            f"The columns of soft are called {listed(own, 5)}, and classes says {listed(said, 5)}.",
            "soft.to_numpy() if classes is right; else leave classes out",
        )
    return own


def _hashed(names: Sequence[str], soft: Any, classes: Sequence[str] | None) -> str:
    """SHA-256 of all that is given."""
    whole = hashlib.sha256(repr((str(soft.dtype), soft.shape, classes)).encode())
    whole.update("\0".join(names).encode("utf-8", "surrogatepass"))
    step = max(1, _AT_ONCE // max(1, soft[:1].nbytes))
    for start in range(0, len(soft), step):
        whole.update(np.ascontiguousarray(soft[start : start + step]).data)
    return whole.hexdigest()


Found = list[tuple[Path, list[int]]]  # files, and the generations that each holds


def check_exports(store: Handle, sources: Sequence[str | Path]) -> list[Found]:
    """Of each source, which may be a pattern, the files and the generations whose soft labels they hold, if all of them
    can be given to this store, one after the other.

    Before any image comes in. Raises BadInput for what is no export with soft labels, BadLabels for other classes,
    GenerationError for a number that is out of order, that two files have, or that is sealed with other labels.
    """
    have = dict.fromkeys(store.refresh().generations, "")
    return [[(path, _check_export(store, path, have)) for path in files_of(source)] for source in sources]


def _check_export(store: Handle, path: Path, have: dict[int, str]) -> list[int]:
    """have: the generations that there will be, and which file they are of; "" of the store's."""
    meta = read.said(path)
    found = sorted(generations_of(meta))
    if not found:
        raise BadInput(
            f"{path} holds no soft labels that nsdata exported.",
            f"nsdata import {path}; nsdata label --gen 1 --from FILE",
        )
    try:
        for gen in found:
            columns_of(_classes(store, gen, path), [str(name) for name in meta["classes"]], str(path))
    except BadLabels as error:
        raise BadLabels(error.message, f"nsdata import {path}   # without its soft labels") from error
    for gen in found:
        if gen > 1 and gen - 1 not in have:
            raise GenerationError(
                f"{path} holds soft labels of generation {gen}, which cannot come before generation {gen - 1}; nothing "
                "was imported.",
                f"nsdata import {path}; nsdata label --gen {len(have) + 1} --from {path}",
            )
        if have.get(gen):
            raise GenerationError(
                f"{have[gen]} and {path} both hold soft labels of generation {gen}; nothing was imported.",
                f"nsdata import {path}   # without its soft labels",
            )
        if gen in have:
            _check_sealed(store, path, gen, meta)
        have[gen] = str(path)
    return found


def _check_sealed(store: Handle, path: Path, gen: int, meta: dict[str, Any]) -> None:
    """Raise GenerationError where a generation is sealed with other labels than those of this file."""
    sealed, facts, classes = store.generations[gen], generation_of(meta, gen, path.name), _classes(store, gen, path)
    asked = given.identity(classes, hashed(soft_file(path)), facts.get("codec"), facts.get("missing"))
    if given.otherwise(store, sealed, asked, lambda: Prepared(read.read(path, classes, gen), classes, False, 1.0)):
        return
    try:
        check_as_asked(sealed, asked)
    except GenerationError as error:
        raise GenerationError(
            f"{error.message.removesuffix('.')}; nothing was imported.",
            f"nsdata import {path}; nsdata label --gen {gen} --from {path} --replace",
        ) from error

"""Which columns of a file of soft labels mean what, and the table that becomes of them.

An image is named by a column ``id``, or by one of its path. Its soft label is a column a class, by the classes' names,
or one column of vectors, whose classes the file names (exports of nsdata do; ``classes`` of an .npz), or else are the
store's in their order. docs/own-images.md has the table.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata import arguments
from nsdata.errors import BadInput, BadLabels
from nsdata.importers.formats.tables import normal
from nsdata.importers.soft import order
from nsdata.labels.same_class import recased
from nsdata.labels.soft_table import SoftTable, columns_of, plain_name
from nsdata.text import listed, visible

Array = NDArray[Any]

KEYS = (
    *("id", "ids", "path", "source", "sources", "paths", "file", "filename", "file_name", "filepath", "file_path"),
    *("image", "image_path", "img_path", "image_name", "image_id", "img_id"),
)
_PATHS = (  # what names images where a column id numbers the rows
    *("path", "source", "file", "filename", "file_name", "filepath", "file_path"),
    *("image_path", "img_path", "image_name"),
)
VECTORS = ("soft_label", "soft_labels", "soft", "probs", "probabilities", "logits")
LOGITS = "logits"
BESIDE = frozenset(  # columns of nsdata's exports, and what tables of pictures have beside soft labels
    ("label", "class", "split", "pseudo_label", "pseudo_class", "confidence", "copies", "file_id", "labelled_by",
     "nsdata", "width", "height")
)  # fmt: skip
# those of one of several generations, and a table's index as pandas writes it
_BESIDE = re.compile(r"gen\d+_(pseudo_label|pseudo_class|confidence|soft_label)|(__index_level_\d+__|Unnamed: \d+)?")
META = "nsdata"  # of a parquet file's metadata, a column or key: what an export says of itself
SHARED = ".nsdata.json"  # the same in a .tar
SOFT_LABELS = "soft_labels.parquet"  # of an export to a folder
MOST_META = 1 << 27  # bytes


class Columns:
    """Which columns of a table mean what. Raises BadLabels for a class too many, too few or twice, and for vectors of
    an export that does not say any more of which classes they are."""

    def __init__(
        self,
        names: Sequence[str],
        classes: Sequence[str],
        what: str,
        meta: dict[str, Any],
        gen: int | None,
        sample: Mapping[str, Any] | None = None,
        named: list[str] | None = None,
    ) -> None:
        """sample: the cells of one row, by column. named: the classes of vectors, in their order, where the file says
        so elsewhere than in a column."""
        double = sorted({visible(name) for name in names if list(names).count(name) > 1}) if len(names) < 3000 else []
        if double or len(set(names)) < len(names):
            raise BadLabels(f"{what} has two columns of one name: {listed(double) or 'among its classes'}.")
        self.meta, self.known = generation_of(meta, gen, what), list(classes)
        plain = {plain_name(name) for name in classes}
        keys, vectors, beside = (_called(names, wanted) for wanted in (KEYS, VECTORS, BESIDE))
        if not keys:
            raise BadLabels(
                f"{what} has no column that names images; its columns are {listed([visible(n) for n in names])}.",
                "call one id (nsdata query 'select id, source from images') or path",
            )
        same = recased(plain, map(plain_name, names)).keys()
        self.key = next((name for name in keys if name not in plain), keys[0])
        prefix = self.meta.get("prefix", "")
        if self.meta:
            vectors = [name for name in [f"{prefix}soft_label"] if name in names]
        elif plain <= {plain_name(name) for name in names if name != self.key}:
            vectors = [name for name in vectors if plain_name(name) not in plain]  # soft, of lenses: hard, none, soft
        # a column called as a class is that class, unless it is what names the images or their vectors
        own = [n for n in names if plain_name(n) in plain and n not in (self.key, *vectors)]
        own += [n for n in names if plain_name(n) in same and n not in {*keys, *vectors, *beside}]
        others = [n for n in names if n not in {*own, *keys, *vectors, *beside} and not _BESIDE.fullmatch(n)]
        self.vector: str | None = None
        self.classes: list[str] | None = None
        self.order: order.Order | None = None
        self.predicted: list[str] = []
        if not self.meta and not own and named is None and (META in names or order.is_export(names)):
            raise order.lost(what)
        if own and not vectors:
            self.classes = own + others  # what is unknown among them is refused as a class
        elif len(vectors) == 1 and (not own or self.meta):
            self.vector = vectors[0]
            self.classes = self.meta.get("classes", named)
            self._look_beside(names, classes, what, sample or {})
        elif vectors:
            raise BadLabels(
                f"{what} has soft labels twice: {listed([visible(name) for name in [*vectors, *own]])}.",
                "Leave one column of vectors, or a column for each class.",
            )
        else:
            raise BadLabels(
                f"{what} has no soft labels; its columns are {listed([visible(name) for name in names])}.",
                f"a column for each class ({listed(classes, 5)}), or one of vectors called soft_label",
            )
        if self.classes is not None:
            columns_of(classes, self.classes, what)  # before anything is read
        judged = [f"{prefix}pseudo_label", f"{prefix}confidence"]
        self.beside = judged if self.meta and all(name in names for name in judged) else []
        more = [name for name in keys[keys.index(self.key) + 1 :] if normal(name) in _PATHS]
        more = [name for name in more if name not in (self.classes or ())]
        self.second = "file_id" if self.meta and "file_id" in names else None if self.meta or not more else more[0]

    def _look_beside(self, names: Sequence[str], classes: Sequence[str], what: str, sample: Mapping[str, Any]) -> None:
        """What stands beside vectors and says of which classes they are."""
        if self.meta:
            return
        free = {name: value for name, value in sample.items() if name not in (self.key, self.vector)}
        column, own = order.naming(free, classes, what)
        if column is not None and own is not None:
            self.order, self.classes = order.Order(column, own, what), own
        elif self.classes is None:
            self.predicted = [name for name in names if normal(name) in order.PREDICTED]

    @property
    def wanted(self) -> list[str]:
        """All that is read."""
        soft = [self.vector] if self.vector is not None else list(self.classes or [])
        said = [self.order.column] if self.order is not None else []
        return [self.key, *soft, *self.beside, *([self.second] if self.second else []), *said, *self.predicted]


def _called(names: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Of these columns those that are called so, as is wanted first: " Path" is path where there is no path."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(normal(name), name)
    there = {*names}
    return [name if name in there else known[name] for name in wanted if name in there or name in known]


def names_images(names: Sequence[str]) -> bool:
    """Whether one of these columns does."""
    return bool(_called(names, KEYS))


def check_meta(meta: dict[str, Any], other: dict[str, Any], what: str) -> None:
    """Raise BadLabels where a row says that it is of another export than the others: two of them in one file."""
    mine, theirs = ((said.get("classes"), sorted(generations_of(said))) for said in (meta, other))
    if other and mine != theirs:
        raise BadLabels(
            f"{what} holds rows of two exports of nsdata, of other classes or generations.", "Give them as two files."
        )


def generation_of(meta: dict[str, Any], gen: int | None, what: str) -> dict[str, Any]:
    """What an export says of the generation ``gen`` of those that it has, with its classes; of the only one, whatever
    its number. {} where it is no export. Raises BadInput."""
    found = generations_of(meta)
    if not found:
        return {}
    if len(found) > 1 and gen not in found:
        raise BadInput(
            f"{what} has the soft labels of the generations {listed([str(g) for g in sorted(found)])}, and none of "
            f"{'another' if gen is None else gen}.",
            f"nsdata import {what} --with-soft-labels",
        )
    return {**(found[gen] if gen in found else next(iter(found.values()))), "classes": list(meta["classes"])}


def generations_of(meta: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Generation -> what an export says of it. Raises BadInput where it cannot be what an export wrote."""
    if not meta:
        return {}
    try:
        if not all(isinstance(name, str) for name in meta["classes"]):
            raise TypeError
        return {int(found["number"]): dict(found) for found in meta["generations"]}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("What the file says of itself is not what nsdata export writes.") from error


def parsed(raw: str | bytes | None) -> dict[str, Any]:
    """What an export says of itself; {} where it is none."""
    if raw is None or len(raw) > MOST_META:
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def table_of(
    path: Path,
    columns: Columns,
    rows: Iterable[tuple[list[str | None], Array, list[str | None] | None, Any, Any]],
    sha256: Callable[[], str],
) -> SoftTable:
    """A table of what a reader gives, block by block: names, (n, K) soft labels (a row of nothing but NaN: none),
    second names, pseudo-labels, confidences."""
    names: list[str] = []
    blocks: list[Array] = []
    others: list[str] = []
    pseudo: list[Array] = []
    confidence: list[Array] = []
    for keys, soft, second, classes, certain in rows:
        keep = ~np.isnan(soft).all(1) if len(soft) and soft.dtype.kind == "f" else np.ones(len(soft), bool)
        whole = bool(keep.all())
        blocks.append(soft if whole else soft[keep])
        kept = range(len(keys)) if whole else np.flatnonzero(keep).tolist()
        names += [str(keys[i] or "") for i in kept]
        if second is not None:
            others += [str(second[i] or "") for i in kept]
        if columns.beside:
            pseudo.append(np.asarray(classes)[keep])
            confidence.append(np.asarray(certain, np.float32)[keep])
    if not names:
        raise BadLabels(f"{path} holds no soft label.")
    meta = columns.meta
    return SoftTable(
        names,
        blocks,
        path.name,
        sha256(),
        columns.classes,
        columns.vector == LOGITS,
        others if columns.second else None,
        np.concatenate(pseudo) if pseudo else None,
        np.concatenate(confidence) if confidence else None,
        meta.get("codec"),
        bool(meta),
        {
            "file": path.name,
            "bytes": path.stat().st_size,
            **({"origin": str(meta["origin"])} if "origin" in meta else {}),
        },
        str(meta.get("missing", "leave")),
    )


def hashed(path: Path) -> str:
    """SHA-256 of a file. Raises BadInput where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", f"ls -l {path}") from error


def soft_file(path: str | Path) -> Path:
    """The file that holds the soft labels of a path: itself, or the one in an export to a folder. Raises BadInput."""
    found = arguments.file_path("The file of soft labels", path)
    if found.is_dir():
        inside = found / SOFT_LABELS
        if not inside.is_file():
            raise BadInput(
                f"{found} is a folder without {SOFT_LABELS}; a file of soft labels was expected.",
                "nsdata export OUT --gen 1 writes them",
            )
        return inside
    if not found.is_file():
        raise BadInput(f"There is no file {found}.", f"ls -l {found.parent}")
    return found

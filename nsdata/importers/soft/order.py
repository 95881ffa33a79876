"""What beside vectors of soft labels says of which classes they are, in which order: names in each row, predictions.

Legend: n rows of a block, K classes.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadLabels
from nsdata.importers.class_names import ClassNames, clean, empty, plain, whole
from nsdata.importers.formats.tables import normal
from nsdata.labels.naming import names_by_number, numbered, parsed
from nsdata.labels.soft_table import columns_of
from nsdata.text import listed, visible

Array = NDArray[Any]

NAMES = ("classes", "class_names", "label_names", "category_names", "categories")  # name the classes of vectors
_PERHAPS = ("labels", "names")  # do where they are lists of as many texts; a picture's own labels are fewer
PREDICTED = frozenset(  # columns of the class that a vector's largest probability is of
    ("pseudo_label", "pseudo_class", "prediction", "predictions", "predicted", "pred", "preds", "pred_label",
     "pred_class", "predicted_label", "predicted_class", "top1", "top_1", "argmax")
)  # fmt: skip


def texts(value: object, *, numbers: bool = True) -> list[str] | None:
    """The names that a list, or a text of one, holds: ["cat", "dog"], "cat,dog", "cat dog". None for anything else.

    numbers: whole ones may be names, too."""
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in ("[", "("):
            value = _literal(text)
        else:
            mark = next((mark for mark in "|;,\t" if mark in text), None)
            value = [part.strip() for part in text.split(mark)]
    if not isinstance(value, list | tuple) or len(value) < 2:
        return None
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in value]
    kinds = str | int if numbers else str
    return [str(name) for name in names] if all(isinstance(name, kinds) for name in names) else None


def _literal(text: str) -> object:
    """A list as JSON or Python writes it; of numpy's ``['cat' 'dog']``, too."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(re.sub(r"'\s+'", "', '", text) if read is ast.literal_eval else text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def names_in(column: str, value: object, *, numbers: bool = True) -> list[str] | None:
    """The names that a cell holds, as ``texts`` gives them; of a column such as id2label by the numbers of its mapping.
    Raises BadLabels where that is not understood."""
    if not names_by_number(column) or nothing(value):
        return texts(value, numbers=numbers)
    found = numbered(column, parsed(value if not isinstance(value, Mapping) else _there(value))) or {}
    names = [found.get(i, "") for i in range(len(found))]
    if len(names) < 2 or not all(names):
        raise BadLabels(
            f"'{visible(column)}' is {visible(str(value)[:100])}: which class has which number is not understood.",
            'numbers from 0 and a name for each: {"0": "cat", "1": "dog"}',
        )
    return names


def _there(value: Mapping[Any, Any]) -> dict[Any, Any]:
    """A mapping without what Arrow fills in for keys that other rows have."""
    return {key: one for key, one in value.items() if one is not None}


def nothing(cell: object) -> bool:
    """Whether a cell says nothing: null, NaN, an empty text, list or mapping."""
    if isinstance(cell, str):
        return cell.strip() in ("", "[]", "{}", "()")
    return cell is None or cell != cell or (isinstance(cell, list | tuple | dict) and not cell)


def may_name(column: str) -> bool:
    """Whether a column is called as those that name classes, surely or perhaps."""
    return naming_key(column) or normal(column) in _PERHAPS


def filled(sample: Mapping[str, Any], later: Callable[[list[str]], Iterable[Mapping[str, Any]]]) -> dict[str, Any]:
    """A row's cells, and of columns that may name classes and are empty in it the first cell that is not.

    later: gives rows with these columns. It is asked only where there are such.
    """
    found, empty_ = dict(sample), [name for name, cell in sample.items() if may_name(name) and nothing(cell)]
    for row in later(empty_) if empty_ else ():
        found |= {name: row[name] for name in empty_ if not nothing(row.get(name))}
        empty_ = [name for name in empty_ if nothing(found[name])]
        if not empty_:
            break
    return found


def naming(sample: Mapping[str, Any], classes: Sequence[str], what: str) -> tuple[str | None, list[str] | None]:
    """(the column that names the classes of a table's vectors, their order), from the cells of one row.

    (None, None) where none does. Raises BadLabels where two do.
    """
    known = {clean(name).casefold() for name in classes}
    found: dict[str, list[str]] = {}
    for column, value in sample.items():
        called = normal(column)
        if (names := names_in(column, value, numbers=called in NAMES)) is None:  # of other lists [0, 1, 0] is a label
            continue
        full = len(names) == len(classes)
        bare = isinstance(value, str) and value.strip()[:1] not in ("[", "(")  # "hot dog" may be one label
        marked = not bare or any(mark in str(value) for mark in "|;,")
        sure = (called in NAMES and marked) or names_by_number(column) or (called in _PERHAPS and full and not bare)
        if sure or (full and {clean(name).casefold() for name in names} == known):
            found[column] = names
    if len(found) > 1:
        raise BadLabels(
            f"{what} names its classes twice: {listed([visible(name) for name in found])}.", "Leave one of the columns."
        )
    return next(iter(found.items()), (None, None))


class Order:
    """The order of the classes of each row's vector, by the names beside it; rows come in the order of the first."""

    def __init__(self, column: str, classes: Sequence[str], what: str) -> None:
        self.column, self._classes, self._what = column, list(classes), what
        self._places: dict[tuple[str, ...], Array | None] = {}

    def sorted(self, soft: Array, cells: Sequence[object], keys: Sequence[str | None]) -> Array:
        """(n, K) in the order of ``classes``. Raises BadLabels for a vector without names, or with other classes."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, cell in enumerate(cells):
            names = names_in(self.column, cell)
            if names is not None:
                groups.setdefault(tuple(names), []).append(place)
            elif not np.isnan(soft[place]).all():
                raise BadLabels(
                    f"The soft label of {visible(str(keys[place])[:200])} in {self._what} has no names of its classes "
                    f"in '{visible(self.column)}', as others have.",
                    "name them in every row",
                )
        for names_, rows in groups.items():
            if names_ not in self._places:
                same = list(names_) == self._classes
                self._places[names_] = None if same else columns_of(self._classes, names_, self._what)
            if (order := self._places[names_]) is not None:
                soft = soft if soft.flags.writeable else soft.copy()
                soft[rows] = soft[rows][:, order]
        return soft


def check_predicted(
    soft: Array, column: str, cells: Iterable[object], classes: Sequence[str], keys: Sequence[str | None], what: str
) -> None:
    """Raise BadLabels where a prediction beside a vector, by name, is not the class of its largest number.

    classes: the store's, in whose order vectors are taken that nothing names. A number that is no name says nothing.
    """
    named = ClassNames(classes).named
    known: dict[object, int | None] = {}
    for place, cell in enumerate(cells):
        cell = plain(cell)
        if empty(cell) or isinstance(cell, list | dict) or np.isnan(soft[place]).any():
            continue
        if cell not in known:
            known[cell] = named(cell)
        index, row = known[cell], soft[place]
        if index is None and whole(clean(cell) if isinstance(cell, str) else cell) is not None:
            continue
        if index is None or row[index] < row.max():
            taken = visible(classes[int(row.argmax())])
            raise BadLabels(
                f"The soft label of {visible(str(keys[place])[:200])} in {what} is largest for '{taken}' in the "
                f"store's order of classes, and its '{visible(column)}' is '{visible(str(cell)[:100])}': it has "
                "another order, which nothing names.",
                "a column for each class, by its name; or a list of the names in order, classes, in each row",
            )


def lost(what: str) -> BadLabels:
    """The error of an export of nsdata without what it says of itself: a tool wrote it anew, and left that out."""
    return BadLabels(
        f"{what} was exported by nsdata and has lost what it said of its classes and their order: another tool wrote "
        "it anew, or its first line is missing.",
        "nsdata export OUT --gen 1 writes it again; pyarrow's tables keep it (schema.metadata), pandas does not",
    )


def naming_key(name: str) -> bool:
    """Whether a column or key is called as those that name classes."""
    return normal(name) in NAMES or names_by_number(name)


def is_export(names: Iterable[str]) -> bool:
    """Whether a table has the columns that nsdata's exports have, and hardly another."""
    return {"id", "file_id"} <= {*names}

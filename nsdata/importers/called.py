"""What says which class a number means, where labels are numbers: a column of texts beside them that is not called as
one of labels: ``label_text``, ``breed``, a SageMaker manifest's ``class-name``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nsdata.errors import BadInput
from nsdata.importers.class_names import ClassNames, clean, empty, plain, whole
from nsdata.importers.formats.layout import quoted
from nsdata.importers.split_columns import Cells

if TYPE_CHECKING:
    from nsdata.importers.formats.tables import Columns


_LONGEST = 200  # letters of a class's name


def texts_beside(labels: Cells, row: Mapping[str, Any], known: Columns) -> Cells:
    """Where a row's labels are numbers, the short texts beside them, also one level below: any may be the name of the
    class. known: the columns that mean something else."""
    if not labels or not all(_number(value) for _, value in labels):
        return ()
    found: list[tuple[str, object]] = []
    for name, value in row.items():
        if name == known.path or name == known.split or name in known.labels:
            continue
        inner = ((f"{name}.{key}", one) for key, one in value.items()) if isinstance(value, dict) else ((name, value),)
        found += [(key, one) for key, one in inner if isinstance(one, str) and len(one) <= _LONGEST]
    return tuple(found)


def _number(value: object) -> bool:
    if isinstance(value, str):
        return _spells_number(value)
    value = plain(value)
    return isinstance(value, int | float) or empty(value) or whole(value) is not None


@lru_cache(4096)  # a table has few classes
def _spells_number(value: str) -> bool:
    return empty(value) or whole(clean(value)) is not None


class Called:
    """Columns of texts beside places in the list of classes, looked at row by row.

    One names the classes if each of its cells is a class, the same for each place, and another for another place.
    """

    def __init__(self) -> None:
        self._columns: dict[str, dict[int, int] | None] = {}  # place -> class that the text says; None: names none
        self._differ: dict[str, tuple[int, int, str]] = {}  # where the two are not one: place, class, where

    def look(self, texts: Cells, place: int, where: str, names: ClassNames) -> None:
        """One row: its place in the list of classes, and the texts beside it."""
        for column, text in texts:
            said = self._columns.setdefault(column, {})
            if said is None or empty(text):
                continue
            other = names.like(str(text))
            if other is None or said.setdefault(place, other) != other:
                self._columns[column] = None
            elif other != place:
                self._differ.setdefault(column, (place, other, where))

    def check(self, names: ClassNames) -> None:
        """Once all rows were seen: raise BadInput where a column names the classes, and others than the places are."""
        for column, (place, other, where) in self._differ.items():
            said = self._columns[column]
            if said is not None and len(set(said.values())) == len(said):
                raise BadInput(
                    f"The label of {where} is a number, the place of '{names.classes[place]}' in the list of classes, "
                    f"and {quoted(column)} beside it says '{names.classes[other]}'.",
                    f"call {quoted(column)} class_name: names count before numbers; leave it out if the numbers count",
                )

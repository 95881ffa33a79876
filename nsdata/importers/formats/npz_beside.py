"""Arrays of a numpy archive that are neither images nor labels by their names; some say splits, or name the classes.

One value an image is looked at as a table's column is (split_columns.py). Texts that may be the names of the classes
whose numbers the labels are, and are not called so, are refused: numbers without them would be places in another list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput
from nsdata.importers.class_names import whole as whole_number
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.npz_arrays import Array, whole
from nsdata.importers.formats.tables import SPLITS, cells_of, normal
from nsdata.importers.split_columns import SplitColumns, Unsure
from nsdata.importers.words import SPLIT_WORDS, name_words

_MOST = 1 << 26  # bytes of one array
_CALLED = re.compile(r"class|label|target|categor|split|subset|partition", re.IGNORECASE)
Labels = Sequence[tuple[str, NDArray[Any]]]


class Beside:
    """The other arrays of one archive, and what they say of the splits of a set of N images that has none by its name.

    Raises BadInput for texts that may be names of classes, and for such as cannot be read.
    """

    def __init__(self, file: IO[bytes], path: Path, others: Sequence[Array], named: bool, labels: Labels) -> None:
        """named: whether the archive names its classes. labels: of all sets."""
        self._arrays: dict[str, NDArray[Any]] = {}
        numbers = [] if named else [found for _, values in labels if len(found := _numbers(values))]
        for array in others:
            if array.dtype.hasobject and _CALLED.search(array.name) and (numbers or normal(array.name) in SPLITS):
                raise BadInput(
                    f"{array.name} in {path} is pickled, and may say what the labels or splits are.",
                    f"np.savez(…, {array.name}={array.name}.astype(str))",
                )
            flat = len(array.shape) == 1 or (len(array.shape) == 2 and array.shape[1] == 1)
            if not flat or array.dtype.kind not in "USbiuf" or array.entry.size > _MOST:
                continue
            values = whole(file, path, array, _MOST).reshape(-1)
            values = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
            self._arrays[array.name] = values
            if values.dtype.kind == "U" and any(_may_name(values, of, array.name) for of in numbers):
                raise BadInput(
                    f"{array.name} in {path} may be the names of the classes whose numbers the labels are: "
                    f"{', '.join(quoted(str(text)) for text in values[:3])}, ….",
                    "call it class_names if it is; else leave it out",
                )

    def splits(self, number: int) -> list[object]:
        """What is said of the split of each of so many images; [] where nothing is."""
        held = {name: values for name, values in self._arrays.items() if len(values) == number}
        if (name := next((name for name in held if normal(name) in SPLITS), None)) is not None:
            return list(held[name].tolist())
        columns = SplitColumns()
        for name, values in held.items():
            columns.look(name, np.unique(values).tolist())
        speaking = {name: held[name].tolist() for name in columns.speaking()}
        rows = ({name: values[i] for name, values in speaking.items()} for i in range(number))
        if speaking:
            return [columns.of(cells_of(row, speaking)) for row in rows]
        lists = (name for name, values in self._arrays.items() if name not in held and _may_list(name, values, number))
        if (name := next(lists, None)) is None:
            return []
        way = "an array split or is_test of one value an image; --split train if nothing is held out"
        return [Unsure(f"'{quoted(name)}' may list which images are held out, and is not read", way)] * number


def _may_list(name: str, values: NDArray[Any], number: int) -> bool:
    """Whether an array may have the numbers of the images of one split: ``test_idx``."""
    within = values.dtype.kind in "iu" and len(values) > 0 and values.min() >= 0 and values.max() < number
    return within and any(word in SPLIT_WORDS for word in name_words(name))


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Labels that are numbers, also in words; none where they are anything else."""
    if values.dtype.kind == "U" and all(whole_number(str(text)) is not None for text in np.unique(values)):
        return values.astype(np.float64)
    return values if values.dtype.kind in "iuf" else np.empty(0)


def _may_name(texts: NDArray[Any], labels: NDArray[Any], name: str) -> bool:
    """Whether texts may be the names of classes: as many as there are, or one an image and the same for each number."""
    known = labels[labels >= 0]
    if not len(texts) or not len(known) or all(whole_number(str(text)) is not None for text in np.unique(texts)):
        return False
    least = int(known.max()) + 1
    if len(texts) != len(labels):
        return least <= len(texts) < len(labels) or len(texts) == least or bool(_CALLED.search(name))
    pairs = {(float(label), str(text)) for label, text in zip(labels, texts, strict=True) if label >= 0}
    of_each = len(pairs) == len({label for label, _ in pairs}) == len({text for _, text in pairs})
    return of_each and (len(pairs) < len(known) or len(texts) == least)

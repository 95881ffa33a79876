"""Tables of images that a person typed or exported, for relabel and split: which image a line means, and its word."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.schema import SPLITS
from nsdata.text import listed, visible
from nsdata.versions.named_rows import check_alike, rows_meant, whole_id

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

PATHS = ("path", "source", "file", "filename", "file_name", "image")  # columns that name images by where they lie
LABEL, SPLIT = ("label",), ("split", "subset", "partition")


@dataclass(frozen=True)
class Lines:
    """A CSV, a line an image. names: what the first of ``id`` and the columns of paths says; others: the second, if
    both are there. words: of the column that was asked for, stripped; None where there is no such column."""

    path: Path
    names: list[str]
    others: list[str] | None
    words: list[str] | None
    numbers: list[int] = field(repr=False)  # of the lines

    def ids(self, store: Handle) -> list[str]:
        """The whole ids of the images. Raises NotFound; BadInput for an image twice, or a line that names two.

        An id beside a path counts if it is a whole one: else it numbers the lines.
        """
        pairs = zip(self.names, self.others or self.names, strict=True)
        names = [name if whole_id(name) is not None else other or name for name, other in pairs]
        rows = rows_meant(store.table, names, beginnings=False)
        if self.others is not None:
            check_alike(store.table, rows, names, self.others, str(self.path))
        found: list[str] = hexes(store.table.ids[rows])
        if double := [id_ for id_, count in Counter(found).items() if count > 1]:
            name = self.names[found.index(double[0])]
            raise BadInput(f"{self.path} names the image {visible(name)} twice.", "Keep one line for each image.")
        return found


def read_labels(path: Path) -> Lines:
    """A CSV of images and their labels; an empty one takes a label away. Raises BadInput."""
    found = _read(path, LABEL)
    if found.words is None:
        raise BadInput(f"{path} has no column 'label'.", "columns id (or path) and label")
    return found


def read_splits(path: Path, to: str | None) -> tuple[Lines, list[str]]:
    """A CSV of images, and the split of each, ``to`` or what its column says. Raises BadInput."""
    found = _read(path, SPLIT)
    if found.words is None:
        if to is None:
            raise BadInput(
                f"{path} has no column 'split', and no split is given.", f"nsdata split --from {path} --to test"
            )
        return found, [to] * len(found.names)
    splits = [word.casefold() for word in found.words]
    for number, word, split in zip(found.numbers, found.words, splits, strict=True):
        if split not in SPLITS and (word or to is None):
            what = f"the split '{visible(word[:100])}', which is none of {', '.join(SPLITS)}" if word else "no split"
            raise BadInput(f"Line {number:,} of {path} has {what}.", "train, val or test in every line")
        if to is not None and word and split != to:
            others = listed([f"{n:,} {name}" for name, n in Counter(s for s in splits if s and s != to).items()])
            raise BadInput(
                f"{path} has a column of splits, which are others than {to}: {others} (line {number:,} first).",
                f"nsdata split --from {path}   (moves each as the column says)",
            )
    return found, splits if to is None else [to] * len(splits)


def _read(path: Path, wanted: tuple[str, ...]) -> Lines:
    """The columns of a CSV that name images, and the one of ``wanted`` that it has."""
    names: list[str] = []
    others: list[str] = []
    words: list[str] = []
    numbers: list[int] = []
    lines = _cells(path)
    _, head = next(lines, (0, []))
    known = [cell.strip().lower() for cell in head]
    keys = [name for name in ("id", *PATHS) if name in known]
    says = [name for name in wanted if name in known]
    have = listed([visible(cell) for cell in head]) or "none"
    if not keys or len(says) > 1 or any(known.count(name) > 1 for name in (*keys, *says)):
        what = "'id' or 'path' is needed" if not keys else f"one of {listed(says or keys)} is needed"
        raise BadInput(f"{path} has the columns {have}; {what}.", "columns id (or path)" + f" and {wanted[0]}")
    for number, row in lines:
        cells = dict(zip(known, [cell.strip() for cell in row], strict=False))
        name = next((cells[key] for key in keys if cells.get(key)), "")
        if not name:
            raise BadInput(f"Line {number:,} of {path} names no image.", "an id or a path in every line")
        if says and says[0] not in cells:
            raise BadInput(f"{path} ends line {number:,} before its {says[0]}.")
        names.append(name)
        others.append(next((cells[key] for key in keys[1:] if cells.get(key)), ""))
        words.append(cells[says[0]] if says else "")
        numbers.append(number)
    if not names:
        raise BadInput(f"{path} has no line that names an image.", f"head {path}")
    return Lines(path, names, others if len(keys) > 1 else None, words if says else None, numbers)


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, its cells), empty lines left out; the first has the names of the columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            line = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=line.count))
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield reader.line_num, row
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", f"ls -l {path}") from error
    except (UnicodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read as CSV: {error}.", f"file {path}") from error

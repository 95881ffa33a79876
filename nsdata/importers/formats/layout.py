"""What the names of folders and files say: the split, the label, and what is none of our business.

The rules, the same for a folder and a tar:

- ``cat/1.jpg`` has label "cat" if the store has that class; folders below a class folder say nothing more.
- ``train/``, ``val/``, ``valid/``, ``validation/``, ``test/`` above the class folders name the split;
  ``unlabelled/``, ``unlabeled/``, ``extra/``: train, without labels, whatever lies below.
- An image in no class folder has no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from nsdata.errors import BadInput
from nsdata.schema import SPLITS
from nsdata.text import listed, visible

MAX_BYTES = 1 << 28  # a file beyond this is not read: no photograph is as large, and a few are in memory at once
UNLABELLED = frozenset({"unlabelled", "unlabeled", "extra"})
SPLIT_OF = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    **dict.fromkeys(UNLABELLED, "train"),
}
IMAGE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_NOISE = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})


def ignored(name: str) -> bool:
    """Whether a file or folder of this name (without its path) is an operating system's litter, or hidden."""
    return name.startswith(".") or name in _NOISE


def readable(name: str) -> str:
    """A name that can be stored: bytes that are no UTF-8 become the replacement character."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def quoted(name: str) -> str:
    """A name within a sentence: of one line, whatever its archive calls it."""
    return visible(readable(name))


def split_of_file(name: str) -> str | None:
    """ "train" for ``train-00000-of-00002.parquet``, ``train.tar``; "extra" for ``extra.tar.gz``; else None.

    The answer is a key of SPLIT_OF.
    """
    word = PurePath(name).name.lower().replace("_", "-").split(".")[0].split("-")[0]
    return word if word in SPLIT_OF else None


class Places:
    """Folder names to (split, label), remembered per folder. With labelled=False every label is None."""

    def __init__(
        self, classes: Sequence[str], split: str | None, labelled: bool, file_split: str | None, what: str
    ) -> None:
        self._index = {name: i for i, name in enumerate(classes)}
        self._classes, self._what = list(classes), what
        self._split, self._labelled = split, labelled
        self._file_split = file_split
        self._known: dict[str, tuple[str, int | None]] = {}

    def of(self, folder: str) -> tuple[str, int | None]:
        """(split, label) for images in ``folder``, "train/cat" say; BadInput for an unknown class."""
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = self._work_out([part for part in folder.split("/") if part != "."])
        return known

    def _work_out(self, parts: list[str]) -> tuple[str, int | None]:
        parts = [part for part in parts if part]
        index = self._index
        if len(parts) > 1 and not self._means(parts[0]) and self._means(parts[1]):
            parts = parts[1:]  # photos/train/cat: a tar's or a download's outer folder
        says = self._file_split
        if parts and parts[0] in SPLIT_OF and parts[0] not in index:
            says = parts.pop(0)
        split = self._split or SPLIT_OF[says or "train"]
        if not self._labelled or says in UNLABELLED or not parts or (parts[0] in UNLABELLED and parts[0] not in index):
            return split, None
        if parts[0] not in index:
            raise unknown_folders([parts[0]], self._classes, self._what)
        return split, index[parts[0]]

    def _means(self, name: str) -> bool:
        return name in self._index or name in SPLIT_OF


def unknown_folders(names: Sequence[str], classes: Sequence[str], what: str) -> BadInput:
    """The error for class folders that the store has no class for."""
    folders = ", ".join(f"'{readable(name)}'" for name in names[:5]) + (", …" if len(names) > 5 else "")
    verb = "Folder" if len(names) == 1 else "Folders"
    return BadInput(
        f"{verb} {folders} in {what} name no class; this store has {listed(classes)}.",
        f"nsdata import {what} --unlabelled",
    )


def label_of(value: object, classes: Sequence[str], index: dict[str, int], where: str) -> int | None:
    """A label as somebody wrote it: a class name, else an index 0..K-1; None, "", NaN and -1 are no label.

    index: name -> number, of classes. Raises BadInput naming ``where`` ("row 12 of labels.csv") otherwise.
    """
    if value is None or value == "" or value != value:  # NaN is unequal to itself
        return None
    name = str(value).strip()
    if not name:
        return None
    if name in index and not isinstance(value, (int, float)):
        return index[name]
    try:
        number = float(name)
    except ValueError:
        number = -2.0
    if number == -1:
        return None
    if number.is_integer() and 0 <= number < len(classes):
        return int(number)
    raise BadInput(
        f"Label '{name[:200]}' in {where} is no class; this store has {listed(classes)}.",
        "name the classes when the store is made: nsdata init --classes a,b,c",
    )


def split_named(value: object, where: str) -> str:
    """The split that a table's cell names, "train" for an empty one. Raises BadInput for an unknown name."""
    if value is None or value == "":
        return "train"
    found = SPLIT_OF.get(str(value).strip().lower())
    if found is None:
        raise BadInput(f"Split '{str(value)[:200]}' in {where} is unknown; there are {', '.join(SPLITS)}.")
    return found

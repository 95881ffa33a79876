"""Names of files and folders that an export makes: a picture's own where it can be kept; every system has such."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from nsdata.exporters.row import ExportRow, ending, image

UNLABELLED = "unlabelled"
_PLAIN = frozenset(" _-+,()'&@=~.")  # beside letters and digits: what no system or shell takes for something else
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{kind}{number}" for kind in ("com", "lpt") for number in range(10))]
)  # of Windows, with any ending
_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_LONGEST = 180  # bytes in UTF-8; systems have 255 of them, or as many letters


class Folders:
    """Where pictures go: ``train/<class>/``, ``val/<class>/``, ``test/<class>/``; without a label ``unlabelled/``.

    What is held out lies below its split also without a label, in the split's own folder: loaders that take a folder
    for a class do not see it there.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._folders: list[str] = []
        taken: set[str] = set()
        for number, name in enumerate(classes):
            folder = safe_folder(name)
            if folder.casefold() in taken or len(folder.encode()) > _LONGEST:
                folder = f"{folder.encode()[:_LONGEST].decode(errors='ignore')}%20{number}"
            taken.add(folder.casefold())
            self._folders.append(folder)

    def of(self, row: ExportRow) -> str:
        """The folder of a picture, with "/" between its steps."""
        if row.label is None:
            return UNLABELLED if row.split == "train" else row.split
        return f"{row.split}/{self._folders[row.label]}"

    def path(self, row: ExportRow) -> str:
        """Its file."""
        return f"{self.of(row)}/{row.name or f'{row.id_hex}.{ending(image(row))}'}"


def safe_folder(name: str) -> str:
    """A class name as a folder name: what could lead elsewhere, be hidden or mean a device is percent-encoded."""
    name = "".join(c if c.isalnum() or c in _PLAIN else quote(c, safe="") for c in name)
    name = name.replace(".", "%2E") if name.startswith(".") or name.endswith(".") else name
    if name.endswith(" "):
        name = f"{name[:-1]}%20"
    return name if _is_no_device(name) else f"%{ord(name[0]):02X}{name[1:]}"


def kept_names(sources: Sequence[str]) -> list[str | None]:
    """The file names that images of these sources keep: None for one that two have, or that some system has not."""
    names = [_file_name(source) for source in sources]
    counts = Counter(_alike(name) for name in names)
    return [name if counts[_alike(name)] == 1 and safe_file(name) else None for name in names]


def with_ending(name: str | None, data: bytes) -> str | None:
    """A kept name with the ending of its format, where it has none of a picture."""
    return name if name is None or name.lower().endswith(_ENDINGS) else f"{name}.{ending(data)}"


def safe_file(name: str) -> bool:
    """Whether every system can have a file of this name."""
    return (
        bool(name)
        and all(c.isalnum() or c in _PLAIN for c in name)
        and not name.startswith((".", " ", "-"))
        and not name.endswith((".", " "))
        and len(name.encode()) <= _LONGEST
        and _is_no_device(name)
    )


def _file_name(source: str) -> str:
    return source.rpartition("/")[2].rpartition("!")[2]


def _alike(name: str) -> str:
    """What some systems take for the same name."""
    stem = name.rpartition(".")[0] if name.lower().endswith(_ENDINGS) else name  # an ending may be added to it
    return unicodedata.normalize("NFC", stem).casefold()


def _is_no_device(name: str) -> bool:
    return name.partition(".")[0].strip().casefold() not in _DEVICES

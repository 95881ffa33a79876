"""Files of labels of single pictures within class folders: shards of samples that were unpacked, folder by folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.against import Papers
from nsdata.importers.class_names import clean, empty, whole
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import LABELS, normal
from nsdata.importers.masks import stem
from nsdata.importers.others import HEAD, SIDES, few

_ENDINGS = (".json", ".txt", *SIDES)


def check_sides(
    path: Path, files: Iterable[str], pictures: Callable[[], Iterable[tuple[str, str]]], read: Papers
) -> None:
    """Raise BadInput where files beside pictures (``k.json``, ``k.cls``, ``k.txt``) and their folders say other labels.

    pictures: (path, class by its folder). Names have to be those of the folders; numbers, one for each folder.
    """
    names = few(name for name in files if name.lower().endswith(_ENDINGS))
    if not names:
        return
    wanted = {_picture(name): name for name in names}
    beside = {wanted[key]: cls for picture, cls in pictures() if (key := stem(picture)) in wanted}
    numbers: dict[int, str] = {}  # a number -> the folder of which it is said
    folders: dict[str, int] = {}
    for name, data in sorted(read(set(beside), HEAD).items() if beside else ()):
        said, cls = _said(name, data), beside[name]
        if said is None:
            continue
        number = whole(said)
        if number is None:
            differs = clean(said).casefold() != clean(cls).casefold()
        else:
            differs = numbers.setdefault(number, cls) != cls or folders.setdefault(cls, number) != number
        if differs:
            raise BadInput(
                f"{quoted(name)} in {path} says '{quoted(said[:100])}', and its picture lies in the folder "
                f"'{quoted(cls)}': either may be its class.",
                f"tar --sort=name -cf samples.tar -C {shlex.quote(str(path))} . && nsdata import samples.tar, if the "
                "files have the labels; --levels class if the folders have them",
            )


def _picture(name: str) -> str:
    """The path, without its ending, of the picture that a file lies beside: ``k`` of k.cls, k.cls.txt."""
    one = stem(name)
    return stem(one) if one.lower().endswith(SIDES) else one


def _said(name: str, data: bytes) -> str | None:
    """The label that a file holds; None for captions, boxes, and other facts."""
    text = data.decode("utf-8", "replace").strip()
    if name.lower().endswith(".json"):
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError):
            return None
        found = [v for k, v in facts.items() if normal(k) in LABELS] if isinstance(facts, dict) else []
        texts = [str(v) for v in found if isinstance(v, str | int) and not isinstance(v, bool) and not empty(v)]
        return min(texts, key=lambda v: whole(v) is not None) if texts else None  # names before numbers
    short = "\n" not in text and (
        len(text.split()) == 1 or name.lower().endswith((*SIDES, *(f"{s}.txt" for s in SIDES)))
    )
    return text if short and not empty(text) else None

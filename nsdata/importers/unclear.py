"""The errors of folders that can be read in two ways, or in none: what there is, and how to say what is meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import readable
from nsdata.importers.options import Rule
from nsdata.importers.tree import Place, Tree
from nsdata.importers.words import SPLIT_WORDS, doubt_of_name, name_words, nearly, numbered, split_word
from nsdata.text import listed


class Unclear:
    """The errors of one source."""

    def __init__(self, what: str, classes: Sequence[str], known: bool) -> None:
        """what: the source. classes: the store's, if they are known."""
        self._what, self._classes, self._known = what, classes, known

    def strange(self, names: Sequence[str], what: str = "", above: str = "") -> BadInput:
        """Folders that name no class; or no split, which ``what`` says. above: the folder in which they lie."""
        these = ", ".join(f"'{readable(name)}'" for name in names[:5]) + (", …" if len(names) > 5 else "")
        verb = "Folder" if len(names) == 1 else "Folders"
        where = f"{self._what}/{readable(above)}" if above else self._what
        if what:
            return BadInput(f"{verb} {these} in {where} name {what}.", "--levels class if folders name classes alone")
        return BadInput(
            f"{verb} {these} in {where} name no class; this store has {listed(self._classes)}.",
            f"nsdata import {self._what} --unlabelled",
        )

    def mixed(self, names: Iterable[str]) -> BadInput:
        """Folders of splits beside others."""
        splits = sorted(name for name in names if split_word(name) is not None)
        others = sorted(name for name in names if split_word(name) is None)
        known = f"; this store has {listed(self._classes)}" if self._known and self._classes else ""
        return BadInput(
            f"{self._what} has {folders(splits)} beside {folders(others)}: splits and others in one level{known}.",
            f"nsdata import {self._what}/{readable(splits[0])}, each part by itself; --levels class if all are "
            "classes; --split train if nothing is held out",
        )

    def parts(self, names: Sequence[str], top: Mapping[str, Tree]) -> BadInput:
        """Folders that are called after parts of a set. top: all folders of their level."""
        part = next((name for name in names if nearly(name) or doubt_of_name(name)), names[0])
        way = f"nsdata import {self._what}/{readable(part)} --split test"
        words = name_words(readable(part))
        split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "test")
        rest = "_".join(word for word in words if word not in SPLIT_WORDS and not word.isdigit())
        if top[part].pictures and rest:  # test_cat/1.png: imported by itself it would lose its class
            way = f"mkdir -p {self._what}/{split} && mv {self._what}/{readable(part)} {self._what}/{split}/{rest}"
        return BadInput(
            f"{self._what} has {folders(names)}: parts of a set, by their names, but only a whole word names a split.",
            f"{way}, each part by itself; --levels class if all are classes",
        )

    def two_ways(self, names: Iterable[str]) -> BadInput:
        """Folders that can be classes or splits."""
        what = f"{self._what} has {folders(sorted(names))}: classes or splits, both could be meant."
        return BadInput(what, "--levels class, or --levels split/class")

    def not_classes(self, doubtful: Sequence[str], names: Iterable[str]) -> BadInput:
        """Folders of which some are hardly classes."""
        known = ",".join(sorted(map(readable, names))[:10])
        return BadInput(
            f"{self._what} has {folders(sorted(names))} for classes; '{readable(min(doubtful))}' need not be one.",
            f"nsdata init --classes {known}  (if these are the classes); or --levels class; --levels -/class if those "
            "below are",
        )


def refuse_numbered(what: str, classes: Collection[str]) -> None:
    """Raise BadInput where all folders of classes are called as shards that were unpacked."""
    if classes and numbered(classes):
        raise Unclear(what, (), False).not_classes(sorted(classes), classes)


def check_depth(path: Path, rule: Rule, places: Mapping[str, Place]) -> None:
    """Of pictures that lie above the level that ``--levels`` says to be of classes: note which, or raise BadInput where
    all do."""
    shallow = [folder for folder, place in places.items() if not any(place[1:])]
    if shallow and len(shallow) == len(places):
        raise BadInput(
            f"{path} has no folders as deep as --levels {rule.levels} says: its pictures lie in "
            f"{folders(sorted(folder or '.' for folder in shallow))}.",
            f"nsdata import {path}  (it without levels, or each source by itself), or --unlabelled",
        )
    if shallow:
        where = folders(sorted(folder or "." for folder in shallow))
        rule.note(f"pictures in {where} have no label: they lie above the folders of classes")


def folders(names: Sequence[str]) -> str:
    """ "cat/, dog/", five at most."""
    return listed([f"{readable(name)}/" for name in names], 5)

"""One rule for folders: which level of a source names the split, which the class, and which says nothing.

Looked at together: a level is one of splits only if all its names are split words and what follows below makes sense
for all of them. What can be read in two ways, or in none, is refused; ``--levels split/class`` says how it is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nsdata.errors import BadInput
from nsdata.importers.class_names import clean
from nsdata.importers.formats.layout import readable
from nsdata.importers.nested import check_below
from nsdata.importers.tree import Place, Tree, parsed, parts_of
from nsdata.importers.unclear import Unclear
from nsdata.importers.words import (
    HELD_OUT,
    MASKS,
    PLAIN,
    nearly,
    parted,
    qualified,
    says_labelled,
    split_word,
)
from nsdata.text import listed

_BESIDE_CLASSES = frozenset({"unlabelled", "unlabeled", "no_label", "no_labels"})  # beside class folders: no labels


class Levels:
    """How the folders of one source are read.

    known: whether a folder's name is a class of the store; None where there is no store yet (``init``).
    labelled: False: classes are of no interest. by_hand: a split is given for all, and folders need name none.
    levels: as ``--levels``; None to find out. Raises BadInput for a source that is not understood, or in two ways.
    """

    def __init__(
        self,
        tree: Tree,
        what: str,
        known: Callable[[str], bool] | None,
        classes: Sequence[str] = (),
        *,
        labelled: bool = True,
        by_hand: bool = False,
        levels: str | None = None,
    ) -> None:
        self._what, self._known, self._classes = what, known, classes
        self._unclear = Unclear(what, classes, known is not None)
        self._labelled, self._by_hand, self._told = labelled, by_hand, levels is not None
        self._top, self._depth = tree, 0
        self.splits: dict[str, str] = {}  # folders that were read as splits -> the split
        self.by_class = False  # whether a picture has its class from a folder
        self.masks = levels is None  # whether folders of masks beside images are passed over
        self.doubt = ""  # an outer folder that may be a held-out part: cifar10_test/cat/
        self._places: dict[str, Place] = {}
        if levels is not None:
            self.pattern = parsed(levels)
        else:
            self._unwrap()
            self.pattern = self._found()

    def of(self, folder: str) -> Place:
        """What ``folder`` says of the pictures in it. Raises BadInput for a name that is neither class nor split."""
        place = self._places.get(folder)
        if place is None:
            place = self._places[folder] = self._of(parts_of(folder)[self._depth :])
        return place

    def _of(self, parts: list[str]) -> Place:
        if self.masks and (name := self._mask(parts)):
            return Place(None, None, mask=name)
        split, cls, node = None, None, self._top
        for level in self.pattern:
            while parts and not self._told and level == "class" and self._says_nothing(node, split):
                node, parts = node.children[parts[0]], parts[1:]
            if not parts:
                if level == "split" and not self._by_hand and "class" in self.pattern[self.pattern.index("split") :]:
                    return Place(None, None, "beside the folders of splits, in none of them")
                break
            name, parts = parts[0], parts[1:]
            node = node.children.get(name, Tree())
            word = self._word(name) if level == "split" else split_word(name)
            if level == "split":
                if word == "labelled":
                    continue
                if word is None:
                    raise self._unclear.strange([name], "no split")
                self.splits[name] = word
                if word == "unlabelled":
                    return Place(
                        _held(parts) or "train", cls, unlabelled=True
                    )  # dog/extra/: a class, though not of this picture
                split = word
            elif level == "class" and not self._labelled:
                if word == "unlabelled" and (held := _held(parts)):
                    self.splits[name] = split = held
            elif level == "class":
                if not self._is_class(name) and word == "unlabelled" and not (self._known is None and split):
                    self.splits[name] = word
                    return Place(_held(parts) or split or "train", None, unlabelled=True)
                if self._known is not None and not self._is_class(name):
                    raise self._unclear.strange([name])
                cls = name
        self.by_class |= cls is not None
        return Place(split, cls)

    def _mask(self, parts: list[str]) -> str:
        """The folder of masks, or the like, beside images, in which a picture lies: ``cat/masks/``; "" for none."""
        node: Tree | None = self._top
        for name in parts:
            if node is None:
                return ""
            alone = not node.pictures and all(clean(other).casefold() in MASKS for other in node.children)
            if clean(name).casefold() in MASKS and not (alone or self._is_class(name)):
                return name
            node = node.children.get(name)
        return ""

    # ---- which reading is the one

    def _unwrap(self) -> None:
        """Go below outer folders: the only one, without pictures beside it, that names neither split nor class."""
        while len(self._top.children) == 1 and not self._top.pictures:
            ((name, child),) = self._top.children.items()
            if split_word(name) is not None or (self._labelled and self._is_class(name)):
                return
            if clean(name).casefold() not in PLAIN and (child.pictures or not child.children):
                return
            self._top, self._depth = child, self._depth + 1
            self.doubt = self.doubt or (name if nearly(name) else "")

    def _found(self) -> list[str]:
        top = self._top.children
        if not top or (self._by_hand and not self._labelled):
            return []
        if self._labelled and self._known is not None:
            return self._by_classes(top)
        return self._by_structure(top)

    def _by_classes(self, top: dict[str, Tree]) -> list[str]:
        """A store's classes are known: the one reading in which every name is one of them, or a split."""
        strange = [name for name in top if not self._is_class(name) and split_word(name) != "unlabelled"]
        as_class = not strange and any(map(self._is_class, top))
        as_split = all(map(self._word, top)) and not any(self._unknown(n, child) for n, child in top.items())
        if as_class and as_split:
            if any(self._inner(child, name).children for name, child in top.items()):
                return ["split", "class"]
            if {self._is_class(name) for name in top} == {True} and len(top) == len(self._classes):
                return ["class"]  # all classes of the store, and nothing else
            raise self._unclear.two_ways(top)
        if as_split:
            return ["split", "class"]
        if as_class:
            return self._class_or_class_split([name for name in top if self._is_class(name)])
        if all(map(self._word, top)):
            above = next(name for name, child in top.items() if self._unknown(name, child))
            raise self._unclear.strange(self._unknown(above, top[above]), above=above)
        if any(split_word(name) not in (None, "unlabelled") for name in strange):
            raise self._unclear.mixed(top)
        if parts := parted(strange) or sorted(filter(nearly, strange)):
            raise self._unclear.parts(parts, top)
        raise self._unclear.strange(sorted(strange))

    def _by_structure(self, top: dict[str, Tree]) -> list[str]:
        """No class is known, or none is asked for."""
        if all(map(self._word, top)):
            if self._labelled:
                self._check_inner(top)
            return ["split", "class"]
        if self._labelled:
            doubtful = [name for name in top if split_word(name) and clean(name).casefold() not in _BESIDE_CLASSES]
            if hardly := [name for name in top if clean(name).casefold() in PLAIN | MASKS]:
                raise self._unclear.not_classes(hardly, top)
            parts = parted(top) or [name for name in top if nearly(name) and (len(top) == 1 or qualified(name))]
            parts = parts or (list(top) if all(map(qualified, top)) else [])
        else:
            doubtful = [name for name in top if split_word(name) in HELD_OUT and not self._all_classes(top)]
            others = [name for name in top if not self._is_class(name)]
            parts = parted(others) or list(filter(nearly, others))
        if doubtful:
            raise self._unclear.mixed(top)
        if parts:
            raise self._unclear.parts(sorted(parts), top)
        if self._labelled:
            check_below(self._what, {name: [tree] for name, tree in top.items()}, self._inner)
        return self._class_or_class_split([name for name in top if split_word(name) is None])

    def _check_inner(self, top: dict[str, Tree]) -> None:
        """Raise BadInput unless the folders below those of splits can be classes."""
        each_inner = {name: set(self._inner(child, name).children) for name, child in top.items()}
        inner = [names for names in each_inner.values() if names]
        names = {n for name, names in each_inner.items() if split_word(name) != "unlabelled" for n in names}
        if names and all(map(split_word, names)):
            raise self._unclear.two_ways(top)
        if hardly := [name for name in names if clean(name).casefold() in PLAIN | MASKS]:
            raise self._unclear.not_classes(hardly, names)
        unsure = [name for name in names if split_word(name) == "unlabelled"]
        if any(len(inner) < 2 or not all(name in each for each in inner) for name in unsure):
            raise self._unclear.not_classes(unsure, names)  # a class, or pictures without labels
        each: dict[str, list[Tree]] = {}
        for split, child in top.items():
            for name, tree in self._inner(child, split).children.items() if split_word(split) != "unlabelled" else ():
                each.setdefault(name, []).append(tree)
        check_below(self._what, each, self._inner, "split/")

    def _class_or_class_split(self, classes: list[str]) -> list[str]:
        """Class folders: with split folders in all of them, or in none."""
        below = {name: self._top.children[name] for name in classes}
        held = [f"{c}/{f}" for c, child in below.items() for f in child.below() if _last(f) in HELD_OUT]
        if not held or self._by_hand:
            return ["class"]
        inner = [n for child in below.values() for n in child.children.values()]
        nothing_else = all(not child.pictures and all(map(split_word, child.children)) for child in below.values())
        if nothing_else and not any(child.children for child in inner):
            return ["class", "split"]
        raise BadInput(
            f"{self._what} has {listed([readable(name) for name in sorted(held)], 5)}: folders of splits below others, "
            "not all of which hold such folders and nothing else.",
            "--levels class/split, or --levels -/split/class, if those are splits; --levels class if they say nothing",
        )

    # ---- what names are

    def _is_class(self, name: str) -> bool:
        return self._known is not None and self._known(name)

    def _word(self, name: str) -> str | None:
        """What a name says in a level of splits; "labelled": no more than that, beside a folder ``unlabelled``."""
        beside = says_labelled(name) and any(split_word(other) == "unlabelled" for other in self._top.children)
        return "labelled" if beside else split_word(name)

    def _all_classes(self, names: Iterable[str]) -> bool:
        return all(map(self._is_class, names))

    def _says_nothing(self, node: Tree, split: str | None = None) -> bool:
        """Whether all that a folder holds is one whose name says nothing, or its split again: ``val/images/``."""
        if node.pictures or len(node.children) != 1:
            return False
        (name,) = node.children
        again = split is not None and split_word(name) == split
        return (again or clean(name).casefold() in PLAIN) and not self._is_class(name)

    def _inner(self, folder: Tree, name: str) -> Tree:
        """The class level of a split's folder, which has this name."""
        while self._says_nothing(folder, split_word(name)):
            (folder,) = folder.children.values()
        return folder

    def _unknown(self, split: str, folder: Tree) -> list[str]:
        """Folders in that of a split which name no class."""
        names = self._inner(folder, split).children if split_word(split) != "unlabelled" else {}
        return sorted(name for name in names if not self._is_class(name) and split_word(name) != "unlabelled")


def _held(below: Iterable[str]) -> str | None:
    """The held-out split that a folder below ``unlabelled/`` names; None for none."""
    return next((word for name in below if (word := split_word(name)) in HELD_OUT), None)


def _last(folder: str) -> str | None:
    return split_word(folder.rpartition("/")[2])


def _may_be_class(name: str) -> bool:
    return split_word(name) is None and clean(name).casefold() not in PLAIN | MASKS

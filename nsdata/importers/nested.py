"""Folders within those that would be classes: where these may be the classes as well."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from nsdata.errors import BadInput
from nsdata.importers.class_names import clean
from nsdata.importers.formats.layout import readable
from nsdata.importers.tree import Tree
from nsdata.importers.unclear import folders
from nsdata.importers.words import MASKS, PLAIN, SUNDRY, split_word


def check_below(
    what: str, tops: Mapping[str, Sequence[Tree]], inner: Callable[[Tree, str], Tree], above: str = ""
) -> None:
    """Raise BadInput where folders that would be classes have folders of the same names below, at any depth: these may
    be the classes, of places or days above; or where they are letters of the alphabet, and those below begin with them.

    what: the source. inner: goes below folders that say nothing. above: what levels there are before, as in
    ``--levels``.
    """
    level = {name: [inner(tree, name) for tree in trees] for name, trees in tops.items()}
    if len(level) > 1 and all(map(_letter, level)) and all(map(_under, level.items())):
        raise _either(
            what, tops, "folders below that begin so", f"{min(level)}/{min(level[min(level)][0].children)}", above, "-"
        )
    levels = "-"
    while len(level) > 1 and any(level.values()):
        below = {
            name: {n for tree in trees for n in tree.children if _may_be_class(n)} for name, trees in level.items()
        }
        every = set().union(*below.values())
        bare = [below[name] for name, trees in level.items() if not any(tree.pictures for tree in trees)]
        shared = [n for n in every if sum(n in names for names in bare) > 1]
        telling = [n for n in shared if re.search(r"[^\W\d_]", n) and n.casefold() not in SUNDRY]
        same = set.intersection(*below.values())
        if len(every) > 1 and (telling or 2 * len(same) >= max(4, len(every))):
            raise _either(what, tops, "the same folders below", min(telling or same), above, levels)
        level = {name: [c for tree in trees for c in tree.children.values()] for name, trees in level.items()}
        levels += "/-"


def _either(what: str, tops: Mapping[str, object], have: str, example: str, above: str, levels: str) -> BadInput:
    return BadInput(
        f"{what} has {folders(sorted(tops))}, with {have}, as {readable(example)}/: either could be classes.",
        f"--levels {above}{levels}/class for those below, --levels {above}class for these",
    )


def _letter(name: str) -> bool:
    return len(name) == 1 and name.isalpha()


def _under(level: tuple[str, Sequence[Tree]]) -> bool:
    """Whether a folder that is a letter holds nothing but folders that begin with it, as in SUN397: ``a/abbey``."""
    name, trees = level
    below = [n for tree in trees for n in tree.children]
    return (
        bool(below) and not any(tree.pictures for tree in trees) and all(n[:1].lower() == name.lower() for n in below)
    )


def _may_be_class(name: str) -> bool:
    return split_word(name) is None and clean(name).casefold() not in PLAIN | MASKS

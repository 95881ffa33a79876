"""Class names of elsewhere that are written otherwise: which are the same class as one of the store's, which may be.

The rule of imports: names are compared in Unicode's NFC; one that differs in case or blanks only is that class, with a
notice, as long as no other is. What differs in ``_``, ``-`` and blanks is only offered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

from nsdata.arguments import alike
from nsdata.text import listed, visible


def recased(ours: Iterable[str], theirs: Iterable[str]) -> dict[str, str]:
    """Their name -> ours, of names without an exact partner that differ in case or blanks from one of theirs."""
    return _partners(ours, theirs, alike)


def likely(ours: Iterable[str], theirs: Iterable[str]) -> dict[str, str]:
    """The same of names that differ in ``_``, ``-``, blanks and case, for a person to confirm."""
    return _partners(ours, theirs, lambda name: re.sub(r"[\W_]+", "", alike(name)) or name)


def notice(recased: dict[str, str]) -> list[str]:
    """What was taken as the same class, in a sentence; none where nothing was."""
    pairs = [f"{visible(theirs)} → {visible(mine)}" for theirs, mine in recased.items()]
    return [f"matched without case: {listed(pairs, 10)}"] if pairs else []


def _partners(ours: Iterable[str], theirs: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    ours, theirs = list(ours), list(theirs)
    mine = [name for name in ours if name not in set(theirs)]
    left = [name for name in theirs if name not in set(ours)]
    counts = Counter(map(key, left))
    all_ours = Counter(map(key, ours))
    at = {key(name): name for name in mine if all_ours[key(name)] == 1}
    return {name: at[key(name)] for name in left if key(name) in at and counts[key(name)] == 1}

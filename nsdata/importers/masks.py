"""Masks beside photographs by their file names: ``1.png`` with ``1_mask.png`` or ``1.seg.png`` in one folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

from nsdata.importers.formats.layout import IMAGE_ENDINGS
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.words import MASKS

_WORDS = "|".join(sorted(MASKS | {"pred", "preds", "prediction", "predictions", "overlay"}))
_MASK = re.compile(rf"(.+?)(?:[._-]| ?\()(?:{_WORDS})(?:[_-]?[0-9]+)?\)?$", re.IGNORECASE)  # 1_mask, 1 (mask)
_FIRST = re.compile(rf"(?P<folder>(?:.*/)?)(?P<word>{_WORDS})[._-](?P<base>[^/]+)$", re.IGNORECASE)  # mask_1


class Masks:
    """Which pictures of a source are masks of others: by name, and only where the other lies beside."""

    def __init__(self) -> None:
        self._suspects: dict[str, list[tuple[str, str]]] = {}  # what one would be the mask of -> it, and its kind
        self.found: set[str] = set()  # sources of masks

    def look(self, source: str) -> None:
        """One picture of the source, asked for before any is taken."""
        tail = source[-40:]
        if not ("_" in tail or "-" in tail or "(" in tail or tail.count(".") > 1):  # nearly always
            return
        if (found := _MASK.match(name := stem(source))) is not None:
            key, shown = found[1], source[len(found[1]) + 1 :]
        elif (found := _FIRST.match(name)) is not None:
            key, shown = found["folder"] + found["base"], f"{found['word']}_"
        else:
            return
        self._suspects.setdefault(key, []).append((source, shown))

    def settle(self, look: Callable[[], Iterable[Found | Skipped]]) -> Counter[str]:
        """Find out which lie beside their picture; how many of each ending, ``mask.png``."""
        counts: Counter[str] = Counter()
        for each in look() if self._suspects else ():
            if isinstance(each, Found) and each.source.lower().endswith(IMAGE_ENDINGS):
                key = stem(each.source)
                for source, shown in self._suspects.pop(key, ()):
                    self.found.add(source)
                    counts[shown] += 1
        return counts


def stem(source: str) -> str:
    """A path without its last ending."""
    folder, slash, base = source.rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)

"""Leaks in passing: after an import, by the doctor and on the report they are looked for only where that is quick."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nsdata.analysis.leaks import Leaks, leaks
from nsdata.analysis.near import LEAST, ManyAlike
from nsdata.errors import NsdataError
from nsdata.progress import silent

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.versions.table import Table

IMAGE, PIXEL, PAIR = 40e-6, 5e-9, 1e-3  # seconds of one core, at most: benchmarks/RESULTS.md, Leaks


NOTHING = "nothing is held out, so nothing can leak"


class Glance(NamedTuple):
    """leaks: None where nobody looked, and ``why``; error: that kept from looking."""

    leaks: Leaks | None
    why: str = ""
    error: NsdataError | None = None

    @property
    def way(self) -> str:
        """What is typed to look further: where pictures cannot be read, looking for leaks again helps nobody."""
        return (self.error.hint if self.error is not None else "") or "nsdata leaks"

    @property
    def _leaking(self) -> dict[str, int]:
        found = {} if self.leaks is None else self.leaks.leaking
        return {split: found[split] for split in ("test", "val") if found.get(split)}

    @property
    def clean(self) -> bool | None:
        """Whether nothing leaks; None where nobody looked, and where pictures are too much alike to tell copies."""
        if self.leaks is None:
            return None
        if not self._leaking:
            return True
        return None if self.leaks.least > LEAST else False

    @property
    def text(self) -> str:
        """How many images of val and test look like others of another split, in words; or why nobody looked."""
        if self.leaks is None:
            return self.why
        leaking = self._leaking
        if not leaking:
            return "no image of val or test looks like another of another split"
        counts = [f"{count:,} of {self.leaks.images[split]:,} {split} images" for split, count in leaking.items()]
        looks = "looks like one" if sum(leaking.values()) == 1 else "look like others"
        alike = ", as pictures of this store do" if self.clean is None else ""
        return f"{' and '.join(counts)} {looks} of another split{alike}"


def glance(store: Handle, seconds: float) -> Glance:
    """Near-duplicates between splits, where finding them takes so long at most: the same store is always looked at."""
    try:
        why = _not_now(store.table, seconds)
        most = int(seconds / PAIR)
        return Glance(None, why) if why else Glance(leaks(store, on_progress=silent, most=most))
    except ManyAlike:
        return Glance(None, "not looked for: so many pictures look alike that it takes long")
    except NsdataError as error:
        return Glance(None, f"not looked for: {error.message.rstrip('.')}", error)


def _not_now(table: Table, seconds: float) -> str:
    """Why nobody should look."""
    shown = table.visible & (table.width > 0)
    splits = np.unique(table.split[shown])
    if not splits.any():
        return NOTHING
    images, pixels = int(shown.sum()), int((table.width[shown].astype(np.int64) * table.height[shown]).sum())
    long = IMAGE * images + PIXEL * pixels
    if long <= seconds or len(splits) == 1:
        return ""
    spell = f"{long:,.0f} seconds" if long < 100 else f"{long / 60:,.0f} minutes"
    return f"not looked for: {images:,} images take about {spell}"

"""``run.json``: what a run is of, as the worker that began it wrote it.

It lies there until the run is sealed, and whoever resumes may find anything in its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nsdata import untrusted
from nsdata.errors import StoreDamaged
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import to_label
from nsdata.log.state import State

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Record = dict[str, Any]
Ranges = list[tuple[int, int]]
Check = Callable[[Record, str, State], Ranges]

_MOST = 1 << 26  # bytes: the parts of a thousand million images take half a megabyte


def path(run: str) -> str:
    """Where it lies below the store."""
    return f"{run}/run.json"


def raw(record: Record) -> bytes:
    """Its file."""
    return json.dumps(record, sort_keys=True, indent=1).encode()


def read(store: Handle, run: str, check: Check) -> Record | None:
    """The record of a run of this store, None where there is none. Raises StoreDamaged for anything else in its place:
    also for cuts that are not of the images that such a run is of. check: what its kind has to be.
    """
    found = store.objects.get(path(run), most=_MOST)
    if found is None:
        return None
    try:
        return _checked(json.loads(found), store, run, check)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        kind = "labelling " if run.startswith("labels/") else ""
        raise StoreDamaged(f"The record of the {kind}run {run} is damaged.", "nsdata gc --older-than 0") from error


def of_labels(record: Record, run: str, pinned: State) -> Ranges:
    """What a labelling run has to say: the rows that it labels. Raises ValueError, KeyError, TypeError."""
    gen = untrusted.count(record["gen"])
    Codec.recorded(untrusted.mapping(record["identity"]))
    if not run.startswith(f"labels/gen-{gen}-"):
        raise ValueError("no generation of this run")
    return to_label(pinned, pinned.generations[gen] if untrusted.flag(record["extend"]) else None)


def _checked(value: Any, store: Handle, run: str, check: Check) -> Record:
    untrusted.shallow(value)
    record = untrusted.mapping(value)
    version = untrusted.count(record["version"])
    untrusted.maybe(untrusted.count)(record["replaces"])
    untrusted.text(record["began"])
    untrusted.mapping(record["identity"])
    if not 1 <= version <= store.version:
        raise ValueError("no version of this run")
    whole = check(record, run, store.at(version).state)
    record["cuts"] = [(untrusted.count(start), untrusted.count(rows)) for start, rows in record["cuts"]]
    if not all(rows for _, rows in record["cuts"]):
        raise ValueError("a part without rows")
    cuts, wanted = _joined([(start, start + rows) for start, rows in record["cuts"]]), _joined(whole)
    some = untrusted.flag(record.get("some", False))  # of them: those that somebody's soft labels are of
    if not (_within(cuts, wanted) if some else cuts == wanted):
        raise ValueError("the parts are not the images that the run is of")
    return record


def _joined(ranges: Ranges) -> Ranges:
    """(start, stop) of neighbouring ranges as one."""
    found: Ranges = []
    for start, stop in ranges:
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, stop))
    return found


def _within(ranges: Ranges, whole: Ranges) -> bool:
    """Whether ranges follow one another, each inside one of ``whole``."""
    following = all(stop < start for (_, stop), (start, _) in pairwise(ranges))
    return following and all(any(low <= start and stop <= high for low, high in whole) for start, stop in ranges)

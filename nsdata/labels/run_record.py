"""``run.json``: what a labelling run is of, as the worker that began it wrote it.

It lies there until the run is sealed, and whoever resumes may find anything in its place.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nsdata import untrusted
from nsdata.errors import StoreDamaged
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import to_label

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Record = dict[str, Any]
Ranges = list[tuple[int, int]]

_MOST = 1 << 26  # bytes: the parts of a thousand million images take half a megabyte


def path(run: str) -> str:
    """Where it lies below the store."""
    return f"{run}/run.json"


def raw(record: Record) -> bytes:
    """Its file."""
    return json.dumps(record, sort_keys=True, indent=1).encode()


def read(store: Handle, run: str) -> Record | None:
    """The record of a run of this store, None where there is none. Raises StoreDamaged for anything else in its place:
    also for cuts that are not of the images that such a run labels.
    """
    found = store.objects.get(path(run), most=_MOST)
    if found is None:
        return None
    try:
        return _checked(json.loads(found), store, run)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreDamaged(f"The record of the labelling run {run} is damaged.", "nsdata gc --older-than 0") from error


def _checked(value: Any, store: Handle, run: str) -> Record:
    untrusted.shallow(value)
    record = untrusted.mapping(value)
    gen, version = untrusted.count(record["gen"]), untrusted.count(record["version"])
    untrusted.maybe(untrusted.count)(record["replaces"])
    untrusted.text(record["began"])
    Codec.recorded(untrusted.mapping(record["identity"]))
    if not run.startswith(f"labels/gen-{gen}-") or not 1 <= version <= store.version:
        raise ValueError("no generation or version of this run")
    pinned = store.at(version).state
    covered = pinned.generations[gen] if untrusted.flag(record["extend"]) else None
    record["cuts"] = [(untrusted.count(start), untrusted.count(rows)) for start, rows in record["cuts"]]
    if not all(rows for _, rows in record["cuts"]):
        raise ValueError("a part without rows")
    cuts, wanted = (
        _joined([(start, start + rows) for start, rows in record["cuts"]]),
        _joined(to_label(pinned, covered)),
    )
    some = untrusted.flag(record.get("some", False))  # of them: those that somebody's soft labels are of
    if not (_within(cuts, wanted) if some else cuts == wanted):
        raise ValueError("the parts are not the images that are to be labelled")
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

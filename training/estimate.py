"""What a labelling run would take, before it is begun."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import numpy as np

from nsdata import Store
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import to_label
from nsdata.streaming.stream import stream
from training import answers, early, provenance
from training.averaged import each
from training.foreign.given import NOTHING, Given
from training.models import LoadedModel
from training.showing import Clean
from training.teacher import find_teacher


def estimate(
    store: Store,
    gen: int,
    teacher: Any | None,
    batch_size: int,
    device: str = "auto",
    replace: bool = False,
    extend: bool = False,
    top: int | None = None,
    tta: str | None = None,
    said: Given = NOTHING,
) -> dict[str, Any]:
    """What ``label`` would take, from a probe of at most four batches: images, bytes, seconds. Writes nothing.

    Raises what ``label`` raises; of a generation that is sealed just as it is asked for, there is nothing to do.
    """
    codec = Codec.of(top, len(store.classes))
    asked: dict[str, Any] = {"batch_size": batch_size, "device": device, "top": top, "tta": tta}
    sealed = early.check_label(store, gen, teacher, **asked, replace=replace, extend=extend, said=said, dry_run=True)
    if sealed is not None:
        return early.nothing_to_label(store, sealed)
    model = find_teacher(store, gen, teacher, said)
    model.check_classes(store.classes)
    model.to(provenance.device_of(model, device))
    ranges = to_label(store.state, store.generations[gen] if extend else None)
    rows = np.concatenate([np.arange(start, stop) for start, stop in ranges])
    seen = rows[store.table.width[rows] > 0][: 4 * batch_size]
    groups = answers.alike([Clean(one, tta) for one in each(model)])
    began = time.monotonic()
    for group in groups if len(seen) else ():
        options: dict[str, Any] = {"decode": group[0].decode, "shuffle": False}
        with closing(stream(store.table, seen, batch_size, **options)) as batches:
            for batch in batches:
                for one in group:
                    one.soft_labels(batch, 1.0)
    seconds = (time.monotonic() - began) * len(rows) / max(1, len(seen))
    return {
        "teacher": str(model.path if isinstance(model, LoadedModel) else model.whose),
        "images": len(rows),
        "bytes": len(rows) * codec.bytes_per_image(len(store.classes)),
        "seconds": round(seconds, 1),
    }

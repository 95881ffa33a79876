"""What a labelling run would take, before it is begun."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from nsdata import Store
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import to_label
from nsdata.streaming.stream import stream
from training import early, noise, provenance
from training.foreign.given import NOTHING, Given
from training.models import LoadedModel
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
    said: Given = NOTHING,
) -> dict[str, Any]:
    """What ``label`` would take, from a probe of at most four batches: images, bytes, seconds. Writes nothing.

    Raises what ``label`` raises; of a generation that is sealed just as it is asked for, there is nothing to do.
    """
    codec = Codec.of(top, len(store.classes))
    options: dict[str, Any] = {"batch_size": batch_size, "device": device, "top": top}
    sealed = early.check_label(store, gen, teacher, **options, replace=replace, extend=extend, said=said, dry_run=True)
    if sealed is not None:
        return early.nothing_to_label(store, sealed)
    model = find_teacher(store, gen, teacher, said)
    model.check_classes(store.classes)
    model.to(provenance.device_of(model, device))
    ranges = to_label(store.state, store.generations[gen] if extend else None)
    rows = np.concatenate([np.arange(start, stop) for start, stop in ranges])
    seen = rows[store.table.width[rows] > 0][: 4 * batch_size]
    decode = noise.clean(model.preprocess)
    began = time.monotonic()
    if len(seen):
        for batch in stream(store.table, seen, batch_size, decode=decode, shuffle=False):
            model.probabilities(batch.images)
    seconds = (time.monotonic() - began) * len(rows) / max(1, len(seen))
    return {
        "teacher": str(model.path if isinstance(model, LoadedModel) else model.whose),
        "images": len(rows),
        "bytes": len(rows) * codec.bytes_per_image(len(store.classes)),
        "seconds": round(seconds, 1),
    }

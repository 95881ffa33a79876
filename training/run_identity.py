"""What makes two runs the same: a run is resumed only where nothing of it differs."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata import View
from training import starting
from training.config import TrainConfig
from training.split import Split

if TYPE_CHECKING:
    from training.models import Preprocess

FORMAT = 2
"""Of what is compared and of what a step does: it rises when a run begun before would go on otherwise than it began."""

FREE = {"checkpoint_seconds", "device"}


def identity(
    config: TrainConfig,
    steps: int,
    gen: int,
    classes: tuple[str, ...],
    preprocess: Preprocess | None,
    split: Split,
    device: str | None,
) -> dict[str, Any]:
    """What must be equal for a run to be resumed: names as a person reads them, plain values.

    preprocess, device: None leaves out what only torch knows.
    """
    # of two runs the first difference is told: what they are of before settings, of which some follow from it
    found: dict[str, Any] = {"format": FORMAT, "generation": gen, "classes": list(classes)}
    for name, view in (("labelled", split.labelled), ("validation", split.val), ("soft-labelled", split.unlabelled)):
        found[f"{name} images"] = None if view is None else f"{len(view):,} (digest {_digest(view.rows, view.ids)})"
        if name != "soft-labelled":  # an image may have been relabelled
            found[f"labels of the {name} images"] = None if view is None else _digest(view.labels)
    found["soft labels"] = None if split.unlabelled is None else _soft(split.unlabelled)
    found |= {name: value for name, value in config.to_dict().items() if name not in FREE}
    found |= starting.identity(config, split.unlabelled)
    found["number of steps"] = steps
    if device is not None:
        found["device"] = device
    if preprocess is not None:
        found["preprocessing"] = preprocess.to_dict()
    return found


def _digest(*arrays: np.ndarray) -> str:
    whole = hashlib.blake2b(digest_size=8)
    for array in arrays:
        whole.update(array.tobytes())
    return whole.hexdigest()


def _soft(view: View) -> str:
    """Which soft labels, by content: the parts that hold the view's rows. Neither the store's version nor an event's
    number: they move on with a tag, or when images that came later are labelled."""
    assert view.gen is not None
    rows = np.unique(view.rows)
    parts = view.store.state.generations[view.gen].parts
    ends = [np.searchsorted(rows, (part.start, part.start + part.rows)) for part in parts]
    held = [[p.start, p.rows, p.digests] for p, (first, last) in zip(parts, ends, strict=True) if first < last]
    digest = _digest(np.frombuffer(json.dumps(held, sort_keys=True).encode(), np.uint8))
    return f"generation {view.gen} (digest {digest})"


def other(was: dict[str, Any], now: dict[str, Any], *, finished: bool) -> str | None:
    """What makes a recorded run another one than this, in words; None if it is this one.

    A setting that the record does not know yet has its default: that is what was done before there was a choice. What
    ``now`` leaves out is not asked. A finished run of an earlier format is what it is, one unfinished cannot go on.
    """
    written = was.get("format")
    if not isinstance(written, int) or written > FORMAT:
        return "it is of a later nsdata" if isinstance(written, int) else "it does not say of what"
    if written < FORMAT and not finished:
        return "it was begun by an earlier nsdata, whose learning rate and initial weights were others"
    meant = {**TrainConfig().to_dict(), **was, "format": FORMAT}
    return difference({name: meant.get(name) for name in (now if finished else {**now, **was})}, now)


def difference(was: dict[str, Any], now: dict[str, Any]) -> str | None:
    """The first thing that differs, in words; None if nothing does."""
    for name in {**now, **was}:
        if was.get(name) != now.get(name):
            return f"{name} was {_shown(was.get(name))}, now {_shown(now.get(name))}"
    return None


def _shown(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 200 else text[:199] + "…"

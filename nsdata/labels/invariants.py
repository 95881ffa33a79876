"""What soft labels must obey: as a teacher wrote them, and as they are stored.

Legend: N rows, K classes, k of them stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadLabels
from nsdata.labels.codec import Codec

Array = NDArray[Any]

SUM_TOLERANCE = 1e-3  # of a float16 soft label's sum: K rounded probabilities

# float16 keeps 11 significant bits: a stored probability is within 2^-11 of the true one, relatively; below 2^-14,
# within 2^-25 absolutely
HALF_EPSILON, HALF_TINY = 2.0**-11, 2.0**-25


_BLOCK = 1 << 22  # probabilities checked at a time: a part of 1,000 classes does not lie in memory three times


def check_probabilities(soft_NK: Array, rows: int, classes: int) -> Array:
    """What a teacher wrote, as (rows, K) float32. Raises BadLabels naming the first thing that is wrong."""
    soft = np.asarray(soft_NK)
    if soft.shape != (rows, classes):
        raise BadLabels(
            f"Soft labels have shape {soft.shape}; the store has {classes} classes, "
            f"so ({rows}, {classes}) was expected."
        )
    if soft.dtype.kind != "f":
        raise BadLabels(f"Soft labels are {soft.dtype}; floating-point probabilities were expected.")
    soft = soft.astype(np.float32, copy=False)
    if not np.isfinite(soft).all():
        bad = int(np.flatnonzero(~np.isfinite(soft).all(1))[0])
        raise BadLabels(f"The soft label at position {bad} holds NaN or infinity.", "Was the teacher's loss finite?")
    if rows and (soft.min() < 0 or soft.max() > 1 + SUM_TOLERANCE):
        low, high = float(soft.min()), float(soft.max())
        raise BadLabels(
            f"Soft labels range from {low:.3g} to {high:.3g}; probabilities from 0 to 1 were expected.",
            "Apply softmax to logits first.",
        )
    sums = soft.sum(1, dtype=np.float64)
    if rows and np.abs(sums - 1).max() > SUM_TOLERANCE:
        bad = int(np.abs(sums - 1).argmax())
        raise BadLabels(f"The soft label at position {bad} sums to {sums[bad]:.4f}; 1 was expected.")
    return soft


def check_columns(codec: Codec, columns: Mapping[str, Array], classes: int) -> None:
    """The invariants of a part's columns. Raises BadLabels naming the first that is broken, and the row.

    columns: all of ``codec.schema(classes)``, n rows each; a row's number counts from the first of them.
    """
    rows = len(columns["confidence"])
    for name, spec in codec.schema(classes).items():
        shape = (rows, spec.width) if spec.width else (rows,)
        if columns[name].shape != shape or columns[name].dtype != spec.type:
            raise BadLabels(
                f"The stored column {name} is {columns[name].dtype} of shape {columns[name].shape}; "
                f"{spec.type} of shape {shape} was expected."
            )
    step = max(1, _BLOCK // classes)
    for start in range(0, rows, step):
        block = {name: values[start : start + step] for name, values in columns.items()}
        if codec.top is not None:
            _check_top(block, classes, start)
        check_stored(codec.decode(block, classes), block["pseudo_label"], block["confidence"], start)


def check_stored(soft_NK: Array, pseudo_N: Array, confidence_N: Array, first: int = 0) -> None:
    """The invariants of stored labels, soft labels decoded. Raises BadLabels naming the first that is broken.

    first: the number of the first row, for the message.
    """
    soft_NK = soft_NK.astype(np.float32)  # exact, and numpy is slow at float16
    finite_N = np.isfinite(soft_NK).all(1) & np.isfinite(confidence_N)
    _law(finite_N, first, "The stored soft label of row {} holds NaN or infinity.")
    in_range_N = (soft_NK.min(1) >= 0) & (soft_NK.max(1) <= 1 + SUM_TOLERANCE)
    _law(in_range_N, first, "The stored soft label of row {} holds a probability outside of 0 to 1.")
    sums = soft_NK.sum(1, dtype=np.float64)
    agrees_N = np.abs(sums - 1) <= SUM_TOLERANCE * 2  # rounding to float16 adds to the writer's own error
    _law(agrees_N, first, "The stored soft label of row {} sums to {:.4f}; 1 was expected.", sums)
    known_N = (pseudo_N >= 0) & (pseudo_N < soft_NK.shape[1])
    _law(known_N, first, "The stored pseudo-label of row {} is {}, which is not one of the classes.", pseudo_N)
    stored_N = soft_NK[np.arange(len(soft_NK)), pseudo_N]
    near_N = np.abs(stored_N.clip(0, 1) - confidence_N) <= HALF_EPSILON * confidence_N + HALF_TINY
    _law(near_N, first, "The stored confidence of row {} is not the probability of its pseudo-label.")
    # rounding keeps the order, so not even a rounded probability may be above the pseudo-label's
    _law(soft_NK.max(1) <= stored_N, first, "The stored pseudo-label of row {} is not the most probable class.")


def _check_top(columns: Mapping[str, Array], classes: int, first: int) -> None:
    """The invariants of top-k that hold before anything is decoded."""
    top_Nk, kept_Nk = columns["top_class"], columns["top_probability"].astype(np.float32)
    known_N = (top_Nk.min(1) >= 0) & (top_Nk.max(1) < classes)
    _law(known_N, first, "A stored class of row {} is not one of the classes.")
    _law((np.diff(np.sort(top_Nk, 1), axis=1) != 0).all(1), first, "Row {} stores a class twice.")
    _law((top_Nk[:, 0] == columns["pseudo_label"]), first, "The pseudo-label of row {} is not its first stored class.")
    _law(np.isfinite(kept_Nk).all(1), first, "The stored soft label of row {} holds NaN or infinity.")
    _law((np.diff(kept_Nk, axis=1) <= 0).all(1), first, "The stored probabilities of row {} do not descend.")
    residual, kl = columns["residual"], columns["kl"]
    whole_N = (residual >= 0) & (residual <= 1 + SUM_TOLERANCE)
    _law(whole_N, first, "The residual of row {} is {:.4g}; 0 to 1 was expected.", residual)
    sums = kept_Nk.sum(1, dtype=np.float64) + residual  # reading caps what is spread, and would hide it
    agrees_N = np.abs(sums - 1) <= SUM_TOLERANCE * 2
    _law(agrees_N, first, "The stored probabilities of row {} and their residual sum to {:.4f}; 1 was expected.", sums)
    lost_N = np.isfinite(kl) & (kl >= 0)
    _law(lost_N, first, "The divergence of row {} is {:.4g}; a number from 0 up was expected.", kl)


def _law(holds_N: Any, first: int, broken: str, values_N: Array | None = None) -> None:
    """Raise BadLabels for the first row where an invariant does not hold."""
    if not holds_N.all():
        bad = int(np.flatnonzero(~holds_N)[0])
        raise BadLabels(broken.format(f"{first + bad:,}", *([] if values_N is None else [values_N[bad]])))

"""How a soft label lies in a part: all K probabilities as float16, or the k largest and what the others have together.

Legend: n rows, K classes, k kept; p what the teacher wrote (float32), q what is read back.

What top-k keeps, and why so:

* The residual is stored, in float32, though 1 - Σ of the stored probabilities would nearly give it: float16 rounds a
  confident teacher's 0.9999 to 1.0, and that rounding is larger than all the other classes together.
* It is spread evenly over the others and never renormalised away: a student learns that *something* else is left.
* No spread probability exceeds a kept one, so the order of the classes and the pseudo-label survive reading.
* Equal probabilities: the lower class is kept, and comes first.

What reading back loses is KL(p ‖ q) with q as the student will see it, in float16, both scaled to sum 1. Below 3e-8,
float16 reads 0, for which the divergence is infinite though next to nothing was lost (dense labels lose it too):
there, and only there, q is taken before it is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata import schema
from nsdata.arguments import whole_number
from nsdata.errors import BadInput, StoreTooNew
from nsdata.untrusted import TOP_K

Array = NDArray[Any]

_LOST = 2.0**-25  # the largest number that float16 rounds to 0: half of its smallest
_BLOCK = 1 << 16  # probabilities worked on at a time: few enough to stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Codec:
    """How a soft label of K classes lies in a part: ``top`` = k, or None for all K probabilities."""

    top: int | None = None

    @classmethod
    def of(cls, top: int | None, classes: int) -> Codec:
        """The codec that a person asks for. Raises BadInput unless ``top`` is None or 1 to K-1."""
        if top is None:
            return cls()
        top = whole_number("top", top)
        if top < 1:
            raise BadInput(f"The {top} largest probabilities cannot be kept; at least 1 was expected.", "--top 10")
        if top >= classes:
            raise BadInput(
                f"The {top} largest of {classes} probabilities are all of them: a dense soft label is smaller.",
                f"Leave out --top, or --top {max(1, classes // 10)}.",
            )
        return cls(top)

    @classmethod
    def parse(cls, text: str) -> Codec:
        """The codec that a generation's provenance names. Raises StoreTooNew for one that is not known here."""
        if text == cls().name:
            return cls()
        found = TOP_K.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise StoreTooNew(
                f"Soft labels are stored in a way that this nsdata does not know: {text!r}.",
                "pip install --upgrade nsdata",
            )
        return cls(int(found[1]))

    @classmethod
    def recorded(cls, facts: Mapping[str, Any]) -> Codec:
        """The codec of a run's identity or a generation's provenance; dense where none is named, as before there were
        others. Raises StoreTooNew.
        """
        return cls.parse(facts.get("codec", cls().name))

    @property
    def name(self) -> str:
        """As provenance records it: "dense float16" or "top-10 float16"."""
        return "dense float16" if self.top is None else f"top-{self.top} float16"

    @property
    def soft_columns(self) -> tuple[str, ...]:
        """The columns that ``decode`` needs."""
        return ("soft_label",) if self.top is None else ("top_class", "top_probability", "residual")

    def schema(self, classes: int) -> schema.Schema:
        """The columns of a part for K = ``classes``."""
        return schema.part(classes, self.top)

    def bytes_per_image(self, classes: int) -> int:
        """What one image's row takes in a part, the dataset's own overhead left out."""
        return sum(np.dtype(column.type).itemsize * (column.width or 1) for column in self.schema(classes).values())

    def encode(self, soft_NK: Array) -> dict[str, Array]:
        """The columns of a part for (n, K) float32 probabilities that ``invariants.check_probabilities`` let through.

        Top-k adds ``kl``, (n,) float32: the nats that each label loses, 0 or more, right to about 1e-6.
        """
        named = dict(zip(("pseudo_label", "confidence"), _called(soft_NK), strict=True))
        if self.top is None:
            return {"soft_label": _halves(soft_NK), **named}
        classes = soft_NK.shape[1]
        columns = {name: _empty(spec, len(soft_NK)) for name, spec in self.schema(classes).items() if name not in named}
        for block in _blocks(soft_NK):
            p_NK = soft_NK[block] + np.float32(0)  # a copy, and -0.0 becomes 0.0
            top_Nk = _largest(p_NK, self.top)
            p_Nk = np.take_along_axis(p_NK, top_Nk, 1)
            columns["top_class"][block] = top_Nk
            columns["top_probability"][block] = kept_Nk = _halves(p_Nk)
            columns["residual"][block] = residual_N = _rest(p_NK, top_Nk).astype(np.float32)
            columns["kl"][block] = _divergence(p_NK, p_Nk, kept_Nk, residual_N)
        return {**columns, **named}

    def decode(self, columns: Mapping[str, Array], classes: int) -> Array:
        """(n, K) float16, 0 to 1, rows sum to what the teacher's did within 6e-4: soft labels of their columns."""
        if self.top is None:
            return columns["soft_label"]
        kept_Nk = columns["top_probability"]
        soft_NK = np.empty((len(kept_Nk), classes), np.float16)
        soft_NK[:] = _spread(kept_Nk, columns["residual"], classes)[:, None]
        np.put_along_axis(soft_NK, columns["top_class"].astype(np.int64), kept_Nk, 1)
        return soft_NK

    def at_most(self, soft_NK: Array, labels_N: Array) -> Array:
        """(n,) float64: the largest that the teacher's probability of each label can have been where what ``decode``
        gave is not it, NaN where it is.

        soft_NK: (n, K) from ``decode``. labels_N: (n,) int, 0 up; from K on the teacher did not know the class. Dense
        labels read 0 below 2^-25. Top-k gives all classes that it did not keep the same: one of them had at most the
        smallest that was kept, and at most what they have together.
        """
        n, classes = soft_NK.shape
        most_N = np.full(n, np.nan)
        inside_N = np.flatnonzero(labels_N < classes)
        labels_N = labels_N[inside_N]
        if self.top is None:
            most_N[inside_N[soft_NK[inside_N, labels_N] == 0]] = _LOST
            return most_N
        for block in _blocks(soft_NK[: len(inside_N)]):
            rows_N = inside_N[block]
            some_NK = soft_NK[rows_N].astype(np.float64)
            spread_N = some_NK.min(1)
            kept_NK = some_NK > spread_N[:, None]
            least_N = np.where(kept_NK, some_NK, np.inf).min(1)  # of those kept, unless some are as small as the rest
            least_N = np.where(kept_NK.sum(1) < self.top, spread_N, least_N)
            others = classes - self.top
            bound_N = np.minimum(_unrounded(least_N), others * _unrounded(spread_N))
            stored_N = np.take_along_axis(kept_NK, labels_N[block, None], 1)[:, 0]
            most_N[rows_N] = np.where(stored_N, np.nan, bound_N)
        return most_N


def _unrounded(p: Array) -> Array:
    """The largest numbers that float16 rounds to these: half a step above them."""
    return p * (1 + 2.0**-11) + _LOST


def derive(soft_NK: Array) -> tuple[Array, Array, Array]:
    """soft label (N, K) float16, pseudo-label (N,) int32 and confidence (N,) float32 of float32 probabilities.

    Pseudo-label and confidence come from the float32 values (in float16 one confidence in ten is exactly 1.0 for a
    sharp teacher); ties go to the lowest class.
    """
    return _halves(soft_NK), *_called(soft_NK)


def _called(soft_NK: Array) -> tuple[Array, Array]:
    """pseudo-label (n,) int32 and confidence (n,) float32."""
    pseudo = soft_NK.argmax(1).astype(np.int32)
    return pseudo, soft_NK[np.arange(len(soft_NK)), pseudo].clip(0, 1)


def _halves(p_NK: Array) -> Array:
    """``p_NK.astype(np.float16)`` for float32 from 0 up, bit for bit, and 6 times as fast for 1,000 classes.

    Below 2^-14, where most of them lie, float16 has steps of 2^-24, and processors take 40 ns to find the nearest: a
    whole number does it in 2.
    """
    halves_NK = np.empty(p_NK.shape, np.float16)
    for block in _blocks(p_NK):
        small_NK = np.where(p_NK[block] < np.float32(2**-14), p_NK[block], np.float32(0))
        large_NK = (p_NK[block] - small_NK).astype(np.float16)
        steps_NK = np.rint(small_NK * np.float32(2**24)).astype(np.uint16)
        halves_NK[block] = (large_NK.view(np.uint16) | steps_NK).view(np.float16)
    return halves_NK


def _blocks(p_NK: Array) -> Iterator[slice]:
    step = max(1, _BLOCK // p_NK.shape[1])
    return (slice(start, start + step) for start in range(0, len(p_NK), step))


def _empty(spec: schema.Column, rows: int) -> Array:
    return np.empty((rows, spec.width) if spec.width else rows, spec.type)


def _largest(p_NK: Array, top: int) -> Array:
    """(n, k) int64: the classes of the k largest, descending; of equal ones the lower class first.

    The bits of floats that are not negative order as the floats do: with the class below them, no two keys are equal.
    """
    classes = p_NK.shape[1]
    keys = p_NK.view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(classes - 1, -1, -1, dtype=np.uint64)
    keys.partition(classes - top, axis=1)
    kept = np.sort(keys[:, classes - top :], axis=1)[:, ::-1]
    return classes - 1 - (kept & np.uint64(0xFFFF_FFFF)).astype(np.int64)


def _rest(p_NK: Array, top_Nk: Array) -> Array:
    """(n,) float64: the sum of all others. Added up, since 1 - Σ would drown a small rest in rounding."""
    others_NK = p_NK.copy()
    np.put_along_axis(others_NK, top_Nk, 0, 1)
    return others_NK.sum(1, dtype=np.float64)


def _spread(kept_Nk: Array, residual_N: Array, classes: int) -> Array:
    """(n,) float16: what each class that was not kept reads as."""
    even_N = residual_N / np.float32(classes - kept_Nk.shape[1])
    return np.minimum(even_N.astype(np.float16), kept_Nk[:, -1])  # rounding must not lift it above a kept one


def _divergence(p_NK: Array, p_Nk: Array, kept_Nk: Array, residual_N: Array) -> Array:
    """(n,) float64: KL(p ‖ q) in nats. One logarithm per probability: every class of the rest has the same q."""
    tiny = np.finfo(np.float32).tiny
    others = p_NK.shape[1] - p_Nk.shape[1]
    q_Nk = np.where(kept_Nk > 0, kept_Nk, p_Nk).astype(np.float64)
    q_N = _spread(kept_Nk, residual_N, p_NK.shape[1]).astype(np.float64)
    q_N = np.where(q_N > 0, q_N, residual_N.astype(np.float64) / others)
    total_N = p_NK.sum(1, dtype=np.float64)
    rest_N = total_N - p_Nk.sum(1, dtype=np.float64)
    log_p = np.log(np.maximum(p_NK, tiny))
    crossed = (p_NK * log_p).sum(1, dtype=np.float64)
    crossed -= (p_Nk * np.log(np.maximum(q_Nk, tiny))).sum(1) + rest_N * np.log(np.maximum(q_N, tiny))
    return (crossed / total_N - np.log(total_N) + np.log(q_Nk.sum(1) + others * q_N)).clip(0)

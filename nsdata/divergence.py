"""How far apart two soft labels are: the Jensen-Shannon divergence, at the speed at which labels are read.

Legend: m rows, K classes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK_VALUES = 1 << 16  # numbers worked on at a time: they stay in the processor's cache
_LEAST = 1e-30  # for 0, whose logarithm would be infinite: it adds nothing


def divergence(soft_a: NDArray[np.floating[Any]], soft_b: NDArray[np.floating[Any]]) -> float:
    """The sum of the divergences of (m, K) and (m, K) soft labels, row by row: 0 to m ln 2 nats.

    JS = H((p+q)/2) - (H(p)+H(q))/2 (Lin 1991), exactly 0 for equal rows. Rows are brought to sum 1 first (stored
    float16 ones miss it by up to 1e-3). float16 is worked on in float32, which is right to 1e-6, all else in float64.
    """
    K = soft_a.shape[1]
    total, step = 0.0, max(1, _BLOCK_VALUES // K)
    halves = soft_a.dtype == soft_b.dtype == np.float16
    work = np.empty((3, min(step, len(soft_a)), K), np.float32 if halves else np.float64)
    for start in range(0, len(soft_a), step):
        some_a, some_b = soft_a[start : start + step], soft_b[start : start + step]
        if _bits_equal(some_a, some_b):
            continue
        p_mK, q_mK, both_mK = work[:, : len(some_a)]
        _probabilities(some_a, p_mK)
        _probabilities(some_b, q_mK)
        # 2 JS = Σ p ln p + q ln q - (p+q) ln ((p+q)/2); where p = q these cancel to the last bit
        np.add(p_mK, q_mK, out=both_mK)
        p_mK *= np.log(p_mK)
        q_mK *= np.log(q_mK)
        p_mK += q_mK
        np.multiply(both_mK, 0.5, out=q_mK)
        both_mK *= np.log(q_mK, out=q_mK)
        p_mK -= both_mK
        total += float(np.maximum(_row_sums(p_mK), 0).sum(dtype=np.float64)) / 2
    return total


def _probabilities(soft_mK: NDArray[np.floating[Any]], out_mK: NDArray[Any]) -> None:
    """Fill ``out_mK``, float32 only for float16, with rows that sum to 1, none of their numbers 0."""
    if out_mK.dtype == np.float32:
        np.take(_halves(), soft_mK.view(np.uint16), out=out_mK, mode="wrap")  # the fastest mode: all are inside
    else:
        np.maximum(soft_mK, _LEAST, out=out_mK)
    out_mK *= (1 / _row_sums(out_mK))[:, None]


def _bits_equal(a_mK: NDArray[Any], b_mK: NDArray[Any]) -> bool:
    """Whether two arrays are the same: as bits, since float16 is compared in software."""
    if a_mK.dtype == b_mK.dtype == np.float16:
        return np.array_equal(a_mK.view(np.uint16), b_mK.view(np.uint16))
    return np.array_equal(a_mK, b_mK)


@cache
def _halves() -> NDArray[np.float32]:
    """(65536,) float32: every float16, by its bits. Processors take ten times as long to convert the small ones."""
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    return np.where(values == 0, np.float32(_LEAST), values)


def _row_sums(values_mK: NDArray[Any]) -> NDArray[Any]:
    """(m,) sums of rows: a product with ones, since numpy adds up short rows ten times as slowly."""
    return values_mK @ np.ones(values_mK.shape[1], values_mK.dtype)

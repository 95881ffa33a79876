"""How far apart two soft labels are: the Jensen-Shannon divergence, in a few nanoseconds a number.

Legend: m rows, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.compiled import native

_BLOCK_VALUES = 1 << 18  # numbers worked on at a time: a few MB; of fewer, threads wait for each other
_LEAST = 1e-30  # for 0, whose logarithm would be infinite: it adds nothing


def divergence(soft_a: NDArray[np.floating[Any]], soft_b: NDArray[np.floating[Any]]) -> float:
    """The sum of the divergences of (m, K) and (m, K) soft labels, row by row: 0 to m ln 2 nats.

    JS = H((p+q)/2) - (H(p)+H(q))/2 (Lin 1991), exactly 0 for equal rows. Rows are brought to sum 1 first (stored
    float16 ones miss it by up to 1e-3). float16 is worked on in float32, which is right to 1e-6, all else in float64.
    float16 goes through the part in C where it was built (nsdata/arithmetic/native), without the interpreter lock.
    """
    K = soft_a.shape[1]
    halves = soft_a.dtype == soft_b.dtype == np.float16
    if halves and K and soft_a.shape == soft_b.shape and (fused := native()) is not None:
        return float(fused.divergence(np.ascontiguousarray(soft_a), np.ascontiguousarray(soft_b), K))
    total, step = 0.0, max(1, _BLOCK_VALUES // K)
    work = np.empty((4, min(step, len(soft_a)), K), np.float32 if halves else np.float64)
    for start in range(0, len(soft_a), step):
        some_a, some_b = soft_a[start : start + step], soft_b[start : start + step]
        if _bits_equal(some_a[:1], some_b[:1]) and _bits_equal(some_a, some_b):
            continue
        p_mK, q_mK, both_mK, free_mK = work[:, : len(some_a)]
        _above_nothing(some_a, p_mK, free_mK)
        _above_nothing(some_b, q_mK, free_mK)
        p_m, q_m = _row_sums(p_mK), _row_sums(q_mK)
        q_mK *= (p_m / q_m)[:, None]  # both of one sum now: the rest is in proportion to it
        # 2 JS = Σ p ln p + q ln q - (p+q) ln ((p+q)/2); where p = q these cancel to the last bit
        np.add(p_mK, q_mK, out=both_mK)
        p_mK *= np.log(p_mK, out=free_mK)
        q_mK *= np.log(q_mK, out=free_mK)
        p_mK += q_mK
        np.multiply(both_mK, 0.5, out=free_mK)
        both_mK *= np.log(free_mK, out=free_mK)
        p_mK -= both_mK
        total += float((np.maximum(_row_sums(p_mK), 0) / p_m).sum(dtype=np.float64)) / 2
    return total


def _above_nothing(soft_mK: NDArray[np.floating[Any]], out_mK: NDArray[Any], free_mK: NDArray[Any]) -> None:
    """Fill ``out_mK``, float32 only for float16, with these numbers, and with next to nothing for 0.

    Processors and numpy take several times as long to convert float16, above all numbers below 2^-14, as bits do.
    """
    if out_mK.dtype == np.float32:
        bits_mK = out_mK.view(np.uint32)
        np.copyto(bits_mK, soft_mK.view(np.uint16))
        bits_mK &= np.uint32(0x7FFF)  # -0 is 0
        bits_mK <<= np.uint32(13)
        bits_mK += np.uint32(112 << 23)  # from the exponents of float16 to those of float32: x, from 2^-14 on
        np.add(out_mK, out_mK, out=free_mK)
        free_mK -= np.float32(2**-14)  # below, where exponents stand still, 2x - 2^-14 is right, and less than x
        np.minimum(out_mK, free_mK, out=out_mK)
        out_mK += np.float32(_LEAST)  # to all others it is nothing
    else:
        np.maximum(soft_mK, _LEAST, out=out_mK)


def _bits_equal(a_mK: NDArray[Any], b_mK: NDArray[Any]) -> bool:
    """Whether two arrays are the same: as bits, since float16 is compared in software."""
    if a_mK.dtype == b_mK.dtype == np.float16:
        return np.array_equal(a_mK.view(np.uint16), b_mK.view(np.uint16))
    return np.array_equal(a_mK, b_mK)


def _row_sums(values_mK: NDArray[Any]) -> NDArray[Any]:
    """(m,) sums of rows: a product with ones, since numpy adds up short rows ten times as slowly."""
    return values_mK @ np.ones(values_mK.shape[1], values_mK.dtype)

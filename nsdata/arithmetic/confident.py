"""Confident learning (Northcutt, Jiang & Chuang 2021) in two passes over blocks of rows, so that memory is bounded.

What it gives is what cleanlab's ``num_label_issues``, ``get_label_quality_scores`` and ``find_label_issues`` give with
the same choices, which a test holds against each other. cleanlab's own way in batches estimates another number
(benchmarks/RESULTS.md), and loading cleanlab takes seconds.

Legend: n labels, b of a block, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_NEAR = 1e-6  # by which a class is as probable as another, or as its threshold
_NEVER = 2.0  # the threshold of a class that no label names


class Doubts(NamedTuple):
    """doubted: (n,) bool, the labels that are probably wrong. quality: (n,) float64, 0 to 1, each label's probability.

    best: (n,) int32, the most probable class; likely: (n,) float64, its probability. expected: how many labels are
    wrong.
    """

    doubted: NDArray[np.bool_]
    quality: NDArray[np.float64]
    best: NDArray[np.int32]
    likely: NDArray[np.float64]
    expected: int


def doubts(labels_n: Array, classes: int, blocks: Callable[[], Iterable[Array]]) -> Doubts:
    """The least probable labels, as many as the confident joint has off its diagonal, but for those that are best.

    labels_n: 0 to K-1. blocks: (b, K) floats, row by row of all n labels in their order; called twice, for the same.
    """
    labels_n, n = labels_n.astype(np.int64), len(labels_n)
    quality_n, likely_n = np.empty(n), np.empty(n)
    best_n, agrees_n = np.empty(n, np.int32), np.empty(n, np.bool_)
    for at, wide_bK in _wide(blocks):
        every, label_b = np.arange(len(wide_bK)), labels_n[at]
        best_n[at], quality_n[at] = wide_bK.argmax(1), wide_bK[every, label_b]
        likely_n[at] = wide_bK[every, best_n[at]]
        wide_bK[every, label_b] += _NEAR
        agrees_n[at] = wide_bK.argmax(1) == label_b
    count_K = np.bincount(labels_n, minlength=classes)
    mean_K = np.bincount(labels_n, quality_n, classes) / np.maximum(count_K, 1)
    least_K = np.where(count_K > 0, np.maximum(mean_K, 2 * _NEAR), _NEVER) - _NEAR
    expected = 0
    for at, wide_bK in _wide(blocks):
        sure_bK = wide_bK >= least_K
        sure_b = sure_bK.sum(1)
        guess_b = np.where(sure_b > 1, best_n[at], sure_bK.argmax(1))
        expected += int(((sure_b > 0) & (guess_b != labels_n[at]) & ~agrees_n[at]).sum())
    doubted_n = np.zeros(n, np.bool_)
    doubted_n[np.argsort(quality_n, kind="stable")[:expected]] = True
    return Doubts(doubted_n & (best_n != labels_n), quality_n, best_n, likely_n, expected)


def _wide(blocks: Callable[[], Iterable[Array]]) -> Iterable[tuple[slice, Array]]:
    """Where each block's rows are, and the block as float64."""
    start = 0
    for block in blocks():
        yield slice(start, start + len(block)), block.astype(np.float64)
        start += len(block)

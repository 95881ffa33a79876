"""Labels judged by classifiers that have not seen them: logistic regression on vectors, in folds.

Each image is left out of one fold's classifier, which says how probable each class is of it. Which fold that is depends
on ids and labels alone: the same images are judged alike, in whatever order they came.

Legend: n labelled images, m that are fitted on, D numbers of a vector, K classes, F folds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.logistic import fit
from nsdata.arithmetic.seeded import hashes_of

Array = NDArray[Any]

FOLDS = 5
MOST = 20_000
"""Images that one classifier is fitted on: a class's first by a hash of the id."""

SEARCHED = 4_000
"""Of these, those on which penalties are compared."""

PENALTIES = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""Of half the squared weights' sum, beside the mean log loss. The first is taken after which the loss rises."""

EACH = 10  # images of every class that are fitted on, however many there are of others


class Probe:
    """Classifiers of n images, each fitted without a fold of them.

    seen: (n,) bool, whether the classifier of an image had seen others with its label: where not, nothing is said of
    it. penalty: that was chosen; fitted: images in all folds.
    """

    def __init__(
        self,
        vectors: Callable[[Array], Array],
        labels_n: Array,
        ids_n16: Array,
        fits_n: Array,
        classes: int,
    ) -> None:
        """Fit them.

        vectors: gives the (…, D) floats of some positions 0…n-1, ascending. labels_n: 0 to K-1, K = ``classes``.
        fits_n: (n,) bool, which of them classifiers may learn from; there are two or more of two classes or more. At
        most ``MOST`` are fitted on at a time.
        """
        hashes_n = hashes_of(np.arange(len(labels_n)), ids_n16, 0)
        self._vectors, self._fold_n = vectors, folds(labels_n, hashes_n, fits_n)
        some_m = _first(labels_n, hashes_n, fits_n, MOST * FOLDS // (FOLDS - 1))
        x_mD = vectors(some_m).astype(np.float32)
        self._mean_D, self._scale_D = x_mD.mean(0), x_mD.std(0)
        self._scale_D[self._scale_D <= 1e-6 * (1 + np.abs(self._mean_D))] = np.inf  # a number that never varies
        x_mD -= self._mean_D
        x_mD /= self._scale_D
        label_m, fold_m = labels_n[some_m], self._fold_n[some_m]
        self.penalty, self.fitted = _penalty(x_mD, label_m, fold_m, hashes_n[some_m]), len(some_m)
        self._weights = [_fitted(x_mD, label_m, fold_m != fold, self.penalty, classes) for fold in range(FOLDS)]
        self._classes = classes
        known_FK = np.stack([np.isfinite(bias_K) for _, bias_K in self._weights])
        self.seen: NDArray[np.bool_] = known_FK[self._fold_n, labels_n]

    def at(self, places: Array) -> NDArray[np.float32]:
        """(m, K) float32, rows sum to 1: how probable each class is of images at these positions, ascending."""
        x_mD = (self._vectors(places).astype(np.float32) - self._mean_D) / self._scale_D
        found_mK = np.empty((len(places), self._classes), np.float32)
        for fold, (weight_KD, bias_K) in enumerate(self._weights):
            here = self._fold_n[places] == fold
            found_mK[here] = _softmax(x_mD[here] @ weight_KD.T + bias_K)
        return found_mK


def folds(labels_n: Array, hashes_n: Array, fits_n: Array) -> NDArray[np.int64]:
    """(n,) int: the fold that each image is left out of, each class spread over all of them by the hashes of its ids,

    and by itself what classifiers may learn from.
    """
    found = np.empty(len(labels_n), np.int64)
    found[np.lexsort((hashes_n, labels_n, fits_n))] = np.arange(len(labels_n)) % FOLDS
    return found


def _first(labels_n: Array, hashes_n: Array, fits_n: Array, most: int) -> NDArray[np.int64]:
    """(m,) positions, ascending, of ``most`` images that may be fitted on: a few of every class, then by hash."""
    places = np.flatnonzero(fits_n)
    if len(places) <= most:
        return places
    order = places[np.lexsort((hashes_n[places], labels_n[places]))]
    starts = np.searchsorted(labels_n[order], labels_n[order])
    rest = np.arange(len(order)) - starts >= EACH
    return np.sort(order[np.lexsort((hashes_n[order], rest))][:most])


def _penalty(x_mD: Array, labels_m: Array, fold_m: Array, hashes_m: Array) -> float:
    """The penalty whose log loss on images that were left out is least, from strong to weak up to where it rises."""
    some = _first(labels_m, hashes_m, np.ones(len(labels_m), bool), SEARCHED)
    x_sD, labels_s, fold_s = x_mD[some], labels_m[some], fold_m[some]
    classes, before = int(labels_m.max()) + 1, np.inf
    for place, penalty in enumerate(PENALTIES):
        loss = 0.0
        for fold in range(FOLDS):
            weight_KD, bias_K = _fitted(x_sD, labels_s, fold_s != fold, penalty, classes)
            out = (fold_s == fold) & np.isfinite(bias_K)[labels_s]
            likely_s = _softmax(x_sD[out] @ weight_KD.T + bias_K)[np.arange(int(out.sum())), labels_s[out]]
            loss -= float(np.log(np.maximum(likely_s, 1e-30)).sum())
        if loss > before:
            return PENALTIES[place - 1]
        before = loss
    return PENALTIES[-1]


def _fitted(x_mD: Array, labels_m: Array, of_m: Array, penalty: float, classes: int) -> tuple[Array, Array]:
    """weight (K, D) and bias (K,) of the classifier of some images; -inf the bias of a class that is not among them."""
    known, labels = np.unique(labels_m[of_m], return_inverse=True)
    weight_KD = np.zeros((classes, x_mD.shape[1]), np.float32)
    bias_K = np.full(classes, -np.inf, np.float32)
    bias_K[known] = 0
    if len(known) > 1:
        found = fit(x_mD[of_m], labels, len(known), penalty)
        weight_KD[known], bias_K[known] = found[:, :-1], found[:, -1]
    return weight_KD, bias_K


def _softmax(logits_nK: Array) -> Array:
    """(n, K) float32 probabilities; one logit or more of each row is finite."""
    likely_nK = np.exp(logits_nK - logits_nK.max(1, keepdims=True))
    return np.asarray(likely_nK / likely_nK.sum(1, keepdims=True), np.float32)

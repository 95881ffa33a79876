"""Fingerprints that a picture shares with its copies: recompressed, resized, a little cropped, mirrored, brighter.

All of it comes from the whole picture at 32 x 32 pixels, in grey, and its cosine transform. A code is the signs of its
low frequencies, 63 in the first word and 57 in the second; mirroring flips those that are odd across. A crop shifts
them all, so a picture has ten codes: of itself, and of nine windows of nine tenths of its sides. Whether two pictures
are the same is then measured: a window of one is moved until its contours lie on the other's.

Figures that these numbers were chosen by are in benchmarks/RESULTS.md. Legend: n pictures, m pairs of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.images.crops import Crop

Array = NDArray[Any]

SIDE = 32  # pixels
FIRST, BOTH = 14, 30  # bits that the codes of copies differ in, at most: of the first word, and of both

_PART = 0.9  # of the sides, that a window shows
_SPANS = ((0.0, 1.0), *((start, start + _PART) for start in (0.0, (1 - _PART) / 2, 1 - _PART)))
_WINDOWS = ((0, 0), *((down, across) for down in (1, 2, 3) for across in (1, 2, 3)))  # numbers of spans
WINDOWS = np.array([[*_SPANS[down], *_SPANS[across]] for down, across in _WINDOWS])
"""(10, 4) float64: top, bottom, left and right of each window, 0 to 1; the first is the whole picture."""

_LOW, _ALL = 8, 11  # frequencies each way, in the first word and in both
_FINEST = 16  # frequency of contours: JPEG of low quality spoils finer ones
_STEPS = (0.03, 0.015, 0.0075, 0.004)  # of a side, by which an edge is moved
_TRIES = 3  # with each step
_FITS = 0.99  # likeness from which no edge is moved
_FLAT = 2.0  # grey levels of standard deviation: with less there is nothing to see


def _whole(widths: Array, heights: Array, keys: Array) -> Array:
    zeros = np.zeros(len(widths))
    return np.stack([zeros, zeros, widths, heights], 1).astype(np.float64)


SMALL = Crop(SIDE, SIDE, _whole, "box", reduce=True)
"""Each picture, whole, squeezed into the square."""


def grey(images: Array) -> Array:
    """(n, SIDE, SIDE, 3) uint8 -> (n, SIDE, SIDE) float32, 0 to 255."""
    return images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def is_flat(pictures: Array) -> Array:
    """(n,) bool: of one colour, or nearly: such pictures have no contours. pictures: of ``grey``."""
    return pictures.reshape(len(pictures), -1).std(1) < _FLAT


def codes(pictures: Array) -> Array:
    """(n, 10, 2) uint64: of each picture, and of each of its windows. pictures: of ``grey``."""
    across = (pictures.reshape(-1, SIDE) @ _ALL_SPANS.T).reshape(len(pictures), SIDE, -1)
    found = (_ALL_SPANS @ across).reshape(len(pictures), len(_SPANS), _ALL, len(_SPANS), _ALL)
    signs = np.zeros((len(pictures), len(_WINDOWS), 2, 64), np.bool_)
    for window, (down, side) in enumerate(_WINDOWS):
        block = found[:, down, :, side]
        block = block > 1e-3  # what is nothing but rounding is 0 in every copy
        signs[:, window, 0, : len(_WORDS[0])] = block[:, _WORDS[0][:, 0], _WORDS[0][:, 1]]
        signs[:, window, 1, : len(_WORDS[1])] = block[:, _WORDS[1][:, 0], _WORDS[1][:, 1]]
    return np.packbits(signs, axis=-1, bitorder="little").view("<u8")[..., 0].astype(np.uint64)


def likeness(one: Array, other: Array, windows: Array) -> tuple[Array, Array]:
    """How well a window of one picture lies on all of the other, at best: (m,) float32, -1 to 1, and that window.

    one, other: (m, SIDE, SIDE) of ``grey``. windows: (m, 4), where to begin. Where it does not fit already, each edge
    is moved a little, in and out, as long as that helps. Brightness and contrast do not matter.
    """
    wanted = _contours(_unwindowed(other))
    windows = windows.astype(np.float64)
    best = _overlap(one, windows, wanted)
    for step in _STEPS:
        left = np.flatnonzero(best < _FITS)  # and, after the first try, that moved in the last
        for _ in range(_TRIES):
            if not len(left):
                break
            moved = np.zeros(len(left), np.bool_)
            for edge in range(4):
                for by in (-step, step):
                    tried = windows[left]
                    tried[:, edge] = np.clip(tried[:, edge] + by, 0, 1)
                    found = _overlap(one[left], tried, wanted[left])
                    better = found > best[left] + 1e-5
                    at = left[better]
                    windows[at], best[at] = tried[better], found[better]
                    moved |= better
            left = left[moved]
    return best, windows


def _overlap(pictures: Array, windows: Array, wanted: Array) -> Array:
    down = _operators(windows[:, 0], windows[:, 1], _FINEST)
    across = _operators(windows[:, 2], windows[:, 3], _FINEST)
    found = _contours(down @ pictures @ across.transpose(0, 2, 1))
    return np.einsum("mk,mk->m", found, wanted)


def _unwindowed(pictures: Array) -> Array:
    whole = _operators(np.zeros(1), np.ones(1), _FINEST)[0]
    return whole @ pictures @ whole.T


def _contours(found: Array) -> Array:
    """(m, _FINEST ** 2) float32 of length 1: coarse frequencies weigh less, as they do in contours; 0 of a flat one."""
    flat = (found * _WEIGHTS).reshape(len(found), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3)


def _operators(low: Array, high: Array, frequencies: int) -> Array:
    """(m, frequencies, SIDE) float32: the cosine transform of SIDE points between two edges, 0 to 1, of a side."""
    points = (np.arange(SIDE) + 0.5) / SIDE
    at = np.clip((low[:, None] + points * (high - low)[:, None]) * SIDE - 0.5, 0, SIDE - 1)
    between = np.maximum(0, 1 - np.abs(at[:, :, None] - np.arange(SIDE))).astype(np.float32)
    return _cosines(frequencies) @ between


def _cosines(frequencies: int) -> Array:
    """(frequencies, SIDE) float32: rows are orthonormal."""
    waves = np.cos(np.pi * np.arange(frequencies)[:, None] * (np.arange(SIDE) + 0.5) / SIDE) * np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


def _words() -> list[Array]:
    """Which frequencies (down, across) are the bits of each word. Each band of the first has coarse and fine ones."""
    both = sorted(((d, a) for d in range(_ALL) for a in range(_ALL) if d + a), key=lambda f: (sum(f), f))
    low = [f for f in both if max(f) < _LOW]
    dealt = [f for band in range(4) for f in low[band::4]]
    return [np.array(dealt), np.array([f for f in both if max(f) >= _LOW])]


def _mirror() -> Array:
    odd = np.zeros((2, 64), np.bool_)
    for word, frequencies in enumerate(_WORDS):
        odd[word, : len(frequencies)] = frequencies[:, 1] % 2 == 1
    return np.packbits(odd, axis=-1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)


_WORDS = _words()
_LOWS, _HIGHS = np.array(_SPANS).T
_ALL_SPANS = np.concatenate(_operators(_LOWS, _HIGHS, _ALL))
_RADIUS = np.hypot(*np.mgrid[:_FINEST, :_FINEST])
_WEIGHTS = np.where(_RADIUS < _FINEST, _RADIUS, 0).astype(np.float32)
MIRROR = _mirror()
"""(2,) uint64: the code of a mirrored picture is ``code ^ MIRROR``, of a mirrored window that of the opposite one."""

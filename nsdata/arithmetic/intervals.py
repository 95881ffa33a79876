"""How sure an accuracy is: 95 % intervals of shares, and of the difference of two models on the same images.

Both are score intervals: all values that a two-sided score test at 5 % would not refuse. They never leave the range of
what they are of, and they have a width also where every image is right, or none changed: there a bootstrap, which can
only draw what it has seen, would give none. They need no random numbers: the same counts give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple, TypeGuard

from nsdata.errors import BadInput
from nsdata.untrusted import MOST

LEVEL = 0.95
"""Of every interval that is printed."""

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)  # 1.96


class Interval(NamedTuple):
    """From ``low`` to ``high``: shares, 0 to 1, or differences of two, -1 to 1."""

    low: float
    high: float

    def __str__(self) -> str:
        """In percent, or in points: "23.1 – 88.2"."""
        return f"{_points(self.low)} – {_points(self.high)}"


def wilson(right: int, n: int, *, z: float = _Z) -> Interval:
    """The interval of a share, of which ``right`` of ``n`` were seen; 0 to 1 for n = 0, of which nothing is known.

    Wilson 1927, JASA 22, 209-212, without correction for continuity: of the simple intervals the one whose coverage is
    closest to what it promises from n = 5 on (Brown, Cai and DasGupta 2001). z: how many standard deviations, 1.96 for
    95 %. Raises BadInput unless 0 ≤ right ≤ n.
    """
    if not 0 <= right <= n:
        raise BadInput(f"{right} of {n} cannot be; 0 to {max(n, 0)} were expected.")
    if not n:
        return Interval(0.0, 1.0)
    share, square = right / n, z * z
    middle = share + square / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    low, high = ((middle + side * half) / (1 + square / n) for side in (-1, 1))
    # its ends are exact where all or none is right, which rounding misses
    return Interval(max(0.0, low) if right else 0.0, min(1.0, high) if right < n else 1.0)


def paired(fixed: int, broken: int, n: int, *, z: float = _Z) -> Interval:
    """The interval of the gain (fixed - broken) / n: by how much a second model is more accurate than a first one.

    fixed: images that the first has wrong and the second right. broken: the other way round. n: all images that both
    judged. Which images are hard is the same for both, so only those on which they differ widen the interval; two
    intervals of ``wilson`` side by side would not know that.

    Tango 1998, Statistics in Medicine 17, 891-908: the gains d with |fixed - broken - n d| ≤ z s(d), where s(d) is the
    standard deviation under d with the other shares as likely as can be. It leaves out 0 exactly where McNemar's test
    would: |fixed - broken| > z √(fixed + broken). For n = 0 nothing is known: -1 to 1. Raises BadInput for counts that
    cannot be.
    """
    if fixed < 0 or broken < 0 or fixed + broken > n:
        raise BadInput(f"{fixed} fixed and {broken} broken of {n} images cannot be.")
    if not n:
        return Interval(-1.0, 1.0)
    if fixed < broken:  # so that exchanging the models changes the sign and nothing else
        low, high = paired(broken, fixed, n, z=z)
        return Interval(-high, -low)
    gain = (fixed - broken) / n

    def beyond(d: float) -> float:
        """Below 0 inside the interval, above it outside."""
        b = (2 * n - fixed + broken) * d - fixed - broken
        c = -broken * d * (1 - d)
        share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)  # of broken images, as likely as can be under d
        return abs(fixed - broken - n * d) - z * math.sqrt(max(0.0, n * (2 * share + d * (1 - d))))

    return Interval(_root(beyond, gain, -1.0), _root(beyond, gain, 1.0))


class Repeated(NamedTuple):
    """Of one number, measured with n seeds: its mean, the standard deviation of a single one (n - 1 in the denominator;
    NaN of one alone), and the 95 % interval of the mean."""

    n: int
    mean: float
    sd: float
    interval: Interval


_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t for 95 %, two-sided, of 1 to 30 degrees of freedom (Fisher and Yates, table III)."""


def repeated(values: Sequence[float]) -> Repeated:
    """What several seeds gave, as mean ± t s / √n (Student 1908); of one value an interval from -∞ to ∞.

    For a comparison the values are the differences within each seed: what a draw of the images does to both is then in
    neither. Raises BadInput for no value.
    """
    n = len(values)
    if not n:
        raise BadInput("No value was given to average.")
    mean = math.fsum(values) / n
    if n == 1:
        return Repeated(1, mean, math.nan, Interval(-math.inf, math.inf))
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    # beyond 30 degrees of freedom two terms of Fisher's expansion are right to three digits
    df = n - 1
    t = _T[df - 1] if df <= len(_T) else _Z + (_Z**3 + _Z) / (4 * df) + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * df**2)
    half = t * sd / math.sqrt(n)
    return Repeated(n, mean, sd, Interval(mean - half, mean + half))


def _root(beyond: Callable[[float], float], inside: float, outside: float) -> float:
    """Where a function changes sign between two places, found by halving: 60 steps leave less than 1e-17."""
    if beyond(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if beyond(middle) <= 0 else (inside, middle)
    return inside


def accuracy_text(right: int, n: int) -> str:
    """A share of images with all that it takes to judge it: "60.0 % (3 of 5; 95 %: 23.1 – 88.2)"."""
    if not n:
        return "– (0 of 0)"
    return f"{100 * right / n:.1f} % ({right:,} of {n:,}; 95 %: {wilson(right, n)})"


def gain_text(fixed: int, broken: int, n: int) -> str:
    """A gain in points: "+5.6 points (95 %: −1.9 – 13.5)"."""
    return f"{signed(100 * (fixed - broken) / n if n else 0.0)} points (95 %: {paired(fixed, broken, n)})"


def val_text(accuracy: object, images: object = None) -> str:
    """A model's validation accuracy, 0 to 1, within a sentence; ``images``: how many it was measured on.

    "val 60.0 % (3 of 5; 95 %: 23.1 – 88.2)"; "val 60.0 %" where their number was not recorded, as in old stores, or is
    not one that could be; "val not measured" for None. Both may come from anybody's store.
    """
    if not _number(accuracy):
        return "val not measured"
    if isinstance(images, int) and 1 <= images <= MOST and 0 <= accuracy <= 1:
        return f"val {accuracy_text(round(accuracy * images), images)}"
    return f"val {100 * accuracy:.1f} %"


def signed(value: float) -> str:
    """A number with its sign and one digit: "+5.6", "−1.9", "0.0"."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def _points(share: float) -> str:
    text = f"{100 * share:.1f}".replace("-", "−")
    return "0.0" if text == "−0.0" else text


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

"""Intervals against published tables, against the tests that they invert, and against brute force."""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nsdata.arithmetic.intervals import (
    Interval,
    accuracy_text,
    gain_text,
    paired,
    repeated,
    signed,
    val_text,
    wilson,
)
from nsdata.errors import BadInput

Z = NormalDist().inv_cdf(0.975)
quick = settings(max_examples=150, deadline=None)

shares = st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
changes = st.integers(1, 3000).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda b: st.tuples(st.just(b), st.integers(0, n - b), st.just(n)))
)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_equals_the_table_of_newcombe_1998(right: int, n: int, low: float, high: float) -> None:
    # Statistics in Medicine 17, 857-872, table I, method 3
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("fixed", "broken", "n", "level", "low", "high"),
    [
        (1, 7, 21, 0.95, -0.517, -0.026),  # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33, 2850-2875
        (28, 25, 618, 0.90, -0.0148, 0.0247),  # R's PropCIs::scoreci.mp(25, 28, 618)
    ],
)
def test_paired_equals_published_examples(
    fixed: int, broken: int, n: int, level: float, low: float, high: float
) -> None:
    found = paired(fixed, broken, n, z=NormalDist().inv_cdf((1 + level) / 2))
    assert found == pytest.approx((low, high), abs=5e-4 if level == 0.95 else 5e-5)


@quick
@given(shares)
def test_wilson_holds_the_values_that_a_score_test_would_not_refuse(share: tuple[int, int]) -> None:
    right, n = share
    low, high = wilson(right, n)
    assert 0 <= low <= high <= 1
    if not n:
        assert (low, high) == (0, 1)
        return
    assert low <= right / n <= high and high - low < 1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(right / n - end) == pytest.approx(Z * math.sqrt(end * (1 - end) / n), rel=1e-6)
    other = wilson(n - right, n)
    assert (1 - other.high, 1 - other.low) == pytest.approx((low, high), abs=1e-12)


@quick
@given(changes)
def test_paired_leaves_out_0_exactly_where_mcnemars_test_would(change: tuple[int, int, int]) -> None:
    fixed, broken, n = change
    low, high = paired(fixed, broken, n)
    assert -1 <= low <= (fixed - broken) / n <= high <= 1 and low < high
    statistic = abs(fixed - broken) / math.sqrt(fixed + broken) if fixed + broken else 0.0
    if abs(statistic - Z) > 1e-9:
        assert (low > 0 or high < 0) == (statistic > Z)
    assert paired(broken, fixed, n) == pytest.approx((-high, -low), abs=1e-12)


@quick
@given(changes)
def test_four_times_the_images_narrow_both(change: tuple[int, int, int]) -> None:
    fixed, broken, n = change
    for few, many in (
        (paired(fixed, broken, n), paired(4 * fixed, 4 * broken, 4 * n)),
        (wilson(fixed, n), wilson(4 * fixed, 4 * n)),
    ):
        assert many.high - many.low < few.high - few.low


def test_paired_is_a_paired_bootstraps_interval_where_there_are_many_images() -> None:
    fixed, broken, n = 420, 300, 10_000
    drawn = np.random.default_rng(0).multinomial(n, [fixed / n, broken / n, 1 - (fixed + broken) / n], 40_000)
    expected = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [0.025, 0.975])
    assert paired(fixed, broken, n) == pytest.approx(tuple(expected), abs=1e-4)


def test_both_cover_what_they_promise() -> None:
    draw = np.random.default_rng(1)
    for share, n in ((0.6, 20), (0.9, 100), (0.5, 5)):
        chance = draw.binomial(n, share, 4000)
        inside = [(i := wilson(int(r), n)).low <= share <= i.high for r in chance]
        assert np.mean(inside) > 0.93
    for fixed, broken, n in ((0.1, 0.05, 50), (0.3, 0.1, 30), (0.02, 0.02, 200)):
        counts = draw.multinomial(n, [fixed, broken, 1 - fixed - broken], 1500)
        inside = [(i := paired(int(f), int(b), n)).low <= fixed - broken <= i.high for f, b, _ in counts]
        assert np.mean(inside) > 0.93


def test_nothing_that_changed_is_no_certainty() -> None:
    z2 = Z * Z
    assert paired(0, 0, 10) == pytest.approx((-z2 / (10 + z2), z2 / (10 + z2)))
    assert paired(0, 0, 0) == (-1, 1) and wilson(0, 0) == (0, 1)
    assert paired(10, 0, 10).high == 1 and wilson(10, 10).high == 1 and wilson(0, 10).low == 0


@pytest.mark.parametrize("counts", [(3, 2), (-1, 5), (0, -1)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="cannot be"):
        wilson(*counts)


@pytest.mark.parametrize("counts", [(3, 3, 5), (-1, 0, 5), (0, -1, 5)])
def test_changes_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput, match="cannot be"):
        paired(*counts)


def test_words_for_people() -> None:
    assert accuracy_text(3, 5) == "60.0 % (3 of 5; 95 %: 23.1 – 88.2)"
    assert accuracy_text(0, 0) == "– (0 of 0)"
    assert accuracy_text(1200, 1500) == "80.0 % (1,200 of 1,500; 95 %: 77.9 – 81.9)"
    assert gain_text(6, 2, 71) == "+5.6 points (95 %: −2.7 – 15.0)"
    assert gain_text(0, 0, 71).startswith("0.0 points (95 %: −")
    assert str(Interval(-0.0001, 0.5)) == "0.0 – 50.0"
    assert [signed(x) for x in (1.26, -1.26, 0.01, -0.01, 0)] == ["+1.3", "−1.3", "0.0", "0.0", "0.0"]


@pytest.mark.parametrize(
    ("accuracy", "images", "expected"),
    [
        (0.6, 5, "val 60.0 % (3 of 5; 95 %: 23.1 – 88.2)"),
        (0.6, None, "val 60.0 %"),  # of a store that was written before their number was kept
        (None, None, "val not measured"),
        (None, 5, "val not measured"),
        ("abc", 5, "val not measured"),
        (True, 5, "val not measured"),
        (math.nan, 5, "val not measured"),
        (5.0, 3, "val 500.0 %"),  # of a store that says what cannot be
        (0.5, -3, "val 50.0 %"),
        (0.5, "9", "val 50.0 %"),
        (0.5, 10**400, "val 50.0 %"),
    ],
)
def test_a_validation_accuracy_says_of_how_many(accuracy: object, images: object, expected: str) -> None:
    assert val_text(accuracy, images) == expected


@quick
@given(shares.filter(lambda share: share[1] > 0))
def test_the_count_of_a_validation_accuracy_comes_back_from_its_share(share: tuple[int, int]) -> None:
    right, n = share
    assert val_text(float(Fraction(right, n)), n) == f"val {accuracy_text(right, n)}"


@quick
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=90))
def test_what_several_seeds_give_equals_scipys_interval(values: list[float]) -> None:
    found = repeated(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    half = stats.t.ppf(0.975, len(values) - 1) * found.sd / math.sqrt(len(values))
    assert (found.interval.high - found.interval.low) / 2 == pytest.approx(half, rel=3e-4, abs=1e-9)


def test_one_seed_says_nothing_of_the_next() -> None:
    assert repeated([3.0]).interval == Interval(-math.inf, math.inf)
    with pytest.raises(BadInput, match="No value"):
        repeated([])

"""Views and diffs of many rows: the rows of a plain sort, few ids read, bounded temporaries."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata import Store, ordering, select
from nsdata.divergence import divergence
from nsdata.recipe import ids_at

quick = settings(max_examples=60, deadline=None)


def make(n: int, K: int, levels: int, missing: float, seed: int):  # type: ignore[no-untyped-def]
    """Rows with ties (``levels`` confidences), absent labels and confidences, crowded ids, an empty class."""
    draw = np.random.default_rng(seed)
    pseudo = draw.integers(0, K, n).astype(np.int32)
    pseudo[pseudo == 1] = 0  # class 1 is empty
    confidence = (np.ceil(draw.random(n) * levels) / np.float32(levels)).astype(np.float32)
    gone = draw.random(n) < missing
    pseudo[gone] = -1
    confidence[draw.random(n) < missing] = np.nan
    ids = draw.integers(0, 256, (n, 16), dtype=np.uint8)
    ids[: n // 3, :8] = 7  # equal high halves
    return pseudo, confidence, ids


many = st.builds(
    make,
    n=st.integers(0, 3000),
    K=st.integers(1, 9),
    levels=st.sampled_from([1, 2, 16, 1 << 24]),
    missing=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 10_000),
)


def by_lexsort(pseudo, confidence, ids, per_class: int, K: int, seed: int | None) -> np.ndarray:  # type: ignore[no-untyped-def]
    """The rule, written down with whole sorts: the most confident by (class, confidence, id), repeats by (lot, id)."""
    usable = np.flatnonzero((pseudo >= 0) & ~np.isnan(confidence))
    high, low = select.id_halves(ids[usable])
    group = pseudo[usable]
    best = usable[np.lexsort((low, high, -confidence[usable], group))]
    lots = usable[np.lexsort((low, high, select.mix(seed or 0, 0, high, low), group))]
    found = []
    for k in range(K):
        mine = best[pseudo[best] == k]
        if seed is None or len(mine) >= per_class:
            found.append(mine[:per_class])
        elif len(mine):
            drawn = lots[pseudo[lots] == k][: per_class % len(mine)]
            found.append(np.repeat(mine, per_class // len(mine) + np.isin(mine, drawn)))
    return np.concatenate([np.empty(0, np.int64), *found])


@quick
@given(many, st.integers(1, 900), st.integers(0, 3))
def test_the_rows_are_those_of_a_plain_sort(rows, per_class: int, seed: int) -> None:  # type: ignore[no-untyped-def]
    K = int(rows[0].max(initial=0)) + 3  # classes above have no row
    assert np.array_equal(select.balanced(*rows, per_class, K, seed=seed), by_lexsort(*rows, per_class, K, seed))
    assert np.array_equal(select.top_per_class(*rows, per_class, K), by_lexsort(*rows, per_class, K, None))


@quick
@given(many, st.integers(1, 900), st.integers(0, 3))
def test_ids_may_be_read_in_any_blocks(rows, per_class: int, seed: int) -> None:  # type: ignore[no-untyped-def]
    pseudo, confidence, ids = rows
    K, block = int(pseudo.max(initial=0)) + 1, ordering.BLOCK

    def read(positions: np.ndarray) -> np.ndarray:
        assert (np.diff(positions) > 0).all() and len(positions) <= ordering.BLOCK
        return ids[positions]

    try:
        ordering.BLOCK = 64
        few = select.balanced(pseudo, confidence, read, per_class, K, seed=seed)
        drawn = select.sample(read, len(ids) // 2, seed=seed, rows=len(ids)) if len(ids) > 1 else None
    finally:
        ordering.BLOCK = block
    assert np.array_equal(few, select.balanced(pseudo, confidence, ids, per_class, K, seed=seed))
    assert drawn is None or np.array_equal(drawn, select.sample(ids, len(ids) // 2, seed=seed))


@quick
@given(st.integers(1, 400), st.integers(0, 64), st.integers(0, 40), st.integers(0, 99))
def test_packed_sorts_are_stable_and_whole_where_the_bits_do_not_fit(n: int, bits: int, spread: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    heads = draw.integers(0, 1 << spread, n)
    tails = draw.choice(draw.integers(0, (1 << bits) - 1, 1 + n // 3, dtype=np.uint64, endpoint=True), n)
    order, same = ordering.sort_packed(heads, tails)
    assert order.tolist() == sorted(range(n), key=lambda i: (heads[i], tails[i], i))
    pairs = [(heads[i], tails[i]) for i in order]
    assert same.tolist() == [False, *(a == b for a, b in itertools.pairwise(pairs))]


def test_ids_are_read_only_of_rows_whose_order_they_decide() -> None:
    n, K, per_class = 40_000, 4, 5_000
    draw = np.random.default_rng(0)
    pseudo = draw.integers(0, K, n).astype(np.int32)
    confidence = np.linspace(0.1, 0.9, n).astype(np.float32)
    confidence[:8_000] = confidence[0]  # ties, but far below the cut
    ids = draw.integers(0, 256, (n, 16), dtype=np.uint8)
    asked: list[int] = []

    def read(positions: np.ndarray) -> np.ndarray:
        asked.extend(positions.tolist())
        return ids[positions]

    got = select.balanced(pseudo, confidence, read, per_class, K)
    assert np.array_equal(got, select.balanced(pseudo, confidence, ids, per_class, K)) and not asked
    confidence[-4:] = 0.95
    got = select.balanced(pseudo, confidence, read, per_class, K)
    assert np.array_equal(got, select.balanced(pseudo, confidence, ids, per_class, K))
    assert set(asked) <= set(range(n - 4, n))


@pytest.mark.parametrize("levels", [1, 256, 1 << 24])
def test_balancing_needs_few_bytes_a_row(levels: int) -> None:
    n, K = 400_000, 100
    pseudo, confidence, ids = make(n, K, levels, 0.0, 0)
    tracemalloc.start()
    try:
        rows = select.balanced(pseudo, confidence, lambda positions: ids[positions], n // K, K)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(rows) == (K - 1) * (n // K)
    assert peak < 72 * n, f"{peak / n:.0f} bytes a row"


def test_a_view_reads_no_id_that_nothing_hangs_on(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    view = store.view(gen=1).split("train").unlabelled().confident(0.3)
    assert len(view.top(1000)) == len(view) and "ids" not in vars(view.store.table)


def test_steps_read_the_same_with_and_without_the_ids_in_memory(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    for make_view in (
        lambda: store.view(gen=1).balanced(40, seed=3),
        lambda: store.view(gen=1).top(20).balanced(9, seed=3),  # the rows of ``top`` do not ascend
        lambda: store.view(gen=1).sample(77, seed=5),
        lambda: store.view(gen=1).top(20).sample(50, seed=5),
    ):
        fresh, warm = make_view(), make_view()
        assert len(warm.store.table.ids) == 200
        assert fresh.rows.tolist() == warm.rows.tolist()


def test_ids_at_gives_the_ids_of_any_rows_across_segments(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsdata.recipe._SLICE", 16)
    for rows in ([0], [199], [129, 130, 150], [150, 3, 3, 199, 0], list(range(200)), []):
        at = np.asarray(rows, np.int64)
        assert np.array_equal(ids_at(store.table, at), store.table.ids[at])


def test_called_columns_are_read_once_for_all_views_of_a_store(store: Store, seal: Callable[..., np.ndarray]) -> None:
    soft = seal(store, 1)
    labels = store.labels(1)
    assert np.array_equal(labels.all_confidence, soft.max(1)) and np.array_equal(labels.all_pseudo, soft.argmax(1))
    assert store.view(gen=1).store.labels(1).all_pseudo is labels.all_pseudo
    assert not labels.all_pseudo.flags.writeable and not labels.all_confidence.flags.writeable


def test_steps_that_keep_everything_copy_nothing(store: Store) -> None:
    view = store.view()
    assert view.split("train", "val", "test").rows is view.rows


@quick
@given(st.integers(2, 40), st.integers(1, 60), st.integers(0, 999))
def test_divergence_of_halves_is_that_of_whole_numbers(K: int, rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    p, q = (draw.dirichlet(np.full(K, 0.05), rows).astype(np.float16) for _ in range(2))
    q[::3] = p[::3]
    exactly = 0.0
    for a, b in zip(p.astype(np.float64), q.astype(np.float64), strict=True):
        a, b = a / a.sum(), b / b.sum()
        m = (a + b) / 2
        exactly += sum(float((x[x > 0] * np.log(x[x > 0] / m[x > 0])).sum()) for x in (a, b)) / 2
    assert divergence(p, q) == pytest.approx(exactly, abs=1e-6 * rows)
    assert divergence(p, p.copy()) == 0.0
    near = p.copy()
    near[0, 0] = np.nextafter(near[0, 0], np.float16(1), dtype=np.float16)
    assert 0 <= divergence(p, near) < 1e-3


def test_divergence_is_nothing_for_equal_rows_among_others() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(50), 20).astype(np.float16)
    q = p.copy()
    q[0] = q[0, ::-1]
    assert divergence(p, q) == divergence(p[:1], q[:1]) > 0

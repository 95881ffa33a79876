"""Views and diffs of many rows: the rows of a plain sort, few ids read, bounded temporaries."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata import Store
from nsdata.arithmetic import compiled, ranking, seeded, selection, sorting
from nsdata.arithmetic.divergence import _above_nothing, divergence
from nsdata.errors import GenerationError
from nsdata.views.rows import ids_at

quick = settings(max_examples=60, deadline=None)


def ways() -> list[Callable[[], object]]:
    """What ``compiled.native`` may answer: the part in C, and nothing, where it was not built."""
    assert compiled.native() is not None, "the part in C was not built: uv pip install -e ."
    return [compiled.native, lambda: None]


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
    high, low = sorting.id_halves(ids[usable])
    group = pseudo[usable]
    best = usable[np.lexsort((low, high, -confidence[usable], group))]
    lots = usable[np.lexsort((low, high, seeded.mix(seed or 0, 0, high, low), group))]
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
    assert np.array_equal(selection.balanced(*rows, per_class, K, seed=seed), by_lexsort(*rows, per_class, K, seed))
    assert np.array_equal(selection.top_per_class(*rows, per_class, K), by_lexsort(*rows, per_class, K, None))


@quick
@given(many, st.integers(1, 900), st.integers(0, 3), st.sampled_from([None, 1, 3]), st.sampled_from([1, 40, 700]))
def test_classes_may_be_worked_on_in_any_groups(rows, per_class: int, seed: int, most: int | None, group: int) -> None:  # type: ignore[no-untyped-def]
    K, whole = int(rows[0].max(initial=0)) + 3, ranking.AT_ONCE
    both = (partial(selection.balanced, seed=seed, max_repeats=most), selection.top_per_class)
    together = [choose(*rows, per_class, K) for choose in both]
    try:
        ranking.AT_ONCE = group
        apart = [choose(*rows, per_class, K) for choose in both]
    finally:
        ranking.AT_ONCE = whole
    assert all(map(np.array_equal, together, apart))


@pytest.mark.parametrize("highest", [0, 1 << 63, (1 << 64) - (1 << 20)])
def test_lots_that_are_not_even_draw_the_same_rows(highest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    even = seeded.mix

    def uneven(*args: object) -> np.ndarray:
        return even(*args) >> np.uint64(44) | np.uint64(highest)  # type: ignore[arg-type]

    rows = make(2000, 5, 16, 0.2, 1)
    monkeypatch.setattr(seeded, "native", lambda: None)
    monkeypatch.setattr(seeded, "mix", uneven)
    for per_class in (401, 777, 1201):
        assert np.array_equal(selection.balanced(*rows, per_class, 7, seed=4), by_lexsort(*rows, per_class, 7, 4))


@quick
@given(many, st.integers(1, 900), st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([40, 1 << 24]))
def test_rows_among_which_to_choose_are_as_good_as_no_others(
    rows, per_class: int, seed: int, share, group: int
) -> None:  # type: ignore[no-untyped-def]
    K, whole = int(rows[0].max(initial=0)) + 3, ranking.AT_ONCE
    among = np.random.default_rng(seed).random(len(rows[0])) < share
    at = np.flatnonzero(among)
    few = tuple(column[at] for column in rows)
    for choose in (partial(selection.balanced, seed=seed), selection.top_per_class):
        try:
            ranking.AT_ONCE = group
            found = choose(*rows, per_class, K, among_n=among)
        finally:
            ranking.AT_ONCE = whole
        assert np.array_equal(found, at[choose(*few, per_class, K)])


@quick
@given(st.integers(0, 300), st.integers(0, 2**64 - 1))
def test_ids_are_hashed_alike_in_c(n: int, seed: int) -> None:
    ids = np.random.default_rng(n).integers(0, 256, (n, 16), dtype=np.uint8)
    rows = np.arange(0, n, 2)
    for way in ways():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(seeded, "native", way)
            got = seeded.hashes_of(rows, ids, seed)
        assert np.array_equal(got, seeded.mix(seed, 0, *sorting.id_halves(ids[rows])))


def test_hashes_in_c_refuse_arrays_that_do_not_belong_together() -> None:
    ids, native = np.zeros((3, 16), np.uint8), compiled.native()
    assert native is not None
    for wrong in ((ids, np.empty(2, np.uint64)), (ids[:, :5].copy(), np.empty(1, np.uint64))):
        with pytest.raises(ValueError, match="belong together"):
            native.hashes(wrong[0], 0, wrong[1])
    read_only = np.empty(3, np.uint64)
    read_only.setflags(write=False)
    with pytest.raises((BufferError, TypeError, ValueError)):
        native.hashes(ids, 0, read_only)


@quick
@given(many, st.integers(1, 900), st.integers(0, 3))
def test_ids_may_be_read_in_any_blocks(rows, per_class: int, seed: int) -> None:  # type: ignore[no-untyped-def]
    pseudo, confidence, ids = rows
    K, block = int(pseudo.max(initial=0)) + 1, sorting.BLOCK

    def read(positions: np.ndarray) -> np.ndarray:
        assert (np.diff(positions) > 0).all() and len(positions) <= sorting.BLOCK
        return ids[positions]

    try:
        sorting.BLOCK = 64
        few = selection.balanced(pseudo, confidence, read, per_class, K, seed=seed)
        drawn = selection.sample(read, len(ids) // 2, seed=seed, rows=len(ids)) if len(ids) > 1 else None
    finally:
        sorting.BLOCK = block
    assert np.array_equal(few, selection.balanced(pseudo, confidence, ids, per_class, K, seed=seed))
    assert drawn is None or np.array_equal(drawn, selection.sample(ids, len(ids) // 2, seed=seed))


@quick
@given(st.integers(1, 400), st.integers(0, 64), st.integers(0, 40), st.integers(0, 99))
def test_packed_sorts_are_stable_and_whole_where_the_bits_do_not_fit(n: int, bits: int, spread: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    heads = draw.integers(0, 1 << spread, n)
    tails = draw.choice(draw.integers(0, (1 << bits) - 1, 1 + n // 3, dtype=np.uint64, endpoint=True), n)
    order, same = sorting.sort_packed(heads, tails)
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

    got = selection.balanced(pseudo, confidence, read, per_class, K)
    assert np.array_equal(got, selection.balanced(pseudo, confidence, ids, per_class, K)) and not asked
    confidence[-4:] = 0.95
    got = selection.balanced(pseudo, confidence, read, per_class, K)
    assert np.array_equal(got, selection.balanced(pseudo, confidence, ids, per_class, K))
    assert set(asked) <= set(range(n - 4, n))


@pytest.mark.parametrize("levels", [1, 256, 1 << 24])
def test_balancing_needs_few_bytes_a_row(levels: int) -> None:
    n, K = 400_000, 100
    pseudo, confidence, ids = make(n, K, levels, 0.0, 0)
    tracemalloc.start()
    try:
        rows = selection.balanced(pseudo, confidence, lambda positions: ids[positions], n // K, K)
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


@pytest.mark.parametrize("far", [1, 3, 512])
def test_ids_at_gives_the_ids_of_any_rows_across_segments(
    store: Store, far: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nsdata.views.rows._FAR", far)
    for rows in ([0], [199], [129, 130, 150], [150, 3, 3, 199, 0], list(range(200)), [0, 7, 14, 15, 140, 190], []):
        at, room = np.asarray(rows, np.int64), np.empty((16, 16), np.uint8)
        assert np.array_equal(ids_at(store.table, at, room), store.table.ids[at])


def test_called_columns_are_read_once_for_all_views_of_a_store(store: Store, seal: Callable[..., np.ndarray]) -> None:
    soft = seal(store, 1)
    labels = store.labels(1)
    assert np.array_equal(labels.all_confidence, soft.max(1)) and np.array_equal(labels.all_pseudo, soft.argmax(1))
    assert store.view(gen=1).store.labels(1).all_pseudo is labels.all_pseudo
    assert not labels.all_pseudo.flags.writeable and not labels.all_confidence.flags.writeable


def test_called_columns_have_gaps_where_images_came_in_later(
    store: Store, seal: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nsdata.labels.predictions._AT_ONCE", 2)
    soft = seal(store, 1)
    store.add_arrays(np.random.default_rng(0).integers(256, size=(9, 8, 8), dtype=np.uint8), split="train", source="x")
    labels = store.labels(1)
    assert np.array_equal(labels.all_pseudo, [*soft.argmax(1), *[-1] * 9])
    assert np.array_equal(labels.all_confidence, [*soft.max(1), *[np.float32(np.nan)] * 9], equal_nan=True)
    assert store.view(gen=1).labelled().confident(0).counts[-1].rows == 100


def test_neighbouring_labels_are_those_of_a_list_of_rows(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    labels = store.labels(1)
    for start, stop in ((0, 1), (0, 200), (10, 120), (129, 131), (140, 160), (199, 200)):
        assert np.array_equal(labels.between(start, stop), labels.take(np.arange(start, stop)))
    with pytest.raises(GenerationError):
        labels.between(199, 201)


@pytest.mark.parametrize("gone", [[], [0], [199], [3, 64, 131], list(range(0, 200, 2))])
def test_a_diff_reads_the_same_soft_labels_whatever_was_removed(
    store: Store, seal: Callable[..., np.ndarray], gone: list[int]
) -> None:
    a, b = seal(store, 1).astype(np.float16), seal(store, 2).astype(np.float16)
    if gone:
        store.remove([bytes(id_).hex() for id_ in store.table.ids[gone]])
    kept = np.setdiff1d(np.arange(200), gone)
    found = store.diff("gen-1", store.version)
    assert (found.common, found.compared, len(found.removed_ids)) == (len(kept), len(kept), len(gone))
    assert found.js == pytest.approx(divergence(a[kept], b[kept]) / len(kept), abs=1e-6)


def test_steps_on_the_way_keep_no_row_numbers(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    view = store.view(gen=1).split("train").unlabelled().confident(0.5).balanced(7)
    assert len(view.rows) == 7 * len(np.unique(store.labels(1).all_pseudo[view.rows]))
    before = view._before
    while before is not None:
        assert "rows" not in vars(before._chosen[0]) and "_evaluated" not in vars(before)
        before = before._before


def test_filters_keep_the_order_and_the_repeats_of_what_is_before_them(
    store: Store, seal: Callable[..., np.ndarray]
) -> None:
    seal(store, 1)
    top, label, pseudo = store.view(gen=1).top(9), store.table.label, store.labels(1).all_pseudo
    sure = store.labels(1).all_confidence
    assert top.unlabelled().rows.tolist() == [row for row in top.rows if label[row] < 0]
    assert top.split("val", "test").rows.tolist() == [row for row in top.rows if store.table.split[row] > 0]
    assert top.confident(0.4, 0.8).rows.tolist() == [
        row for row in top.rows if np.float32(0.4) <= sure[row] <= np.float32(0.8)
    ]
    odd = top.only(top.rows % 2 == 1, "odd").named("x")
    assert odd.agreeing([1, 1]).rows.tolist() == [row for row in top.rows if row % 2 and pseudo[row] >= 0]
    assert odd.where("label is null").rows.tolist() == [row for row in odd.rows if label[row] < 0]
    again = store.view(gen=1).balanced(300)
    assert again.only(label[again.rows] < 0, "x").rows.tolist() == [row for row in again.rows if label[row] < 0]
    assert not again.rows.flags.writeable and not store.view().rows.flags.writeable


def test_steps_that_keep_everything_copy_nothing(store: Store) -> None:
    view = store.view()
    assert view.split("train", "val", "test").rows is view.rows


@quick
@given(st.integers(2, 40), st.integers(1, 60), st.integers(0, 999))
def test_divergence_of_halves_is_that_of_whole_numbers(K: int, rows: int, seed: int) -> None:
    """In C and with numpy."""
    draw = np.random.default_rng(seed)
    p, q = (draw.dirichlet(np.full(K, 0.05), rows).astype(np.float16) for _ in range(2))
    q[::3] = p[::3]
    exactly = 0.0
    for a, b in zip(p.astype(np.float64), q.astype(np.float64), strict=True):
        a, b = a / a.sum(), b / b.sum()
        m = (a + b) / 2
        exactly += sum(float((x[x > 0] * np.log(x[x > 0] / m[x > 0])).sum()) for x in (a, b)) / 2
    near = p.copy()
    near[0, 0] = np.nextafter(near[0, 0], np.float16(1), dtype=np.float16)
    for way in ways():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nsdata.arithmetic.divergence.native", way)
            assert divergence(p, q) == pytest.approx(exactly, abs=1e-6 * rows)
            assert divergence(q, p) == pytest.approx(exactly, abs=1e-6 * rows)
            assert divergence(p, p.copy()) == 0.0
            assert 0 <= divergence(p, near) < 1e-3


@pytest.mark.parametrize("K", [1, 2, 7, 8, 50, 1000, 2048, 2049, 3000])
def test_divergence_of_any_number_of_classes_is_the_same_in_c(K: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(K)
    p, q = (draw.dirichlet(np.full(K, 0.3), 33).astype(np.float16) for _ in range(2))
    p[5], q[5] = np.eye(1, K)[0], np.eye(1, K, K - 1)[0]  # nothing in common
    found = []
    for way in ways():
        monkeypatch.setattr("nsdata.arithmetic.divergence.native", way)
        found.append(
            [divergence(p, q), divergence(p[::2], q[::2]), divergence(p[5:6], q[5:6]), divergence(p[:0], q[:0])]
        )
    assert found[0] == pytest.approx(found[1], abs=1e-6 * len(p))
    assert found[0][2] == pytest.approx(np.log(2) if K > 1 else 0, abs=1e-6) and found[0][3] == 0


def test_divergence_in_c_refuses_arrays_that_do_not_belong_together() -> None:
    p = np.full((2, 3), 1 / 3, np.float16)
    for wrong in ((p, p[:1], 3), (p, p, 4), (p, p, 0), (p, p, -1), (p, p, 2**62)):
        with pytest.raises(ValueError, match="belong together"):
            compiled.native().divergence(*wrong)  # type: ignore[union-attr]


def test_divergence_is_nothing_for_equal_rows_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(50), 20).astype(np.float16)
    q = p.copy()
    q[0] = q[0, ::-1]
    for way in ways():
        monkeypatch.setattr("nsdata.arithmetic.divergence.native", way)
        assert divergence(p, q) == divergence(p[:1], q[:1]) > 0


def test_halves_become_whole_numbers_exactly() -> None:
    halves = np.arange(0x3C01, dtype=np.uint16).view(np.float16).reshape(1, -1)  # 0 to 1
    whole, free = np.empty((2, *halves.shape), np.float32)
    _above_nothing(halves, whole, free)
    assert np.array_equal(whole[:, 1:], halves[:, 1:].astype(np.float32)) and 0 < whole[0, 0] < 1e-29
    _above_nothing(-halves[:, :1], whole[:, :1], free[:, :1])
    assert 0 < whole[0, 0] < 1e-29

"""Diff arithmetic against brute-force loops over dicts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.analysis.compare import Side, compare
from nsdata.analysis.diff import Diff
from nsdata.analysis.flows import Changes, Flow, Flows, flips_matrix, transitions_matrix
from nsdata.arithmetic.alignment import align
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput

CLASSES = ["cat", "dog", "fox"]
K = 3
quick = settings(max_examples=80, deadline=None)

# few distinct ids, so that two sides share many; each id once per side
some_ids = st.lists(st.integers(0, 40), unique=True, max_size=30)


def as_ids(numbers: list[int], *, crowded: bool = False) -> np.ndarray:
    """(n, 16) uint8: a spread-out hash, or one where every id shares its first 8 bytes."""
    rows = [(n * 0x9E3779B97F4A7C15F39CC0605CEDC835 if not crowded else n) % 2**128 for n in numbers]
    return np.frombuffer(b"".join(r.to_bytes(16) for r in rows), np.uint8).reshape(-1, 16)


def make_side(name: str, numbers: list[int], seed: int, missing: float = 0.2) -> Side:
    rng = np.random.default_rng(seed)
    n = len(numbers)
    soft = rng.random((n, K)) ** 3 + 1e-9
    soft /= soft.sum(axis=1, keepdims=True)
    soft[:, 0][soft[:, 0] < 0.05] = 0  # exact zeros too
    soft /= soft.sum(axis=1, keepdims=True)
    pseudo = soft.argmax(axis=1).astype(np.int32)
    confidence = np.round(soft.max(axis=1), 1).astype(np.float32) if n else np.empty(0, np.float32)
    gone = rng.random(n) < missing
    pseudo[gone], confidence[gone] = -1, np.nan
    label = rng.integers(-1, K, n).astype(np.int32)
    return Side(name, as_ids(numbers), label, pseudo, confidence, lambda rows, _: soft[rows])


@quick
@given(some_ids, some_ids, st.booleans())
def test_align_equals_dict(a: list[int], b: list[int], crowded: bool) -> None:
    pos_a, pos_b, only_a, only_b = align(as_ids(a, crowded=crowded), as_ids(b, crowded=crowded))
    assert [(a[i], b[j]) for i, j in zip(pos_a, pos_b, strict=True)] == [(x, x) for x in a if x in b]
    assert [a[i] for i in only_a] == [x for x in a if x not in b]
    assert [b[i] for i in only_b] == [x for x in b if x not in a]
    assert {x.dtype for x in (pos_a, pos_b, only_a, only_b)} == {np.dtype(np.int64)}


@pytest.mark.parametrize("other", [[], [3], [1, 2], [1, 2, 3, 4], [4, 3, 2, 1], [9, 8]])
def test_align_prefixes_and_edges(other: list[int]) -> None:
    mine = [1, 2, 3]
    pos_a, pos_b, only_a, only_b = align(as_ids(mine), as_ids(other))
    assert [mine[i] for i in pos_a] == [x for x in mine if x in other] == [other[i] for i in pos_b]
    assert [mine[i] for i in only_a] == [x for x in mine if x not in other]
    assert [other[i] for i in only_b] == [x for x in other if x not in mine]


def test_align_with_zero_bytes_at_the_end_of_ids() -> None:
    a = np.zeros((2, 16), np.uint8)
    a[1, 8] = 1  # both share the high half; trailing zeros must not be cut
    pos_a, pos_b, only_a, only_b = align(a, a[::-1].copy())
    assert (pos_a.tolist(), pos_b.tolist(), only_a.size, only_b.size) == ([0, 1], [1, 0], 0, 0)


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    m = (p + q) / 2
    kl = [sum(float(x * np.log(x / y)) for x, y in zip(r, m, strict=True) if x > 0) for r in (p, q)]
    return sum(kl) / 2


@quick
@given(some_ids, some_ids, st.integers(0, 999))
def test_compare_equals_brute_force(numbers_a: list[int], numbers_b: list[int], seed: int) -> None:
    a, b = make_side("gen-1", numbers_a, seed), make_side("gen-2", numbers_b, seed + 1)
    d = compare(a, b, CLASSES)
    hexes_a, hexes_b = hexes(a.ids), hexes(b.ids)
    in_a, in_b = ({h: i for i, h in enumerate(hexes)} for hexes in (hexes_a, hexes_b))
    assert a.pseudo is not None and b.pseudo is not None and a.confidence is not None and b.confidence is not None
    assert a.soft and b.soft

    assert d.added == [h for h in hexes_b if h not in in_a]
    assert d.removed == [h for h in hexes_a if h not in in_b]
    common = [(h, in_a[h], in_b[h]) for h in hexes_a if h in in_b]
    assert d.common == len(common)
    relabelled = [(h, a.label[i], b.label[j]) for h, i, j in common if a.label[i] != b.label[j]]
    assert list(zip(d.relabelled.ids, d.relabelled.old, d.relabelled.new, strict=True)) == relabelled

    compared = [(h, i, j) for h, i, j in common if a.pseudo[i] >= 0 and b.pseudo[j] >= 0]
    matrix = np.zeros((K, K), int)
    flipped, none = [], np.empty((0, K), np.float16)
    rose = fell = 0
    js = 0.0
    for h, i, j in compared:
        old, new, before, after = a.pseudo[i], b.pseudo[j], a.confidence[i], b.confidence[j]
        matrix[old, new] += 1
        rose, fell = rose + int(after > before), fell + int(after < before)
        js += divergence(a.soft(np.array([i]), none)[0], b.soft(np.array([j]), none)[0])
        if old != new:
            flipped.append((h, old, new, before, after))
    got = (d.flipped.ids, d.flipped.old, d.flipped.new, d.flipped.confidence_old, d.flipped.confidence_new)
    assert list(zip(*got, strict=True)) == flipped
    assert np.array_equal(d.transitions, matrix)
    assert d.compared == len(compared) and d.flips.sum() == len(flipped) == len(d.flipped)
    assert (d.flips.diagonal() == 0).all()
    assert (d.rose, d.fell, d.unchanged) == (rose, fell, len(compared) - rose - fell)
    assert d.lost == sum(a.pseudo[i] >= 0 and b.pseudo[j] < 0 for _, i, j in common)
    assert d.gained == sum(a.pseudo[i] < 0 and b.pseudo[j] >= 0 for _, i, j in common)
    if compared:
        assert d.js == pytest.approx(js / len(compared), abs=1e-12)
        assert d.mean_before == pytest.approx(np.mean([a.confidence[i] for _, i, _ in compared], dtype=float))
        assert d.mean_after == pytest.approx(np.mean([b.confidence[j] for _, _, j in compared], dtype=float))
        assert d.agreement == pytest.approx(1 - len(flipped) / len(compared))
        assert np.allclose(
            d.share_before * len(compared), np.bincount([a.pseudo[i] for _, i, _ in compared], minlength=K)
        )
        assert np.allclose(d.share_after.sum(), 1)
    else:
        assert d.js is d.mean_before is d.mean_after is d.agreement is None

    back = compare(b, a, CLASSES)
    assert np.array_equal(back.transitions, d.transitions.T)
    assert (back.rose, back.fell, back.gained, back.lost) == (d.fell, d.rose, d.lost, d.gained)
    assert back.js == pytest.approx(d.js, abs=1e-12) if d.js is not None else back.js is None
    assert sorted(back.flipped.ids) == sorted(d.flipped.ids)
    assert back.added == d.removed and bool(back) == bool(d)
    for text in (str(d), d._repr_html_(), json.dumps(d.to_dict(ids=True), allow_nan=False)):
        assert text
    assert d.to_arrow().num_rows == len(flipped)


@quick
@given(some_ids, st.integers(0, 999), st.randoms())
def test_nothing_differs_from_itself_in_any_order(numbers: list[int], seed: int, random) -> None:  # type: ignore[no-untyped-def]
    a = make_side("x", numbers, seed)
    same = compare(a, a, CLASSES)
    assert not same and not same.flips.any() and same.js in (0.0, None)
    order = np.array(random.sample(range(len(numbers)), len(numbers)), np.int64)
    assert a.pseudo is not None and a.confidence is not None
    moved = Side("y", a.ids[order], a.label[order], a.pseudo[order], a.confidence[order])
    assert not compare(a, moved, CLASSES)


def test_planted_flips_are_found() -> None:
    rng = np.random.default_rng(0)
    n, planted = 10_000, 137
    ids = rng.integers(0, 256, (n, 16), dtype=np.uint8)
    old = rng.integers(0, K, n).astype(np.int32)
    new = old.copy()
    at = rng.choice(n, planted, replace=False)
    new[at] = (old[at] + rng.integers(1, K, planted)) % K
    sure = np.full(n, 0.5, np.float32)
    none = np.full(n, -1, np.int32)
    d = compare(Side("a", ids, none, old, sure), Side("b", ids, none, new, sure), CLASSES)
    assert d.flips.sum() == planted == len(d.flipped)
    assert d.flipped.ids == [ids[i].tobytes().hex() for i in np.sort(at)]
    assert np.array_equal(d.transitions.sum(axis=1), np.bincount(old, minlength=K))
    assert np.array_equal(d.transitions.sum(axis=0), np.bincount(new, minlength=K))
    assert d and d.rose == d.fell == 0 and d.unchanged == n


def test_matrices_and_their_limits() -> None:
    old, new = np.array([0, 0, 1, 2], np.int32), np.array([0, 1, 1, 0], np.int32)
    assert transitions_matrix(old, new, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert flips_matrix(old, new, 3).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
    for bad in (2, 1):
        with pytest.raises(BadInput, match="classes"):
            transitions_matrix(old, new, bad)
    with pytest.raises(BadInput, match="from -1"):
        transitions_matrix(np.array([-1], np.int32), np.array([0], np.int32), 3)


def small() -> Diff:
    ids = as_ids([1, 2, 3, 4, 5])
    a = Side("gen-1", ids[:4], np.array([0, -1, -1, 2], np.int32), np.array([1, 1, 0, 2], np.int32),
             np.array([0.5, 0.6, 0.7, 0.8], np.float32))  # fmt: skip
    b = Side("gen-2", ids[1:], np.array([1, -1, 2, 0], np.int32), np.array([2, 1, 2, 0], np.int32),
             np.array([0.9, 0.5, 0.8, 1.0], np.float32))  # fmt: skip
    return compare(a, b, ["cat", "dog", "<b>fox</b>"])


def test_words_for_people() -> None:
    d = small()
    assert str(d).splitlines() == [
        "3 images in both · 1 added · 1 removed",
        "relabelled  1 (33.3 %)   none → dog 1",
        "flipped     2 (66.7 %)   cat → dog 1   dog → <b>fox</b> 1",
        "confidence  mean 0.70 → 0.73   rose 1   fell 1   unchanged 1",
    ]
    assert "<b>" not in d._repr_html_() and "&lt;b&gt;fox" in d._repr_html_()
    assert d.flipped.top(1) == [Flow("cat", "dog", 1)] and str(d.flipped) == "cat -> dog 1, dog -> <b>fox</b> 1"
    assert [flow.count for flow in d.flipped] == [1, 1]
    assert not compare(
        Side("a", as_ids([]), np.empty(0, np.int32)), Side("b", as_ids([]), np.empty(0, np.int32)), CLASSES
    )


def test_top_sorts_by_count_then_class_and_str_stops_after_three() -> None:
    old = np.array([0] * 5 + [1] * 7 + [2] * 5 + [2], np.int32)
    new = np.array([1] * 5 + [0] * 7 + [0] * 5 + [1], np.int32)
    changes = Changes(as_ids(list(range(18))), old, new, tuple(CLASSES))
    assert [(f.old, f.new, f.count) for f in changes.top(3)] == [
        ("dog", "cat", 7),
        ("cat", "dog", 5),
        ("fox", "cat", 5),
    ]
    assert str(changes) == "dog -> cat 7, cat -> dog 5, fox -> cat 5, …" and len(changes.top()) == 4


def test_tables() -> None:
    d = small()
    table = d.to_arrow()
    assert table.column_names == ["id", "old", "new", "confidence_old", "confidence_new"]
    assert table.column("id").to_pylist() == d.flipped.ids
    assert table.column("old").to_pylist() == ["dog", "cat"] and table.column("new").to_pylist() == [
        "<b>fox</b>",
        "dog",
    ]
    assert d.to_pandas()["confidence_new"].dtype == np.float32
    plain = d.to_dict()
    assert json.loads(json.dumps(plain)) == plain and "ids" not in plain
    assert plain["added"] == 1 and d.to_dict(ids=True)["ids"]["added"] == d.added == hexes(as_ids([5]))


def test_a_version_without_teachers_labels_has_no_flips() -> None:
    ids = as_ids([1, 2])
    before = Side("v1", ids, np.array([0, -1], np.int32))
    after = Side("gen-1", ids, np.array([0, -1], np.int32), np.array([0, 1], np.int32), np.ones(2, np.float32))
    d = compare(before, after, CLASSES)
    assert (d.compared, d.gained, d.lost, len(d.flipped), d.agreement) == (0, 2, 0, 0, None)
    assert d and np.isnan(d.share_before).all() and "2 only in gen-1" in str(d)
    json.dumps(d.to_dict(), allow_nan=False)
    assert isinstance(d.flipped, Flows)


def test_divergence_chunks_agree_with_one_pass_and_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = make_side("a", list(range(40)), 1, 0), make_side("b", list(range(40)), 2, 0)
    whole = compare(a, b, CLASSES).js
    monkeypatch.setattr("nsdata.analysis.compare._CHUNK_VALUES", 7)
    assert compare(a, b, CLASSES).js == pytest.approx(whole, abs=1e-12)
    one = np.tile(np.array([[1, 0, 0]], np.float16), (40, 1))
    other = np.tile(np.array([[0, 1, 0]], np.float16), (40, 1))
    far = compare(replace(a, soft=lambda r, _: one[r]), replace(b, soft=lambda r, _: other[r]), CLASSES)
    assert far.js == pytest.approx(np.log(2))

"""An epoch shows each entry of a view once: over all ranks, from any start, in an order that the seed decides."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.errors import BadInput
from nsdata.streaming.order import Blocks, Order, copies_of, plan

ROWS = st.lists(st.integers(0, 40), min_size=1, max_size=60).map(lambda rows: np.array(rows, np.int64))
BLOCKS = st.one_of(st.none(), st.builds(Blocks, st.integers(1, 9), st.integers(1, 5)))


def flat(batches: object) -> list[int]:
    return [int(row) for rows, _ in batches for row in rows]  # type: ignore[attr-defined]


@given(ROWS, st.integers(1, 20), st.integers(1, 4), st.integers(1, 3), BLOCKS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_over_all_ranks_each_epoch_is_exact(
    rows: np.ndarray, batch: int, world: int, epochs: int, blocks: Blocks | None, shuffle: bool
) -> None:
    seen: Counter[int] = Counter()
    keys: list[int] = []
    for rank in range(world):
        order = Order(batch, seed=5, shuffle=shuffle, blocks=blocks, rank=rank, world=world)
        batches = list(plan(rows, order, epochs=epochs))
        assert len(batches) == epochs * order.batches(len(rows))
        assert all(0 < len(r) <= batch for r, _ in batches)
        seen.update(flat(batches))
        keys += [int(key) for _, ks in batches for key in ks]
    assert seen == {row: epochs * n for row, n in Counter(rows.tolist()).items()}
    assert len(set(keys)) == len(keys)  # every appearance has a key of its own


@given(ROWS, st.integers(1, 20), st.integers(1, 3), st.integers(0, 30), BLOCKS)
@settings(max_examples=100, deadline=None)
def test_a_resumed_plan_is_the_tail_of_an_uninterrupted_one(
    rows: np.ndarray, batch: int, world: int, start: int, blocks: Blocks | None
) -> None:
    order = Order(batch, seed=3, blocks=blocks, rank=world - 1, world=world)
    whole, tail = (list(plan(rows, order, epochs=3, start=at)) for at in (0, start))
    assert flat(tail) == flat(whole[start:])
    endless = list(itertools.islice(plan(rows, order, epochs=None), start + 4))
    later = list(itertools.islice(plan(rows, order, epochs=None, start=start), 4))
    assert flat(later) == flat(endless[start:])
    assert all((a == b).all() for (_, a), (_, b) in zip(later, endless[start:], strict=True))


@given(ROWS, st.integers(1, 20), st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_leaving_out_the_last_gives_all_ranks_the_same_number_of_full_batches(
    rows: np.ndarray, batch: int, world: int
) -> None:
    for rank in range(world):
        order = Order(batch, drop_last=True, rank=rank, world=world)
        batches = list(plan(rows, order))
        assert len(batches) == order.batches(len(rows)) == len(rows) // (batch * world)
        assert all(len(r) == batch for r, _ in batches)


@given(ROWS, st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_an_endless_plan_is_full_batches_of_whole_epochs(rows: np.ndarray, batch: int) -> None:
    taken = list(itertools.islice(plan(rows, Order(batch, seed=3), epochs=None), 12))
    assert all(len(r) == batch for r, _ in taken)
    order = flat(taken)
    for epoch in range(len(order) // len(rows)):
        assert sorted(order[epoch * len(rows) : (epoch + 1) * len(rows)]) == sorted(rows.tolist())


def test_the_order_depends_on_seed_and_epoch_and_not_on_ranks() -> None:
    rows = np.arange(100)
    one, two = flat(plan(rows, Order(7, seed=1))), flat(plan(rows, Order(7, seed=2)))
    assert one != two and one != list(range(100))
    both = flat(plan(rows, Order(10, seed=1), epochs=2))
    assert both[:100] == flat(plan(rows, Order(100, seed=1))) and both[:100] != both[100:]
    shares = [list(plan(rows, Order(5, seed=1, rank=rank, world=2))) for rank in range(2)]
    assert [row for pair in zip(*shares, strict=True) for row in flat(pair)] == both[:100]
    assert flat(plan(rows, Order(7, shuffle=False))) == list(range(100))


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_a_block_shuffle_mixes_no_more_blocks_than_it_says(rows: int, together: int, seed: int) -> None:
    order = flat(plan(np.arange(200), Order(200, seed=seed, blocks=Blocks(rows, together))))
    assert sorted(order) == list(range(200))
    blocks = [row // rows for row in order]
    last = {block: at for at, block in enumerate(blocks)}
    open_blocks: set[int] = set()
    for at, block in enumerate(blocks):
        open_blocks.add(block)
        assert len(open_blocks) <= together
        if last[block] == at:
            open_blocks.remove(block)


def test_a_block_shuffle_mixes_its_blocks_well() -> None:
    order = np.array(flat(plan(np.arange(10_000), Order(100, blocks=Blocks(50, 20)))))
    middle = order[2000:8000].reshape(-1, 100) // 50
    assert np.median([len(set(batch)) for batch in middle.tolist()]) >= 18


@given(st.lists(st.integers(0, 5), max_size=40))
def test_copies_number_the_repeats_of_each_row(rows: list[int]) -> None:
    seen: Counter[int] = Counter()
    oracle = []
    for row in rows:
        oracle.append(seen[row])
        seen[row] += 1
    assert copies_of(np.array(rows, np.int64)).tolist() == oracle


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(BadInput, match="batch size is 0"):
        Order(0)
    with pytest.raises(BadInput, match="Rank 2 of 2"):
        Order(1, rank=2, world=2)

"""Parts and pieces: whoever wrote them, in whatever order, the rows are whose they say."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.labels.staging import PART_ROWS, StagedPiece, chained, cut


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 5000)), min_size=1, max_size=6),
    st.sampled_from([1, 7, 64, 256]),
)
@settings(max_examples=200, deadline=None)
def test_parts_cover_every_row_once_in_order_and_do_not_know_of_workers(
    gaps: list[tuple[int, int]], batch_size: int
) -> None:
    at, ranges = 0, []
    for gap, rows in gaps:
        ranges.append((at + gap, at + gap + rows))
        at += gap + rows
    parts = cut(ranges, batch_size)
    covered = np.concatenate([np.arange(start, start + rows) for start, rows in parts])
    assert covered.tolist() == [row for start, stop in ranges for row in range(start, stop)]
    ends = {stop for _, stop in ranges}
    assert all(rows % batch_size == 0 or start + rows in ends for start, rows in parts)  # whole batches


def test_large_stores_have_parts_of_65536_rows() -> None:
    sizes = {rows for _, rows in cut([(0, 20 * PART_ROWS)], 256)}
    assert sizes == {PART_ROWS}


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=7), st.integers(1, 20))
@settings(max_examples=500, deadline=None)
def test_a_chain_of_pieces_reaches_as_far_as_any_could(pieces: list[tuple[int, int]], rows: int) -> None:
    staged = [StagedPiece(f"p{i}", offset, length) for i, (offset, length) in enumerate(pieces) if offset < rows]
    chain = chained(staged, rows)
    at = 0
    for piece in chain:
        assert piece.offset == at and 0 < piece.taken <= piece.rows
        at += piece.taken
    assert at == _furthest(staged, rows)


def _furthest(pieces: list[StagedPiece], rows: int) -> int:
    """By trying every chain: a piece may follow another that reaches it and begins before it."""

    def reach(piece: StagedPiece) -> int:
        nexts = [p for p in pieces if p.rows and piece.offset < p.offset <= piece.end]
        return max([piece.end, *(reach(p) for p in nexts)])

    return min(rows, max((reach(p) for p in pieces if p.offset == 0 and p.rows), default=0))

"""Columns for Arrow, laid out without pyarrow.array: the same arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.sql import arrays

KINDS = ("int8", "int32", "int64", "float32", "float64", "uint8")
relaxed = settings(deadline=None)  # pyarrow.array loads pandas when it is first called
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)


@relaxed
@given(st.lists(st.tuples(st.integers(0, 127), st.booleans()), max_size=30), st.sampled_from(KINDS))
def test_numbers(given: list[tuple[int, bool]], kind: str) -> None:
    values, missing = (np.array([pair[i] for pair in given], dtype) for i, dtype in ((0, kind), (1, bool)))
    assert arrays.numbers(values).equals(pa.array(values))
    found = arrays.numbers(values, missing)
    found.validate(full=True)
    assert found.equals(pa.array(values, mask=missing)) and found.null_count == missing.sum()
    assert arrays.numbers(values[::2]).equals(pa.array(values[::2]))


@relaxed
@given(st.integers(0, 20), st.integers(1, 5), st.integers(0, 2**20 - 1))
def test_vectors(rows: int, width: int, bits: int) -> None:
    values = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    missing = np.array([bits >> i & 1 for i in range(rows)], bool)
    found = arrays.vectors(values, missing)
    found.validate(full=True)
    expected = [None if gone else row for row, gone in zip(values.tolist(), missing, strict=True)]
    assert found.equals(pa.array(expected, pa.list_(pa.float32(), width)))


@relaxed
@given(st.lists(plain, max_size=20))
def test_texts(values: list[str]) -> None:
    (found,) = arrays.texts(values)
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.string()))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9])
def test_many_texts_come_in_several_arrays(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_AT_ONCE", 4)
    values = [f"{i}ö" for i in range(count)]
    parts = list(arrays.texts(values))
    assert [len(part) for part in parts] == ([4] * (count // 4) + [count % 4] * bool(count % 4) or [0])
    assert pa.chunked_array(parts).to_pylist() == values


@relaxed
@given(st.lists(plain, min_size=2, max_size=5), st.lists(st.integers(-1, 1), max_size=20))
def test_chosen(names: Sequence[str], codes: list[int]) -> None:
    found = arrays.chosen(np.array(codes, np.int8), names)
    found.validate(full=True)
    assert found.to_pylist() == [None if code < 0 else names[code] for code in codes]

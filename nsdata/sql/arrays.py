"""Columns as Arrow arrays. ``pyarrow.array`` would make them, too, but loads pandas first, which outlasts most queries.

Legend: n values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 1 << 18  # texts in one array, which holds 2 GB: of paths as long as systems have them, a third less


def numbers(values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """(n,) numbers, null where they are missing."""
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    buffers = [_there(missing), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def vectors(values: NDArray[Any], missing: NDArray[np.bool_]) -> pa.Array:
    """(n, K) numbers as lists of K, null where they are missing."""
    import pyarrow as pa

    inside = numbers(values.reshape(-1))
    kind = pa.list_(inside.type, values.shape[1])
    return pa.Array.from_buffers(kind, len(values), [_there(missing)], children=[inside])


def texts(values: Sequence[str]) -> Iterator[pa.Array]:
    """n texts, in arrays that follow each other; none of them is one empty array."""
    import pyarrow as pa

    for first in range(0, len(values) or 1, _AT_ONCE):
        parts = [text.encode() for text in values[first : first + _AT_ONCE]]
        ends = np.cumsum([0, *map(len, parts)], dtype=np.int32)
        yield pa.StringArray.from_buffers(len(parts), pa.py_buffer(ends), pa.py_buffer(b"".join(parts)))


def chosen(codes: NDArray[Any], names: Sequence[str]) -> pa.Array:
    """(n,) positions in ``names`` as their texts, null where they are negative."""
    import pyarrow as pa

    (dictionary,) = texts(names)
    indices = numbers(np.asarray(codes, np.int32), codes < 0)
    return pa.DictionaryArray.from_arrays(indices, dictionary)


def _there(missing: NDArray[np.bool_] | None) -> pa.Buffer | None:
    """A bit for each value that is there; None where all are."""
    import pyarrow as pa

    if missing is None or not missing.any():
        return None
    return pa.py_buffer(np.packbits(~missing, bitorder="little"))

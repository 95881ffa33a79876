"""Digests of a segment's columns, as an import publishes them: of all but the pictures, which their ids stand for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from nsdata.arithmetic.ids import digest, text_bytes

if TYPE_CHECKING:
    from nsdata.storage.engine import Reader

_TEXTS = 1 << 16  # read at a time


def of_segment(reader: Reader, rows: int) -> dict[str, str]:
    """column -> BLAKE2b-128 in hex of its first ``rows`` values; of texts, each with a zero byte behind it."""
    found = {column: digest(reader.read(column, 0, rows)) for column in ("id", "label", "split", "width", "height")}
    sources = hashlib.blake2b(digest_size=16)
    for start in range(0, rows, _TEXTS):
        sources.update(text_bytes(reader.texts("source", start, min(start + _TEXTS, rows))))
    return {**found, "source": sources.hexdigest()}

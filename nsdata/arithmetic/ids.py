"""Ids as people write them and as numpy compares them, and digests of columns.

An id is 16 bytes; n ids are an (n, 16) uint8 array.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput

Array = NDArray[Any]

_DIGITS = b"0123456789abcdef"


def hexes(ids: Array) -> list[str]:
    """Ids as people write them: (n, 16) uint8 -> n lower-case hex strings."""
    text = np.ascontiguousarray(ids, np.uint8).tobytes().hex()
    return [text[i : i + 32] for i in range(0, len(text), 32)]


def shortest(ids: Array, among: Array, least: int = 4) -> list[str]:
    """The beginnings of ids that no other of ``among`` has: (n, 16) and (m, 16) uint8 -> n hex strings of one length.

    least: digits at least. Looks at the neighbours of each in order: among is sorted once.
    """
    if not len(ids):
        return []
    order = np.unique(whole(among))
    places, digits = np.searchsorted(order, whole(ids)), least
    for neighbours in (places - 1, places, places + 1):
        others = order[neighbours.clip(0, len(order) - 1)].view(np.uint8).reshape(-1, 16)
        differ = np.bitwise_xor(ids, others)
        first = (differ != 0).argmax(1)  # byte, of which the upper half is the earlier digit
        byte = np.take_along_axis(differ, first[:, None], 1)[:, 0]
        needed = (2 * first + np.where(byte >= 16, 1, 2))[byte > 0]
        digits = max(digits, int(needed.max(initial=0)))
    return [text[:digits] for text in hexes(ids)]


def from_hex(ids: Sequence[str]) -> Array:
    """Whole hex ids -> (n, 16) uint8. Raises BadInput for anything else."""
    digits = "".join(ids).encode(errors="replace")
    if set(map(len, ids)) - {32} or digits.translate(None, _DIGITS):
        bad = next(text for text in ids if len(text) != 32 or text.encode(errors="replace").translate(None, _DIGITS))
        raise BadInput(f"{bad!r} is not a whole image id: 32 lower-case hexadecimal digits are expected.")
    return np.frombuffer(bytes.fromhex(digits.decode()), np.uint8).reshape(-1, 16)


def whole(ids: Array) -> Array:
    """(n, 16) uint8 as (n,) byte strings that compare as the ids do.

    numpy drops trailing zero bytes when it compares "S16", which keeps both order and equality of fixed-length ids.
    """
    return np.ascontiguousarray(ids, np.uint8).view("S16").reshape(-1)


def text_bytes(texts: Iterable[str | None]) -> bytes:
    """Texts as their digest sees them: each with a zero byte behind it."""
    return b"".join((text or "").encode() + b"\0" for text in texts)


def digest(values: np.ndarray[Any, Any]) -> str:
    """BLAKE2b-128 of an array's bytes, in hex."""
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).hexdigest()

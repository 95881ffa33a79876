"""What every importer yields: an image with what is known of it, or what could not be read and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One image on its way in.

    source: where it came from, relative to what was imported: ``cat/001.jpg``, ``train.tar!cat/001.jpg``.
    data:   the encoded bytes, exactly as they came.
    label:  class index 0..K-1, or None where no person said.
    split:  "train", "val" or "test".
    id:     16 bytes; None means BLAKE2b-128 of ``data`` (arrays, which have no encoded bytes, bring their own).
    """

    source: str
    data: bytes
    label: int | None
    split: str
    id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """One file that did not come in. reason is a short phrase: "empty file", "truncated after 1,024 bytes".

    damage: the source itself is damaged: what came after or around may be lost.
    """

    source: str
    reason: str
    damage: bool = False

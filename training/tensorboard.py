"""A run's history as TensorBoard reads it, written without TensorBoard: a file of records beside metrics.csv.

A record is its length, a checksum of that, a message and its checksum (TFRecord; CRC-32C, masked). The message is an
event of tensorflow/core/util/event.proto: 1 wall time (double), 2 step (int64), 3 the file's version or 5 a summary,
which is a list of values, each 1 a tag and 2 a float.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

NAME = "events.out.tfevents.0.nsdata"
"""TensorBoard takes every file with "tfevents" in its name."""

Row = Mapping[str, float | None]


def write(folder: Path, rows: Iterable[Row]) -> None:
    """The rows of metrics.csv, of a run that may have been resumed, or begun again: one event each.

    Where the file has the first of them already the others are put behind, so that whoever watches it goes on.
    """
    path = folder / NAME
    old = path.read_bytes() if path.exists() else b""
    known, wanted, kept = _messages(old), [_VERSION, *map(_summary, rows)], 0
    records = []
    for place, content in enumerate(wanted):
        same = kept == place < len(known) and known[place][9:] == content  # but for its time
        kept += same
        records.append(_record(known[place] if same else struct.pack("<Bd", 9, time.time()) + content))
    before = b"".join(records[:kept])
    if kept and before == old:
        with path.open("ab") as file:
            file.write(b"".join(records[kept:]))
        return
    part = path.with_name(f".{NAME}.{os.getpid()}.tmp")
    part.write_bytes(b"".join(records))
    os.replace(part, path)


def _summary(row: Row) -> bytes:
    """Of a row, the message behind its time."""
    values = b""
    for name, value in row.items():
        if name != "step" and value is not None:
            tag = _TAGS.get(name, name).encode()
            entry = b"\x0a" + _varint(len(tag)) + tag + struct.pack("<Bf", 0x15, value)
            values += b"\x0a" + _varint(len(entry)) + entry
    return b"\x10" + _varint(int(row["step"] or 0)) + b"\x2a" + _varint(len(values)) + values


_TAGS = {
    "loss": "loss/all", "loss_labelled": "loss/labelled", "loss_unlabelled": "loss/unlabelled",
    "val_accuracy": "accuracy/val",
}  # fmt: skip
_VERSION = b"\x1a\x0dbrain.Event:2"


def _messages(raw: bytes) -> list[bytes]:
    """Those of a file's whole records."""
    found, at = [], 0
    while at + 12 <= len(raw):
        (length,) = struct.unpack_from("<Q", raw, at)
        message = raw[at + 12 : at + 12 + length]
        if _record(message) != raw[at : at + 16 + length]:
            break
        found.append(message)
        at += 16 + length
    return found


def _record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + struct.pack("<I", _masked(length)) + message + struct.pack("<I", _masked(message))


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _masked(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
    return value


_TABLE = [_entry(value) for value in range(256)]

"""Images from a zip: its members in the order of its directory, each unpacked alone and held against its checksum.

Not by zipfile, which unpacks bzip2 and LZMA without a limit.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from nsdata.importers.formats import samples
from nsdata.importers.formats.layout import MAX_BYTES, ignored, quoted
from nsdata.importers.formats.samples import Member
from nsdata.importers.formats.zip_directory import Entry, opened
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped

ENDINGS = (".zip",)
STORED, DEFLATED = 0, 8
_BZIP2, _LZMA, _ZSTD = 12, 14, 93
_OTHERS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 95: "xz", 98: "PPMd", 99: "AES encryption"}
_LOCAL = struct.Struct("<4sHHHHHLLLHH")  # in front of a member
_MEMORY = 1 << 28  # of an LZMA member's dictionary, whose size the archive chooses

_OVER = "damaged: it lies over another member"


def found(path: Path, *, read: bool = True, member: str | None = None) -> Iterator[Found | Skipped]:
    """Every file in the zip but litter, or its WebDataset samples (samples.py); read=False: no picture is unpacked.

    Names are those that unpacking would give: without drive and leading "/", with "/" for Windows' backslash. Links,
    what leads out of the archive, is encrypted, damaged or too large, or has a later member of its name, are Skipped.
    Raises BadInput for no zip, DamagedZip for one without its directory.
    """
    yield from samples.found(path.name, members(path, skip=None if read else samples.is_picture), member)


def members(path: Path, skip: Callable[[str], bool] | None = None) -> Iterator[Member | Skipped]:
    """(name, bytes) of every file in the zip, without litter; Skipped for what cannot be read.

    skip: says of a name whether its bytes are of no interest; they are b"" then, and not unpacked.
    """
    with opened(path) as (file, entries):
        starts, last = _survey(entries)
        file.seek(0)
        if starts and starts[0] and file.read(4) == b"PK\3\4":
            reason = f"{starts[0]:,} bytes before its first member: two archives in one, or damage"
            yield Skipped(path.name, reason, True)
        dos = ""
        for number, entry in enumerate(entries()):
            parts = entry.name.split("/")
            if entry.kind == "folder" or (".." not in parts and any(map(ignored, parts))):
                continue
            if entry.dos and not dos:
                dos = f"names that are no UTF-8 are read as code page 437, as in {quoted(entry.name)}"
                yield Skipped(path.name, dos, passed=True)
            reason = _unusable(entry) or _overlap(entry, starts)
            if not reason and last.get(entry.raw, number) != number:
                reason = "a later member has its name"
            if not reason and entry.kind == "link":
                target = unpacked(file, entry) if skip is None and entry.size < 4096 else ""
                where = f" to {quoted(target.decode('utf-8', 'replace'))}" if isinstance(target, bytes) else ""
                reason = f"link{where}, not followed"
            source = f"{path.name}!{entry.name}"
            if reason:
                yield Skipped(source, reason, damage=reason == _OVER)
                continue
            data = b"" if skip is not None and skip(entry.name) else unpacked(file, entry)
            yield Skipped(source, data, True) if isinstance(data, str) else (entry.name, data)


def _survey(entries: Any) -> tuple[array[int], dict[bytes, int]]:
    """Where members begin, sorted, and for each name that several have the number of its last entry. 16 bytes each."""
    starts, hashes = array("Q"), array("q")
    for entry in entries():
        starts.append(min(entry.offset, (1 << 64) - 1))
        hashes.append(hash(entry.raw))
    values, counts = np.unique(np.asarray(hashes), return_counts=True)
    several = set(values[counts > 1].tolist())
    last = {e.raw: number for number, e in enumerate(entries()) if hash(e.raw) in several} if several else {}
    return array("Q", np.sort(np.asarray(starts)).tobytes()), last


def _unusable(entry: Entry) -> str:
    """Why this member is no file to read; "" if it is one."""
    if ".." in entry.name.split("/") or not entry.name:
        return "its name leads out of the archive"
    if entry.kind not in ("file", "link"):
        return entry.kind
    if entry.flags & 0x41 or entry.method == 99:
        return "encrypted: unpack the archive with its password first"
    if entry.method not in (STORED, DEFLATED, _BZIP2, _LZMA, _ZSTD):
        how = _OTHERS.get(entry.method, f"method {entry.method}")
        return f"packed with {how}, which nsdata does not read: pack it with Deflate"
    return f"{entry.size / 1e9:.1f} GB, too large" if entry.size > MAX_BYTES else ""


def _overlap(entry: Entry, starts: array[int]) -> str:
    """Of an archive that is made to unpack to far more than it holds: its members share their bytes."""
    at = bisect_right(starts, entry.offset)
    shared = at > 1 and starts[at - 2] == entry.offset
    if shared or (at < len(starts) and entry.offset + _LOCAL.size + entry.packed > starts[at]):
        return _OVER
    return ""


def body(file: IO[bytes], entry: Entry) -> str:
    """Go to a member's packed bytes. Returns "", or why they are not there."""
    file.seek(entry.offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
        return "damaged: there is no member where the directory says"
    name, extra = _LOCAL.unpack(head)[9:]
    if file.read(name).replace(b"\\", b"/") != entry.raw.replace(b"\\", b"/"):
        return "damaged: another member is where the directory says"
    file.seek(extra, 1)
    return ""


def unpacked(file: IO[bytes], entry: Entry) -> bytes | str:
    """A member's bytes, at most one more than its size in memory beside its packed ones; or what is wrong with them."""
    if entry.packed > entry.size + entry.size // 2 + 1024:  # no method makes so much of so little
        return f"damaged: {entry.size:,} bytes packed into {entry.packed:,}"
    try:
        if reason := body(file, entry):
            return reason
        packed = file.read(entry.packed)
        if len(packed) < entry.packed:
            return f"truncated after {len(packed):,} bytes"
        data = _unpack(packed, entry)
    except (OSError, OverflowError) as e:
        return f"damaged: {str(e)[:80]}" if not getattr(e, "errno", None) else f"cannot be read: {e}"
    except (EOFError, ValueError, zlib.error, lzma.LZMAError, struct.error, MemoryError) as e:
        return f"damaged: {str(e).splitlines()[0][:80] if str(e) else 'it cannot be unpacked'}"
    if len(data) != entry.size:
        return f"damaged: it unpacks to {'more' if len(data) > entry.size else 'less'} than {entry.size:,} bytes"
    return data if zlib.crc32(data) == entry.crc else "damaged: wrong checksum"


def _unpack(packed: bytes, entry: Entry) -> bytes:
    most = entry.size + 1
    match entry.method:
        case 0:
            return packed
        case 8:
            return zlib.decompressobj(-15).decompress(packed, most)
        case 12:
            return bz2.BZ2Decompressor().decompress(packed, most)
        case 14:  # two bytes of a version, the length of the properties, these, and the data
            (length,) = struct.unpack_from("<H", packed, 2)
            size = b"\xff" * 8 if entry.flags & 2 else struct.pack("<Q", entry.size)  # or up to a mark at its end
            alone = packed[4 : 4 + length] + size + packed[4 + length :]
            return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY).decompress(alone, most)
        case _:
            import pyarrow as pa

            return (
                pa.decompress(packed, decompressed_size=entry.size, codec="zstd", asbytes=True) if entry.size else b""
            )

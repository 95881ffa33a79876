"""The directory of a zip, entry by entry.

Not by zipfile, which keeps all of it in memory (a gigabyte for ImageNet) and gives up at its first odd entry.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.formats.folder import regular

_ENTRY = struct.Struct("<4sBBHHHHHLLLHHHHHLL")
_END = struct.Struct("<4sHHHHLLH")
_FAR = struct.Struct("<4sLQL")  # in front of it, in a zip64: where its wider end record is
_UNIX = (3, 19)  # systems, by their number in an entry, whose file modes are Unix's
_KINDS = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}  # by the upper bits of a mode
_LETTERS = bytes(range(0x80, 0x9B)) + bytes(range(0xA0, 0xA6))  # of the code pages 437 and 850 alike
_FULL = 0xFFFFFFFF  # in a field of 32 bits: the number is in the zip64 extra


class DamagedZip(BadInput):
    """A file that begins as a zip and has no directory that can be read: what is in it is not known."""


class Entry(NamedTuple):
    """A member as the directory has it. name: cleaned, "/" between folders; raw: as written; kind: see _KINDS; dos:
    whether the name is no UTF-8, and read as code page 437."""

    name: str
    raw: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    kind: str
    dos: bool


def number(path: Path) -> int:
    """The entries that the directory says it has, folders and litter too. Raises BadInput where there is none."""
    regular(path)
    try:
        with path.open("rb") as file:
            return _directory(file, path)[2]
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], Any]]:
    """The file, and a function that gives the directory's entries, from the first one at each call.

    Raises BadInput for no zip and for a part of one in several, DamagedZip where the directory cannot be found; the
    function too, where it cannot be read.
    """
    regular(path)
    try:
        with path.open("rb") as file, path.open("rb") as directory:
            place = _directory(directory, path)

            def entries() -> Iterator[Entry]:
                return _entries(directory, path, *place)

            yield file, entries
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e


def _directory(file: IO[bytes], path: Path) -> tuple[int, int, int, int]:
    """(where the directory begins, where it ends, its number of entries, what to add to their offsets)."""
    base = max(0, file.seek(0, 2) - _END.size - 0xFFFF)
    file.seek(base)
    tail = file.read(_END.size + 0xFFFF)
    at = len(tail)
    while (at := tail.rfind(b"PK\5\6", 0, at)) >= 0:
        if at + _END.size > len(tail):
            continue
        _, disk, _, _, number, length, offset, comment = _END.unpack_from(tail, at)
        if len(tail) < at + _END.size + comment or tail[at + _END.size + comment :].strip(b"\0 \t\r\n"):
            continue  # of a zip within this one, say, which is cut
        if 0 < disk < 0xFFFF:
            raise BadInput(f"{path} is the last of {disk + 1} parts.", f"zip -s 0 {path} --out whole.zip")
        end = base + at
        if (wide := _wide(file, end)) is not None:
            end, number, length, offset = wide
        start = end - length
        file.seek(max(0, start))
        if start >= offset and (not length or file.read(4) == b"PK\1\2"):
            return start, end, number, start - offset
    file.seek(0)
    if file.read(4) in (b"PK\3\4", b"PK\7\x08", b"PK\1\2"):
        raise DamagedZip(f"{path} has no directory at its end: it is cut, or was never finished.", f"unzip -t {path}")
    raise BadInput(f"{path} is no zip archive.", f"file {path}")


def _wide(file: IO[bytes], end: int) -> tuple[int, int, int, int] | None:
    """(where the directory ends, entries, length, offset) of a zip64, whose common end record is at ``end``."""
    file.seek(max(0, end - _FAR.size))
    far = file.read(_FAR.size)
    if end < _FAR.size or far[:4] != b"PK\6\7":
        return None
    for at in (_FAR.unpack(far)[2], end - _FAR.size - 56):  # the second where something lies in front of the archive
        if 0 <= at <= end:
            file.seek(at)
            record = file.read(56)
            if record[:4] == b"PK\6\6" and len(record) == 56:
                return (at, *struct.unpack_from("<QQQ", record, 32))
    return None


def _entries(file: IO[bytes], path: Path, at: int, end: int, number: int, shift: int) -> Iterator[Entry]:
    seen = 0
    file.seek(at)
    while at < end:
        head = file.read(_ENTRY.size)
        if head[:4] == b"PK\5\5":  # a signature
            break
        if len(head) < _ENTRY.size or head[:4] != b"PK\1\2":
            raise _bad(path, seen, number)
        fields = _ENTRY.unpack(head)
        named, extra, comment = fields[11:14]
        body = file.read(named + extra + comment)
        at += len(head) + len(body)
        if not named or len(body) < named + extra + comment or at > end:
            raise _bad(path, seen, number)
        seen += 1
        yield _entry(fields, body[:named], body[named : named + extra], shift)
    if (seen - number) % 0x10000:  # writers without zip64 count on from 0
        raise _bad(path, seen, number)


def _bad(path: Path, seen: int, number: int) -> DamagedZip:
    return DamagedZip(f"{path} has a damaged directory: {seen:,} of {number:,} entries are found.", f"unzip -t {path}")


def _entry(fields: tuple[Any, ...], raw: bytes, extra: bytes, shift: int) -> Entry:
    _, _, system, _, flags, method, _, _, crc, packed, size, _, _, _, _, _, attributes, offset = fields
    better = b""
    while len(extra) >= 4:
        tag, length = struct.unpack_from("<HH", extra)
        body, extra = extra[4 : 4 + length], extra[4 + length :]
        if tag == 1:
            wide = [value for (value,) in struct.iter_unpack("<Q", body[: len(body) // 8 * 8])]
            size, packed, offset = (wide.pop(0) if n == _FULL and wide else n for n in (size, packed, offset))
        elif tag == 0x7075 and body[1:5] == struct.pack("<L", zlib.crc32(raw)):  # Info-ZIP's name in UTF-8
            better = body[5:]
    name, dos = _name(better or raw, bool(better) or bool(flags & 0x800))
    kind = _KINDS.get(attributes >> 16 & 0xF000 if system in _UNIX else 0, "pipe or device")
    if name.endswith("/") or (attributes & 0x10 and not size) or kind == "folder":
        kind = "folder" if not size else "folder with bytes of its own"
    return Entry(_clean(name), raw, flags, method, crc, packed, size, offset + shift, kind, dos)


def _name(raw: bytes, flagged: bool) -> tuple[str, bool]:
    """(a member's name, with "/" between its folders; whether it is read as code page 437). macOS writes UTF-8 and does
    not say so."""
    if b"\0" in raw:
        raw = raw.partition(b"\0")[0]
    try:
        name, dos = raw.decode("utf-8", "replace" if flagged else "strict"), False
    except UnicodeDecodeError:
        name, dos = _dos(raw.replace(b"\\", b"/")), True
    return name.replace("\\", "/") if "\\" in name else name, dos


def _dos(raw: bytes) -> str:
    """A name in code page 437, as the format has it where nothing else is said. Folders whose bytes are no letters of
    it were written in another, nobody knows which."""
    folder, slash, base = raw.rpartition(b"/")
    known = folder.translate(None, _LETTERS).isascii()
    return (folder.decode("cp437") if known else folder.decode("utf-8", "replace")) + (slash + base).decode("cp437")


def _clean(name: str) -> str:
    if name[1:3] == ":/":  # C:/
        name = name[2:]
    if "//" in name or "./" in name or name[:1] == "/" or name[-1:] in ("/", "."):
        return "/".join(part for part in name.split("/") if part not in ("", "."))
    return name

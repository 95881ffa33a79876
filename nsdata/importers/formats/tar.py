"""Images from a tar, in one pass: class folders, or WebDataset samples (key.jpg with key.cls or key.json).

Read block by block, not with tarfile, which ends silently at the first damage, as if the archive were whole.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.formats import samples
from nsdata.importers.formats.folder import regular
from nsdata.importers.formats.layout import MAX_BYTES, ignored, quoted, readable
from nsdata.importers.formats.samples import Member
from nsdata.importers.formats.unpacked import Unpacked
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
_BLOCK = 512
_BODILESS = {  # types without data, whatever size their header says
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
    tarfile.DIRTYPE: "folder",
}
_FOLDERS = (tarfile.DIRTYPE, b"D", b"V")  # nothing is lost with them: D is GNU's list of a folder, V a title


def found(path: Path, *, read: bool = True, member: str | None = None) -> Iterator[Found | Skipped]:
    """The images of one tar, in its order; one sample in memory at a time (samples.py).

    member: the ending of that member of a sample that is its picture. Links, and what damage took, are Skipped. Raises
    BadInput for no tar, and for samples of several pictures of which none is named.
    """
    yield from samples.found(path.name, members(path, skip=None if read else samples.is_picture), member)


def members(path: Path, skip: Callable[[str], bool] | None = None) -> Iterator[Member | Skipped]:
    """(name, bytes) of every file in the tar, without litter; Skipped for what cannot be read.

    skip: says of a name whether its bytes are of no interest; they are b"" then, and passed over as fast as can be.
    """
    regular(path, pipes=True)  # a tar is read from its start to its end, once
    try:
        file = path.open("rb")
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e
    with file:
        stream = Unpacked(file)
        resync, zeros, first = 0, 0, True
        long: dict[str, str] = {}
        known, inside_litter = "", False  # the folder of the member before, and whether it is litter
        while True:
            block = stream.read(_BLOCK)
            if len(block) < _BLOCK:
                break
            try:
                head = _head(block)
            except tarfile.HeaderError:
                long = {}
                if block.count(0) == _BLOCK:
                    zeros += _BLOCK  # the end, unless something follows
                elif first:
                    raise _no_tar(path, stream.reason) from None
                elif resync or not zeros:  # else rubbish behind the end
                    resync, zeros = resync + zeros + _BLOCK, 0  # look for the next whole header
                continue
            if resync:
                yield Skipped(path.name, f"damaged: {resync + zeros:,} bytes lost before {quoted(head.name)}", True)
            elif zeros and not first:
                reason = f"{zeros:,} zeros before {quoted(head.name)}: two archives in one, or damage"
                yield Skipped(path.name, reason, True)
            resync, zeros, first = 0, 0, False
            padded = -(-head.size // _BLOCK) * _BLOCK
            if head.type in (b"L", b"x", b"g", b"K", b"X"):
                body = stream.read(padded)[: head.size] if head.size <= 1 << 20 else stream.skip(padded)
                long = long | _long(head.type, body)
                continue
            if long:
                head = head._replace(name=long.get("name", head.name), link=long.get("link", head.link))
                long = {}
            name = head.name.removeprefix("./")
            folder, _, base = name.rpartition("/")
            if folder != known:
                known, inside_litter = folder, any(map(ignored, folder.split("/")))
            litter = inside_litter or ignored(base)
            if litter or (reason := _unusable(head)):
                stream.skip(padded)
                if not litter and head.type not in _FOLDERS:
                    yield Skipped(f"{path.name}!{readable(name)}", reason)
                continue
            if skip is not None and skip(name):
                stream.skip(padded)
                yield name, b""
                continue
            data = stream.read(padded)
            if len(data) < head.size:
                yield Skipped(f"{path.name}!{readable(name)}", f"truncated after {len(data):,} bytes", True)
                zeros = 0 if stream.reason else _BLOCK  # reported once is enough
                break
            yield name, data[: head.size]
        if first and zeros < 2 * _BLOCK and not stream.reason:
            raise _no_tar(path, stream.reason)
        yield from _end(path, stream, resync, ended=zeros > 0)


class _Head(NamedTuple):
    name: str
    size: int
    type: bytes
    link: str = ""  # where a link leads


def _head(block: bytes) -> _Head:
    """A member's header; the common kind without tarfile, which takes as long as all the rest."""
    try:
        plain = block[257:263] in (b"ustar\0", b"ustar ") and block[156:157] == b"0" and not block[345]
        checksum = sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if plain and block[124] != ord("-") and int(block[148:156].strip(b" \0"), 8) == checksum:
            name = block[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape")
            return _Head(name, int(block[124:136].strip(b" \0"), 8), b"0")
    except ValueError:
        pass
    info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    if info.size < 0:
        raise tarfile.HeaderError("negative size")
    size = 0 if info.type in _BODILESS else info.size
    return _Head(info.name, size, info.type, info.linkname)


def _unusable(head: _Head) -> str:
    """Why this member is no file to read; "" if it is one."""
    if head.type in tarfile.REGULAR_TYPES and head.type != tarfile.GNUTYPE_SPARSE:
        return f"{head.size / 1e9:.1f} GB, too large" if head.size > MAX_BYTES else ""
    if head.type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        return f"{_BODILESS[head.type]} to {quoted(head.link)}, not followed"
    if head.type == tarfile.GNUTYPE_SPARSE:
        return "sparse file"
    return _BODILESS.get(head.type) or f"member of unknown type {head.type.decode('latin-1')!a}"


def _end(path: Path, stream: Unpacked, resync: int, ended: bool) -> Iterator[Skipped]:
    """What to say about the end of the archive."""
    if resync:
        yield Skipped(path.name, f"damaged archive: its last {resync:,} bytes are lost", True)
    if stream.reason and not ended:
        yield Skipped(path.name, f"damaged archive: {stream.reason}; the rest is lost", True)
    elif not ended:
        yield Skipped(path.name, "archive without its end: it may be cut", True)


def _no_tar(path: Path, reason: str) -> BadInput:
    return BadInput(f"{path} is no tar archive{': ' + reason if reason else ''}.", f"file {path}")


def _long(kind: bytes, body: bytes) -> dict[str, str]:
    """The long "name" and "link" in a GNU or pax header, as far as it holds them."""
    if kind in (b"L", b"K"):
        return {"name" if kind == b"L" else "link": body.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    found: dict[str, str] = {}
    if kind not in (b"x", b"X"):
        return found
    at = 0
    while 0 <= at < len(body):
        length, _, _ = body[at : at + 20].partition(b" ")
        if not length.isdigit() or int(length) < 5:
            break
        key, _, value = body[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        if value and key in (b"path", b"linkpath"):
            found["name" if key == b"path" else "link"] = value.decode("utf-8", "surrogateescape")
        at += int(length)
    return found

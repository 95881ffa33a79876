"""Images from a tar, in one pass: class folders, or WebDataset samples (key.jpg with key.cls or key.json).

Read block by block rather than with tarfile, which ends silently at the first damaged header or cut, as if
the archive were whole.
"""

from __future__ import annotations

import bz2
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.item import Item, Skipped
from nsdata.importers.layout import MAX_BYTES, UNLABELLED, Places, ignored, label_of, readable, split_of_file
from nsdata.schema import SPLITS

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_IMAGES = frozenset({"jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"})
_SIDES = frozenset({"cls", "json"})
_BLOCK = 512
_CHUNK = 1 << 18

Member = tuple[str, bytes]


def items(
    path: Path, *, classes: Sequence[str], split: str | None = None, labelled: bool = True
) -> Iterator[Item | Skipped]:
    """The images of one tar, in its order; one sample in memory at a time.

    Labels and splits come from the folders (layout.py) or, for a WebDataset sample, from its ``.cls`` (a
    class name or index) or the "label" and "split" of its ``.json``. What damage took is Skipped, naming the
    archive, after everything that could be read. Raises BadInput for an unknown class and for no tar.
    """
    file_split = split_of_file(path.name)
    places = Places(classes, split, labelled, file_split, str(path))
    index = {name: i for i, name in enumerate(classes)}
    for key, group in _samples(path):
        if isinstance(group, Skipped):
            yield group
            continue
        sides = {ext: data for ext, data in ((_ending(n), d) for n, d in group) if ext in _SIDES}
        images = [(n, d) for n, d in group if _ending(n) in _IMAGES] if sides else []
        if not images:
            for name, data in group:
                where, label = places.of(name.rpartition("/")[0])
                yield Item(f"{path.name}!{readable(name)}", data, label, where)
            continue
        label, told = _told(sides, classes, index, f"{key} of {path}")
        for name, data in images:
            yield Item(
                f"{path.name}!{readable(name)}",
                data,
                label if labelled and file_split not in UNLABELLED else None,
                split or told or _split_of(places, name),
            )


def _split_of(places: Places, name: str) -> str:
    """The split that a sample's folders or the archive's name say; folders that name no class say nothing."""
    try:
        return places.of(name.rpartition("/")[0])[0]
    except BadInput:
        return places.of("")[0]


def _told(
    sides: dict[str, bytes], classes: Sequence[str], index: dict[str, int], where: str
) -> tuple[int | None, str | None]:
    """(label, split) from the files beside an image."""
    facts: Any = {}
    if "json" in sides:
        try:
            facts = json.loads(sides["json"])
        except (ValueError, RecursionError):
            facts = {}
    facts = facts if isinstance(facts, dict) else {}
    value = facts.get("label")
    if "cls" in sides:
        value = sides["cls"].decode("utf-8", "replace").strip()
    split = facts.get("split")
    return label_of(value, classes, index, where), split if split in SPLITS else None


def _ending(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _samples(path: Path) -> Iterator[tuple[str, list[Member] | Skipped]]:
    """Neighbouring members that share all but their ending, as WebDataset groups them; damage in between."""
    group: list[Member] = []
    key = ""
    for member in members(path):
        if isinstance(member, Skipped):
            if group:
                yield key, group
            group = []
            yield "", member
            continue
        this = _key(member[0])
        if this != key and group:
            yield key, group
            group = []
        key = this
        group.append(member)
    if group:
        yield key, group


def members(path: Path) -> Iterator[Member | Skipped]:
    """(name, bytes) of every file in the tar, without litter; Skipped for what cannot be read."""
    try:
        file = path.open("rb")
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e
    with file:
        stream = _Stream(file, path.name)
        long_name, resync, zeros, first = "", 0, 0, True
        while True:
            block = stream.read(_BLOCK)
            if len(block) < _BLOCK:
                break
            try:
                head = _head(block)
            except tarfile.HeaderError:
                long_name = ""
                if block.count(0) == _BLOCK:
                    zeros += _BLOCK  # the end, unless something follows
                elif first:
                    raise _no_tar(path, stream.reason) from None
                elif resync or not zeros:  # else rubbish behind the end
                    resync, zeros = resync + zeros + _BLOCK, 0  # look for the next whole header
                continue
            if resync:
                yield Skipped(path.name, f"damaged: {resync + zeros:,} bytes lost before {readable(head.name)}")
            elif zeros and not first:
                reason = f"{zeros:,} zeros before {readable(head.name)}: two archives in one, or damage"
                yield Skipped(path.name, reason)
            resync, zeros, first = 0, 0, False
            padded = -(-head.size // _BLOCK) * _BLOCK
            if head.type in (b"L", b"x", b"g", b"K", b"X"):
                body = stream.read(padded)[: head.size] if head.size <= 1 << 20 else stream.skip(padded)
                long_name = _long(head.type, body) or long_name
                continue
            name, long_name = long_name or head.name, ""
            name = name.removeprefix("./")
            usable = head.type in tarfile.REGULAR_TYPES and head.type != b"S" and not any(map(ignored, name.split("/")))
            if not usable or head.size > MAX_BYTES:
                stream.skip(padded)
                if usable or head.type == b"S":
                    reason = "sparse file" if head.type == b"S" else f"{head.size / 1e9:.1f} GB, too large"
                    yield Skipped(f"{path.name}!{readable(name)}", reason)
                continue
            data = stream.read(padded)
            if len(data) < head.size:
                yield Skipped(f"{path.name}!{readable(name)}", f"truncated after {len(data):,} bytes")
                zeros = 0 if stream.reason else _BLOCK  # said once is enough
                break
            yield name, data[: head.size]
        if first and zeros < 2 * _BLOCK and not stream.reason:
            raise _no_tar(path, stream.reason)
        yield from _end(path, stream, resync, ended=zeros > 0)


class _Head(NamedTuple):
    name: str
    size: int
    type: bytes


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
    return _Head(info.name, info.size, info.type)


def _end(path: Path, stream: _Stream, resync: int, ended: bool) -> Iterator[Skipped]:
    """What to say about the end of the archive."""
    if resync:
        yield Skipped(path.name, f"damaged archive: its last {resync:,} bytes are lost")
    if stream.reason and not ended:
        yield Skipped(path.name, f"damaged archive: {stream.reason}; the rest is lost")
    elif not ended:
        yield Skipped(path.name, "archive without its end: it may be cut")


def _no_tar(path: Path, reason: str) -> BadInput:
    return BadInput(f"{path} is no tar archive{': ' + reason if reason else ''}.", f"file {path}")


def _long(kind: bytes, body: bytes) -> str:
    """The long name in a GNU or pax header, "" if there is none."""
    if kind == b"L":
        return body.rstrip(b"\0").decode("utf-8", "surrogateescape")
    if kind not in (b"x", b"X"):
        return ""
    at = 0
    while 0 <= at < len(body):
        length, _, _ = body[at : at + 20].partition(b" ")
        if not length.isdigit() or int(length) < 5:
            return ""
        key, _, value = body[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        if key == b"path":
            return value.decode("utf-8", "surrogateescape")
        at += int(length)
    return ""


class _Stream:
    """A file's bytes, unpacked on the way. Damage ends it, after all that came before."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._buffer, self._at = b"", 0
        self._packed = b""
        self.reason = ""
        start = file.read(6)
        file.seek(0)
        self._new: Any = None
        if start[:2] == b"\x1f\x8b":
            self._new = lambda: zlib.decompressobj(31)
        elif start[:3] == b"BZh":
            self._new = bz2.BZ2Decompressor
        elif start == b"\xfd7zXZ\0":
            self._new = lzma.LZMADecompressor
        self._unpacker: Any = self._new() if self._new else None

    def read(self, size: int) -> bytes:
        """The next size bytes, fewer at the end."""
        end = self._at + size
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        parts = [self._buffer[self._at :]]
        have = len(parts[0])
        self._buffer, self._at = b"", 0
        while have < size and (more := self._more()):
            parts.append(more)
            have += len(more)
        if have > size:
            self._buffer, self._at = parts[-1], len(parts[-1]) - (have - size)
            parts[-1] = parts[-1][: self._at]
        return b"".join(parts)

    def skip(self, size: int) -> bytes:
        """Pass over size bytes without keeping them; returns nothing."""
        while size > 0 and (step := len(self.read(min(size, _CHUNK)))):
            size -= step
        return b""

    def _more(self) -> bytes:
        """The next bytes, b"" at the end or at damage (then reason is set)."""
        if self.reason:
            return b""
        try:
            if self._unpacker is None:
                return self._file.read(_CHUNK)
            while True:
                if self._unpacker.eof and not self._next_member():
                    return b""
                hungry = getattr(self._unpacker, "needs_input", True)
                packed = (self._packed or self._file.read(_CHUNK // 4)) if hungry else b""
                data: bytes = self._unpacker.decompress(packed, _CHUNK)
                if not (packed or data or self._unpacker.eof) and hungry:
                    self.reason = "compressed data is cut short"
                    return b""
                self._packed = getattr(self._unpacker, "unconsumed_tail", b"")
                if data:
                    return data
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as e:
            self.reason = f"compressed data is damaged ({e})" if self._unpacker else f"cannot be read ({e})"
            return b""

    def _next_member(self) -> bool:
        """Whether another compressed member follows, as in concatenated files; padding and rubbish do not."""
        rest = self._unpacker.unused_data or self._file.read(_CHUNK // 4)
        if rest[:2] not in (b"\x1f\x8b", b"BZ", b"\xfd7"):
            return False
        self._unpacker, self._packed = self._new(), rest
        return True

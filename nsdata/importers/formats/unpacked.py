"""The bytes of a file that may be compressed, unpacked on the way, up to the first damage."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Callable
from typing import IO, Any

_CHUNK = 1 << 18
_PIECE = 512  # of what zstd unpacks: Arrow gives none of a piece that damage ends, and a tar has its blocks whole
_MEMORY = 1 << 28  # of an xz archive's dictionary, whose size the archive chooses: xz -9 needs a quarter


_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # a frame, or one to be passed over: pzstd begins so
_WINDOW = 1 << 27  # of a zstd frame, which chooses it; its library's own limit


def _zstd(read: Callable[[int], bytes]) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(_Raw(read), mode="r"), "zstd")


class _Raw:
    """What Arrow takes for a file."""

    closed = False

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read

    def close(self) -> None:
        """Nothing: who opened the file closes it."""


class Unpacked:
    """A file's bytes, unpacked on the way. Damage ends it, after all that came before."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer, self._at = b"", 0
        self._packed = b""
        self.reason = ""
        self._start = start = file.read(6)  # kept, as a pipe cannot be read again
        self._new: Any = None
        self._zstd: Any = _zstd(self._raw) if _ZSTD.match(start) else None
        if start[:2] == b"\x1f\x8b":
            self._new = lambda: zlib.decompressobj(31)
        elif start[:3] == b"BZh":
            self._new = bz2.BZ2Decompressor
        elif start == b"\xfd7zXZ\0":
            self._new = lambda: lzma.LZMADecompressor(memlimit=_MEMORY)
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
        if self._new is None and self._zstd is None and size > len(self._buffer) - self._at and not self._start:
            size -= len(self._buffer) - self._at
            self._buffer, self._at = b"", 0
            self._file.seek(size, 1)  # nothing is packed: read on from there
            return b""
        while size > 0 and (step := len(self.read(min(size, _CHUNK)))):
            size -= step
        return b""

    def _more(self) -> bytes:
        """The next bytes, b"" at the end or at damage (then reason is set)."""
        if self.reason:
            return b""
        try:
            if self._zstd is not None:
                return self._pieces()
            if self._unpacker is None:
                return self._raw(_CHUNK)
            while True:
                if self._unpacker.eof and not self._next_member():
                    return b""
                hungry = getattr(self._unpacker, "needs_input", True)
                packed = (self._packed or self._raw(_CHUNK // 4)) if hungry else b""
                data: bytes = self._unpacker.decompress(packed, _CHUNK)
                if not (packed or data or self._unpacker.eof) and hungry:
                    self.reason = "compressed data is cut short"
                    return b""
                self._packed = getattr(self._unpacker, "unconsumed_tail", b"")
                if data:
                    return data
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as e:
            self.reason = f"compressed data is damaged ({e})" if self._unpacker else f"cannot be read ({e})"
            if str(e) == "Memory usage limit exceeded":
                self.reason = f"it wants over {_MEMORY / 1e9:.1f} GB of memory to be unpacked"
            return b""

    def _pieces(self) -> bytes:
        """The next bytes of zstd; the frames of one file, as pzstd writes them, follow each other."""
        parts: list[bytes] = []
        try:
            while len(parts) < _CHUNK // _PIECE and (piece := self._zstd.read(_PIECE)):
                parts.append(piece)
        except (OSError, ValueError) as e:
            said = str(e).removeprefix("ZSTD decompress failed: ")
            self.reason = f"compressed data is damaged ({said})"
            if said == "Truncated compressed stream":
                self.reason = "compressed data is cut short"
            elif "too much memory" in said:
                self.reason = f"it wants over {_WINDOW / 1e9:.1f} GB of memory to be unpacked"
        return b"".join(parts)

    def _raw(self, size: int) -> bytes:
        """The next bytes as they are in the file: its first ones are here already."""
        start, self._start = self._start, b""
        return start or self._file.read(size)

    def _next_member(self) -> bool:
        """Whether another compressed member follows, as in concatenated files; padding and rubbish do not."""
        rest = self._unpacker.unused_data or self._file.read(_CHUNK // 4)
        if rest[:2] not in (b"\x1f\x8b", b"BZ", b"\xfd7"):
            return False
        self._unpacker, self._packed = self._new(), rest
        return True

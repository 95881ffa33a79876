"""The bytes of a file that may be compressed, unpacked on the way, up to the first damage."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import IO, Any

_CHUNK = 1 << 18
_MEMORY = 1 << 28  # of an xz archive's dictionary, whose size the archive chooses: xz -9 needs a quarter


class Unpacked:
    """A file's bytes, unpacked on the way. Damage ends it, after all that came before."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer, self._at = b"", 0
        self._packed = b""
        self.reason = ""
        self._start = start = file.read(6)  # kept, as a pipe cannot be read again
        self._new: Any = None
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
        while size > 0 and (step := len(self.read(min(size, _CHUNK)))):
            size -= step
        return b""

    def _more(self) -> bytes:
        """The next bytes, b"" at the end or at damage (then reason is set)."""
        if self.reason:
            return b""
        try:
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

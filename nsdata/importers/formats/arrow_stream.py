"""An Arrow stream on a disk, mapped batch by batch; what is in it was written by anybody."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.formats.folder import regular
from nsdata.importers.item import Skipped

_END = b"\xff\xff\xff\xff\0\0\0\0"


class Stream:
    """The batches of a file. Raises BadInput for no stream, and for one whose values are packed: of a few bytes these
    may fill the memory, and datasets packs none.
    """

    def __init__(self, file: Path) -> None:
        import pyarrow as pa

        regular(file)
        self._file = file
        try:
            self._source = pa.memory_map(str(file))
        except (OSError, ValueError, pa.ArrowException) as e:  # an empty one cannot be mapped
            raise BadInput(f"{file} is no Arrow stream: {_first(e)}", f"ls -l {file}") from e
        try:
            self.rows = self._count(pa)
            self._source.seek(0)
            self._reader = pa.ipc.open_stream(self._source)
            self.schema = self._reader.schema
        except (OSError, ValueError, pa.ArrowException) as e:
            self._source.close()
            if isinstance(e, BadInput):
                raise
            raise BadInput(f"{file} is no Arrow stream: {_first(e)}", f"file {file}") from e

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._source.close()

    def batches(self, names: list[str]) -> Iterator[Any]:
        """These columns, batch after batch, each checked before it is looked at; Skipped for what damage took."""
        import pyarrow as pa

        try:
            while True:
                batch = self._reader.read_next_batch().select(names)
                batch.validate(full=True)
                yield batch
        except StopIteration:
            size = self._source.size()
            self._source.seek(max(0, size - len(_END)))
            if self._source.read(len(_END)) != _END:
                yield Skipped(self._file.name, "Arrow stream without its end: it may be cut", True)
            elif self._end < size:
                yield Skipped(self._file.name, f"{size - self._end:,} bytes behind its end: two files in one?", True)
        except (OSError, ValueError, pa.ArrowException) as e:
            yield Skipped(self._file.name, f"damaged Arrow stream: {_first(e)[:80]}; the rest is lost", True)

    def _count(self, pa: Any) -> int:
        """The rows of all batches up to damage, by their own headers. Raises BadInput where one is packed."""
        rows = 0
        messages = pa.ipc.MessageReader.open_stream(self._source)
        try:
            for message in messages:
                if message.type in ("record batch", "dictionary"):
                    length, packed = _batch(message.metadata.to_pybytes())
                    if packed:
                        raise BadInput(
                            f"{self._file} has packed values, which nsdata does not read in Arrow streams.",
                            "datasets.load_from_disk(…).save_to_disk(…)",
                        )
                    rows += length if message.type == "record batch" else 0
        except BadInput:
            raise
        except (OSError, ValueError, pa.ArrowException, struct.error):
            pass  # whoever reads the batches says so
        self._end = self._source.tell()
        return rows


def _batch(metadata: bytes) -> tuple[int, bool]:
    """(rows, whether values are packed) of a batch, from its header, a flatbuffer: Message.header[.data]."""
    table = _at(metadata, _field(metadata, struct.unpack_from("<I", metadata)[0], 2))
    if struct.unpack_from("<B", metadata, _field(metadata, struct.unpack_from("<I", metadata)[0], 1))[0] == 2:
        table = _at(metadata, _field(metadata, table, 1))  # a dictionary's batch
    length = _field(metadata, table, 0)
    return struct.unpack_from("<q", metadata, length)[0] if length else 0, bool(_field(metadata, table, 3))


def _field(data: bytes, table: int, number: int) -> int:
    """Where a table's field is; 0 where it has none."""
    rows = table - struct.unpack_from("<i", data, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", data, rows)[0]:
        return 0
    at = struct.unpack_from("<H", data, rows + 4 + 2 * number)[0]
    return table + at if at else 0


def _at(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _first(error: Exception) -> str:
    return (str(error).splitlines() or ["it cannot be read"])[0]

"""Images on import: hashed, and decoded fully once, in threads, in order, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from nsdata.arguments import wrong
from nsdata.errors import BadImage
from nsdata.images.decoder import inspected
from nsdata.images.identity import content_id
from nsdata.importers.item import Item, Skipped
from nsdata.importers.item import checked as of_kind

CHUNK = 256  # items per task of a checking thread
_BYTES = 2 << 20  # fewer of them where they are large: at the end no thread has long to wait for another
_AHEAD = 4  # tasks for each thread: while the others' pictures are stored there is work

# the item, its id, and the (width, height) of the upright picture, None where it is known already
Checked = tuple[Item | Skipped, bytes, tuple[int, int] | None]


def checked(items: Iterable[Item | Skipped], known: Callable[[bytes], bool], threads: int) -> Iterator[list[Checked]]:
    """Hash and decode in threads, in order, a bounded number of chunks ahead, so that memory stays flat."""

    if not isinstance(items, Iterable):
        raise wrong("What the import's function gives", items, "a list or generator of nsdata.importers.Item")
    source = iter(items)
    threads = max(1, threads)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="nsdata-check")
    ahead: deque[Future[list[Checked]]] = deque()
    try:
        while True:
            while len(ahead) < _AHEAD * threads and (chunk := _chunk(source)):
                ahead.append(pool.submit(_check, chunk, known))
            if not ahead:
                return
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _chunk(source: Iterator[Item | Skipped]) -> list[Item | Skipped]:
    """The next items: at most CHUNK, fewer where they are large."""
    chunk: list[Item | Skipped] = []
    size = 0
    for item in islice(source, CHUNK):
        chunk.append(of_kind(item))
        size += len(item.data) if isinstance(item, Item) else 0
        if size > _BYTES:
            break
    return chunk


def _check(chunk: list[Item | Skipped], known: Callable[[bytes], bool]) -> list[Checked]:
    found: list[Checked] = []
    unknown: list[int] = []
    for place, item in enumerate(chunk):
        id_ = b"" if isinstance(item, Skipped) else item.id or content_id(item.data)
        if not isinstance(item, Skipped) and not known(id_):
            unknown.append(place)
        found.append((item, id_, None))
    sizes = inspected([item.data for place in unknown if isinstance(item := chunk[place], Item)])
    for place, size in zip(unknown, sizes, strict=True):
        item, id_, _ = found[place]
        if isinstance(size, BadImage):
            found[place] = Skipped(item.source, size.message), b"", None
        else:
            found[place] = item, id_, size
    return found

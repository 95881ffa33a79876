"""Images on import: hashed, and decoded fully once, in threads, in order, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from nsdata.arguments import wrong
from nsdata.errors import BadImage
from nsdata.images.identity import content_id
from nsdata.images.pillow import inspect
from nsdata.importers.item import Item, Skipped
from nsdata.importers.item import checked as of_kind

CHUNK = 256  # items per task of a checking thread

# the item, its id, and the (width, height) of the upright picture, None where it is known already
Checked = tuple[Item | Skipped, bytes, tuple[int, int] | None]


def checked(items: Iterable[Item | Skipped], known: Callable[[bytes], bool], threads: int) -> Iterator[list[Checked]]:
    """Hash and decode in threads, in order, a bounded number of chunks ahead, so that memory stays flat."""

    def check(chunk: list[Item | Skipped]) -> list[Checked]:
        return [_check(item, known) for item in chunk]

    if not isinstance(items, Iterable):
        raise wrong("What the import's function gives", items, "a list or generator of nsdata.importers.Item")
    source = iter(items)
    threads = max(1, threads)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="nsdata-check")
    ahead: deque[Future[list[Checked]]] = deque()
    try:
        while True:
            while len(ahead) < threads + 2 and (chunk := _chunk(source)):
                ahead.append(pool.submit(check, chunk))
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
        if size > 16 << 20:
            break
    return chunk


def _check(item: Item | Skipped, known: Callable[[bytes], bool]) -> Checked:
    if isinstance(item, Skipped):
        return item, b"", None
    id_ = item.id or content_id(item.data)
    if known(id_):
        return item, id_, None
    try:
        return item, id_, inspect(item.data)
    except BadImage as error:
        return Skipped(item.source, error.message), b"", None

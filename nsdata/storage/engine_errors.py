"""The engine's errors in our words: its 83 exceptions share no base class, and some are bare RuntimeErrors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from nsdata.errors import NsdataError, StoreDamaged
from nsdata.storage import buckets, space
from nsdata.storage.space import refused


@contextlib.contextmanager
def translated(url: str, verb: str, gone: Callable[[], None] | None = None) -> Iterator[None]:
    """Every exception of the engine leaves as one of ours; its own text stays in the chained cause.

    gone: raises NotFound where the data was deleted lawfully, which is no damage.
    """
    try:
        yield
    except StoreDamaged:
        if gone is not None:
            gone()
        raise
    except NsdataError:
        raise
    except Exception as error:
        if (failed := buckets.explain(url, error)) is not None:
            raise failed from error
        writing = verb == "write"
        if writing or space.failing(url, error):
            failure = refused(url, error, writing=writing)
            if any(word in failure.message.lower() for word in ("deeplake", "deep lake", "indra", "heimdall")):
                failure.message = f"The storage at {url} failed while it was written."
            raise failure from error
        if gone is not None:
            gone()
        raise StoreDamaged(f"{url} is missing, incomplete or damaged.", "nsdata verify") from error

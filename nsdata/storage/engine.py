"""The one door to Deep Lake. No other module imports it; no handle of its leaves here.

What is done to every dataset, and why (tested facts: deeplake 4.7.4):

* ``CompactionMode.Off`` on every handle: automatic compaction corrupts vectors and drops tags. It is not
  persisted, so it is set at each open.
* Datasets are only appended to. Appended columns read 30 to 100 times faster than updated ones.
* A failing path rolls back explicitly: a handle collected with pending rows publishes them by itself.
* Reads accept ints, slices and lists, not numpy arrays; a column dies with its dataset, so both are kept.
* Its 83 exceptions share no base class and some are bare RuntimeErrors: all are translated here.
* It numbers commits from a counter beside them: one that fell behind lets a commit overwrite an earlier one, garbage
  refuses all. It is set right before a dataset is appended to. Readers begin at it too: if it names an early commit,
  they see the rows up to there, so rows are counted.
* It commits although a write ended short, and crashes on what did: each commit is read back (proof.py), and published
  files are looked at before it reads them (guard.py).
* In a bucket it tries a dropped connection again by itself, for 42 s, and loses nothing.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import StorageFailed, StoreDamaged
from nsdata.schema import Column, Schema
from nsdata.storage import buckets, environment
from nsdata.storage.address import is_local
from nsdata.storage.durable import sync_tree
from nsdata.storage.engine_errors import translated as _translated
from nsdata.storage.local import remove
from nsdata.storage.objects import Objects
from nsdata.storage.opened import OPENED

if TYPE_CHECKING:
    from nsdata.storage.direct import Direct
    from nsdata.storage.guard import Guard

T = TypeVar("T")

_import_lock = threading.Lock()


class Reader:
    """A published dataset, read-only. Not safe to share between threads, nor to pickle or fork."""

    def __init__(
        self,
        url: str,
        schema: Schema,
        opening: Any = None,
        guard: Guard | None = None,
        direct: Direct | None = None,
    ) -> None:
        """guard: of published data, looks at a column's files before the column is first read. direct: reads what it
        knows; the engine opens the dataset when it is needed for the rest."""
        self.url, self._schema, self._guard, self._direct = url, schema, guard, direct
        self._looked = set[str]()  # columns: the engine reads a file when it is first asked for it
        self._native: tuple[Any, dict[str, Any]] | None = None
        if direct is None:
            self._open(opening)

    def __len__(self) -> int:
        return len(self._open()[0]) if self._direct is None else self._direct.rows

    def read(
        self, column: str, start: int = 0, stop: int | None = None, out: NDArray[Any] | None = None
    ) -> np.ndarray[Any, Any]:
        """Rows start..stop of a numeric column: (n,) or (n, width), in the column's own dtype.

        out: where they shall lie, of just their shape and dtype, and contiguous.
        """
        stop = len(self) if stop is None else stop
        if stop <= start:
            return np.asarray(self._schema[column].empty)
        with self._asked():
            direct = self._directly(column)
            found = self._column(column)[start:stop] if direct is None else direct.read(column, start, stop, out)
            return self._checked(column, found, stop - start, out)

    def reading(
        self, column: str, start: int, stop: int, out: NDArray[Any] | None = None
    ) -> Callable[[], np.ndarray[Any, Any]]:
        """As ``read``, of at least one row, begun at once; call what it returns for the values."""
        with self._asked():
            if self._directly(column) is not None:
                return lambda: self.read(column, start, stop, out)
            begun = self._column(column).get_async(slice(start, stop))

        def values() -> np.ndarray[Any, Any]:
            with self._asked():
                return self._checked(column, begun.result(), stop - start, out)

        return values

    def take(self, column: str, rows: Sequence[int] | NDArray[Any]) -> np.ndarray[Any, Any]:
        """These rows of a numeric column, in this order, repeats included."""
        if not len(rows):
            return np.asarray(self._schema[column].empty)
        with self._asked():
            if (direct := self._directly(column)) is not None:
                return self._checked(column, direct.take(column, np.asarray(rows, np.int64)), len(rows))
            return self._checked(column, self._column(column)[_plain(rows)], len(rows))

    def blobs(self, column: str, rows: Sequence[int] | NDArray[Any]) -> list[bytes]:
        """These rows of a "bytes" column."""
        if not len(rows):
            return []
        with self._asked():
            if (direct := self._directly(column)) is not None:
                return direct.blobs(column, np.asarray(rows, np.int64))
            return self._all(column, list(self._column(column).get_bytes(_plain(rows))), len(rows))

    def blobs_between(self, column: str, start: int, stop: int) -> list[bytes]:
        """Rows start..stop of a "bytes" column: of storage that is far away, whole files are read, not row by row."""
        with self._asked():
            if (direct := self._directly(column)) is not None:
                return direct.blobs_between(column, start, stop)
            found = self._column(column)[start:stop]
            return self._all(column, [blob or b"" for blob in found], stop - start)  # it reads b"" and "" as None

    def texts(self, column: str, start: int = 0, stop: int | None = None) -> list[str]:
        """Rows start..stop of a "text" column."""
        stop = len(self) if stop is None else stop
        if stop <= start:
            return []
        with self._asked():
            return self._all(column, [text or "" for text in self._column(column)[start:stop]], stop - start)

    def texts_at(self, column: str, rows: Sequence[int] | NDArray[Any]) -> list[str]:
        """These rows of a "text" column, in this order, repeats included."""
        if not len(rows):
            return []
        with self._asked():
            return self._all(column, [text or "" for text in self._column(column)[_plain(rows)]], len(rows))

    def _asked(self) -> AbstractContextManager[None]:
        """What is asked of the dataset: whatever goes wrong is said in our words, of one that is gone why it is."""
        return _translated(self.url, "read", None if self._guard is None else self._guard.gone)

    def _column(self, column: str) -> Any:
        """The engine's own, whose files were looked at."""
        self._look(column)
        return self._open()[1][column]

    def _directly(self, column: str) -> Direct | None:
        """What reads this column without the engine, if anything does; its files were looked at."""
        if self._direct is None:
            return None
        self._look(column)
        layouts = None if self._guard is None else self._guard.layouts
        return self._direct if self._direct.knows(column, layouts) else None

    def _look(self, column: str) -> None:
        if self._guard is not None and column not in self._looked:
            self._guard.column(column, self._schema[column])
            self._looked.add(column)

    def _open(self, opening: Any = None) -> tuple[Any, dict[str, Any]]:
        """The engine's dataset and its columns."""
        if self._native is None:
            with self._asked():
                dataset: Any = native(self.url) if opening is None else opening.result()
                if self._direct is not None and len(dataset) != self._direct.rows:
                    raise self._short(len(dataset), self._direct.rows)
                self._native = dataset, {name: dataset[name] for name in self._schema}
        return self._native

    def _all(self, column: str, found: list[T], rows: int) -> list[T]:
        """What was read, if it is of as many rows as were asked for: a wrong counter of commits hides some."""
        if len(found) != rows:
            raise self._short(len(found), rows, column)
        return found

    def _short(self, found: int, rows: int, column: str = "") -> StoreDamaged:
        where = f"Column {column!r} of {self.url}" if column else self.url
        return StoreDamaged(f"{where} shows {found:,} rows; {rows:,} were expected.", "nsdata verify")

    def _checked(self, column: str, values: Any, rows: int, out: NDArray[Any] | None = None) -> np.ndarray[Any, Any]:
        """The engine does not enforce vector lengths: a ragged column reads as a list."""
        spec = self._schema[column]
        shape = (rows, spec.width) if spec.width else (rows,)
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise StoreDamaged(
                f"Column {column!r} of {self.url} does not hold {rows:,} values of shape {shape[1:]}.",
            )
        values = values.astype(spec.type, copy=False)
        if self._guard is not None and not spec.holds(values):
            raise StoreDamaged(
                f"Column {column!r} of {self.url} holds numbers outside of {spec.low:,} to {spec.high:,}.",
                "nsdata verify",
            )
        if out is None or out is values:
            return values
        out[:] = values
        return out


def readers(
    urls: Sequence[str], schema: Schema, guards: Sequence[Guard], directs: Sequence[Direct | None]
) -> list[Reader]:
    """Published datasets of one kind in one store, all opened at the same time."""
    with _translated(urls[0], "read"):
        begun = [
            loaded().open_read_only_async(url, **buckets.engine_access(url)) if direct is None else None
            for url, direct in zip(urls, directs, strict=True)
        ]
    return [Reader(*each) for each in zip(urls, repeat(schema), begun, guards, directs, strict=False)]


def exists(url: str) -> bool:
    """True if there is a dataset at this address."""
    with _translated(url, "read"):
        return bool(loaded().exists(url, **buckets.engine_access(url)))


def delete(url: str) -> None:
    """Remove a dataset that no event names, with whatever else lies below its address; of a link, the link.

    Raises StorageFailed where something stays.
    """
    if is_local(url):
        OPENED.forget_below(url)
        with _translated(url, "write"):
            remove(url)
        return
    if buckets.is_bucket(url):
        Objects(url).clear()
        return
    with _translated(url, "write"):
        loaded().delete(url)


def native(url: str) -> Any:
    """The engine's own read-only dataset, for people who want to work with it directly."""
    with _translated(url, "read"):
        return loaded().open_read_only(url, **buckets.engine_access(url))


def sync(url: str, synced: dict[str, tuple[int, int]] | None = None) -> None:
    """fsync every file and folder of a dataset on a local disk; the engine itself never does.

    synced: what was made durable before, which is skipped, and brought up to date (durable.sync_tree). Publishing syncs
            all, without it.
    """
    if is_local(url):
        with _translated(url, "write"):
            sync_tree(url, synced)


def loaded() -> Any:
    """Import the engine when it is first needed; with NSDATA_OFFLINE=1, without its crash-report request."""
    with _import_lock:
        if "deeplake" not in sys.modules:
            environment.prepare()
        try:
            import deeplake
        except ImportError as error:
            cause: BaseException | None = error
            while cause is not None:  # Ctrl-C while it loads arrives as an ImportError
                if isinstance(cause, KeyboardInterrupt):
                    raise cause from error
                cause = cause.__cause__ or cause.__context__
            if not os.path.isdir(os.environ.get("TMPDIR", "/tmp")):
                raise StorageFailed(
                    f"TMPDIR is {os.environ.get('TMPDIR')!r}, which is not a folder; the storage engine needs one.",
                    "export TMPDIR=/tmp",
                ) from error
            raise
    return deeplake


def column_type(column: Column) -> Any:
    """The engine's own type of a column."""
    from deeplake import types

    if column.type == "bytes":
        return types.Bytes()
    if column.type == "text":
        return types.Text()
    if column.width:
        return types.Array(column.type, shape=[column.width])
    scalars = {
        "int8": types.Int8,
        "int32": types.Int32,
        "int64": types.Int64,
        "float32": types.Float32,
    }
    return scalars[column.type]()


def _plain(rows: Sequence[int] | NDArray[Any]) -> list[int]:
    return rows.tolist() if isinstance(rows, np.ndarray) else list(rows)

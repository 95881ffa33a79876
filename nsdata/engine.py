"""The one door to Deep Lake. No other module imports it; no handle of its leaves here.

What is done to every dataset, and why (tested facts: deeplake 4.7.4):

* ``CompactionMode.Off`` on every handle: automatic compaction corrupts vectors and drops tags. It is not
  persisted, so it is set at each open.
* Datasets are only appended to. Appended columns read 30 to 100 times faster than updated ones.
* A failing path rolls back explicitly: a handle collected with pending rows publishes them by itself.
* Reads accept ints, slices and lists, not numpy arrays; a column dies with its dataset, so both are kept.
* Its 83 exceptions share no base class and some are bare RuntimeErrors: all are translated here.
* It numbers commits from a counter beside them. A counter that fell behind lets a commit overwrite an earlier one; one
  that is garbage refuses every commit. It is set right before a dataset is gone on with.
* In a bucket it tries a dropped connection again by itself, for 42 s, and loses nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata import remote
from nsdata.errors import NsdataError, StorageFailed, StoreDamaged
from nsdata.objects import Objects, is_local, refused, sync_path
from nsdata.schema import Column, Schema

_import_lock = threading.Lock()
_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


class Reader:
    """A published dataset, read-only. Not safe to share between threads, nor to pickle or fork."""

    def __init__(self, url: str, schema: Schema, opening: Any = None) -> None:
        self.url, self._schema = url, schema
        with _translated(url, "read"):
            self._dataset: Any = native(url) if opening is None else opening.result()
            self._columns = {name: self._dataset[name] for name in schema}

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, column: str, start: int = 0, stop: int | None = None) -> np.ndarray[Any, Any]:
        """Rows start..stop of a numeric column: (n,) or (n, width), in the column's own dtype."""
        stop = len(self) if stop is None else stop
        if stop <= start:
            return np.asarray(self._schema[column].empty)
        with _translated(self.url, "read"):
            return self._checked(column, self._columns[column][start:stop], stop - start)

    def reading(self, column: str, start: int, stop: int) -> Callable[[], np.ndarray[Any, Any]]:
        """As ``read``, of at least one row, begun at once; call what it returns for the values."""
        with _translated(self.url, "read"):
            begun = self._columns[column].get_async(slice(start, stop))

        def values() -> np.ndarray[Any, Any]:
            with _translated(self.url, "read"):
                return self._checked(column, begun.result(), stop - start)

        return values

    def take(self, column: str, rows: Sequence[int] | NDArray[Any]) -> np.ndarray[Any, Any]:
        """These rows of a numeric column, in this order, repeats included."""
        if not len(rows):
            return np.asarray(self._schema[column].empty)
        with _translated(self.url, "read"):
            return self._checked(column, self._columns[column][_plain(rows)], len(rows))

    def blobs(self, column: str, rows: Sequence[int] | NDArray[Any]) -> list[bytes]:
        """These rows of a "bytes" column."""
        if not len(rows):
            return []
        with _translated(self.url, "read"):
            return list(self._columns[column].get_bytes(_plain(rows)))

    def blobs_between(self, column: str, start: int, stop: int) -> list[bytes]:
        """Rows start..stop of a "bytes" column: of storage that is far away, whole files are read, not row by row."""
        with _translated(self.url, "read"):
            return [blob or b"" for blob in self._columns[column][start:stop]]  # it reads b"" as None

    def texts(self, column: str, start: int = 0, stop: int | None = None) -> list[str]:
        """Rows start..stop of a "text" column."""
        stop = len(self) if stop is None else stop
        if stop <= start:
            return []
        with _translated(self.url, "read"):
            return [text or "" for text in self._columns[column][start:stop]]  # it reads "" as None

    def texts_at(self, column: str, rows: Sequence[int] | NDArray[Any]) -> list[str]:
        """These rows of a "text" column, in this order, repeats included."""
        if not len(rows):
            return []
        with _translated(self.url, "read"):
            return [text or "" for text in self._columns[column][_plain(rows)]]

    def _checked(self, column: str, values: Any, rows: int) -> np.ndarray[Any, Any]:
        """The engine does not enforce vector lengths: a ragged column reads as a list."""
        spec = self._schema[column]
        shape = (rows, spec.width) if spec.width else (rows,)
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise StoreDamaged(
                f"Column {column!r} of {self.url} does not hold {rows:,} values of shape {shape[1:]}.",
            )
        return values.astype(spec.type, copy=False)


class Writer(Reader):
    """A dataset that its one owner appends to. Use as a context manager: what is not committed is dropped."""

    def __init__(self, url: str, schema: Schema) -> None:
        self.url, self._schema = url, schema
        self._failed, self._synced = False, dict[str, tuple[int, int]]()
        deeplake, access = _deeplake(), remote.engine_access(url)
        with _translated(url, "write"):
            if deeplake.exists(url, **access):
                _mend_counters(url)
                self._dataset = deeplake.open(url, **access)
                self._dataset.compaction_mode = deeplake.CompactionMode.Off
            else:
                self._dataset = deeplake.create(url, **access)
                self._dataset.compaction_mode = deeplake.CompactionMode.Off
                for name, column in schema.items():
                    self._dataset.add_column(name, _type(column))
                self._dataset.commit("created")
        with _translated(url, "read"):  # one that was killed while it was made has no columns: damaged, not refused
            self._columns = {name: self._dataset[name] for name in schema}

    def append(self, rows: Mapping[str, Any]) -> None:
        """Add rows: one sequence per column, all of one length. They are nobody's until ``commit``."""
        if self._failed:
            raise StorageFailed(f"A commit to {self.url} failed; this writer cannot go on.", "Open a new one.")
        with _translated(self.url, "write"):
            self._dataset.append(dict(rows))

    def commit(self, message: str) -> None:
        """Keep what was appended: it survives the death of this process.

        After a failure nobody knows whether the rows were kept (the answer may have been lost), and only a new Writer
        can tell, by its length. So this one takes no more rows.
        """
        with _translated(self.url, "write"):
            try:
                self._dataset.commit(message)
            except BaseException:
                self._failed = True
                with contextlib.suppress(Exception):
                    self._dataset.rollback()
                raise

    def sync(self) -> None:
        """fsync what was written since the last call: cheap enough for every commit, and the power may go."""
        sync(self.url, self._synced)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Also without an exception: only commit() keeps anything.
        with contextlib.suppress(Exception):
            self._dataset.rollback()


def readers(urls: Sequence[str], schema: Schema) -> list[Reader]:
    """Published datasets of one kind in one store, all opened at the same time."""
    with _translated(urls[0], "read"):
        begun = [_deeplake().open_read_only_async(url, **remote.engine_access(url)) for url in urls]
    return [Reader(url, schema, opening) for url, opening in zip(urls, begun, strict=True)]


def exists(url: str) -> bool:
    """True if there is a dataset at this address."""
    with _translated(url, "read"):
        return bool(_deeplake().exists(url, **remote.engine_access(url)))


def delete(url: str) -> None:
    """Remove a dataset that no event names, with whatever else lies below its address."""
    if is_local(url):
        shutil.rmtree(url, ignore_errors=True)
        return
    if remote.is_bucket(url):
        Objects(url).clear()
        return
    with _translated(url, "write"):
        _deeplake().delete(url)


def native(url: str) -> Any:
    """The engine's own read-only dataset, for people who want to work with it directly."""
    with _translated(url, "read"):
        return _deeplake().open_read_only(url, **remote.engine_access(url))


def sync(url: str, synced: dict[str, tuple[int, int]] | None = None) -> None:
    """fsync every file and folder of a dataset on a local disk; the engine itself never does.

    synced: the size and time (ns) of what was made durable before, which is skipped, and brought up to date. It cannot
            see a file rewritten in the same size within one tick of the clock: publishing syncs all, without it.
    """
    if not is_local(url):
        return
    known = {} if synced is None else synced
    with _translated(url, "write"):
        for folder, _, files in os.walk(url):
            for path in [*(os.path.join(folder, name) for name in files), folder]:
                with contextlib.suppress(FileNotFoundError):  # lock files come and go
                    stat = os.stat(path)
                    if known.get(path) != (facts := (stat.st_size, stat.st_mtime_ns)):
                        sync_path(path)
                        known[path] = facts
        sync_path(os.path.dirname(url))


def _mend_counters(url: str) -> None:
    """Set the counters of the next commit to what the commits say, before a dataset is gone on with.

    Power that failed, or a kill between counting and committing, leaves them wrong; see the top of this module.
    """
    if url.startswith("mem://"):
        return
    objects = Objects(url)
    last: dict[str, int] = {}
    for path, _ in objects.list("_deeplake_log"):
        folder, _, name = path.rpartition("/")
        if commit := re.match(r"(\d{10})[mc]\d{8}\.", name):
            last[folder] = max(last.get(folder, 0), int(commit[1]))
    for folder, number in last.items():
        counter, right = f"{folder}/next_base", struct.pack("<Q", number + 1)
        if objects.get(counter) not in (None, right):  # without one, the engine counts the commits itself
            objects.put(counter, right)


def _deeplake() -> Any:
    """Import the engine when it is first needed; with NSDATA_OFFLINE=1, without its crash-report request."""
    with _import_lock:
        if "deeplake" not in sys.modules:
            _stay_offline()
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


def _stay_offline() -> None:
    """With NSDATA_OFFLINE=1, send this process's web requests to a dead proxy, before the engine is loaded.

    Its crash reporter has no switch of its own, and reads the proxy when it sends, some time after the import: so
    the setting stays for the life of the process (and cuts off downloads and buckets as well, as the name says). What
    runs on this machine can be reached.
    """
    if os.environ.get("NSDATA_OFFLINE", "") not in ("", "0"):
        os.environ.update(dict.fromkeys(_PROXIES, "http://127.0.0.1:9"))
        os.environ.update(dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(remote.LOOPBACK)))


def _type(column: Column) -> Any:
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


@contextlib.contextmanager
def _translated(url: str, verb: str) -> Iterator[None]:
    """Every exception of the engine leaves as one of ours; its own text stays in the chained cause."""
    try:
        yield
    except NsdataError:
        raise
    except Exception as error:
        text = str(error)
        if (failed := remote.explain(url, error)) is not None:
            raise failed from error
        if verb == "write" or "ermission denied" in text or "No space left" in text or _denied(error):
            failure = refused(url, PermissionError() if _denied(error) else error)
            if any(word in failure.message.lower() for word in ("deeplake", "deep lake", "indra", "heimdall")):
                failure.message = f"The storage at {url} failed while it was written."
            raise failure from error
        raise StoreDamaged(
            f"{url} is missing, incomplete or damaged.", "Restore it from a copy, or import and label again."
        ) from error


def _denied(error: Exception) -> bool:
    return isinstance(error, PermissionError) or type(error).__name__ in (
        "PermissionDeniedError",
        "StorageAccessDenied",
        "AuthorizationError",
    )

"""Datasets are only appended to, each commit is durable and read back before it counts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from nsdata.errors import NsdataError, StorageFailed
from nsdata.schema import Schema
from nsdata.storage import buckets, commits, engine, proof, space
from nsdata.storage.address import is_local
from nsdata.storage.direct import Direct
from nsdata.storage.engine import Reader
from nsdata.storage.engine_errors import translated as _translated
from nsdata.storage.objects import Objects
from nsdata.storage.patience import Stuck, in_time


class Writer(Reader):
    """A dataset that its one owner appends to. Use as a context manager: what is not committed is dropped."""

    def __init__(self, url: str, schema: Schema) -> None:
        self.url, self._schema, self._guard, self._direct = url, schema, None, None
        self._synced, self._held = dict[str, tuple[int, int]](), list[Mapping[str, Any]]()
        self._stuck = False  # a commit that does not end has the dataset
        self.failed = False  # nobody knows what was kept, and no more rows are taken
        self.held_bytes = 0  # of what was appended since the last commit
        deeplake, access = engine.loaded(), buckets.engine_access(url)
        with _translated(url, "write"):
            if there := deeplake.exists(url, **access):
                commits.set_counters(Objects(url))
                self._dataset = deeplake.open(url, **access)
                self._dataset.compaction_mode = deeplake.CompactionMode.Off
            else:
                self._dataset = deeplake.create(url, **access)
                self._dataset.compaction_mode = deeplake.CompactionMode.Off
                for name, column in schema.items():
                    self._dataset.add_column(name, engine.column_type(column))
                self._commit("created")
        # one that was killed while it was made has no columns: damaged, not refused
        with _translated(url, "read" if there else "write"):
            self._native = self._dataset, {name: self._dataset[name] for name in schema}
        self._kept, self._commits = len(self), frozenset[str]()
        self._folders = dict[str, str]()  # of columns

    def append(self, rows: Mapping[str, Any]) -> None:
        """Add rows: one sequence per column, all of one length. They are nobody's until ``commit``.

        Raises StorageFailed, before anything is written, where the disk has no room for them.
        """
        self._check_usable()
        held = proof.plain(rows, self._schema)
        size = proof.size(held)
        space.need(self.url, self.held_bytes + size, "what is to be stored now")
        with self._failing(), _translated(self.url, "write"):
            self._dataset.append(dict(held))
            self._held.append(held)
            self.held_bytes += size

    def commit(self, message: str) -> None:
        """Keep what was appended: durable, and read back as it was meant. It survives this process, and the power."""
        self._check_usable()
        with self._failing():
            with _translated(self.url, "write"):
                self._commit(message)
            if self._held:
                engine.sync(self.url, self._synced)
                self._prove()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Whatever goes wrong, Ctrl-C too, leaves it open what was kept."""
        try:
            yield
        except BaseException:
            self.failed = True
            self._roll_back()
            raise

    def _commit(self, message: str) -> None:
        try:
            in_time(self.url, lambda: self._dataset.commit(message))
        except Stuck:
            self._stuck = True
            raise

    def _roll_back(self) -> None:
        if not self._stuck:
            with contextlib.suppress(Exception):
                self._dataset.rollback()

    def _check_usable(self) -> None:
        if self.failed:
            raise StorageFailed(f"A commit to {self.url} failed; this writer cannot continue.", "Open a new one.")

    def _prove(self) -> None:
        held, self._held, self.held_bytes = self._held, [], 0
        dataset, looked_at = Objects(self.url), self._commits
        self._commits = proof.complete(dataset, looked_at)
        new = sorted(self._commits - looked_at)
        pictures = is_local(self.url) and any(column.type == "bytes" for column in self._schema.values())
        direct = Direct.by(dataset, new, self._schema, self._folders) if pictures else None
        reader = Reader(self.url, self._schema)
        proof.same(reader, self._kept, held, self._schema, direct)
        self._kept += sum(proof.rows(batch) for batch in held)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._roll_back()  # also without an exception: only commit() keeps anything


@contextlib.contextmanager
def fresh(url: str, schema: Schema) -> Iterator[Writer]:
    """A dataset that is written in one go, and made ready to be published: if that fails, nothing is left of it."""
    try:
        with Writer(url, schema) as writer:
            yield writer
    except BaseException:
        with contextlib.suppress(NsdataError):
            engine.delete(url)
        raise

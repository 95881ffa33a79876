"""A published dataset's files, looked at before the engine sees them: it crashes, hangs or lies on damaged ones.

What a file's name and size show costs one look at each, and is asked when a dataset is opened; its commits are hashed
then, too: they are small. A column's files are hashed when it is first read: ids, numbers of one to a row, texts. Of
large files of pictures and of soft labels, which are most of a store's bytes, the head is compared with the size, after
which numbers and pictures can be misread but nothing loses its way. Then some rows are held against what was hashed:
pictures against ids (versions/table.py), soft labels against pseudo-labels and confidences (labels/spots.py).
NSDATA_VERIFY_READS=1 hashes every file that is read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nsdata.errors import StoreDamaged
from nsdata.parallel import cores
from nsdata.schema import Column
from nsdata.storage import chunks, commits, inventory
from nsdata.storage.address import is_local
from nsdata.storage.buckets import is_bucket
from nsdata.storage.objects import Objects

VARIABLE = "NSDATA_VERIFY_READS"
_SMALL = 1 << 16  # files of up to so many bytes are hashed, whatever they hold
_MANY, _LARGE = 64, 4 << 20  # files, of which a disk looks up several at once; bytes, which several threads hash
_COUNTERS = ("/next_base", ".lock")  # a writer that was stopped may still write them; engine.py counts rows

HINT = "nsdata verify"

Facts = tuple[int, int, int, int]  # inode, bytes, times of its content and of itself
_FAR: Facts = (0, 0, 0, 0)  # of what cannot be looked at so cheaply


class Guard:
    """The look at one dataset. ``column`` may be called from several threads. Raises StoreDamaged."""

    def __init__(self, objects: Objects, name: str, digest: str, gone: Callable[[], None] = lambda: None) -> None:
        """digest: of its list of files, as the log names it. gone: raises NotFound where it was deleted lawfully."""
        self._objects, self._name, self._lock, self.gone = objects, name, threading.Lock(), gone
        self._seen: dict[str, dict[str, Facts | None]] = {}  # column -> its files, as they were when looked at
        self.layouts: dict[str, chunks.Layout] = {}  # of files whose heads were read, for who takes them out
        self._folders: dict[str, str] | None = None
        self._inventory = inventory.read(objects, name, digest) if digest else {}
        self._sizes()
        self._thorough = os.environ.get(VARIABLE, "") not in ("", "0")
        self._hash([path for path in self._inventory if path.startswith(commits.LOG) and not path.endswith(_COUNTERS)])

    def column(self, column: str, spec: Column) -> None:
        """Look at the files of a column; those that were looked at, and are as they were, are not looked at again."""
        with self._lock:
            if not self._inventory:
                return
            before = self._seen.get(column) or dict.fromkeys(self._files(column))
            now = {path: self._facts(path) for path in before}
            changed = [path for path, was in before.items() if was is None or was != now[path]]
            self._hash([path for path, fine in zip(changed, self._all_fine(changed, spec), strict=True) if not fine])
            self._seen[column] = now

    def _facts(self, path: str) -> Facts | None:
        """What shows that a file was written to; None where nothing does, and once is enough."""
        if not is_local(self._objects.url):
            return _FAR
        try:
            found = os.lstat(f"{self._objects.url}/{self._name}/{path}")
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _all_fine(self, paths: list[str], spec: Column) -> list[bool]:
        if len(paths) < _MANY:
            return [self._fine(path, spec) for path in paths]
        return _in_threads(lambda path: self._fine(path, spec), paths)

    def _fine(self, path: str, spec: Column) -> bool:
        """Whether a file need not be hashed."""
        if self._thorough:
            return False
        if is_bucket(self._objects.url):  # its objects are whole or not there
            return True
        if spec.hashed or self._inventory[path][0] <= _SMALL:
            return False
        try:
            found = chunks.follows(f"{self._objects.url}/{self._name}/{path}", spec)
        except OSError:
            return False  # and hashing it will say why
        if found is not None:
            self.layouts[path] = found
        return found is not None

    def _files(self, column: str) -> list[str]:
        folder = self._folder(column)
        return [path for path in self._inventory if path.startswith(folder) and not path.startswith(commits.LOG)]

    def _folder(self, column: str) -> str:
        """Where a column's files lie; "" for anywhere."""
        if self._folders is None:
            self._folders = {}
            for path in sorted(path for path in self._inventory if commits.is_commit(path)):
                raw = self._objects.get(f"{self._name}/{path}", most=self._inventory[path][0])
                if made := commits.folders(path, raw or b""):  # all columns are made at once
                    self._folders = made
                    break
        return f"{self._folders[column]}/" if column in self._folders else ""

    def _sizes(self) -> None:
        far = {} if is_local(self._objects.url) else dict(self._objects.list(self._name))
        for path, (size, _) in self._inventory.items():
            whole = f"{self._name}/{path}"
            found = self._objects.stat(whole) if is_local(self._objects.url) else far.get(whole)
            if path.endswith(_COUNTERS):
                continue
            if found is None:
                raise StoreDamaged(f"{self._objects.url}/{whole} is missing.", HINT)
            if found != size:
                raise StoreDamaged(f"{self._objects.url}/{whole} has {found:,} bytes; {size:,} were written.", HINT)

    def _hash(self, paths: list[str]) -> None:
        if sum(self._inventory[path][0] for path in paths) < _LARGE:
            same = [self._same(path) for path in paths]
        else:
            same = _in_threads(self._same, paths)
        for path, as_published in zip(paths, same, strict=True):
            if not as_published:
                self.gone()
                raise StoreDamaged(f"{self._objects.url}/{self._name}/{path} was changed.", HINT)

    def _same(self, path: str) -> bool:
        size, sum_ = self._inventory[path]
        return self._objects.hashed(f"{self._name}/{path}", most=size) == (size, sum_)


def _in_threads(work: Callable[[str], bool], paths: list[str]) -> list[bool]:
    with ThreadPoolExecutor(min(8, cores()), thread_name_prefix="nsdata-guard") as pool:
        return list(pool.map(work, paths))

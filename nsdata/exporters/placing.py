"""How an export takes its name: whole or not at all, whatever is killed when.

All of it is written in a folder beside, ``.nsdata-export-TOKEN.tmp``, on which its writer holds a lock. Once it is
durable and was read back, ``placing.json`` in that folder says what goes where; then it is moved there, and what it
replaces is moved into that folder, which goes at the very end. The next export beside it finishes what was killed: what
was decided is placed, all else is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nsdata.errors import Conflict
from nsdata.exporters.place import refuse
from nsdata.storage.durable import sync_path

_STAGES = ".nsdata-export-*.tmp"
_LOCK, _PLAN = "lock", "placing.json"
_ORDER = ("pictures", "out")  # a table last: where it is, the pictures beside it are
_YOUNG = 60.0  # seconds in which a writer has surely locked what it made

Plan = dict[str, Any]
"""Of each part that there is: the name that it takes, and what lies there before, as ``_seen`` tells it."""


class Stage(NamedTuple):
    """Where the parts of an export are written. pictures: of a table, beside it; None where there are none."""

    out: Path
    pictures: Path | None


@contextlib.contextmanager
def staged(out: Path, pictures: Path | None, overwrite: bool) -> Iterator[Stage]:
    """Where to write; what is there takes the names ``out`` and ``pictures`` if all goes well, and vanishes if not.

    Both lie in one folder. Raises Conflict for what is there already or came meanwhile, OSError.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(_STAGES.replace("*", secrets.token_hex(4)))
    folder.mkdir()
    try:
        with _locked(folder):
            yield Stage(folder / "out", None if pictures is None else folder / "pictures")
            targets = {"out": out, "pictures": pictures}
            plan: Plan = {}
            for part, target in targets.items():
                if target is not None:
                    refuse(target, overwrite)  # somebody may have written it meanwhile
                    plan[part] = [target.name, _seen(target)]
            (folder / _PLAN).write_text(json.dumps(plan), encoding="utf-8")
            sync_path(str(folder / _PLAN))
            sync_path(str(folder))
            try:
                _place(folder, plan)
            except BaseException:
                _take_back(folder, plan)
                raise
    finally:
        _remove(folder)


def finish(beside: Path) -> None:
    """Finish or remove what killed exports left in a folder. What others work on, or may not be touched, stays."""
    for folder in sorted(beside.glob(_STAGES)) if beside.is_dir() else []:
        with contextlib.suppress(OSError, _Elsewhere):
            if folder.is_symlink() or not folder.is_dir():
                continue
            if not (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime < _YOUNG:
                continue
            with _locked(folder) as alone:
                if not alone:
                    continue
                try:
                    _place(folder, _plan(folder))
                except Conflict:
                    if any(os.path.lexists(folder / f"old-{part}") for part in _ORDER):
                        continue  # the only copy of what was replaced
                _remove(folder)


def _remove(folder: Path) -> None:
    """What is half removed is never placed, so the plan goes first; and is known as such, so the lock goes last."""
    with contextlib.suppress(OSError):
        (folder / _PLAN).unlink(missing_ok=True)
        for rest in folder.iterdir():
            if rest.is_dir() and not rest.is_symlink():
                shutil.rmtree(rest, ignore_errors=True)
            elif rest.name != _LOCK:
                rest.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


class _Elsewhere(Exception):
    """Another process works there."""


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """True while this process alone works in it, False where a disk without locks cannot tell. Raises _Elsewhere."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        alone = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _Elsewhere from error
        except OSError:
            alone = False
        yield alone
    finally:
        os.close(descriptor)


def _plan(folder: Path) -> Plan:
    """What was decided; {} where nothing was, or what is there is no such decision: a folder may be somebody else's."""
    try:
        found = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
        plan = {part: [str(found[part][0]), found[part][1]] for part in _ORDER if part in found}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    plain = all(name == Path(name).name and name not in ("", ".", "..") for name, _ in plan.values())
    return plan if plain else {}


def _place(folder: Path, plan: Plan) -> None:
    """Move the parts to their names; those that were moved before a kill are there. Raises Conflict, OSError."""
    for part in _ORDER:
        new, old = folder / part, folder / f"old-{part}"
        if part not in plan or not os.path.lexists(new):
            continue
        name, before = plan[part]
        target = folder.with_name(name)
        if _seen(target) != (None if os.path.lexists(old) else before):
            raise Conflict(f"{target} was written by somebody else meanwhile.", f"ls -ld {target}")
        if os.path.lexists(target) and (new.is_dir() or (target.is_dir() and not target.is_symlink())):
            target.rename(old)
        os.replace(new, target)
    sync_path(str(folder.parent))


def _take_back(folder: Path, plan: Plan) -> None:
    """Undo what ``_place`` did before it failed, so that pictures go with the table that is beside them."""
    if "out" in plan and not os.path.lexists(folder / "out"):
        return  # all of it was moved
    for part in _ORDER:
        new, old = folder / part, folder / f"old-{part}"
        target = folder.with_name(plan[part][0]) if part in plan else None
        if target is None:
            continue
        if not os.path.lexists(new) and part == "pictures":
            target.rename(new)
        if os.path.lexists(old) and not os.path.lexists(target):
            old.rename(target)


def _seen(path: Path) -> list[int] | None:
    """What tells a file or folder from another, and from itself once it was changed; None for nothing."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return [found.st_ino, found.st_mtime_ns]

"""How much memory there is to take: of the machine, or of what a container has left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

LEAST = 256 << 20  # bytes that are allowed however little is free: less is no use to anybody

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def share() -> int:
    """Bytes that one piece of work may take: three quarters of what is free, at least 256 MB."""
    return max(LEAST, available() * 3 // 4)


def available(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Bytes that can be taken before the machine swaps or the kernel kills: the least of all limits that are known."""
    return max(0, min([_machine(proc), *_containers(proc, cgroups)]))


def _machine(proc: Path) -> int:
    for line in _text(proc / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # not Linux: half of what is built in


def _containers(proc: Path, cgroups: Path) -> Iterator[int]:
    """What each control group around this process has left, of either version."""
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            homes, names = [cgroups, cgroups / "unified"], ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            homes = [cgroups / "memory"]
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for home in homes:
            for depth in range(len(parts) + 1):  # a limit further up holds as well
                yield from _left(home.joinpath(*parts[:depth]), *names)


def _left(folder: Path, most: str, used: str, cached: str) -> Iterator[int]:
    limit, taken = _text(folder / most).strip(), _text(folder / used).strip()
    if limit.isdigit() and taken.isdigit():  # "max" and a missing file are no limit
        pages = dict(line.split(maxsplit=1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
        yield int(limit) - int(taken) + int(pages.get(cached, "0"))  # the file cache gives way


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""

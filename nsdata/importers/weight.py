"""What a source will take in a store, before it is read."""

from __future__ import annotations

import os
import time

SECONDS = 1.0  # spent on looking: a folder of millions is weighed in part


def weight(source: str) -> int:
    """About the bytes that a source's images take: those of its files, as far as they are found in a second.

    0 for what is no file or folder, or cannot be looked at: whoever imports it will say so.
    """
    until, total, folders = time.monotonic() + SECONDS, 0, [source]
    try:
        if os.path.isfile(source):
            return os.path.getsize(source)
        while folders and time.monotonic() < until:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
    return total

"""What the engine finds in this process's environment when it is loaded: it has no other switch for these.

Both settings stay for the life of the process, and those that it starts have them too.
"""

from __future__ import annotations

import os

from nsdata.storage import buckets

_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


def prepare() -> None:
    """To be called before the engine is loaded."""
    _stay_offline()
    # ms until its allocator (mimalloc) gives freed memory back. With its own 10 every commit of photographs begins on
    # new memory, and that the system hands this out, page by page, costs up to a quarter of what decoding them does.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "500")


def _stay_offline() -> None:
    """With NSDATA_OFFLINE=1, nothing of this process leaves the machine: its web requests go to a dead proxy.

    The engine's crash reporter reads the proxy when it sends, some time after the import (so downloads and buckets are
    cut off as well, as the name says). What runs on this machine can be reached.
    """
    if os.environ.get("NSDATA_OFFLINE", "") not in ("", "0"):
        os.environ.update(dict.fromkeys(_PROXIES, "http://127.0.0.1:9"))
        os.environ.update(dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(buckets.LOOPBACK)))

"""NSDATA_OFFLINE=1: nothing of this process leaves the machine."""

from __future__ import annotations

import os

from nsdata.storage import buckets

_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


def stay() -> None:
    """With NSDATA_OFFLINE=1, send this process's web requests to a dead proxy, before the engine is loaded.

    Its crash reporter has no switch of its own, and reads the proxy when it sends, some time after the import: so
    the setting stays for the life of the process (and cuts off downloads and buckets as well, as the name says). What
    runs on this machine can be reached.
    """
    if os.environ.get("NSDATA_OFFLINE", "") not in ("", "0"):
        os.environ.update(dict.fromkeys(_PROXIES, "http://127.0.0.1:9"))
        os.environ.update(dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(buckets.LOOPBACK)))

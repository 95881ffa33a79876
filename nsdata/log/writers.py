"""Who wrote a generation's labels, as far as its line in the log tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def remark(provenance: Mapping[str, Any]) -> str:
    """Behind the line of a generation that was not written by one teacher."""
    if "given_sha256" in provenance:
        return ", given by a file"
    several = provenance.get("teachers")
    return f", the mean of {len(several)} teachers" if several else ""

"""Names of networks, looked up without loading timm, which takes seconds with torch.

timm registers a network by decorating the function that makes it, so its name stands in timm's sources, or in ours.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from nsdata.errors import ModelError

_REGISTERED = re.compile(rb"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
_SETTING = "--set model="


def check(name: str) -> None:
    """Raise ModelError for a network whose name stands nowhere in the sources; what does stand there, timm judges."""
    sources, word = _sources(), name.partition(".")[0].encode()  # behind a dot: which weights
    if sources and not (word and re.search(rb"(?<!\w)" + re.escape(word) + rb"(?!\w)", sources)):
        raise unknown(name, [found.decode() for found in _REGISTERED.findall(sources)])


def unknown(name: str, names: Sequence[str]) -> ModelError:
    """The error for a name that is none of these."""
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    near = f"; close to it: {', '.join(close)}" if close else ""
    return ModelError(
        f"There is no model '{name}'{near}.",
        f"{_SETTING}{close[0]}" if close else 'python -c "import timm; print(timm.list_models())"',
    )


def of_teacher(error: ModelError) -> ModelError:
    """The same error where the network was named for a teacher's weights."""
    name = error.hint.removeprefix(_SETTING) if error.hint.startswith(_SETTING) else "NAME"
    return ModelError(error.message, f"--model {name}, as timm calls it")


def _sources() -> bytes:
    """Those that register networks; nothing where timm is installed without its sources."""
    timm = find_spec("timm")
    if timm is None or timm.origin is None:
        return b""
    theirs = list((Path(timm.origin).parent / "models").rglob("*.py"))
    return b"\n".join(file.read_bytes() for file in (*theirs, *Path(__file__).parent.glob("*.py"))) if theirs else b""

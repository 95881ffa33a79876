"""What a version number or a tag names; and the words where it names nothing."""

from __future__ import annotations

import re
from difflib import get_close_matches

from nsdata.arguments import shown, whole_number, wrong
from nsdata.errors import BadInput, NotFound
from nsdata.log.state import State
from nsdata.text import listed


def resolve(state: State, version: int | str) -> int:
    """The event number that a version number or a tag names. Raises NotFound; BadInput for what is neither."""
    named = isinstance(version, str) and not (version.isascii() and version.isdigit() and len(version) < 20)
    number = state.tags.get(str(version)) if named else _number(version)
    if number is None:
        raise _no_version(state, str(version))
    if not 1 <= number <= state.version:
        raise NotFound(f"There is no version {number}; this store has 1 to {state.version}.", "nsdata log")
    return number


def _number(version: int | str) -> int:
    """Also of a text of digits."""
    try:
        return int(version) if isinstance(version, str) else whole_number("The version", version)
    except BadInput:
        raise wrong("The version", version, "a version's number or a tag", "nsdata log") from None


def _no_version(state: State, text: str) -> NotFound:
    """The words for a tag that a store has not: of a generation, how to write it; else what there is."""
    numbers = "version 1" if state.version == 1 else f"the versions 1 to {state.version}"
    if (gen := re.fullmatch(r"gen-([1-9]\d{0,8})", text)) is not None:
        number, have = int(gen[1]), [str(number) for number in state.generations]
        if any(sealed.number == number for sealed in state.sealed if sealed.event in state.undone):
            return NotFound(f"There is no version {shown(text)}: generation {number} was undone.", "nsdata log")
        following = f"nsdata label --gen {len(have) + 1}"
        return NotFound(
            f"There is no version {shown(text)}: generation {number} has no labels yet; this store has "
            f"{listed(have) or 'none'}.",
            following if state.up_to is None else "nsdata log",
        )
    close = get_close_matches(text, state.tags, 1, 0.6)
    near = f"; the closest tag is {close[0]!r}" if close else ""
    tags = f"the tag{'s' if len(state.tags) > 1 else ''} {listed([*state.tags])}" if state.tags else "no tags"
    return NotFound(f"There is no version {shown(text)}; this store has {numbers}, and {tags}{near}.", "nsdata log")

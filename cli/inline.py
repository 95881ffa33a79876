"""A picture within a terminal: by the protocol that the terminal is known to have, else in half blocks.

A few lines of our own: term-image wants an older Pillow, textual-image asks the terminal what it can, which takes what
was typed ahead, and wants a newer Python. Here the environment says it, and nothing is ever asked.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from cli import terminal

if TYPE_CHECKING:
    from PIL import Image

_LINES = 14  # of the terminal that a picture takes
_SHARPEST = 320  # pixels of its longer side
_KITTY = {"ghostty", "kitty"}  # TERM_PROGRAM of those with kitty's protocol
_ITERM = {"iTerm.app", "WezTerm", "mintty"}
_SIXEL_TERMS = ("foot", "mlterm", "contour", "yaft")  # how TERM begins
_PIECE = 4096  # letters of one of kitty's messages
_HALF = "▀"


def show(data: bytes) -> None:
    """Draw an encoded picture where a terminal shows it; nothing where none does, or the picture is damaged."""
    if not sys.stdout.isatty() or (way := protocol(os.environ)) is None:
        return
    from nsdata.errors import BadImage
    from nsdata.images.thumbnail import reduced, thumbnail

    room = shutil.get_terminal_size()
    lines = min(_LINES, room.lines - 4)
    if lines < 4 or room.columns < 8 or (way == "blocks" and not terminal.has(_HALF)):
        return
    try:
        if way == "blocks":
            text = blocks(thumbnail(data, min(2 * lines, room.columns)))
        else:
            text = _DRAWN[way](thumbnail(data, _SHARPEST) if way == "sixel" else reduced(data, _SHARPEST), lines)
    except BadImage:
        return
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def protocol(environment: Mapping[str, str]) -> str | None:
    """ "kitty", "iterm", "sixel", "blocks", or None where a terminal is known to have none of them."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if term in ("", "dumb"):
        return None
    within = "TMUX" in environment or term.startswith(("tmux", "screen"))  # which pass no pictures on
    if not within:
        if program in _KITTY or term in ("xterm-kitty", "xterm-ghostty"):
            return "kitty"
        if program in _ITERM or environment.get("LC_TERMINAL") == "iTerm2":
            return "iterm"
        if not program and "KITTY_WINDOW_ID" in environment:
            return "kitty"
        if not program and any(name.startswith("WEZTERM_") for name in environment):
            return "iterm"
        if term.startswith(_SIXEL_TERMS):
            return "sixel"
    if environment.get("COLORTERM") in ("truecolor", "24bit") and not environment.get("NO_COLOR"):
        return "blocks"
    return None


def kitty(image: Image.Image, lines: int) -> str:
    """Kitty's graphics protocol: a PNG in pieces, shown in so many lines; q=2 asks for no answer."""
    data = base64.b64encode(_png(image)).decode()
    pieces = [data[i : i + _PIECE] for i in range(0, len(data), _PIECE)]
    heads = [f"a=T,f=100,r={lines},q=2,m={int(len(pieces) > 1)}"]
    heads += [f"q=2,m={int(number < len(pieces))}" for number in range(2, len(pieces) + 1)]
    return "".join(f"\x1b_G{head};{piece}\x1b\\" for head, piece in zip(heads, pieces, strict=True))


def iterm(image: Image.Image, lines: int) -> str:
    """iTerm2's inline images, which WezTerm and mintty show too."""
    data = _png(image)
    facts = f"inline=1;size={len(data)};height={lines};preserveAspectRatio=1"
    return f"\x1b]1337;File={facts}:{base64.b64encode(data).decode()}\x07"


def sixel(image: Image.Image, lines: int = 0) -> str:
    """Sixels: of each band of six lines, and each of its colours, which of the six pixels have it."""
    import numpy as np

    few = image.quantize(256)
    palette, pixels = few.getpalette() or [], np.asarray(few)
    out = [f'\x1bPq"1;1;{image.width};{image.height}']
    for colour in np.unique(pixels).tolist():
        red, green, blue = (round(value * 100 / 255) for value in palette[3 * colour : 3 * colour + 3])
        out.append(f"#{colour};2;{red};{green};{blue}")
    weights = 1 << np.arange(6)
    for top in range(0, image.height, 6):
        band = pixels[top : top + 6]
        for colour in np.unique(band).tolist():
            bits = ((band == colour) * weights[: len(band), None]).sum(axis=0).tolist()
            out.append(f"#{colour}{''.join(_run(value, len(list(same))) for value, same in groupby(bits))}$")
        out.append("-")
    return "".join([*out, "\x1b\\"])


def blocks(image: Image.Image) -> str:
    """Half blocks in 24-bit colour: a letter has the colour of one pixel, its background that of the one below."""
    pixels = image.load()
    assert pixels is not None
    rows = []
    for y in range(0, image.height, 2):
        row = []
        for x in range(image.width):
            row.append(f"\x1b[38;2;{_colour(pixels[x, y])}m")
            row.append(f"\x1b[48;2;{_colour(pixels[x, y + 1])}m" if y + 1 < image.height else "\x1b[49m")
            row.append(_HALF)
        rows.append("".join([*row, "\x1b[0m"]))
    return "\n".join(rows)


_DRAWN = {"kitty": kitty, "iterm": iterm, "sixel": sixel}


def _run(value: int, count: int) -> str:
    """The same six pixels so many times."""
    letter = chr(63 + value)
    return letter * count if count < 4 else f"!{count}{letter}"


def _colour(pixel: object) -> str:
    assert isinstance(pixel, tuple)
    return ";".join(map(str, pixel[:3]))


def _png(image: Image.Image) -> bytes:
    from nsdata.images.thumbnail import png

    return png(image)

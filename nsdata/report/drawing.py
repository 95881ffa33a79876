"""A contact sheet as one picture: thumbnails in a grid, with lines of text below each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont, features

from nsdata.images.thumbnail import enlarged
from nsdata.report.chosen import Cell
from nsdata.text import visible

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PAGE, _INK, _FAINT, _TILE = "#ffffff", "#1b1b1f", "#63636e", "#f1f1f4"
_GAP, _MARGIN, _EDGE, _LINE = 12, 20, 8, 17  # pixels: between images, around all, around one, of a line of text
_LETTERS = 13  # pixels of a letter's height
_ROW = 8  # so many images are side by side in any case
_LONGEST = 200  # letters that are looked at
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf")  # for the letters that Pillow's own lacks
_PLAIN = {"→": ">", "×": "x", "…": "...", "·": "-"}  # of our own words, where a font has not even these


def draw(
    cells: Sequence[Cell], pictures: Iterable[Image.Image | None], title: str, side: int, *, paired: bool = False
) -> Image.Image:
    """The sheet, RGB. pictures: one for each cell, ``side`` pixels at most; None leaves its place empty.

    paired: two by two they stand closer together, and never in two lines.
    """
    count, tile = len(cells), side + 2 * _EDGE
    columns = count if count <= _ROW else max(_ROW, math.ceil(math.sqrt(1.5 * count)))
    columns += columns % 2 if paired else 0
    texts = [cell.lines() for cell in cells]
    step_x, step_y = tile + _GAP, tile + 4 + _LINE * max(map(len, texts), default=0) + _GAP
    width = max(_MARGIN * 2 + columns * step_x - _GAP, 420)
    top = _MARGIN + _LINE * 2
    canvas = Image.new("RGB", (width, top + -(-count // columns) * step_y - _GAP + _MARGIN), _PAGE)
    pen = ImageDraw.Draw(canvas)
    _write(pen, (_MARGIN, _MARGIN - 4), title, width - 2 * _MARGIN, _INK, _LETTERS + 2)
    for place, (cell, picture, lines) in enumerate(zip(cells, pictures, texts, strict=True)):
        x, y = _MARGIN + place % columns * step_x, top + place // columns * step_y
        x -= (_GAP - 2) * (place % 2) if paired else 0
        pen.rounded_rectangle((x, y, x + tile - 1, y + tile - 1), 6, _TILE)
        if picture is not None:
            factor = enlarged(picture, side)
            shown = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
            canvas.paste(shown, (x + (tile - shown.width) // 2, y + (tile - shown.height) // 2))
        else:
            _write(pen, (x + _EDGE, y + tile // 2 - _LETTERS), "no picture", side, _FAINT)
        if cell.times > 1:
            _badge(pen, x + tile - 4, y + 4, f"{cell.times:,}×")
        for number, line in enumerate(lines):
            colour = _FAINT if number == len(lines) - 1 else _INK
            _write(pen, (x, y + tile + 4 + number * _LINE), line[0], tile, colour, tail=line[1])
    return canvas


def _badge(pen: ImageDraw.ImageDraw, right: int, top: int, text: str) -> None:
    """A number in the corner of an image, readable on any."""
    font = _font(_LETTERS)
    text = _drawable(text, font)
    width = math.ceil(font.getlength(text)) + 8
    pen.rounded_rectangle((right - width, top, right, top + _LINE + 1), 4, _INK)
    pen.text((right - width + 4, top + 1), text, _PAGE, font)


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    room: int,
    colour: str,
    letters: int = _LETTERS,
    tail: str = "",
) -> None:
    """A line, of which dots are the end where there is no room for all of it; the tail stays."""
    font = _font(letters)
    text, tail = _drawable(text[:_LONGEST], font), f" {tail}" if tail else ""
    room -= math.ceil(font.getlength(tail))
    if font.getlength(text) > room:
        low, high = 0, len(text)  # so many letters have room, so many have not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if font.getlength(text[:middle] + "...") <= room else (low, middle)
        text = text[:low].rstrip() + "..."
    pen.text(at, text + tail, colour, font)


@cache
def _font(letters: int) -> Font:
    """A font that has most letters, if this machine has one; else Pillow's own."""
    if not features.check("freetype2"):
        return ImageFont.load_default_imagefont()
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, letters, layout_engine=ImageFont.Layout.BASIC)
        except OSError:
            continue
    return ImageFont.load_default(letters)


def _drawable(text: str, font: Font) -> str:
    """A text as this font can draw it: what it lacks is spelt plainly, or is an empty box."""
    text = visible(text)
    if isinstance(font, ImageFont.ImageFont):  # knows Latin-1 alone
        plain = "".join(_PLAIN.get(letter, letter) for letter in text)
        return plain.encode("latin-1", "replace").decode("latin-1")
    return "".join(_PLAIN[letter] if letter in _PLAIN and _lacks(font, letter) else letter for letter in text)


def _lacks(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Whether a font draws the box of letters that it has not."""
    nothing, found = font.getmask("\U0010fffe"), font.getmask(letter)
    return (nothing.size, bytes(nothing)) == (found.size, bytes(found))

"""Pictures of rows within HTML that carries them: a few, small, readable on light and on dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadImage, NotFound, NsdataError
from nsdata.text import escaped

if TYPE_CHECKING:
    from PIL import Image

    from nsdata.versions.table import Table

SHOWN = 24  # pictures of a result in a notebook
SIDE, BYTES = 96, 4_800  # pixels of their longer side, and bytes of each: together less than 200 kB of text
ONE_SIDE, ONE_BYTES = 256, 40_000  # of a picture by itself
WIDEST = 40  # letters of a name below a picture

Line = tuple[str, str]
"""Below a picture: a name, which may be cut, and the number that stays behind it, or an empty text."""

_BOX = f"height:{SIDE}px;display:flex;align-items:flex-end;margin-bottom:3px"  # what is below stands in a row
_AT_ONCE = 16  # pictures read at a time: some are large


def evenly(count: int, most: int = SHOWN) -> NDArray[np.int64]:
    """(min(count, most),) int64: places below ``count``, ascending, the first among them, as far apart as can be."""
    chosen = min(count, most)
    return np.arange(chosen, dtype=np.int64) * count // max(1, chosen)


def distinct(rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(m,) int64 each: the rows, each once, in the order in which they come first; and how often each comes."""
    found, first, times = np.unique(rows, return_index=True, return_counts=True)
    order = np.argsort(first)
    return found[order].astype(np.int64), times[order].astype(np.int64)


def small(table: Table, rows: NDArray[Any], side: int) -> Iterator[Image.Image | None]:
    """The picture of each row, ``side`` pixels at most; None where there is none any more. Raises StoreDamaged."""
    from nsdata.images.thumbnail import reduced  # not above: Pillow takes long to load

    for start in range(0, len(rows), _AT_ONCE):
        for data in _blobs(table, np.asarray(rows[start : start + _AT_ONCE], np.int64)):
            try:
                yield reduced(data, side) if data else None
            except BadImage:
                yield None


def gallery(table: Table, rows: NDArray[Any], captions: Sequence[Sequence[Line]]) -> str:
    """Pictures side by side as HTML, with lines below each; the first ``SHOWN`` of them.

    Without a stylesheet, which not every notebook keeps: letters have the colour of the page that is around them.
    """
    try:
        pictures = list(small(table, rows[:SHOWN], SIDE))
    except NsdataError as error:
        return f"<p>no pictures: {escaped(error.message)}</p>"
    texts = [[plain(line) for line in lines] for lines in captions]
    figures = [
        f"<figure style='margin:0;width:{SIDE}px'><div style='{_BOX}'>{img(picture, SIDE, BYTES, ' '.join(lines))}"
        f"</div><figcaption style='text-align:left'>{'<br>'.join(map(escaped, lines))}</figcaption></figure>"
        for picture, lines in zip(pictures, texts, strict=False)
    ]
    style = "display:flex;flex-wrap:wrap;gap:10px;margin:8px 0;font-size:11px;line-height:1.35;overflow-wrap:anywhere"
    return f"<div style='{style}'>{''.join(figures)}</div>" if figures else ""


def one(data: bytes, alt: str) -> str:
    """A picture by itself as HTML, from its encoded bytes."""
    from nsdata.images.thumbnail import reduced

    try:
        picture = reduced(data, ONE_SIDE)
    except BadImage:
        picture = None
    return img(picture, ONE_SIDE, ONE_BYTES, alt)


def img(picture: Image.Image | None, side: int, most: int, alt: str) -> str:
    """An <img> that carries its picture in ``most`` bytes, no wider or higher than ``side`` pixels; a frame for None.

    A small one is enlarged where it is shown, its pixels as squares.
    """
    if picture is None:
        frame = f"width:{side}px;height:{side}px;border:1px dashed currentColor;opacity:.5;box-sizing:border-box"
        return f"<div style='{frame};padding:6px'>no picture</div>"
    from nsdata.images.thumbnail import data_uri, enlarged

    factor = enlarged(picture, side)
    style = "display:block;max-width:none;margin:0" + (";image-rendering:pixelated" if factor > 1 else "")
    size = f"width='{picture.width * factor}' height='{picture.height * factor}'"
    return f"<img src='{data_uri(picture, most)}' {size} alt='{escaped(cut(alt, 2 * WIDEST))}' style='{style}'>"


def plain(line: Line, most: int = WIDEST) -> str:
    """A line as one text."""
    return " ".join(filter(None, (cut(line[0], most), line[1])))


def cut(text: str, most: int = WIDEST) -> str:
    """A text of ``most`` letters at most, of a name that may be of any length."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def file_name(source: str) -> str:
    """The last part of where an image came from: behind folders and archives."""
    return source.rsplit("/", 1)[-1].rsplit("!", 1)[-1] or source


def _blobs(table: Table, rows: NDArray[np.int64]) -> list[bytes]:
    """The encoded bytes of each row; b"" for purged images."""
    try:
        return table.blobs(rows)
    except NotFound:
        return [_blob(table, row) for row in rows]


def _blob(table: Table, row: np.int64) -> bytes:
    try:
        return table.blobs(np.asarray([row]))[0]
    except NotFound:
        return b""

"""A contact sheet: thumbnails with what is known of each, as a PNG or as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import flag, whole_number
from nsdata.errors import BadInput
from nsdata.report import files
from nsdata.report.chosen import Cell, Chosen, of_diff, of_leaks, of_names, of_query, of_view
from nsdata.text import escaped, visible
from nsdata.versions.pictures import cut, gallery, img, plain, small
from nsdata.views.entry import repeats

if TYPE_CHECKING:
    from PIL import Image

    from nsdata.analysis.leaks import Leaks
    from nsdata.versions.handle import Handle
    from nsdata.views.view import View

LIMIT, MOST = 60, 1000  # images on a sheet: if nothing is said, and at most
SIDE, BYTES = 128, 8_000  # pixels of a thumbnail's longer side, and bytes of each within HTML

ENDINGS = (".html", ".htm", ".png")


@dataclass(frozen=True)
class Sheet:
    """Images chosen and ready to be drawn: ``save`` it, or look at it in a notebook."""

    chosen: Chosen

    @property
    def cells(self) -> list[Cell]:
        """The images, in their order."""
        return self.chosen.cells

    @property
    def rows(self) -> NDArray[np.int64]:
        """(n,) int64: their row numbers."""
        return np.asarray([cell.entry.row for cell in self.cells], np.int64)

    def __str__(self) -> str:
        total, paired = self.chosen.total, self.chosen.paired
        shown, word = (len(self.cells) // 2, "pair") if paired else (len(self.cells), "image")
        count, how = f"{total:,}", ""
        if shown < total:
            count = f"{shown:,} of {total:,}" if self.chosen.spread else f"the first {shown:,} of {total:,}"
            how = ", evenly taken" if self.chosen.spread else ""
        return visible(f"{count} {word}{'s' if total != 1 else ''}{how} · {self.chosen.what}")

    __repr__ = __str__

    def html(self) -> str:
        """One page that needs no network and no other file, light or dark as its reader likes it."""
        from nsdata.report.page import page

        figures = [_figure(cell, picture) for cell, picture in zip(self.cells, self.pictures(), strict=True)]
        if self.chosen.paired:
            pairs = zip(figures[::2], figures[1::2], strict=True)
            figures = [f"<div class='pair'>{one}{other}</div>\n" for one, other in pairs]
        return page(f"{self.chosen.what}", str(self), "".join(figures))

    def image(self) -> Image.Image:
        """The sheet as a picture."""
        from nsdata.report.drawing import draw

        return draw(self.cells, self.pictures(), str(self), SIDE, paired=self.chosen.paired)

    def save(self, out: str | Path, *, overwrite: bool = False) -> int:
        """Write it as .png or .html, whole or not at all; returns its bytes.

        Raises BadInput for another ending, Conflict for what is there already, StorageFailed.
        """
        path, overwrite = check(out, overwrite), flag("overwrite", overwrite)
        if path.suffix.lower() == ".png":
            from nsdata.images.thumbnail import png

            data = png(self.image())
        else:
            data = self.html().encode()
        return files.write(path, data, overwrite, "sheet")

    def pictures(self) -> Iterator[Image.Image | None]:
        """The small picture of each; None of one that was purged."""
        return small(self.chosen.table, self.rows, SIDE)

    def _repr_html_(self) -> str:
        lines = [[*repeats(cell.times), *cell.lines()] for cell in self.cells]
        return f"<p>{escaped(str(self))}</p>{gallery(self.chosen.table, self.rows, lines)}"


def sheet(
    store: Handle,
    images: Sequence[str] | None = None,
    *,
    view: str | View | None = None,
    query: str | None = None,
    diff: Sequence[Any] | None = None,
    flow: Sequence[str] | None = None,
    leaks: Leaks | None = None,
    limit: int = LIMIT,
) -> Sheet:
    """See Store.sheet."""
    limit = whole_number("limit", limit)
    if not 1 <= limit <= MOST:
        raise BadInput(f"limit is {limit:,}; 1 to {MOST:,} images were expected.")
    images = images if images is None or len(images) else None
    given = [name for name, value in zip(_WAYS, (images, view, query, diff, leaks), strict=True) if value is not None]
    if len(given) != 1:
        which = " and ".join(given) or "nothing"
        verb = "are" if len(given) > 1 else "is"
        raise BadInput(
            f"{which} {verb} given; one of images, a view, a query, a diff or leaks was expected.", "--view NAME"
        )
    if flow is not None and diff is None:
        raise BadInput("A flow is given without a diff.", "--diff gen-1 gen-2 --flow cat dog")
    if view is not None:
        return Sheet(of_view(store, view, limit))
    if query is not None:
        return Sheet(of_query(store, query, limit))
    if diff is not None:
        return Sheet(of_diff(store, diff, flow, limit))
    if leaks is not None:
        return Sheet(of_leaks(store, leaks, limit))
    return Sheet(of_names(store, images or (), limit))


def check(out: str | Path, overwrite: bool) -> Path:
    """Where a sheet goes. Raises what ``save`` raises of it, before there is anything to write."""
    return files.check(out, overwrite, "sheet", ENDINGS)


_WAYS = ("images", "view", "query", "diff", "leaks")


def _figure(cell: Cell, picture: Image.Image | None) -> str:
    """An image of the page: its picture, its badge, its lines; whole names where a pointer rests on it."""
    *lines, name = (plain(line, 60) for line in cell.lines())
    badge = "".join(f"<b>{text}</b>" for text, _ in repeats(cell.times))
    shown = "".join(f"<span>{escaped(line)}</span>" for line in lines)
    title = escaped(cut(f"{cell.entry.source} · {cell.entry.split} · {cell.entry.id}", 400))
    return (
        f"<figure title='{title}'><div>{img(picture, SIDE, BYTES, ' '.join([*lines, name]))}{badge}</div>"
        f"<figcaption>{shown}<small>{escaped(name)}</small></figcaption></figure>\n"
    )

"""Which rows of a store an export writes, with what is known of each; formats.py knows the formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import file_path, flag, text, whole_number, wrong
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.exporters.formats import ExportRow, export
from nsdata.exporters.place import check_place, format_of
from nsdata.images import identity
from nsdata.labels.labels import of_generation
from nsdata.progress import Progress, watched
from nsdata.schema import SPLITS
from nsdata.storage import space
from nsdata.versions.handle import Handle
from nsdata.views.saved import load

if TYPE_CHECKING:
    from nsdata.labels.labels import Labels

_BLOCK = 512  # rows read at a time


def export_store(
    store: Handle,
    out: str | Path,
    *,
    view: str | None = None,
    gen: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> int:
    """Write a saved view (each row once, with its copies), what a generation labels, or all images; return the count.

    format: "folder", "csv", "parquet" or "wds"; None = by the ending of ``out``. Raises BadInput, Conflict.
    """
    if view is not None and gen is not None:
        raise BadInput("A view brings its own generation; give view or gen, not both.", "nsdata export OUT --view NAME")
    if not isinstance(store, Handle):
        raise wrong("store", store, "an open store", "Store.open('lake')")
    out, overwrite = file_path("out", out).absolute(), flag("overwrite", overwrite)
    gen = None if gen is None else whole_number("gen", gen)
    check_place(out, None if format is None else text("format", format), overwrite)  # before anything is read
    labels: Labels | None
    if view is not None:
        chosen = load(store.refresh(), view).need_rows()
        table, labels = chosen.store.table, chosen.soft_labels
        rows, copies = np.unique(chosen.rows, return_counts=True)
    else:
        table, labels = store.table, None if gen is None else of_generation(store, gen)
        rows = np.flatnonzero(table.visible) if labels is None else labels.rows
        copies = np.ones(len(rows), np.int64)
    format = None if format is None else text("format", format)
    with_images = (format or format_of(out)) != "csv"
    space.need(out, _weight(store, rows, labels, with_images), f"exporting {len(rows):,} images")

    def read(report: Progress) -> Iterator[ExportRow]:
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            yield from _block(table, labels, rows[block], copies[block], with_images)
            report(min(start + _BLOCK, len(rows)), len(rows))

    with watched(on_progress, f"exporting to {out}") as report:
        return export(read(report), out, format, store.classes, overwrite=overwrite)


def _weight(store: Handle, rows: NDArray[np.int64], labels: Labels | None, with_images: bool) -> int:
    """About the bytes that an export takes: of pictures, by their share of all that the store has."""
    state, each = store.state, 200 + (0 if labels is None else 8 * len(store.classes))
    if with_images and state.rows:
        lie = (store.objects.list(state.place(segment.name)) for segment in state.segments)
        each += sum(size for files in lie for _, size in files) // state.rows
    return each * len(rows)


def _block(
    table: Any, labels: Labels | None, rows: NDArray[np.int64], copies: NDArray[np.int64], with_images: bool
) -> Iterator[ExportRow]:
    blobs: list[bytes] | list[None] = table.blobs(rows) if with_images else [None] * len(rows)
    if with_images:  # what leaves the store is looked at once more: nobody else can know whether it is right
        identity.check(blobs, table.ids[rows])  # type: ignore[arg-type]
    ids, sources = hexes(table.ids[rows]), table.sources(rows)
    pseudo = np.full(len(rows), -1) if labels is None else labels.all_pseudo[rows]
    known = np.flatnonzero(pseudo >= 0)
    soft = {} if labels is None else dict(zip(known.tolist(), labels.take(rows[known]), strict=True))
    for i, row in enumerate(rows):
        label = int(table.label[row])
        yield ExportRow(
            id_hex=ids[i],
            data=blobs[i],
            label=label if label >= 0 else None,
            split=SPLITS[int(table.split[row])],
            source=sources[i],
            pseudo=int(pseudo[i]) if i in soft else None,
            confidence=float(labels.all_confidence[row]) if labels is not None and i in soft else None,
            soft=soft.get(i),
            copies=int(copies[i]),
        )

"""Which rows of a store an export writes, with what is known of each; formats.py knows the formats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import file_path, flag, listing, text, whole_number, wrong
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.exporters.formats import ExportRow, export
from nsdata.exporters.names import kept_names, with_ending
from nsdata.exporters.place import TABLES, check_beside, check_place, format_of
from nsdata.exporters.placing import finish
from nsdata.exporters.row import About, Predicted
from nsdata.images import identity
from nsdata.labels.labels import Labels, of_generation
from nsdata.labels.sentences import origin
from nsdata.progress import Note, Progress, unheard, watched
from nsdata.schema import SPLITS
from nsdata.storage import space
from nsdata.versions.handle import Handle
from nsdata.versions.table import Table
from nsdata.views.changed import changes, check
from nsdata.views.saved import load

_BLOCK = 512  # rows read at a time

Gen = int | Sequence[int] | str | None


def export_store(
    store: Handle,
    out: str | Path,
    *,
    view: str | None = None,
    gen: Gen = None,
    format: str | None = None,
    pseudo: bool = False,
    images: bool = False,
    overwrite: bool = False,
    on_progress: Progress | None = None,
    on_note: Note = unheard,
) -> int:
    """Write a saved view (each row once, with its copies), what generations label, or all images; return the count.

    gen:    a generation, several, or "all" of the store's, with all of its images; of a view instead of its own.
    format: "folder", "csv", "jsonl", "txt", "parquet" or "wds"; None = by the ending of ``out``.
    pseudo: train images that nobody labelled have the class of the first of these generations as their label.
    images: of a table (csv, jsonl, txt) the pictures too, in a folder of its name; else paths lead to where they were.

    Raises Conflict, GenerationError; BadInput, also where images of the view moved to val or test since its version.
    """
    if not isinstance(store, Handle):
        raise wrong("store", store, "an open store", "Store.open('lake')")
    out, overwrite = file_path("out", out).absolute(), flag("overwrite", overwrite)
    pseudo, images = flag("pseudo", pseudo), flag("images", images)
    gens = _generations(store, gen)
    finish(out.parent)
    kind = check_place(out, None if format is None else text("format", format), overwrite)  # before anything is read
    if images:
        check_beside(out, kind, overwrite)
    chosen = _chosen(store, view, gens, gen == "all", on_note)
    if pseudo and not chosen.labels:
        raise BadInput("Pseudo-labels are those of a generation, and none is given.", "--pseudo --gen 1")
    with_images = images or (format or format_of(out)) not in TABLES
    space.need(out, _weight(store, chosen, with_images), f"exporting {len(chosen.rows):,} images")
    about = About(
        store.classes,
        {gen: {"codec": _codec(labels), "missing": labels.provenance.get("missing", "leave"),
               "origin": origin(labels.provenance, gen, store.state.id, store.version)}
         for gen, labels in chosen.labels.items()},
        store.state.id, store.version, pseudo, images,
    )  # fmt: skip
    names = kept_names(chosen.table.sources(chosen.rows.tolist())) if with_images else None
    places = None if with_images else _Places(chosen.table, out if kind == "txt" and not out.suffix else out.parent)

    def read(report: Progress) -> Iterator[ExportRow]:
        for start in range(0, len(chosen.rows), _BLOCK):
            stop = min(start + _BLOCK, len(chosen.rows))
            yield from _block(chosen, slice(start, stop), names, places, pseudo)
            report(stop, len(chosen.rows))

    with watched(on_progress, f"exporting to {out}") as report:
        count = export(read(report), out, format, store.classes, overwrite=overwrite, about=about)
    if places is not None and places.lost:
        on_note(
            f"{places.lost:,} of {count:,} paths lead to no file: the images came in archives or arrays, or are not "
            "where they were; --images writes them beside the table"
        )
    return count


@dataclass(frozen=True)
class _Chosen:
    """rows: (n,) int64 of the table, ascending; copies: (n,) of each; labels: by generation, in the order asked for."""

    table: Table
    rows: NDArray[np.int64]
    copies: NDArray[np.int64]
    labels: dict[int, Labels]


def _generations(store: Handle, gen: Any) -> list[int]:
    """Those asked for, each once, in their order. Raises BadInput."""
    if gen is None:
        return []
    if isinstance(gen, str):
        if gen != "all":
            raise wrong("gen", gen, "a generation's number, several, or 'all'", "gen='all'")
        return sorted(store.refresh().state.generations)
    many = [gen] if not hasattr(gen, "__iter__") else listing("gen", gen, "generations")
    return list(dict.fromkeys(whole_number("gen", one) for one in many))


def _chosen(store: Handle, view: str | None, gens: list[int], everything: bool, on_note: Note) -> _Chosen:
    if view is not None:
        loaded = load(store.refresh(), view).need_rows()
        check(loaded, loaded.changed)
        _say(f"the view '{view}'", loaded.store, store, loaded.rows, on_note)
        rows, copies = np.unique(loaded.rows, return_counts=True)
        own = {} if loaded.soft_labels is None or loaded.gen is None else {loaded.gen: loaded.soft_labels}
        wanted = {gen: own[gen] if gen in own else of_generation(store, gen) for gen in gens}
        return _Chosen(loaded.store.table, rows, copies, wanted or own)
    table, labels = store.table, {gen: of_generation(store, gen) for gen in gens}
    rows = np.flatnonzero(table.visible)
    if labels and not everything:
        rows = np.unique(np.concatenate([found.rows for found in labels.values()]))
    _say("the store", store, store, rows, on_note)
    return _Chosen(table, rows, np.ones(len(rows), np.int64), labels)


def _say(what: str, then: Handle, store: Handle, rows: NDArray[np.int64], on_note: Note) -> None:
    """What became of images since the version that is exported."""
    if changed := changes(then, store.head(), rows):
        on_note(f"{what} is exported as it was at version {then.version}: {changed}")


def _codec(labels: Labels) -> str:
    if labels.known < len(
        labels.classes
    ):  # zeros for classes that were added later: the largest and an even rest would
        return "dense float16"  # come back as others
    return str(labels.provenance.get("codec", "dense float16"))


def _weight(store: Handle, chosen: _Chosen, with_images: bool) -> int:
    """About the bytes that an export takes: of pictures, by their share of all that the store has."""
    state, each = store.state, 200 + 8 * len(store.classes) * len(chosen.labels)
    if with_images and state.rows:
        lie = (store.objects.list(state.place(segment.name)) for segment in state.segments)
        each += sum(size for files in lie for _, size in files) // state.rows
    return each * len(chosen.rows)


class _Places:
    """Where the files are that images came from, as seen from a table's folder."""

    def __init__(self, table: Table, folder: Path) -> None:
        self._table, self._folder, self.lost = table, str(folder), 0
        self._starts = np.asarray([segment.start for segment in table.state.segments], np.int64)

    def of(self, row: int, source: str) -> str:
        """The path of a file that is there, below the folder or absolute; else where it was, counted as ``lost``."""
        origin = self._table.state.segments[int(np.searchsorted(self._starts, row, side="right")) - 1].source
        for place in (f"{origin}/{source}", f"{os.path.dirname(origin) or '.'}/{source}", origin, source):
            if place.endswith(source) and "\0" not in place and os.path.isfile(place):
                found = os.path.abspath(place)
                inside = found.startswith(self._folder.rstrip("/") + "/")
                return os.path.relpath(found, self._folder) if inside else found
        self.lost += 1
        return f"{origin}/{source}"


def _block(
    chosen: _Chosen, block: slice, names: list[str | None] | None, places: _Places | None, pseudo: bool
) -> Iterator[ExportRow]:
    table, rows, copies = chosen.table, chosen.rows[block], chosen.copies[block]
    blobs: list[bytes] | list[None] = table.blobs(rows) if names is not None else [None] * len(rows)
    ids, sources = hexes(table.ids[rows]), table.sources(rows.tolist())
    if names is not None:  # what leaves the store is looked at once more: nobody else can know whether it is right
        identity.check(blobs, table.ids[rows])  # type: ignore[arg-type]
    said = _said(chosen, rows)
    for i, row in enumerate(rows.tolist()):
        label, split = int(table.label[row]), SPLITS[int(table.split[row])]
        mine, data = said[i], blobs[i]
        first = mine.get(next(iter(chosen.labels))) if mine else None
        taken = first if pseudo and label < 0 and split == "train" else None
        of = hexes(np.frombuffer(identity.content_id(data), np.uint8)[None])[0] if data is not None else ids[i]
        one = first if len(chosen.labels) == 1 else None
        yield ExportRow(
            id_hex=ids[i],
            data=data,
            label=taken.pseudo if taken is not None else label if label >= 0 else None,
            split=split,
            source=sources[i],
            pseudo=None if one is None else one.pseudo,
            confidence=None if one is None else one.confidence,
            soft=None if one is None else one.soft,
            copies=int(copies[i]),
            others=mine if len(chosen.labels) > 1 else {},
            labelled_by=_by(label, taken, chosen) if pseudo else None,
            name=with_ending(names[block.start + i], data) if names is not None and data is not None else None,
            path=places.of(row, sources[i]) if places is not None else None,
            file_id=of if of != ids[i] else None,
        )


def _by(label: int, taken: Predicted | None, chosen: _Chosen) -> str | None:
    if label >= 0:
        return "people"
    return None if taken is None else f"generation {next(iter(chosen.labels))}"


def _said(chosen: _Chosen, rows: NDArray[np.int64]) -> list[dict[int, Predicted]]:
    """What each generation says of each row that it labels."""
    found: list[dict[int, Predicted]] = [{} for _ in rows]
    for gen, labels in chosen.labels.items():
        inside = np.flatnonzero(rows < len(labels.all_pseudo))
        pseudo, confidence = labels.all_pseudo[rows[inside]], labels.all_confidence[rows[inside]]
        known = np.flatnonzero(pseudo >= 0)
        for place, soft in zip(known.tolist(), labels.take(rows[inside[known]]), strict=True):
            found[int(inside[place])][gen] = Predicted(int(pseudo[place]), float(confidence[place]), soft)
    return found

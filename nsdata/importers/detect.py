"""Images in: one door, which looks at a path and picks the importer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from nsdata.arguments import split_name
from nsdata.errors import BadInput
from nsdata.images.headers import recognised
from nsdata.importers.files import files_of, inside
from nsdata.importers.formats import digits, folder, idx, manifest, parquet, single, tar
from nsdata.importers.formats.layout import IMAGE_ENDINGS
from nsdata.importers.item import Item, Skipped

__all__ = ["Item", "Skipped", "detect", "formats", "open_source"]


class Importer(Protocol):
    """What every importer of files looks like."""

    def __call__(
        self, path: Path, /, *, classes: Sequence[str], split: str | None, labelled: bool
    ) -> Iterator[Item | Skipped]: ...


_IMPORTERS: dict[str, Importer] = {
    "folder": folder.items,
    "idx": idx.items,
    "image": single.items,
    "manifest": manifest.items,
    "parquet": parquet.items,
    "tar": tar.items,
}
_PAPERS = frozenset({".csv", ".json", ".md", ".txt", ".yaml", ".yml", ""})  # may lie beside tars and parquet files


def formats() -> list[str]:
    """The values that ``format`` may have."""
    return sorted([*_IMPORTERS, "digits"])


def open_source(
    source: str | Path,
    *,
    classes: Sequence[str],
    split: str | None = None,
    labelled: bool = True,
    format: str | None = None,
) -> Iterator[Item | Skipped]:
    """Every image of a folder, a tar, a CSV or parquet file, idx files, a glob of such, or "digits"; or one image.

    classes: the store's. split: "train", "val", "test"; None: what the source says, else train.
    labelled=False: labels are not read. format: one of formats(), None to find out. Raises BadInput (at the
    call for what is not there, while iterating for unknown classes); bad files are yielded as Skipped.
    """
    if split is not None:
        split_name("Split", split)
    if format is not None and format not in formats():
        raise BadInput(f"Format '{format}' is unknown; there are {', '.join(formats())}.")
    if format == "digits" or (format is None and str(source) == "digits" and not Path(source).exists()):
        found: Iterator[Item] = digits.items(classes=classes, labelled=labelled)
        return found if split is None else (replace(item, split=split) for item in found)
    files = files_of(source)
    opening: Callable[[Path], Iterator[Item | Skipped]] = partial(
        _open, classes=classes, split=split, labelled=labelled, format=format
    )
    if len(files) == 1:
        return opening(files[0])
    return _several(files, opening)


def _several(files: Sequence[Path], opening: Callable[[Path], Iterator[Item | Skipped]]) -> Iterator[Item | Skipped]:
    """The images of each file; a parquet file without its end is an error alone, but here costs only itself."""
    for file in files:
        try:
            yield from opening(file)
        except parquet.DamagedParquet as e:
            yield Skipped(file.name, e.message.removeprefix(f"{file} is "), True)


def _open(
    path: Path, *, classes: Sequence[str], split: str | None, labelled: bool, format: str | None
) -> Iterator[Item | Skipped]:
    kind = format or detect(path)
    if path.is_dir() and kind in ("tar", "parquet"):
        one = partial(_IMPORTERS[kind], classes=classes, split=split, labelled=labelled)
        yield from _several(inside(path, kind), one)
        return
    if path.is_dir() and kind == "manifest":
        path /= "labels.csv"
    yield from _IMPORTERS[kind](path, classes=classes, split=split, labelled=labelled)


def detect(path: Path) -> str:
    """The format of what is at path, by names and, for parquet, columns. Raises BadInput if it is unknown."""
    if path.is_dir():
        return _detect_folder(path)
    name = path.name.lower()
    if name.endswith(tar.ENDINGS):
        return "tar"
    if name.endswith((".csv", ".tsv")):
        return "manifest"
    if name.endswith((".parquet", ".pq")):
        with parquet.opened(path) as file:
            return "parquet" if parquet.image_column(file.schema_arrow) else "manifest"
    if idx.IMAGES.match(path.name):
        return "idx"
    if name.endswith(IMAGE_ENDINGS) or _looks_like_an_image(path):
        return "image"
    raise BadInput(
        f"{path} is neither a folder, tar, CSV, parquet nor idx file, nor an image.",
        f"nsdata import {path.parent}  (a folder of images), or --format {'|'.join(formats())}",
    )


def _looks_like_an_image(path: Path) -> bool:
    """Whether its bytes say so, also of kinds that cannot be read: that is found out, and reported, later."""
    try:
        with path.open("rb") as file:
            return recognised(file.read(4096))
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e


def _detect_folder(path: Path) -> str:
    try:
        entries = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        if any(idx.IMAGES.match(p.name) for p in entries):
            return "idx"
        if any(p.name == "labels.csv" for p in entries):
            return "manifest"  # what nsdata export writes
        for kind in ("tar", "parquet"):
            papers = [p for p in entries if p.suffix.lower() in _PAPERS and p.is_file()]
            if len(entries) > len(papers) and len(inside(path, kind)) == len(entries) - len(papers):
                return kind
        if entries and all(p.name == "data" or p in papers for p in entries) and (path / "data").is_dir():
            return "parquet" if inside(path, "parquet") else "folder"
    except OSError as e:
        raise BadInput(f"{path} cannot be listed: {e.strerror or e}.", f"ls -ld {path}") from e
    return "folder"

"""Images in: one door, which looks at a path and picks the format that reads it."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nsdata.arguments import split_name
from nsdata.errors import BadInput
from nsdata.images.headers import recognised
from nsdata.importers import exported
from nsdata.importers.files import SHARDS, files_of, inside, shards, spooled
from nsdata.importers.formats import digits, folder, idx, manifest, npz, parquet, saved, single, tar, zip
from nsdata.importers.formats.layout import IMAGE_ENDINGS, MARK, quoted
from nsdata.importers.formats.tables import PARQUET, TABLES
from nsdata.importers.formats.zip_directory import DamagedZip
from nsdata.importers.found import Found
from nsdata.importers.item import Item, Skipped
from nsdata.importers.name import own_name, parts_among
from nsdata.importers.neighbours import refuse_names
from nsdata.importers.options import Rule
from nsdata.importers.rule import Part
from nsdata.importers.split_columns import SplitColumns

__all__ = ["Item", "Skipped", "detect", "formats", "open_source"]


@dataclass(frozen=True)
class Format:
    """What a format is: how it is read, and what of a source speaks.

    folders: whether the folders of an image say something. member: whether it has samples of several members. columns:
    gives what those columns of a table have that may say a split.
    """

    found: Callable[..., Iterator[Found | Skipped]]
    folders: bool = False
    member: bool = False
    columns: Callable[[Path], SplitColumns] | None = None


FORMATS = {
    "folder": Format(folder.found, folders=True),
    "idx": Format(idx.found),
    "image": Format(single.found),
    "manifest": Format(manifest.found, columns=manifest.split_columns),
    "parquet": Format(parquet.found, columns=parquet.split_columns),
    "npz": Format(npz.found),
    "saved": Format(saved.found, columns=saved.split_columns),
    "tar": Format(tar.found, folders=True, member=True),
    "zip": Format(zip.found, folders=True, member=True),
}
_KEPT = 128 << 20  # bytes of an archive that are kept between looking at its folders and taking its pictures


def formats() -> list[str]:
    """The values that ``format`` may have."""
    return sorted([*FORMATS, "digits"])


def check_format(format: str | None) -> None:
    """Raise BadInput for a format that there is not."""
    if format is not None and format not in formats():
        raise BadInput(f"Format '{format}' is unknown; there are {', '.join(formats())}.")


@dataclass(frozen=True)
class Source:
    """One file or folder to read."""

    path: Path
    kind: str
    member: str | None = None

    def look(self, read: bool = False) -> Iterator[Found | Skipped]:
        """All that the format finds, without pictures unless ``read``."""
        format_ = FORMATS[self.kind]
        options: dict[str, Any] = {"member": self.member} if format_.member else {}
        return format_.found(self.path, read=read, **options)

    def part(self, rule: Rule, look: Callable[[], Iterable[Found | Skipped]] | None = None) -> Part:
        """The rule for it; folders, where they say something, are looked at first. Raises BadInput."""
        if self.kind == "image":
            _alone(self.path, rule)
        if not FORMATS[self.kind].folders:
            ask = FORMATS[self.kind].columns
            columns = None if ask is None or rule.split is not None else ask(self.path)
            table = (look or self.look) if self.kind == "manifest" else None
            return Part(rule, self.path, table=table, columns=columns)
        return Part(rule, self.path, look=look or self.look, papers=self.papers)

    def papers(self, wanted: set[str], most: int | None = None) -> dict[str, bytes]:
        """The bytes of these files, which are no pictures, by their names below it; not of what is too large. most: the
        first so many of each."""
        if self.path.is_dir():
            read = {name: folder.read_file(str(self.path / name), most) for name in sorted(wanted)}
            return {name: data for name, data in read.items() if isinstance(data, bytes)}
        taken: dict[str, bytes] = {}
        for each in self.look(read=True):
            if isinstance(each, Found) and (name := each.source.removeprefix(f"{self.path.name}!")) in wanted:
                taken[name] = each.data[:most]
                if len(taken) == len(wanted):
                    break
        return taken


def _alone(path: Path, rule: Rule) -> None:
    """A picture by itself: no folder of it names a class, and where one could have, the report says so."""
    name = own_name(path.parent)
    if rule.labelled and rule.names is not None and rule.names.named(name) is not None:
        rule.note(f"pictures named by themselves have no label, also in the folder of a class: {quoted(name)}/")


class Once:
    """A source that is looked at, then read: an archive that fits in memory is read only once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: deque[Found | Skipped] | None = None
        self._fits = FORMATS[source.kind].member  # what lies in folders is found without being read

    def look(self) -> Iterable[Found | Skipped]:
        """All of it, with or without pictures."""
        if self._fits and self._kept is None:
            self._keep()
        return self._source.look() if self._kept is None else iter(self._kept)

    def _keep(self) -> None:
        kept: deque[Found | Skipped] = deque()
        size = 0
        for each in self._source.look(read=True):
            kept.append(each)
            size += 500 + (len(each.data) if isinstance(each, Found) else 0)
            if size > _KEPT:
                self._fits = False
                return
        self._kept = kept

    def read(self) -> Iterator[Found | Skipped]:
        """All of it, with pictures, once."""
        if self._kept is None:
            yield from self._source.look(read=True)
            return
        while self._kept:
            yield self._kept.popleft()


def open_source(
    source: str | Path,
    *,
    classes: Sequence[str],
    split: str | None = None,
    labelled: bool = True,
    format: str | None = None,
    levels: str | None = None,
    first_label: int | None = None,
    member: str | None = None,
    rule: Rule | None = None,
) -> Iterator[Item | Skipped]:
    """Every image of a folder, archive, table, idx files, a glob of such, or "digits"; or one image.

    classes: the store's. split: "train", "val", "test"; None: what the source says, else train.
    labelled=False: labels are not read. format: one of formats(), None to find out. levels, first_label: see rule.Rule.
    member: of WebDataset samples the ending of the member that is the picture. rule: what decides, in place of one made
    of these. Raises BadInput (at the call for what is not there, while iterating for unknown classes); bad files are
    yielded as Skipped.
    """
    if split is not None:
        split_name("Split", split)
    if rule is None:
        rule = Rule(classes, split=split, labelled=labelled, levels=levels, first_label=first_label)
    check_format(format)
    if is_digits(source, format):
        found: Iterator[Item] = digits.items(classes=classes, labelled=labelled)
        return found if split is None else (replace(item, split=split) for item in found)
    return _items(files_of(source), rule, format, member)


def is_digits(source: str | Path, format: str | None = None) -> bool:
    """Whether it is scikit-learn's digits that is meant, and no folder of this name."""
    return format == "digits" or (format is None and str(source) == "digits" and not Path(source).exists())


def _items(files: Sequence[Path], rule: Rule, format: str | None, member: str | None) -> Iterator[Item | Skipped]:
    with ExitStack() as kept:
        found = sources(files, format, member, kept, rule.levels)
        rule.parts = parts_among(source.path for source in found)
        for source in found:
            try:
                once = Once(source)
                part = source.part(rule, once.look)
                if part.bare:
                    refuse_names([other.path for other in found])
                for each in once.read():
                    item = each if isinstance(each, Skipped) else part.item(each)
                    if item is None:
                        continue
                    if isinstance(item, Skipped) and item.passed:
                        rule.note(f"{item.source}: {item.reason}")
                        continue
                    yield item
            except (parquet.DamagedParquet, DamagedZip) as e:  # an error alone, but beside others it costs only itself
                if len(found) == 1:
                    raise
                yield Skipped(source.path.name, e.message.removeprefix(f"{source.path} is "), True)
        rule.check()


def sources(
    files: Sequence[Path], format: str | None, member: str | None, kept: ExitStack, levels: str | None = None
) -> list[Source]:
    """What there is to read, file by file. kept: holds what a pipe gave, which can be read only once. levels: as of an
    import; an export of nsdata is read by its folders then, and else by its table. Raises BadInput."""
    found: list[Source] = []
    for path in files:
        try:
            kind = format or detect(path)
        except parquet.DamagedParquet:
            if len(files) == 1:
                raise
            kind = "parquet"
        if path.is_dir() and kind in SHARDS:
            found += [Source(each, kind, member) for each in inside(path, kind)]
        elif path.is_dir() and kind == "manifest" and levels is None:
            exported.check_whole(path)
            found.append(Source(path / exported.LABELS, kind))
        else:
            if kind == "tar" and stat.S_ISFIFO(path.stat().st_mode):
                path = kept.enter_context(spooled(path))
            found.append(Source(path, "folder" if path.is_dir() and kind == "manifest" else kind, member))
    return found


def detect(path: Path) -> str:
    """The format of what is at path, by names and, for parquet, columns. Raises BadInput if it is unknown."""
    if path.is_dir():
        return _detect_folder(path)
    name = path.name.lower()
    for kind, endings in (("tar", tar.ENDINGS), ("zip", zip.ENDINGS), ("npz", npz.ENDINGS)):
        if name.endswith(endings):
            return kind
    if name.endswith(TABLES) or (name.endswith(".txt") and manifest.is_list(path)):
        return "manifest"
    if name.endswith(PARQUET):
        with parquet.opened(path) as file:
            return "parquet" if parquet.image_column(file.schema_arrow) else "manifest"
    if idx.IMAGES.match(path.name):
        return "idx"
    if name.endswith(IMAGE_ENDINGS) or _looks_like_an_image(path):
        return "image"
    raise BadInput(
        f"{path} is neither a folder, archive, table nor idx file, nor an image.",
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
        if idx.image_files(path):
            return "idx"
        if any(p.name == exported.LABELS for p in entries) and (path / MARK).is_file():
            return "manifest"  # what nsdata export writes
        if saved.is_saved(path):
            return "saved"
        for kind in SHARDS:
            if shards(path, kind):
                return kind
    except OSError as e:
        raise BadInput(f"{path} cannot be listed: {e.strerror or e}.", f"ls -ld {path}") from e
    return "folder"

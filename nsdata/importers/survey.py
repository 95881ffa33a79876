"""What a source holds, looked at as a whole before anything comes in: folders, files that are no pictures, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.images.headers import recognised
from nsdata.importers.against import Papers
from nsdata.importers.class_names import empty
from nsdata.importers.formats.layout import IMAGE_ENDINGS, quoted
from nsdata.importers.formats.samples import ALONE, key_of
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.masks import Masks
from nsdata.importers.split_columns import SplitColumns, Unsure
from nsdata.importers.tree import Tree
from nsdata.importers.written import is_paper

_UNSURE = 100  # files of a folder that are looked at to know whether it is one of pictures
Look = Callable[[], Iterable[Found | Skipped]]


@dataclass
class Survey:
    """inner: folders of pictures with nothing written beside them; outer: of the others.

    files: what is no picture, below the source. alone: members with a label and no picture among their neighbours.
    seen: keys of samples that say nothing of a label. labelled: whether some picture has a label written beside it;
    asked: or could have. columns: the keys that may say a split.
    """

    inner: Tree = field(default_factory=Tree)
    outer: Tree = field(default_factory=Tree)
    files: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    seen: dict[str, None] = field(default_factory=dict)
    labelled: bool = False
    asked: bool = False
    masks: Masks = field(default_factory=Masks)
    columns: SplitColumns = field(default_factory=SplitColumns)


def survey(look: Look, inside: Callable[[str], str], papers: Papers | None) -> Survey:
    """inside: a source's path below what is imported. papers: gives the first bytes of files that may be pictures."""
    found = Survey()
    unsure: dict[str, list[str]] = {}  # files of unknown endings, or of none, in folders that have no pictures so far
    pictured: set[str] = set()
    unsaid: set[str] = set()  # folders of samples that say nothing of a label
    last: str | None = None  # folder
    for each in look():
        if isinstance(each, Skipped):
            if each.reason == ALONE:
                found.alone.append(inside(each.source))
            continue
        if each.labels:
            found.outer.add(each.folder)
            known = [value for _, value in each.labels if not isinstance(value, Unsure)]
            found.asked = found.asked or bool(known)  # each may answer that it has none, as a column may be empty
            found.labelled = found.labelled or not all(map(empty, known))
        elif each.seen:
            unsaid.add(each.folder)
        elif not each.source.lower().endswith(IMAGE_ENDINGS):
            if is_paper(each.source):
                found.files.append(inside(each.source))
            elif each.folder not in pictured and len(some := unsure.setdefault(each.folder, [])) < _UNSURE:
                some.append(inside(each.source))
        else:
            if each.folder != last:
                found.inner.add(last := each.folder)
                pictured.add(last)
            found.masks.look(each.source)
        if each.seen:
            found.seen.update(dict.fromkeys(each.seen))
            found.columns.look_at(each.cells)
    for folder, some in unsure.items():
        if folder not in pictured and (papers is None or _pictures(some, papers)):
            found.inner.add(folder)
    for folder in unsaid:
        (found.outer if found.labelled else found.inner).add(folder)
    return found


def plain_pictures(look: Look, inside: Callable[[str], str], masks: Masks) -> list[str]:
    """The pictures with nothing written beside them, without masks."""
    found = (each.source for each in look() if isinstance(each, Found) and not (each.labels or each.seen))
    return [inside(source) for source in found if not (is_paper(source) or source in masks.found)]


def _pictures(files: Sequence[str], papers: Papers) -> bool:
    """Whether some of these files begin as pictures do: README and LICENSE do not."""
    return any(recognised(data) for data in papers(set(files), 4096).values())


def _base(name: str) -> str:
    return key_of(name).rpartition("/")[2]


def check_neighbours(path: Path, alone: Iterable[str], look: Look, inside: Callable[[str], str]) -> None:
    """Raise BadInput where a label lies in an archive apart from the picture of its key: nothing joins them."""
    keys = {key_of(name): name for name in alone}
    bases = {_base(name): name for name in alone if not name.lower().endswith(".json")}  # in folders of their own
    for each in look() if keys else ():
        if isinstance(each, Found) and not is_paper(each.source):
            picture = inside(each.source)
            name = keys.get(key_of(picture)) or ("" if each.labels else bases.get(_base(picture), ""))
            if name:
                raise BadInput(
                    f"'{quoted(name)}' in {path} lies apart from its picture, {quoted(picture)}: the members of a "
                    "sample were expected side by side.",
                    "pack it again with tar --sort=name; or --unlabelled",
                )

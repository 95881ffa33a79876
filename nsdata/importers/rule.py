"""The one rule for class and split, for every source: folders, archives, tables, WebDataset samples, arrays.

docs/own-images.md has it as a table. Formats find (found.py); words.py knows single names, levels.py folders together,
written.py and class_names.py labels as written, beside.py files of labels. Part puts them in their order: by hand, as
written beside the image, by its folders, by the name of its file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.against import Papers, check, govern, governing
from nsdata.importers.beside import LabelFiles
from nsdata.importers.class_names import Folder, clean, named
from nsdata.importers.formats.tables import LABELLED_BY
from nsdata.importers.found import Found
from nsdata.importers.item import Item, Skipped
from nsdata.importers.labels import Labels
from nsdata.importers.levels import Levels
from nsdata.importers.listed import Paths
from nsdata.importers.masks import Masks
from nsdata.importers.name import Name
from nsdata.importers.neighbours import lost_class, refuse_tables
from nsdata.importers.options import Rule
from nsdata.importers.others import refuse_labels, refuse_splits
from nsdata.importers.sides import check_sides
from nsdata.importers.split_columns import SplitColumns, Unsure
from nsdata.importers.splits import Chosen, Splits
from nsdata.importers.survey import Look, Survey, check_neighbours, plain_pictures, survey
from nsdata.importers.tree import Place, Tree
from nsdata.importers.unclear import check_depth, refuse_numbered
from nsdata.importers.written import (
    BY_TEACHERS,
    Numbers,
    for_init,
    is_paper,
    no_labels,
)

ORDERED = "\0"  # in place of where a name stands: a list of classes of the source's own, which keeps its order


class Part:
    """The rule at work on one file or folder of a source."""

    def __init__(
        self,
        rule: Rule,
        path: Path,
        *,
        look: Look | None = None,
        papers: Papers | None = None,
        table: Look | None = None,
        columns: SplitColumns | None = None,
    ) -> None:
        """path: what the pictures lie in.

        look:   gives all that the format finds, without pictures; where folders matter, before anything comes in.
        papers: gives the bytes of some of its files that are no pictures.
        table:  as look, of a table, whose paths are looked at where neither the rule nor its name says a split.
        columns: those of a table that may say a split.

        Raises BadInput for folders that are not understood, and where labels were expected and there are none.
        """
        self.rule, self.path, self._name = rule, path, Name(path)
        self._prefix = "" if path.is_dir() else f"{path.name}!"
        self._levels: Levels | None = None
        self._outer: Levels | None = None
        self._beside: LabelFiles | None = None
        self._by_folder: dict[str, tuple[str, bool, int | None, str]] = {}
        self._known: frozenset[str] | None = None  # folders that hold pictures, where that was looked at
        self._masks = Masks()
        self._silent = False
        self.bare = False  # whether nothing says a label of any picture, though folders and files were looked at
        self._paths: Paths | None = None
        self._labels = Labels(rule, path)
        self._splits = Splits(rule, self._name, columns or SplitColumns())
        if look is not None:
            self._survey(look, papers)
        elif table is not None and rule.split is None and self._name.says_nothing():
            self._paths = Paths(table, str(path.parent), rule, self._splits.said)
        self._splits.settle()

    def _survey(self, look: Look, papers: Papers | None) -> None:
        rule, known = self.rule, survey(look, self._inside, papers)
        inner, outer, files, self._masks = known.inner, known.outer, known.files, known.masks
        self._splits.columns = known.columns
        if rule.levels is None:
            rule.masks.update(self._masks.settle(look))
        self._silent = known.labelled  # a sample that says nothing of its label has none, whatever its folder is called
        if rule.labelled and papers is not None and rule.levels is None and (tables := governing(files, papers)):
            shown = plain_pictures(look, self._inside, self._masks)
            self._beside, inner = govern(self.path, tables, shown, (inner, outer), papers, rule.names)
        self._levels, self._outer = self._read(inner, rule.labelled), self._read(outer, False)
        self._known = frozenset(inner.folders())
        if not rule.labelled:
            return
        places = {folder: self._levels.of(folder) for folder in inner.folders()}
        if rule.levels is not None and "class" in self._levels.pattern:
            check_depth(self.path, rule, places)

        def pictures(of: Collection[str] = places.keys()) -> Iterator[tuple[str, str]]:
            for each in look():
                if isinstance(each, Found) and not each.labels and each.folder in of and not is_paper(each.source):
                    yield self._inside(each.source), places[each.folder].cls or ""

        check_neighbours(self.path, known.alone, look, self._inside)
        self._look_beside(known, places, pictures, papers)
        for note in self._beside.notes if self._beside else ():
            rule.note(note)
        self._labels.papers = papers
        self._labels.files = [file for file in known.files if self._beside is None or not self._beside.has(file)]
        says = self._levels.splits or self._outer.splits or (self._beside and self._beside.splits)
        if rule.split is None and papers is not None and not says and self._name.says_nothing():
            used = self._beside.names if self._beside else ()
            refuse_splits(self.path, known.files, lambda: (p for p, _ in pictures()), papers, used)

    def _look_beside(
        self,
        known: Survey,
        places: dict[str, Place],
        pictures: Callable[..., Iterator[tuple[str, str]]],
        papers: Papers | None,
    ) -> None:
        """The files that may hold labels. Raises BadInput where they, or keys, were expected to have some."""
        rule, files, labelled = self.rule, known.files, known.labelled
        assert self._levels is not None
        bare = {folder for folder, place in places.items() if not any(place[1:])}
        plain = lambda: (picture for picture, _ in pictures(bare))  # noqa: E731
        if bare and files and papers is not None and self._beside is None:
            needed = not labelled and not any(place.cls for place in places.values())
            self._beside = LabelFiles(str(self.path), files, plain, papers, needed=needed, rows=True)
        by_class = {folder for folder, place in places.items() if place.cls}
        if by_class and papers is not None and rule.levels is None:
            check(self.path, files, lambda: pictures(by_class), papers)
            check_sides(self.path, files, lambda: pictures(by_class), papers)
        if rule.names is None and rule.levels is None:
            refuse_numbered(str(self.path), {place.cls for place in places.values() if place.cls})
        own = self._name.own if self.path.is_dir() else self.path.name.partition(".")[0]
        used = self._beside is not None and bool(self._beside.names)
        if not (self.path.is_dir() or labelled or used):
            told = not by_class or rule.levels is not None
            refuse_tables(self.path, plain if bare else None, None if told else lambda: pictures(by_class))
        self.bare = nothing = bool(bare) and bare == places.keys() and not labelled and not used
        if nothing and rule.names is not None and self._is_class(own):
            raise lost_class(self.path, own)
        if known.seen and not (known.asked or self._levels.by_class or used):
            raise no_labels(self.path, Found("", b"", kind="key", seen=tuple(known.seen)))
        if nothing and papers is not None:
            is_class = (lambda name: False) if rule.names is None else self._is_class
            refuse_labels(self.path, files, known.alone, plain, papers, is_class)

    def _levels_of(self, folder: str) -> Levels | None:
        governed = self._beside is not None and self._beside.governs(folder) and folder not in (self._known or ())
        return self._outer if governed else self._levels

    def _read(self, tree: Tree, labelled: bool) -> Levels:
        names, hand = self.rule.names, self.rule.split is not None
        known = None if names is None else self._is_class
        classes = [] if names is None else names.classes
        return Levels(tree, str(self.path), known, classes, labelled=labelled, by_hand=hand, levels=self.rule.levels)

    def _inside(self, source: str) -> str:
        return source.removeprefix(self._prefix)

    def _is_class(self, name: str) -> bool:
        assert self.rule.names is not None
        return self.rule.names.named(name) is not None

    def item(self, found: Found) -> Item | Skipped | None:
        """The image with its class and split; None for a file of labels. Raises BadInput for what is neither."""
        if found.beside:
            self.rule.passed.update(found.beside)
        if self._masks.found and found.source in self._masks.found:
            return None
        if not found.labels and found.split is None and not found.seen:
            if self._beside is not None and self._beside.has(self._inside(found.source)):
                return None
            if self._beside is None or not self._beside.names:
                return self._plain(found)  # nearly always
        return self._written(found)

    def _plain(self, found: Found) -> Item | Skipped | None:
        """Of an image with nothing written beside it: by its folder."""
        known = self._by_folder.get(found.folder)
        if known is None:
            try:
                split, cls, why, unlabelled, mask = self._place(found.folder, self._levels)
            except BadInput:
                if self._known is None or found.folder in self._known:
                    raise
                return Skipped(found.source, "not an image, and none beside it")  # its folder need not be a class
            if mask:
                self._masked(mask, found)
                return None
            chosen = Chosen("", True) if why else self._splits.of(None, split, unlabelled, "", "", self._levels)
            label = None if chosen.unlabelled else self._labels.of_folder(cls)
            known = self._by_folder[found.folder] = (chosen.split, chosen.named, label, why)
        split_, is_named, label, why = known
        return Skipped(found.source, why) if why else Item(found.source, found.data, label, split_, found.id, is_named)

    def _place(self, folder: str, levels: Levels | None) -> Place:
        return Place(None, None) if levels is None else levels.of(folder)

    def _masked(self, folder: str, found: Found) -> None:
        if not is_paper(found.source):
            self.rule.masks[f"{folder}/"] += 1

    def _written(self, found: Found) -> Item | Skipped | None:
        """Of an image with something written beside it."""
        if found.names:
            found = replace(found, labels=tuple((key, named(value, found.names, key)) for key, value in found.labels))
        if LABELLED_BY in found.seen:
            self.rule.note(BY_TEACHERS)
        written, said, where = found.labels, self._splits.said(found), found.row or found.source
        if written and isinstance(why := written[0][1], Unsure):
            if self.rule.labelled:
                return Skipped(found.source, why.message)
            written = ()
        levels = self._outer if written or (found.seen and self._silent) else self._levels_of(found.folder)
        folder = found.folder
        if self._paths is not None:
            levels, folder = self._paths.levels, self._paths.below(folder)
        split, cls, why, unlabelled, mask = self._place(folder, levels)
        unlabelled = unlabelled and self._paths is None  # a table says the label itself
        if mask:
            self._masked(mask, found)
            return None
        if why:
            return Skipped(found.source, why)
        kind = found.kind
        if self._beside is not None and not written and cls is None and not unlabelled:
            written, said, where = self._beside.of(self._inside(found.source))
            kind = "column" if written else kind
            if self._beside.by_teachers:
                self.rule.note(BY_TEACHERS)
            if written:
                texts = self._beside.texts_of(self._inside(found.source))
                found = replace(found, labels=written, row=where, kind=kind, texts=texts)
        chosen = self._splits.of(said, split, unlabelled, where, found.split_in or kind, levels)
        label = None
        if self.rule.labelled and not chosen.unlabelled:
            if written:
                governed = self._outer is not None and self._levels_of(found.folder) is self._outer
                label = self._labels.written(found, where, governed)
            elif found.seen and (levels is None or self._paths is not None):
                raise no_labels(self.path, found)
            else:
                label = self._labels.of_folder(cls)
        return Item(found.source, found.data, label, chosen.split, found.id, chosen.named)

    def class_names(self, look: Look) -> Iterator[tuple[object, str]]:
        """(name, where it stands) for ``init``, of what the format finds, without pictures; ORDERED for names that the
        source has in an order of its own."""
        seen: set[str] = set()
        numbers, values = Numbers(), dict[object, None]()
        for each in look():
            if isinstance(each, Skipped):
                continue
            written, where = each.labels, str(self.path)
            if written and isinstance(written[0][1], Unsure):
                continue
            if each.names:
                yield from ((clean(name), ORDERED) for name in each.names)
                return
            if not written:
                if self._levels is None:
                    said = self._splits.said(each)
                    if each.seen and not self._splits.of(said, None, False, where, each.kind, None).unlabelled:
                        raise no_labels(self.path, each, init=True)
                    continue
                if is_paper(each.source):
                    continue
                _, cls, why, unlabelled, mask = self._place(each.folder, self._levels_of(each.folder))
                if cls is not None:
                    if each.folder not in seen:
                        seen.add(each.folder)
                        yield Folder(cls), each.folder.rpartition("/")[0]
                    continue
                if self._beside is None or why or unlabelled or mask:
                    continue
                written, _, where = self._beside.of(self._inside(each.source))
            numbers.look(written, where)
            found = for_init(written, where)
            values.update(dict.fromkeys(found))
            yield from ((value, str(self.path)) for value in found)
        numbers.check(str(self.path))
        self._labels.check_init(list(values))

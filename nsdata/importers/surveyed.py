"""A part of a source looked at as a whole, before anything comes in: its folders, its files of labels and of splits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.against import Papers, check, govern, governing
from nsdata.importers.beside import LabelFiles, of_splits
from nsdata.importers.exported import check_people_s
from nsdata.importers.files import refuse_packed
from nsdata.importers.found import Found
from nsdata.importers.labels import Labels
from nsdata.importers.levels import Levels
from nsdata.importers.listed import Paths, held_out_in
from nsdata.importers.masks import Masks
from nsdata.importers.name import Name, no_split
from nsdata.importers.neighbours import lost_class, refuse_tables
from nsdata.importers.options import Rule
from nsdata.importers.others import refuse_labels
from nsdata.importers.sides import check_sides
from nsdata.importers.split_columns import SplitColumns
from nsdata.importers.split_lists import refuse_splits
from nsdata.importers.splits import Splits
from nsdata.importers.survey import Look, Survey, check_neighbours, plain_pictures, survey
from nsdata.importers.tree import Place, Tree
from nsdata.importers.unclear import check_depth, refuse_numbered
from nsdata.importers.words import doubt_of_name
from nsdata.importers.written import is_paper, no_labels, no_split_in


class Surveyed:
    """One file or folder of a source, and what in it says labels and splits; rule.Part makes images of it."""

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
        self._by_row: dict[Any, tuple[int | None, str, bool]] = {}
        self._known: frozenset[str] | None = None  # folders that hold pictures, where that was looked at
        self._masks = Masks()
        self._silent = False
        self.bare = False  # whether nothing says a label of any picture, though folders and files were looked at
        self._paths: Paths | None = None
        self._held_in: dict[str, str | None] | None = None  # the folders of a table's paths
        self._labels = Labels(rule, path)
        self._splits = Splits(rule, self._name, columns or SplitColumns())
        if look is not None:
            self._survey(look, papers)
        elif table is not None and rule.split is None:
            self._held_in = {} if rule.levels is None else None
            if self._name.says_nothing():
                self._paths = Paths(table, str(path.parent), rule, self._splits.said)
        self._splits.settle()

    def _survey(self, look: Look, papers: Papers | None) -> None:
        rule, known = self.rule, survey(look, self._inside, papers)
        inner, outer, files, self._masks = known.inner, known.outer, known.files, known.masks
        self._splits.columns = known.columns
        if next(inner.folders(), None) is None and next(outer.folders(), None) is None:
            refuse_packed(self.path, files)
        if rule.levels is None:
            rule.masks.update(self._masks.settle(look))
        self._silent = known.labelled  # a sample that says nothing of its label has none, whatever its folder is called
        if rule.labelled and papers is not None and rule.levels is None and (tables := governing(files, papers)):
            bare = plain_pictures(look, self._inside, self._masks)
            self._beside, inner = govern(self.path, tables, bare, (inner, outer), papers, rule.names)
        self._levels, self._outer = self._read(inner, rule.labelled), self._read(outer, False)
        self._known = frozenset(inner.folders())
        places = {folder: self._levels.of(folder) for folder in inner.folders()}
        if rule.labelled:
            self._look_for_labels(known, places, look, papers)
        elif papers is not None and rule.split is None:
            shown = lambda: (self._inside(each.source) for each in _pictures(look))  # noqa: E731
            self._beside = of_splits(str(self.path), files, shown, papers)
        said = next(outer.folders(), None) is None and all(place.split or place.why for place in places.values())
        if not said and papers is not None and rule.split is None and self._name.says_nothing():
            names = self._beside.names if self._beside else {}
            refuse_splits(self.path, files, lambda: self._unsaid(look), papers, names)
            doubtful = [name for name in names if doubt_of_name(name)]
            if doubtful and next(self._unsaid(look), None) is not None:
                rule.note(no_split(doubtful[0]))

    def _unsaid(self, look: Look) -> Iterator[str]:
        """The pictures whose split nothing says but, maybe, the name of the source."""
        for each in _pictures(look):
            if self._splits.said(each) is None:
                picture, of_folder = self._inside(each.source), Place(None, None)
                with suppress(BadInput):  # of a folder that need not be one of pictures
                    of_folder = self._place(
                        each.folder, self._levels if each.folder in (self._known or ()) else self._outer
                    )
                by_table = self._beside is not None and not no_split_in(self._beside.of(picture)[1])
                if not (of_folder.split or of_folder.why or of_folder.mask or by_table):
                    yield picture

    def _look_for_labels(self, known: Survey, places: dict[str, Place], look: Look, papers: Papers | None) -> None:
        """What says labels, the folders and the files beside. Raises BadInput where that is not sure."""
        assert self._levels is not None
        if self.rule.levels is not None and "class" in self._levels.pattern:
            check_depth(self.path, self.rule, places)

        def pictures(of: Collection[str] = places.keys()) -> Iterator[tuple[str, str]]:
            for each in _pictures(look):
                if not each.labels and each.folder in of:
                    yield self._inside(each.source), places[each.folder].cls or ""

        check_neighbours(self.path, known.alone, look, self._inside)
        self._look_beside(known, places, pictures, papers)
        for note in self._beside.notes if self._beside else ():
            self.rule.note(note)
        self._labels.papers = papers
        self._labels.files = [file for file in known.files if self._beside is None or not self._beside.has(file)]

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
        if by_class:
            check_people_s(self.path, rule)
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
            refuse_labels(self.path, files, known.alone, plain, papers, self._is_class)

    def _levels_of(self, folder: str) -> Levels | None:
        governed = self._beside is not None and self._beside.governs(folder) and folder not in (self._known or ())
        return self._outer if governed else self._levels

    def _read(self, tree: Tree, labelled: bool) -> Levels:
        names, hand = self.rule.names, self.rule.split is not None
        known, classes = (None, []) if names is None else (self._is_class, names.classes)
        return Levels(tree, str(self.path), known, classes, labelled=labelled, by_hand=hand, levels=self.rule.levels)

    def _inside(self, source: str) -> str:
        return source.removeprefix(self._prefix)

    def _is_class(self, name: str) -> bool:
        return self.rule.names is not None and self.rule.names.named(name) is not None

    def _held(self, folder: str) -> str | None:
        """The held-out split that a folder of a table's path names, whatever the table says itself."""
        if self._held_in is not None and folder not in self._held_in:
            self._held_in[folder] = held_out_in(folder, str(self.path.parent), self.rule.names)
        return None if self._held_in is None else self._held_in[folder]

    def _place(self, folder: str, levels: Levels | None) -> Place:
        return Place(None, None) if levels is None else levels.of(folder)


def _pictures(look: Look) -> Iterator[Found]:
    return (each for each in look() if isinstance(each, Found) and not is_paper(each.source))

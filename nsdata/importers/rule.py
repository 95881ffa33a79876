"""The one rule for class and split, for every source: folders, archives, tables, WebDataset samples, arrays.

docs/own-images.md has it as a table. Formats find (found.py); words.py knows single names, levels.py folders together,
written.py and class_names.py labels as written, beside.py files of labels, surveyed.py a source as a whole. Part puts
them in their order: by hand, as written beside the image, by its folders, by the name of its file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nsdata.errors import BadInput
from nsdata.importers.class_names import Folder, clean, named
from nsdata.importers.formats.tables import LABELLED_BY
from nsdata.importers.found import Found
from nsdata.importers.item import Item, Skipped
from nsdata.importers.split_columns import Unsure
from nsdata.importers.splits import Chosen
from nsdata.importers.survey import Look
from nsdata.importers.surveyed import Surveyed
from nsdata.importers.written import (
    BY_TEACHERS,
    Numbers,
    for_init,
    is_paper,
    no_labels,
)

_ALIKE = 10_000  # kinds of rows that are remembered
ORDERED = "\0"  # in place of where a name stands: a list of classes of the source's own, which keeps its order


class Part(Surveyed):
    """The rule at work on one file or folder of a source."""

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
        return self._alike(found)

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

    def _alike(self, found: Found) -> Item | Skipped | None:
        """Of an image with something written beside it; what is written as of an image before comes to the same."""
        if not found.labels or self._beside is not None or found.cells or not isinstance(found.split, str | None):
            return self._written(found)
        written = tuple([(key, value, value.__class__) for key, value in found.labels])  # 1 is True, and 1.0
        try:
            known = self._by_row.get(key := (found.folder, found.split, written, found.texts))
        except TypeError:  # a list
            return self._written(found)
        if known is None:
            item = self._written(found)
            if isinstance(item, Item) and len(self._by_row) < _ALIKE:
                self._by_row[key] = item.label, item.split, item.named
            return item
        label, split, is_named = known
        return Item(found.source, found.data, label, split, found.id, is_named)

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
            written, told, where = self._beside.of(self._inside(found.source))
            said, kind = told if said is None else said, "column" if written else kind
            if self._beside.by_teachers and self.rule.labelled:
                self.rule.note(BY_TEACHERS)
            if written:
                texts = self._beside.texts_of(self._inside(found.source))
                found = replace(found, labels=written, row=where, kind=kind, texts=texts)
        chosen = self._splits.of(
            said, split, unlabelled, where, found.split_in or kind, levels, self._held(found.folder)
        )
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

"""The label of one image: as written beside it, or by its folder."""

from __future__ import annotations

from pathlib import Path

from nsdata.importers.against import Papers
from nsdata.importers.class_lists import check_lists, refuse_numbers
from nsdata.importers.class_names import clean, empty, minus_one, plain, whole
from nsdata.importers.found import Found
from nsdata.importers.listed import check_place
from nsdata.importers.options import Rule
from nsdata.importers.written import PLACES, label_of


class Labels:
    """What the images of one file or folder have for a label. files, papers: what it holds that is no picture, and what
    gives the bytes of some."""

    def __init__(self, rule: Rule, path: Path) -> None:
        self._rule, self._path = rule, path
        self.files: list[str] = []
        self.papers: Papers | None = None
        self._looked = False  # for lists of class names, which is done at the first number that is a place

    def of_folder(self, cls: str | None) -> int | None:
        """The class that a folder names."""
        rule = self._rule
        if cls is None or not rule.labelled or rule.names is None:
            return None
        rule.labels_from["folder names"] = None
        return rule.names.named(cls)

    def check_init(self, values: list[object]) -> None:
        """For ``init``: raise BadInput where all that was found are numbers, and a list beside names the classes."""
        said = [plain(value) for value in values if not empty(value)]
        numbers = {whole(clean(value) if isinstance(value, str) else value) for value in said}
        if None not in numbers and len(numbers) > 1:
            refuse_numbers(self._path, self.files, self.papers, {number for number in numbers if number is not None})

    def written(self, found: Found, where: str, before_folders: bool) -> int | None:
        """The class of what is written beside an image, at ``where``. before_folders: it counts whatever its folders
        are called. Raises BadInput for what is no class, or another one than its folder's."""
        rule, names = self._rule, self._rule.names
        assert names is not None
        label, key = label_of(found.labels, names, where)
        if label is None:
            if any(minus_one(value) for _, value in found.labels):
                rule.note("-1 means no label, as no class is called so")
            return None
        place = key.endswith(PLACES)
        if place and not self._looked:
            self._looked = True
            check_lists(self._path, self.files, self.papers, names, where)
        if place and found.texts:
            rule.called.look(found.texts, label, where, names)
        if place or before_folders:
            check_place(found.folder, label, names, where)
        rule.labels_from[f"{found.kind} {key}"] = None
        return label

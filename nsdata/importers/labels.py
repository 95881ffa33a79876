"""The label of one image: as written beside it, or by its folder."""

from __future__ import annotations

from nsdata.importers.class_names import minus_one
from nsdata.importers.found import Found
from nsdata.importers.listed import check_place
from nsdata.importers.options import Rule
from nsdata.importers.written import PLACES, label_of


class Labels:
    """What the images of one file or folder have for a label."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def of_folder(self, cls: str | None) -> int | None:
        """The class that a folder names."""
        rule = self._rule
        if cls is None or not rule.labelled or rule.names is None:
            return None
        rule.labels_from["folder names"] = None
        return rule.names.named(cls)

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
        if place and found.texts:
            rule.called.look(found.texts, label, where, names)
        if place or before_folders:
            check_place(found.folder, label, names, where)
        rule.labels_from[f"{found.kind} {key}"] = None
        return label

"""What trains and what judges: the guards that keep test and held-out images out of training. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nsdata import View
from nsdata.errors import BadInput, EmptyView
from nsdata.views.changed import changes
from nsdata.views.command import again
from nsdata.views.held_out import first_eight, held_out_of


@dataclass(frozen=True, slots=True)
class Split:
    """What trains and what judges. ``val`` is None if nothing was held out."""

    labelled: View
    unlabelled: View | None
    val: View | None
    warnings: list[str] = field(default_factory=list)


def held_out(people: View, fraction: float) -> tuple[View, View | None]:
    """(training view, validation view or None) of people's labels.

    A store with labelled val images validates on all of them. Else images are held out by their ids
    (nsdata.views.held_out): the same ones in every generation, whatever is imported later.
    """
    val = people.store.view().split("val").labelled()
    if len(val):
        still = splits_now(val) == 1  # what moved to test since judges no more, and what moved to train teaches
        val = val if still.all() else val.only(still, "in val still")
    if len(val):
        return people, val
    if (held := held_out_of(people, fraction)) is None:
        return people, None
    first = np.zeros(len(people), bool)
    first[np.unique(people.rows, return_index=True)[1]] = True  # an image counts once, however often repeated
    percent = f"{100 * fraction:g} %"
    return people.only(~held, f"not held out ({percent})"), people.only(held & first, f"held out ({percent})")


def prepare(people: View, pseudo: View | None, fraction: float, *, gen: int | None = None, ratio: int = 1) -> Split:
    """Checks the views and holds validation images out of both.

    Raises EmptyView for a view without rows; BadInput for test or val images in either view, images without a
    label in ``people``, a ``pseudo`` without a generation, of another than ``gen``, or of other classes, ratio 0.
    """
    _refuse_evaluation_images(people, "labelled")
    bare = int((people.labels < 0).sum())
    if bare:
        text = f"The labelled view holds {bare:,} images without a person's label, of {len(people):,}."
        raise BadInput(text, "store.view().split('train').labelled()")
    warnings: list[str] = []
    if pseudo is not None:
        if pseudo.gen is None:
            text = "The view of unlabelled images has no generation, so it has no soft labels to learn from."
            raise BadInput(text, again(pseudo.recipe, name=pseudo.name or f"student-{gen or 1}", gen=gen or 1))
        if gen is not None and pseudo.gen != gen:
            raise BadInput(
                f"The view brings the soft labels of generation {pseudo.gen}; model {gen} learns generation {gen}'s.",
                again(pseudo.recipe, name=f"student-{gen}", gen=gen),
            )
        if not ratio:
            raise BadInput("The ratio is 0, so the soft labels would not be used.", "--set ratio=3, or no view")
        _same_classes(people, pseudo)
        _refuse_evaluation_images(pseudo, "pseudo-labelled")
    for what, view in (("labelled", people), ("pseudo-labelled", pseudo)):
        if view is not None and (changed := changes(view.store, view.store.head(), view.rows)):
            warnings.append(f"The {what} view is of version {view.store.version}: {changed}.")
    labelled, val = held_out(people, fraction)
    if val is not None and pseudo is not None:
        leaked = np.isin(first_eight(pseudo.ids), first_eight(val.ids))
        if leaked.any():
            warnings.append(f"{int(leaked.sum()):,} held-out images were left out of the pseudo-labelled view.")
            pseudo = pseudo.only(~leaked, "not held out")
            _need_rows(pseudo, "pseudo-labelled")
    seen = np.bincount(labelled.labels, minlength=len(people.store.classes))
    missing = [name for name, n in zip(people.store.classes, seen, strict=True) if not n]
    if missing:
        names = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        warnings.append(f"{len(missing)} of {len(seen)} classes have no labelled training image: {names}.")
    return Split(labelled, pseudo, val, warnings)


def _same_classes(people: View, pseudo: View) -> None:
    mine, theirs = people.store.classes, pseudo.store.classes
    if mine == theirs:
        return
    if min(mine, theirs, key=len) != max(mine, theirs, key=len)[: min(len(mine), len(theirs))]:
        raise BadInput("The two views come from stores with different classes.")
    older, what = (pseudo, "pseudo-labelled") if len(theirs) < len(mine) else (people, "labelled")
    raise BadInput(
        f"The {what} view is of version {older.store.version}, which had {len(older.store.classes)} classes; the other "
        f"has {max(len(mine), len(theirs))}.",
        again(older.recipe, name=older.name or f"student-{older.gen}")
        if older is pseudo
        else "store.refresh().view().split('train').labelled()",
    )


def _need_rows(view: View, what: str) -> None:
    if not len(view):
        raise EmptyView(
            f"The {what} view keeps no rows, so there is nothing to train on.", "nsdata import FOLDER_OF_CLASS_FOLDERS"
        )


def _refuse_evaluation_images(view: View, what: str) -> None:
    _need_rows(view, what)
    for code, name in ((2, "test"), (1, "val")):
        count = int((splits_now(view) == code).sum())
        if count:
            text = f"The {what} view holds {count:,} {name} images, of {len(view):,}; they must not train a model."
            stale = not (view.splits == code).any()  # it has that filter; its version is what is wrong
            raise BadInput(text, again(view.recipe) if stale else "view.split('train')")


def splits_now(view: View) -> NDArray[np.int8]:
    """(n,) the splits in which a view's images are at the newest version, whatever it is pinned to."""
    return np.asarray(view.store.head().table.split[view.rows])


def size_warning(mine: int, pseudo: View | None, teacher: int | None) -> list[str]:
    """The paper's rule: a student is equal to or larger than its teacher."""
    if pseudo is not None and pseudo.gen is not None and teacher is None:
        teacher = pseudo.store.labels(pseudo.gen).provenance.get("teacher_parameters")
    if pseudo is None or teacher is None or mine >= teacher:
        return []
    return [
        f"The student has {mine:,} parameters, fewer than its teacher's {teacher:,}; "
        "Noisy Student asks for an equal or larger student."
    ]

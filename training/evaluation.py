"""How good a model is, or were the soft labels that it wrote: scored on the images that people labelled."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import Store, View
from nsdata.arguments import path
from nsdata.errors import BadInput, EmptyView
from nsdata.labels.labels import of_generation, widened
from nsdata.progress import Note, Progress, unheard, watched
from nsdata.schema import SPLITS
from nsdata.views import moved
from nsdata.views.held_out import rows as held_out_rows
from training.scores import Scores, score
from training.validation import none_held_out

if TYPE_CHECKING:
    from training.models import LoadedModel


def evaluate(
    model: LoadedModel | str | Path,
    view: View,
    *,
    batch_size: int = 256,
    device: str = "auto",
    on_progress: Progress | None = None,
    on_note: Note = unheard,
) -> Scores:
    """Scores of a model (or of a checkpoint's path) on the images of a view that a person has labelled.

    Images are seen as the teacher sees them: clean, eval mode, the model's own resolution. To classes that were added
    after it was trained the model gives no probability. Val and test images that taught it before they were moved there
    are left out; on_note is told how many. Raises ModelError for other classes than the store's, EmptyView if no image
    of the view has a label, or all have taught it.
    """
    from training import arguments
    from training.early import check_classes, check_device, model_file  # which score() does without

    arguments.view("view", view)
    check_device(device)
    place = model_file(model) if isinstance(model, str | Path) else None
    view.need_rows()
    labelled = view.labels >= 0
    ignored = int((~labelled).sum())
    if not labelled.any():
        raise EmptyView(f"None of the view's {len(view):,} images has a person's label to compare with.")
    if place is not None:
        check_classes(place, view.store.classes, later=True)
    from training import models, noise  # torch: after what can be wrong without it
    from training.device import pick_device

    loaded = model if isinstance(model, models.LoadedModel) else models.load(place or path("model", model))
    classes = tuple(view.store.classes)
    if tuple(loaded.classes) != classes[: len(loaded.classes)]:
        loaded.check_classes(classes)
    judges = labelled & _judges(view, moved.taught_model(view.store, loaded.sha256), labelled, "the model", on_note)
    if not judges.all():
        view = view.only(judges, "with a label, and none that taught the model")
    loaded.to(pick_device(device))
    parts: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int32]] = []
    stream: Any = view.stream(batch_size, decode=noise.clean(loaded.preprocess), shuffle=False)
    with closing(stream) as batches, watched(on_progress, "evaluating") as report:
        for batch in batches:
            parts.append(widened(loaded.probabilities(batch.images), len(classes)))
            labels.append(batch.labels)
            report(sum(map(len, labels)), len(view))
    whole = np.concatenate(parts), np.concatenate(labels)
    return score(*whole, classes=classes, ignored=ignored, known=len(loaded.classes))


def held_out_view(store: Store, model: LoadedModel | None = None, *, gen: int | None = None) -> View:
    """The labelled train images that a model's training held out to choose its weights by, as people label them now.

    What is val to a model where the store has no val images. With ``gen`` those of the teacher of this generation, and
    the view has its soft labels. An image that was moved to another split since is none of them. Raises EmptyView where
    nothing was held out, or it is not known what.
    """
    if model is not None:
        recorded, who = model.validation.held_out, f"the training of {model.path}"
    elif gen is not None:
        recorded = of_generation(store, gen).provenance.get("teacher_held_out")
        who = f"the training of generation {gen}'s teacher"
    else:
        raise BadInput("Neither a model nor a generation is given.", "held_out_view(store, gen=1)")
    every = store.view(gen=gen).split("train").labelled()
    rows = held_out_rows(store, recorded)
    mask = np.isin(every.rows, [] if rows is None else rows)
    if mask.any():
        return every.only(mask, "held out of training")
    if recorded is None:
        raise none_held_out(who)
    lost = "cannot be found again here" if rows is None else "have no label now, or are test images"
    raise none_held_out(who, f"train images that {lost}")


def score_stored(view: View, *, on_note: Note = unheard) -> Scores:
    """Scores of a generation's stored soft labels on the images of a view that a person has labelled.

    What the generation's teacher would score, without running it again. on_note is told how many labelled images have
    no soft label and so are not scored, and how many val and test images taught the teacher before they were moved
    there, and so are left out. Raises BadInput for a view without a generation, EmptyView if no image of the
    view has a label, or a soft label.
    """
    soft = view.need_rows().soft_labels
    if soft is None:
        raise BadInput("The view has no generation, so there are no soft labels to score.", "store.view(gen=1)")
    labelled = view.labels >= 0
    known = labelled & (soft.all_pseudo[view.rows] >= 0)
    ignored, lacking = int((~labelled).sum()), int((labelled & ~known).sum())
    if not labelled.any():
        raise EmptyView(f"None of the view's {len(view):,} images has a person's label to compare with.")
    if not known.any():
        raise EmptyView(
            f"Generation {soft.gen} has no soft label of the {lacking:,} labelled images of the view.",
            f"nsdata show --gen {soft.gen}",
        )
    if lacking:
        every = int(labelled.sum())
        on_note(f"generation {soft.gen} has no soft label of {lacking:,} of {every:,} labelled images: not scored")
    known &= _judges(view, moved.taught_teacher(view.store, soft.gen), known, "its teacher", on_note)
    rows, labels = view.rows[known], view.labels[known]
    probabilities = soft.take(rows)
    return score(
        probabilities,
        labels,
        classes=view.store.classes,
        ignored=ignored,
        called=(soft.all_pseudo[rows], soft.all_confidence[rows]),
        at_most=soft.codec.at_most(probabilities[:, : soft.known], labels),
        known=soft.known,
    )


def _judges(
    view: View, taught: NDArray[np.int64], known: NDArray[np.bool_], who: str, on_note: Note
) -> NDArray[np.bool_]:
    """(n,) which rows of a view judge: not those that taught in another split and are val or test now.

    known: (n,) those that would be scored. Raises EmptyView where none of them is left.
    """
    judges = ~np.isin(view.rows, taught) | (view.splits == SPLITS.index("train"))
    lost, every = int((known & ~judges).sum()), int(known.sum())
    if lost == every:
        raise EmptyView(
            f"All {every:,} labelled images of the view taught {who} before they were moved there: none judges it.",
            "nsdata import FOLDER --split test",
        )
    if lost:
        on_note(f"{lost:,} of {every:,} labelled images taught {who} before they were moved there: not scored")
    return judges

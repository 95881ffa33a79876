"""label(): the teacher writes a generation's soft labels: eval mode, clean images, EMA weights, no noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nsdata import Store
from nsdata.arguments import flag
from nsdata.errors import GenerationError
from nsdata.labels import labelling
from nsdata.labels.codec import Codec
from nsdata.log.state import Generation
from nsdata.progress import Note, Progress, unheard, watched
from training import answers, arguments, codec_loss, early, models, probe, provenance, several, stored, workers
from training.averaged import Averaged, each
from training.foreign import early as elsewhere
from training.foreign import files, python
from training.foreign.given import NOTHING, Given, given
from training.foreign.teacher import Foreign
from training.models import LoadedModel
from training.provenance import Teacher
from training.showing import Clean, Noised, Shown, seed_of


@dataclass(frozen=True)
class Labelled:
    """What a labelling run did.

    resumed: images whose labels were written when this process began. fresh: labelled by this process. later: images
    that have no labels in this generation, as they came in after the run had begun. already: the generation was sealed
    before this call, just as it was asked for, so nothing was done.
    """

    gen: int
    version: int
    images: int
    resumed: int
    fresh: int
    later: int
    seconds: float
    summary: dict[str, Any]
    teacher: Teacher
    already: bool = False

    @property
    def images_per_second(self) -> float:
        """Of this process."""
        return self.fresh / self.seconds if self.seconds else 0.0


def label(
    store: Store,
    teacher: Teacher | str | Path | Any | Sequence[Any] | None = None,
    *,
    gen: int,
    tta: str | None = None,
    temperature: float = 1.0,
    batch_size: int = 256,
    device: str = "auto",
    top: int | None = None,
    max_kl: float = 0.05,
    replace: bool = False,
    extend: bool = False,
    force: bool = False,
    preprocess: Any | None = None,
    classes: Any | None = None,
    class_map: Any | None = None,
    outputs: str | None = None,
    model: str | None = None,
    noised_teacher: int | None = None,
    plan: int | None = None,
    fitted_to: str = "",
    on_progress: Progress | None = None,
    on_summary: Callable[[dict[str, Any]], None] | None = None,
    on_note: Note = unheard,
) -> Labelled:
    """Write generation ``gen``: soft labels of every image of the store, sealed and tagged ``gen-<gen>``.

    teacher:     a model, its checkpoint's or run folder's path, or what ``train`` returned; None = model gen - 1. Or
                 one from elsewhere: an ``nn.Module``, a function, a file or a folder (docs/teachers.md). A list of
                 several: the mean of their probabilities, in whatever order.
    tta:         "flip": the mean of what a teacher says of each picture and of its mirror image.
    temperature: of the softmax: below 1 sharpens (official ``teacher_softmax_temp``).
    top:         keep only the ``top`` largest probabilities and the mass of the rest (nsdata.labels.codec); None = all.
    max_kl:      with ``top``: refuse to seal above this mean KL divergence from the dense soft labels, in nats.
    replace:     write a sealed generation again, as a new version of it.
    extend:      label the images that came in after a generation was sealed, with the same teacher.
    force:       label also with a teacher that is no better than chance on labelled images.
    preprocess, classes, class_map, outputs, model: of teachers from elsewhere (docs/teachers.md). How it sees a
                 picture: a mapping such as timm's data config, a function of a PIL image, None = its own or timm's
                 default. Names of its outputs. Their class -> ours. "logits" or "probabilities". Its name.
    noised_teacher: a seed: label with the noise that the teacher was trained with, to show that it makes worse students
                 (the paper's table 6). None: clean images, nothing dropped. Recorded in the provenance.
    plan, fitted_to: recorded in the provenance, too: the event of the plan that this is a step of, and what its
                 temperature was fitted to.
    on_summary, on_note: are given the figures before the seal, and what is labelled again. on_progress: None: a bar.

    Every image is labelled, val and test included, so that accuracy per generation is a query away; selection for
    training takes unlabelled train images only. Called again, an interrupted run is resumed; under ``torchrun`` each
    rank labels its share. What is sealed just as it is asked for (teacher weights, temperature, codec, batch size and,
    unless it is "auto", kind of device) and labels every image is returned as it is.

    Raises GenerationError (out of order, sealed already otherwise), ModelError (missing, altered, other classes, no
    better than chance), Conflict (another teacher's run was sealed meanwhile), BadLabels (``max_kl``), BadInput.
    """
    arguments.store(store)
    flags = {"replace": flag("replace", replace), "extend": flag("extend", extend)}
    said = given(model, classes, class_map, outputs, preprocess)
    teachers, said = _matched(store, several.of(teacher), said)
    options: dict[str, Any] = {"temperature": temperature, "batch_size": batch_size, "device": device, "top": top}
    options |= {"noised_teacher": seed_of(noised_teacher), "tta": tta}
    heard = Heard(on_progress, on_summary, on_note)
    facts = {name: value for name, value in (("plan", plan), ("fitted_to", fitted_to)) if value not in (None, "")}
    return _label(store, gen, teachers, said, options, max_kl, flag("force", force), heard, facts, **flags)


def _matched(store: Store, teachers: tuple[Any, ...], said: Given) -> tuple[tuple[Any, ...], Given]:
    """The same with modules and functions matched with the store's classes, and what is said of the others."""
    code = [python.is_code(one) for one in teachers]
    alone = len(teachers) == 1
    found = tuple(
        python.of(store.classes, one, said if alone or not isinstance(one, LoadedModel) else NOTHING) if known else one
        for one, known in zip(teachers, code, strict=True)
    )
    left = [one for one, known in zip(teachers, code, strict=True) if not known]
    return found, NOTHING if any(code) and not any(map(several.is_elsewhere, left)) else said


class Heard(NamedTuple):
    """Who is given what, while a run lasts: progress, the figures before the seal, notes."""

    on_progress: Progress | None
    on_summary: Callable[[dict[str, Any]], None] | None
    on_note: Note


def _label(
    store: Store,
    gen: int,
    teachers: tuple[Any, ...],
    said: Given,
    options: dict[str, Any],
    max_kl: float,
    force: bool,
    heard: Heard,
    more: dict[str, Any],
    *,
    replace: bool,
    extend: bool,
) -> Labelled:
    """``label``, of checked flags. more: for the provenance."""
    worker, (temperature, batch_size, device, top, noised, tta) = workers.here(), options.values()

    def before() -> Generation | None:
        return early.check_label(
            store.refresh(), gen, teachers, **options, max_kl=max_kl, replace=replace, extend=extend, said=said,
            first=worker.rank == 0,
        )  # fmt: skip

    sealed = before()
    model = find_teacher(store, gen, teachers, said)
    if sealed is not None:
        return _labelled(sealed, model)
    model.check_classes(store.classes)
    for note in model.notes if not isinstance(model, LoadedModel) and worker.rank == 0 else ():
        heard.on_note(note)
    if tta is not None and worker.rank == 0:
        for one in each(model):
            if isinstance(one, LoadedModel) and not one.config.flip:
                heard.on_note(f"{one.path} was trained with flip = false: mirrored, pictures may mean something else")
    target, codec = provenance.device_of(model, worker.device(device)), Codec.of(top, len(store.classes))
    identity = provenance.identity(model, temperature, batch_size, target, codec, noised, tta)
    shown = [Clean(one, tta) if noised is None else Noised(one, noised) for one in each(model)]
    features = None if noised is not None or tta is not None else stored.of_model(store, model)
    identity |= {} if features is None else features.run
    run = _begin(store, worker, int(gen), identity, replace, extend, heard.on_note, before)
    if isinstance(run, Generation):
        return _labelled(run, model)
    if worker.rank == 0:
        # also where a run is resumed: it may have begun with --force
        if not force and (doubt := probe.check(store, model.to(target), run.rows)) is not None:
            heard.on_note(doubt)
        worker.broadcast(run.name)
    began, resumed = time.monotonic(), run.done
    with watched(heard.on_progress, f"labelling generation {gen}") as show:
        model.to(target)
        fresh = _work(run, worker, shown, features, batch_size, temperature, max_kl, show)
    if worker.rank == 0:
        facts = {**provenance.circumstances(store, run.gen, model, target), **more}
        event = run.seal(facts, before=lambda summary: codec_loss.judge(summary, max_kl, heard.on_summary))
    else:
        event = _await_seal(run)
    sealed = next(g for g in store.refresh().state.sealed if g.event == event)
    later, took = labelling.unlabelled_rows(store.state, sealed), time.monotonic() - began
    done = {"images": run.rows, "resumed": resumed, "fresh": fresh, "later": later, "seconds": took}
    return _labelled(sealed, model, already=False, **done)


def _labelled(sealed: Generation, model: Teacher, **done: Any) -> Labelled:
    """The answer; where nothing was done, that of a generation that was sealed before."""
    nothing = {"images": sealed.rows, "resumed": sealed.rows, "fresh": 0, "later": 0, "seconds": 0.0, "already": True}
    facts: dict[str, Any] = {**nothing, **done}
    return Labelled(gen=sealed.number, version=sealed.event, summary=sealed.summary, teacher=model, **facts)


def _begin(
    store: Store,
    worker: workers.Worker,
    gen: int,
    identity: dict[str, Any],
    replace: bool,
    extend: bool,
    on_note: Note,
    sealed: Callable[[], Generation | None],
) -> labelling.Run | Generation:
    """The run that this worker begins, resumes, or joins; what others sealed while this process loaded its model,
    where that is all that was to be done."""
    if worker.rank:
        name = worker.receive(sealed)
        return labelling.join(store, name, identity) if isinstance(name, str) else name
    try:
        return labelling.begin(store, gen, identity, replace=replace, extend=extend, on_note=on_note)
    except GenerationError:
        if (found := sealed()) is None:
            raise
        return found


def _work(
    run: labelling.Run,
    worker: workers.Worker,
    shown: Sequence[Shown],
    features: stored.Stored | None,
    batch_size: int,
    temperature: float,
    max_kl: float,
    show: Progress,
) -> int:
    """Label the parts that fall to this worker, until the run is whole. Returns how many images it labelled.

    features: of the teacher, where the store has them: no image of such parts is looked at.
    """
    began, before, fresh, lost = time.monotonic(), run.done, 0, codec_loss.Loss(max_kl)
    show(before, run.rows)
    for part in run.open_parts(worker.rank, worker.world):
        with labelling.PartWriter(part) as writer:
            if features is not None and features.covers(part):
                every = features.soft_labels(part, batch_size, temperature)
            else:
                every = answers.soft_labels(run.store.table, part.pending, batch_size, shown, temperature)
            for soft in every:
                lost.add(writer.write(soft))
                fresh += len(soft)
                show(max(run.done, before + fresh), run.rows, images_per_second=fresh / (time.monotonic() - began))
    return fresh


def _await_seal(run: labelling.Run) -> int:
    """Wait until the worker of rank 0 has sealed the run. Should it fail, the launcher ends this process too."""
    while (event := run.sealed()) is None:
        time.sleep(labelling.POLL_SECONDS)
    return event


def find_teacher(
    store: Store, gen: int, teacher: Teacher | str | Path | Any | Sequence[Any] | None = None, said: Given = NOTHING
) -> Teacher:
    """The model that writes generation ``gen``: the one given, or the store's model gen - 1; of several their mean.
    Raises ModelError, BadInput."""
    if isinstance(teacher, LoadedModel | Foreign | Averaged):
        return teacher
    teachers = several.of(teacher)
    pairs = zip(teachers, several.said_of(teachers, said), strict=True)
    found = [_found(store, gen, one, of_it) for one, of_it in pairs]
    return Averaged.of(found) if len(found) > 1 else found[0]


def _found(store: Store, gen: int, teacher: Any, said: Given) -> LoadedModel | Foreign:
    """One of them."""
    if isinstance(teacher, LoadedModel | Foreign):
        return teacher
    if (kind := elsewhere.check(teacher, said, store.classes)) is not None:
        return files.load(store.classes, Path(str(teacher)), kind, said)
    file, recorded = early.teacher_file(store, gen, teacher)
    model = models.load(file)
    if recorded is not None:
        early.check_weights(file, model.sha256, recorded, gen)
    return model

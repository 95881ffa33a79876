"""run(): carry out a plan. What is done already, by whomever, is left as it is; what is interrupted goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from nsdata import Store
from nsdata.errors import BadInput, Conflict, EmptyView
from nsdata.labels.codec import Codec
from nsdata.progress import Progress
from nsdata.schema import SPLITS
from nsdata.storage.address import near
from training import reporting, workers
from training.plans import steps as of
from training.plans.plan_file import PlanFile
from training.plans.results import behind
from training.plans.steps import Found, Step
from training.reporting import Reporter


class Watcher(Protocol):
    """Is told what a plan's steps come to."""

    def note(self, text: str) -> None:
        """What a person should know."""

    def warn(self, text: str) -> None:
        """What a person may want to act on."""

    def kept(self, step: Step, facts: dict[str, Any]) -> None:
        """A step that is done already."""

    def working(self, step: Step, why: str) -> AbstractContextManager[Progress]:
        """Opened while a step is done; given its progress."""

    def done(self, step: Step, facts: dict[str, Any]) -> None:
        """A step that was done now."""


def run(
    store: Store, plan: PlanFile, watcher: Watcher, *, replace: bool = False, report: Sequence[Reporter] = ()
) -> list[dict[str, Any]]:
    """Each step of a plan, in its order, as far as it is not done already; what became of each.

    A step is done again where its settings, or what it depends on, changed. So what an earlier plan made is replaced,
    which is said; what was made by hand, otherwise, only with ``replace``. Killed, the same call goes on.

    Raises BadInput, ModelError; Conflict for what was made by hand; and what ``train`` and ``label`` raise.
    """
    if workers.here().world > 1:
        raise BadInput("A plan is run by one process; label alone is shared by several.", "nsdata run plan.toml")
    check(store.refresh(), plan)
    split = judge_split(store, plan.split)
    if split is None:
        watcher.note("No test and no val image has a label: nothing judges the models.")
    results: list[dict[str, Any]] = []
    begun = False
    for step in of.steps(plan, split):
        found = of.look(store.refresh(), plan, step, split)
        if found.done:
            watcher.kept(step, found.facts)
            results.append({**found.facts, "step": step.name, "key": found.key, "did": "kept"})
            continue
        _refuse(plan, step, found.why, found.replaces, replace)
        if not begun:
            begun = True
            store.writable()
            _begin(store, plan)
        facts = _do(store, plan, step, found, split or "", watcher, report, replace)
        key = of.look(store.refresh(), plan, step, split).key
        watcher.done(step, facts)
        results.append({**facts, "step": step.name, "key": key, "did": "done"})
    _end(store, plan, results)
    return results


def _refuse(plan: PlanFile, step: Step, why: str, replaces: str, replace: bool) -> None:
    """Raise Conflict where what was made by hand would be lost."""
    if replaces and not replace:
        raise Conflict(
            f"{plan.name}, {step.name}: {why}. It would replace {replaces}, which no plan made.",
            f'nsdata run {plan.name} --replace, or another folder in the plan: runs = "FOLDER"',
        )


def _begin(store: Store, plan: PlanFile) -> None:
    """Note that the plan is begun, unless this very one is not carried out yet."""
    open_ = store.state.plans[-1:]
    if not open_ or open_[0].ran or open_[0].digest != plan.digest:
        facts = {"name": plan.name, "digest": plan.digest, "text": plan.text}
        store.publish("planned", lambda _: facts)


def _end(store: Store, plan: PlanFile, results: list[dict[str, Any]]) -> None:
    """Note what became of it, unless the very same was noted before."""
    same = [p for p in store.refresh().state.plans if p.digest == plan.digest and p.ran]
    keys = [step["key"] for step in results]
    if same and same[-1] is store.state.plans[-1] and [step["key"] for step in same[-1].steps] == keys:
        return
    _begin(store, plan)
    noted = [{key: value for key, value in step.items() if value is not None} for step in results]
    store.publish("ran", lambda state: {"plan": state.plans[-1].event, "steps": noted})


def _do(
    store: Store, plan: PlanFile, step: Step, found: Found, split: str, watcher: Watcher, report: Sequence[Reporter],
    replace: bool,
) -> dict[str, Any]:  # fmt: skip
    """Do a step. Returns what the log keeps of it."""
    began = time.monotonic()
    if step.kind == "train":
        facts = _train(store, step, found, watcher, report, judged=bool(split))
    elif step.kind == "label":
        facts = _label(store, plan, step, found, watcher, replace)
    else:
        from training.plans.scoring import score

        with watcher.working(step, found.why):
            facts = score(store, step.turn, split, plan.device)
        if (text := behind(step.gen, facts)) is not None:
            watcher.warn(text)
    return {**facts, "seconds": round(time.monotonic() - began, 1)}


def _train(
    store: Store, step: Step, found: Found, watcher: Watcher, report: Sequence[Reporter], *, judged: bool
) -> dict[str, Any]:
    from training.judging import UNJUDGED
    from training.loop import train

    people, pseudo = of.views(store, step.turn)
    known, folder, config = store.models.get(step.gen), found.options["out"], step.turn.config
    if known is not None:
        watcher.note(f"{step.name} replaces model {step.gen} of the store, {known.name}: {found.why}")
    elif found.options.get("replace"):
        watcher.note(f"{step.name} is begun again: {found.why}")
    with (
        reporting.reported(report, str(folder), config.to_dict(), watcher.warn) as row,
        watcher.working(step, found.why) as progress,
    ):
        trained = train(
            people, pseudo, config=config, gen=step.gen, **found.options, on_progress=progress,
            on_warning=lambda text: None if judged and text == UNJUDGED else watcher.warn(text), on_row=row,
            teacher_parameters=store.models[step.gen - 1].parameters if step.gen else None,
            on_resume=lambda done, steps: watcher.note(f"{step.name} goes on at step {done:,} of {steps:,}"),
        )  # fmt: skip
    event = store.refresh().models[step.gen].event
    return {"event": event, "sha256": trained.sha256, "path": near(trained.path), "model": trained.name}


def _label(store: Store, plan: PlanFile, step: Step, found: Found, watcher: Watcher, replace: bool) -> dict[str, Any]:
    from training.teacher import find_teacher, label

    assert step.turn.label is not None
    own = ("temperature", "fitted_to", "taken")
    options = {key: value for key, value in found.options.items() if key not in own}
    temperature, asked, known = found.options["temperature"], step.turn.label, store.generations.get(step.gen)
    teacher = find_teacher(store, step.gen)
    if temperature is None:
        from training.calibrated import calibrate

        fitted = calibrate(store, teacher, device=options["device"])
        watcher.note(f"{step.name}: {fitted}")
        temperature = fitted.temperature
        if found.why == of.TO_FIT and known is not None and known.provenance.get("temperature") != temperature:
            _refuse(plan, step, f"the temperature is {temperature:g} now", found.options["taken"], replace)
            options["replace"] = True
    if options.get("replace") and known is not None:
        watcher.note(f"{step.name} replace generation {step.gen}, version {known.event}: {found.why}")
    with watcher.working(step, found.why) as progress:
        done = label(
            store, teacher, gen=step.gen, temperature=temperature, **options, max_kl=asked.max_kl, force=asked.force,
            on_progress=progress, on_note=watcher.note,
        )  # fmt: skip
    facts = {"event": done.version, "images_labelled": done.images, "temperature": temperature}
    return {**facts, "fitted_to": found.options["fitted_to"]}


def check(store: Store, plan: PlanFile) -> None:
    """Raise BadInput for what this store cannot do, before the hours that come before it."""
    train = store.view().split("train")
    if not len(train.labelled()):
        raise EmptyView("No train image has a label, so there is nothing to train on.", "nsdata import FOLDER")
    if len(plan.turns) > 1 and not len(train.unlabelled()):
        raise EmptyView("All train images have a label: there is none to learn soft labels of.", "nsdata import FOLDER")
    for turn in plan.turns:
        if turn.label is not None:
            Codec.of(turn.label.top, len(store.classes))


def judge_split(store: Store, asked: str | None) -> str | None:
    """The split that judges: the one asked for, else test, else val; None where neither has labelled images.

    Raises BadInput where the one that was asked for has none.
    """
    labelled = {split: len(store.view().split(split).labelled()) for split in SPLITS[1:]}
    if asked is not None and not labelled[asked]:
        raise BadInput(
            f"The plan is judged by labelled {asked} images, and the store has none.",
            f"nsdata import FOLDER --split {asked}",
        )
    return asked or next((split for split in ("test", "val") if labelled[split]), None)

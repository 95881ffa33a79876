"""run(): carry out a plan. What is done already, by whomever, is left as it is; what is interrupted goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.log.state import State
from nsdata.progress import Progress
from nsdata.storage.address import checkpoint, near
from training import reporting, workers
from training.plans import ahead
from training.plans import steps as of
from training.plans.outline import Line, outline
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
    which is said; a generation, or a run in its folder, that was made by hand, otherwise, only with ``replace``.
    Killed, the same call goes on. What can be known to go wrong is raised before the first step.

    Raises BadInput, ModelError, StorageFailed; Conflict for what was made by hand; what ``train`` and ``label`` raise.
    """
    if workers.here().world > 1:
        raise BadInput("A plan is run by one process; label alone is shared by several.", "nsdata run plan.toml")
    split, _ = prepared(store, plan, replace=replace)
    if split is None:
        watcher.note("No test and no val image has a label: nothing judges the models.")
    results: list[dict[str, Any]] = []
    number = 0
    for step in of.steps(plan, split):
        found = of.look(store.refresh(), plan, step, split)
        if found.done:
            watcher.kept(step, found.facts)
            results.append({**found.facts, "step": step.name, "key": found.key, "did": "kept"})
            continue
        ahead.refuse(plan, [(step.name, found.replaces)] if found.replaces else [], replace=replace)
        number = number or _begun(store, plan)
        facts = _do(store, plan, step, found, split or "", watcher, report, number, replace)
        key = of.look(store.refresh(), plan, step, split).key
        results.append({**facts, "step": step.name, "key": key, "did": "done"})
        if step.kind == "score":  # at once: what was measured is not measured again
            _publish(store, "judged", number, step=_noted(results[-1]))
        watcher.done(step, facts)
    _end(store, plan, results)
    return results


def prepared(
    store: Store, plan: PlanFile, *, replace: bool = False, dry_run: bool = False
) -> tuple[str | None, list[tuple[Step, Line]]]:
    """What can be known to go wrong is raised here, before anything is done.

    Returns the split that judges, and what is to be done of each step.
    """
    ahead.check(store.refresh(), plan)
    split = ahead.judge_split(store, plan.split)
    lines = outline(store, plan, split)
    open_ = [(step, line) for step, line in lines if line.state != "done"]
    if not dry_run:
        ahead.refuse(plan, [(step.name, line.replaces) for step, line in open_ if line.replaces], replace=replace)
        if open_:
            store.writable()
    if open_:
        labels = sum(of.label_bytes(store, step, line.images) for step, line in open_)
        ahead.networks(store, plan, [step.turn for step, _ in open_ if step.kind == "train"], labels=labels)
    return split, lines


class _CarriedOut(Exception):
    """By another process, which runs the same plan."""


def _begun(store: Store, plan: PlanFile) -> int:
    """Note that the plan is begun, unless this very one is not carried out yet. Returns the number of that event."""
    facts = {"name": plan.name, "digest": plan.digest, "text": plan.text, "settings": list(plan.settings)}
    open_ = store.state.plans[-1:]
    if open_ and not open_[0].ran and open_[0].digest == plan.digest:
        return open_[0].event
    return store.publish("planned", lambda _: facts).number


def _end(store: Store, plan: PlanFile, results: list[dict[str, Any]]) -> None:
    """Note what became of it, unless the very same was noted before."""
    last = store.refresh().state.plans[-1:]
    keys = [step["key"] for step in results]
    if last and last[0].ran and last[0].digest == plan.digest and [s["key"] for s in last[0].steps] == keys:
        return
    _publish(store, "ran", _begun(store, plan), steps=list(map(_noted, results)))


def _publish(store: Store, kind: str, number: int, **facts: Any) -> None:
    """An event of the plan that event ``number`` began; none where another process has carried it out meanwhile."""

    def make(state: State) -> dict[str, Any]:
        if next(plan.ran for plan in state.plans if plan.event == number):
            raise _CarriedOut
        return {"plan": number, **facts}

    with contextlib.suppress(_CarriedOut):
        store.publish(kind, make)


def _noted(facts: dict[str, Any]) -> dict[str, Any]:
    """What the log keeps of a step."""
    return {key: value for key, value in facts.items() if value is not None}


def _do(
    store: Store, plan: PlanFile, step: Step, found: Found, split: str, watcher: Watcher, report: Sequence[Reporter],
    number: int, replace: bool,
) -> dict[str, Any]:  # fmt: skip
    """Do a step of the plan that event ``number`` began. Returns what the log keeps of it."""
    began = time.monotonic()
    if step.kind == "train":
        facts = _train(store, step, found, watcher, report, number, judged=bool(split))
    elif step.kind == "label":
        facts = _label(store, plan, step, found, watcher, number, replace)
    else:
        from training.plans.scoring import score

        with watcher.working(step, found.why):
            facts = score(store, step.turn, split, plan.device)
        if (text := behind(step.gen, facts)) is not None:
            watcher.warn(text)
    return {**facts, "seconds": round(time.monotonic() - began, 1)}


def _train(
    store: Store, step: Step, found: Found, watcher: Watcher, report: Sequence[Reporter], number: int, *, judged: bool
) -> dict[str, Any]:
    from training.judging import UNJUDGED
    from training.loop import train

    people, pseudo = of.views(store, step.turn)
    known, folder, config = store.models.get(step.gen), found.options["out"], step.turn.config
    if known is not None:
        where, theirs = checkpoint(store.url, known.path, known.sha256), known.plan is None
        stays = f"; no plan made it, and it stays in {near(where)}" if theirs and where.parent != folder else ""
        watcher.note(f"{step.name} replaces model {step.gen} of the store, {known.name}: {found.why}{stays}")
    elif found.options.get("replace"):
        watcher.note(f"{step.name} is begun again: {found.why}")
    with (
        reporting.reported(report, str(folder), config.to_dict(), watcher.warn) as row,
        watcher.working(step, found.why) as progress,
    ):
        trained = train(
            people, pseudo, config=config, gen=step.gen, plan=number, **found.options, on_progress=progress,
            on_warning=lambda text: None if judged and text == UNJUDGED else watcher.warn(text), on_row=row,
            teacher_parameters=store.models[step.gen - 1].parameters if step.gen else None,
            on_resume=lambda done, steps: watcher.note(f"{step.name} goes on at step {done:,} of {steps:,}"),
        )  # fmt: skip
    event = store.refresh().models[step.gen].event
    return {"event": event, "sha256": trained.sha256, "path": near(trained.path), "model": trained.name}


def _label(
    store: Store, plan: PlanFile, step: Step, found: Found, watcher: Watcher, number: int, replace: bool
) -> dict[str, Any]:
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
            taken = found.options["taken"]
            ahead.refuse(plan, [(step.name, taken)] if taken else [], replace=replace)
            options["replace"] = True
    if options.get("replace") and known is not None:
        watcher.note(f"{step.name} replace generation {step.gen}, version {known.event}: {found.why}")
    # what a person labelled is not the plan's for being extended
    theirs = bool(options.get("extend")) and bool(of.by_hand(store, plan, step))
    with watcher.working(step, found.why) as progress:
        done = label(
            store, teacher, gen=step.gen, temperature=temperature, **options, max_kl=asked.max_kl, force=asked.force,
            plan=None if theirs else number, fitted_to=found.options["fitted_to"], on_progress=progress,
            on_note=watcher.note,
        )  # fmt: skip
    facts = {"event": done.version, "images_labelled": done.images, "temperature": temperature}
    return {**facts, "fitted_to": found.options["fitted_to"]}

"""The steps of a plan, and what is known of each before torch is loaded: whether it is done, and if not why not.

A step is named by its content: its key is the SHA-256 of its settings and of what it depends on (ids and labels of the
images, the weights of the teacher, the soft labels). It is done where what it makes is there, whoever made it: the
published model's run is this very run and its file is whole; the generation was sealed by this very teacher. What is
there and is not the same is a plan's own, where the log, or the run's folder, says so; or a person's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nsdata import Store, View
from nsdata.errors import GenerationError, NsdataError
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import check_as_asked, unlabelled_rows
from nsdata.storage.address import checkpoint, near
from nsdata.views import moved
from training import judges, planned, run_identity
from training.plans.plan_file import PlanFile, Turn
from training.run_folder import RESUME, AnotherRun, read_config
from training.selection import mean_size

TO_FIT = "its temperature is to be fitted"
"""Why a sealed generation may be another one than is asked for, or that very one."""


@dataclass(frozen=True)
class Step:
    """kind: "train", "label" or "score" of one turn."""

    kind: str
    turn: Turn

    @property
    def gen(self) -> int:
        """The generation that it is of."""
        return self.turn.gen

    @property
    def name(self) -> str:
        """As it is printed: "teacher", "labels 1", "student 1", "score 1"."""
        model = f"student {self.gen}" if self.gen else "teacher"
        return {"train": model, "label": f"labels {self.gen}", "score": f"score {self.gen}"}[self.kind]


@dataclass(frozen=True)
class Found:
    """What is there of a step. why: it is not done; "" where it is. replaces: what of a person's it writes over.

    options: of the verb that does it. facts: of what is done already, as the log keeps them.
    """

    key: str
    done: bool
    why: str = ""
    replaces: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def steps(plan: PlanFile, split: str | None) -> list[Step]:
    """All of them, in their order; split: that judges, None: nothing does."""
    found = []
    for turn in plan.turns:
        kinds = (["label"] if turn.gen else []) + ["train"] + (["score"] if split else [])
        found += [Step(kind, turn) for kind in kinds]
    return found


def look(store: Store, plan: PlanFile, step: Step, split: str | None) -> Found:
    """What is there of a step; what it depends on is done. Raises what the verb raises of its arguments."""
    if step.kind == "train":
        return _train(store, plan, step.turn)
    return _label(store, plan, step.turn) if step.kind == "label" else _score(store, step.turn, split or "")


def views(store: Store, turn: Turn) -> tuple[View, View | None]:
    """What teaches a turn's model: people's labels, and the chosen soft labels."""
    people = store.view().split("train").labelled()
    if turn.view is None:
        return people, None
    chosen, wanted = store.view(gen=turn.gen).split("train").unlabelled(), turn.view
    if wanted.precision is not None:
        chosen = chosen.precise(wanted.precision)
    elif wanted.min_confidence:
        chosen = chosen.confident(wanted.min_confidence)
    if wanted.per_class:
        size = mean_size(chosen.need_rows()) if isinstance(wanted.per_class, str) else wanted.per_class
        chosen = chosen.balanced(size, seed=wanted.seed, max_repeats=wanted.max_repeats or None)
    return people, chosen.need_rows()


def _train(store: Store, plan: PlanFile, turn: Turn) -> Found:
    people, pseudo = views(store, turn)
    own, known = plan.folder(turn.gen), store.models.get(turn.gen)
    there = None if known is None else checkpoint(store.url, known.path, known.sha256).parent
    otherwise = "its file is not what it was"
    if there is not None and there.resolve() != own.resolve():  # trained by hand, or by a plan with other folders
        try:
            run = planned.plan(people, pseudo, config=turn.config, out=there, gen=turn.gen, publish=False)
        except AnotherRun as another:
            otherwise = _difference(another)
        except NsdataError:
            pass
        else:
            if run.finished is not None and run.finished.published:
                return _trained(store, run, there)
    try:
        run = planned.plan(people, pseudo, config=turn.config, out=own, gen=turn.gen, publish=False)
    except AnotherRun as another:
        replaces = by_hand(store, plan, Step("train", turn))
        return Found("", False, _difference(another), replaces, {"out": own, "replace": True})
    if run.finished is not None and run.finished.published:
        return _trained(store, run, own)
    if run.finished is not None:
        why = "trained, and not published" if known is None else "trained, and the store has another since"
    elif (own / RESUME).exists():
        why = "it was interrupted"
    else:
        why = "not trained yet" if known is None else f"the store's is another: {otherwise}"
    return Found(_key_of(store, run), False, why, options={"out": own})


def _difference(another: AnotherRun) -> str:
    return another.difference.replace(" was ", " ", 1).replace(", now ", " → ", 1) or "another run is there"


def _key_of(store: Store, run: planned.Plan) -> str:
    return _key(run_identity.identity(run.config, run.steps, run.gen, store.classes, None, run.split, None))


def _trained(store: Store, run: planned.Plan, folder: Path) -> Found:
    model = store.models[run.gen]
    facts = {"event": model.event, "sha256": model.sha256, "path": near(folder / "best.pt"), "model": model.name}
    return Found(_key_of(store, run), True, facts=facts)


def _label(store: Store, plan: PlanFile, turn: Turn) -> Found:
    assert turn.label is not None
    asked, teacher = turn.label, store.models[turn.gen - 1]
    options: dict[str, Any] = {"batch_size": asked.batch_size, "top": asked.top, "device": plan.device}
    temperature: float | None = asked.temperature
    fitting = ""
    if asked.calibrate:
        fitting = calibration_key(store, teacher.sha256, teacher.config.get("val_fraction"))
        temperature = _fitted(store, fitting)
    wanted: dict[str, Any] = {"teacher_sha256": teacher.sha256, "codec": Codec.of(asked.top, len(store.classes)).name}
    wanted |= {"batch_size": asked.batch_size, "noised_teacher": None, "temperature": temperature}
    if plan.device != "auto":
        wanted["device"] = plan.device.partition(":")[0]
    images = [segment.digests for segment in store.state.counted(store.state.segments)]
    key = _key({**wanted, **({"temperature": "fitted"} if fitting else {}), "images": images, "fitted to": fitting})
    options |= {"temperature": temperature, "fitted_to": fitting}
    sealed = store.generations.get(turn.gen)
    if sealed is None:
        return Found(key, False, "not labelled yet", options=options)
    if temperature is None:  # it is fitted first; whether it is the generation's shows then
        wanted["temperature"] = sealed.provenance.get("temperature")
    taken = by_hand(store, plan, Step("label", turn))
    try:
        check_as_asked(sealed, wanted)
    except GenerationError as error:
        why = error.message.partition(f"version {sealed.event}, ")[2].rstrip(".")
        return Found(key, False, f"sealed {why}", taken, {**options, "replace": True})
    if later := unlabelled_rows(store.state, sealed):
        return Found(key, False, f"{later:,} images came in later", options={**options, "extend": True})
    if temperature is None:
        return Found(key, False, TO_FIT, "", {**options, "taken": taken})
    return Found(key, True, facts={"event": sealed.event, "images_labelled": sealed.rows, "temperature": temperature,
                                   "fitted_to": fitting})  # fmt: skip


def label_bytes(store: Store, step: Step, images: int) -> int:
    """What so many soft labels of a step take on the disk; 0 of a step that writes none."""
    if step.kind != "label" or step.turn.label is None:
        return 0
    return images * Codec.of(step.turn.label.top, len(store.classes)).bytes_per_image(len(store.classes))


def calibration_key(store: Store, sha256: str, val_fraction: Any) -> str:
    """Of a temperature that is fitted: the teacher, and the images that it is fitted to. Raises ModelError."""
    rows = judges.to_calibrate(store, judges.of_ours(store, sha256, val_fraction, judges.MOST))
    return _key({"teacher": sha256, "images": _digest(store, rows)})


def _fitted(store: Store, key: str) -> float | None:
    """The temperature that a plan fitted before, to the same images for the same teacher."""
    every = [generation.provenance for generation in store.state.sealed]
    every = [step for step in (*every, *_noted(store)) if step.get("fitted_to") == key]
    return next((t for step in reversed(every) if isinstance(t := step.get("temperature"), float | int)), None)


def judging(store: Store, turn: Turn, split: str) -> Any:
    """(m,) rows of labelled images of a split that judge a turn's model: those that did not teach it."""
    import numpy as np

    rows = store.view().split(split).labelled().rows
    return np.setdiff1d(rows, moved.taught_model(store, store.models[turn.gen].sha256))


def _score(store: Store, turn: Turn, split: str) -> Found:
    rows = judging(store, turn, split)
    content: dict[str, Any] = {"model": store.models[turn.gen].sha256, "images": _digest(store, rows)}
    if turn.gen:
        content["teacher"] = [part.digests for part in store.generations[turn.gen].parts]
    key = _key(content)
    known = next((step for step in reversed(_noted(store)) if step["key"] == key), None)
    return Found(key, False, "not measured yet") if known is None else Found(key, True, facts=known)


def _noted(store: Store) -> list[dict[str, Any]]:
    """What the log keeps of the steps of all plans."""
    return [step for plan in store.state.plans for step in plan.steps]


def by_hand(store: Store, plan: PlanFile, step: Step) -> str:
    """What no plan made of what a step writes over if it is done again; "" where there is nothing."""
    if step.kind == "label":
        sealed = store.generations.get(step.gen)
        theirs = sealed is not None and sealed.provenance.get("plan") is None
        return f"generation {step.gen}, sealed at version {sealed.event}" if sealed is not None and theirs else ""
    own = plan.folder(step.gen)
    if step.kind != "train" or not any((own / name).exists() for name in ("best.pt", RESUME)):
        return ""
    return "" if read_config(own).get("plan") is not None else f"the run in {near(own)}"


def _digest(store: Store, rows: Any) -> str:
    """Of these rows' ids and people's labels."""
    table = store.table
    return hashlib.sha256(table.ids[rows].tobytes() + table.label[rows].tobytes()).hexdigest()


def _key(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

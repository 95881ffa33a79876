"""``nsdata demo``: the whole loop on real digits, as the commands that anybody would type."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import render
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata.analysis.judged import Judged
    from training import TrainConfig

MARK = ".nsdata-demo"  # in a folder that a demo made, and may therefore remove

LABELLED_PER_CLASS = 3
TEST = 500
THRESHOLD = 0.3
PER_CLASS = 130


@dataclass(frozen=True)
class Outcome:
    """One repetition: teacher and student on the test images, by their stored soft labels."""

    seed: int
    judged: Judged

    @property
    def teacher(self) -> float:
        """The share that it has right."""
        return self.judged.before / self.judged.images

    @property
    def student(self) -> float:
        """The same."""
        return self.judged.after / self.judged.images


def run(folder: Path, seeds: int, replace: bool) -> None:
    """Build the store, run the loop once per seed, print what happened and what to type next."""
    began = time.monotonic()
    render.note("Noisy Student Training on 1,797 real handwritten digits, 30 of them labelled. Starting …")
    _make_room(folder, replace)
    outcomes = []
    for seed in range(seeds):
        if seed == 1:
            render.out(f"\nThe same with {seeds - 1} other draws of the 30 labelled images:")
        outcomes.append(_loop(folder if seed == 0 else folder / f"seed-{seed}", seed, printed=seed == 0))
    _close(folder, outcomes, time.monotonic() - began)


def _loop(folder: Path, seed: int, printed: bool) -> Outcome:
    """Teacher, labels, view, student, labels of the student."""
    from nsdata.importers.formats import digits
    from nsdata.store import Store
    from training import demo, label, train
    from training.loop import Trained

    def type_(command: str) -> None:
        if printed:
            render.out(f"\n$ nsdata {command}")

    def say(text: str) -> None:
        if printed:
            render.out(text)

    if printed:
        render.out(f"$ export NSDATA_STORE={folder / 'lake'}")
    type_("init --classes-from digits && nsdata import digits")
    store = Store.create(folder / "lake", [str(digit) for digit in range(10)])
    done = store.add_items(
        lambda: digits.items(classes=store.classes, labelled_per_class=LABELLED_PER_CLASS, test=TEST, seed=seed),
        source="digits",
    )
    say(f"imported  {done.added:,} images: {done.labelled - TEST} labelled, "
        f"{done.added - done.labelled:,} unlabelled, {TEST} test")  # fmt: skip

    def trained(gen: int, config: TrainConfig, pseudo: Any = None) -> Trained:
        config.save(folder / f"model-{gen}.toml")
        type_(f"train --gen {gen} --config {folder / f'model-{gen}.toml'} --out {folder / f'runs/gen-{gen}'}")
        with shown(f"seed {seed}: training model {gen}", "steps") as report:
            return train(
                store.view().split("train").labelled(), pseudo, config=config, out=folder / f"runs/gen-{gen}",
                gen=gen, on_progress=report,
            )  # fmt: skip

    def labelled(gen: int, model: Trained) -> None:
        with shown(f"seed {seed}: labelling generation {gen}") as report:
            written = label(store, model, gen=gen, on_progress=report)
        s = written.summary
        say(f"labelled  {written.images:,} images · confidence mean {s['confidence_mean']:.2f} · "
            f"{s['at_least_0.9']:,} ≥ 0.9 · {s['below_0.3']:,} < 0.3")  # fmt: skip
        say(f"sealed    gen-{gen}")

    teacher = trained(0, demo.teacher(seed))
    say(f"trained   model 0 · {teacher.name} · {teacher.parameters:,} parameters · 30 labelled images")
    type_("label --gen 1")
    labelled(1, teacher)
    type_(f"view student-1 --gen 1 --min-confidence {THRESHOLD} --per-class {PER_CLASS}")
    store.refresh()
    chosen = store.view(gen=1).split("train").unlabelled().confident(THRESHOLD).balanced(PER_CLASS, seed=seed)
    chosen = chosen.save("student-1")
    say(str(chosen))
    student = trained(1, demo.student(seed), chosen)
    say(f"trained   model 1 · {student.name} · {student.parameters:,} parameters · "
        f"30 labelled and {len(chosen):,} soft-labelled images")  # fmt: skip
    type_("label --gen 2")
    labelled(2, student)
    type_("diff gen-1 gen-2")
    change = store.refresh().diff("gen-1", "gen-2")
    say(str(change))
    assert change.judged is not None  # there are test images
    outcome = Outcome(seed, change.judged)
    if not printed:
        render.out(f"seed {seed}: teacher {render.percent(outcome.teacher)}, student {render.percent(outcome.student)}")
    return outcome


def _close(folder: Path, outcomes: list[Outcome], seconds: float) -> None:
    """The table, an honest sentence, and the way on."""
    gains = [o.judged.gain for o in outcomes]
    mean = sum(gains) / len(gains)
    render.out(f"\nAccuracy on {TEST} test images that neither model has seen, from their stored soft labels:\n")
    rows: list[list[Any]] = [
        [str(o.seed), render.percent(o.teacher), render.percent(o.student), _points(o.judged.gain),
         str(o.judged.interval)]
        for o in outcomes
    ]  # fmt: skip
    if len(outcomes) > 1:
        teachers, students = (
            sum(values) / len(outcomes) for values in zip(*((o.teacher, o.student) for o in outcomes), strict=True)
        )
        rows.append(["mean", render.percent(teachers), render.percent(students), _points(mean), ""])
    render.table(["seed", "teacher", "student", "gain", "95 %"], rows)
    won = sum(gain > 0 for gain in gains)
    if mean > 0:
        verdict = (
            f"The student beats its teacher by {_points(mean).lstrip('+')} on average, in {won} of {len(gains)} seeds"
        )
    else:
        verdict = f"The student does not beat its teacher here: {_points(mean)} on average"
    render.out(f"\n{verdict}. {seconds:.0f} s in all.")
    typed = f"{'uv run ' if 'UV' in os.environ else ''}nsdata --store {folder / 'lake'}"  # uv run sets UV
    render.out(
        f"\nThe store is {folder / 'lake'}, the models are in {folder / 'runs'}. Now try:\n"
        f"  {typed} show\n"
        f"  {typed} report\n"
        f"  {typed} diff gen-1 gen-2 --flipped --limit 5\n"
        f"  {typed} eval --gen 2\n"
        f"  {typed} query 'select gen2_class, count(*) from images group by 1 order by 1'\n"
        "and then your own pictures: docs/own-images.md"
    )


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f} points".replace("-", "−")


def _make_room(folder: Path, replace: bool) -> None:
    """A folder of the demo's own. Raises Conflict; nothing that a demo did not make is ever removed."""
    from nsdata.errors import Conflict
    from nsdata.storage.space import refused

    mine = (folder / MARK).is_file()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            if mine and replace:
                shutil.rmtree(folder)
            elif mine:
                raise Conflict(f"There is a demo in {folder} already.", "nsdata demo --replace")
            else:
                raise Conflict(f"{folder} exists and was not made by a demo.", "nsdata demo --folder demo-2")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).write_text("made by nsdata demo; --replace removes this folder\n")
    except OSError as error:
        raise refused(folder, error, what="the demo's folder") from error

"""What each part of Noisy Student is worth, and whether the student wins against the plain way: one table of rows.

    python benchmarks/ablation.py --preset digits
    python benchmarks/ablation.py --preset cifar --data DATA --seeds 5 --out cifar.jsonl
    python benchmarks/ablation.py --preset flowers --data DATA --rows 'teacher,student,plain self-training'

A row is a recipe: what the teacher, its view and the student do otherwise than the default. Each seed draws its own
labelled images. Rows of one seed share teachers and labels wherever their recipes agree. What is done lies in ``--out``
as JSON lines, and the same command goes on from there. A row of one's own: ``--row 'mine: student.soft=hard
teacher.randaugment_magnitude=5 view.threshold=0.8'``.

The judges are the preset's test images, looked at once for each model; with ``--dev`` images that are in no other part,
so that what is chosen by them was never near the test set. DATA is a folder with cifar10/, flowers5/, imagenette/.
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import plain
import presets
import torch
from presets import Drawn, Preset

from nsdata import View
from nsdata.arithmetic import intervals
from training import TrainConfig, evaluate, label, train
from training.loop import Trained
from training.selection import default_view

LARGER = "larger"  # the preset's larger network


@dataclass(frozen=True)
class Row:
    """teacher, student: settings otherwise than the preset's. view: how unlabelled images are chosen; nothing: as
    ``train`` does by itself, else threshold (least confidence, 0: all), share (drawn by id), per_class ("mean": the
    mean class size) and max_repeats. kind: teacher, supervised, student or pretrained of ours, or "plain …": a way of
    plain.py, whose Budget takes ``student``, and FixMatch ``view``. noised: the teacher labels with noise.

    paper: by how many points the paper's student is better than the paper's like of this row.
    """

    name: str
    student: Mapping[str, Any] = field(default_factory=dict)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    view: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "student"
    generations: int = 1
    noised: bool = False
    paper: str = ""


BALANCED = {"threshold": 0.3, "per_class": "mean"}

ROWS = (
    Row("student"),
    # what it is held against
    Row("teacher", kind="teacher", paper="+1.1 (B5, table 6)"),
    Row("supervised", kind="supervised", paper="+1.1 (B5, table 6)"),
    Row("plain supervised", kind="plain supervised"),
    Row("plain self-training", kind="plain self-training"),
    Row("fixmatch", kind="plain fixmatch"),
    # noise, table 6
    Row("no augmentation of unlabelled images", {"unlabelled_augmentation": False}, paper="+0.5"),
    Row("no noise on unlabelled images", {"unlabelled_noise": False}, paper="+0.8"),
    Row("no noise at all", {"noise": False}),
    Row("noised teacher", noised=True, paper="+0.7"),
    # labels, findings 3 and 5
    Row("hard labels", {"soft": "hard"}, paper="0 to +1.8, least where sure"),
    Row("soft labels", {"soft": "soft"}),
    Row("not balanced", view={"threshold": 0.3}, paper="0 to +0.3"),
    Row("threshold 0", view={"threshold": 0, "per_class": "mean"}),
    Row("threshold 0.3", view=BALANCED),
    Row("threshold 0.8", view={"threshold": 0.8, "per_class": "mean"}),
    # amounts, findings 2 and 7
    Row("1/16 of the images", view={**BALANCED, "share": 1 / 16}, paper="+0.1 (B4)"),
    Row("1/4 of the images", view={**BALANCED, "share": 1 / 4}, paper="+0.2 (B4)"),
    Row("ratio 1", {"ratio": 1}, paper="0.0 (B4), +0.7 (L2)"),
    Row("ratio 7", {"ratio": 7}, paper="−0.5 (L2, 6)"),
    # how it is trained, findings 6 and 8
    Row("pre-trained, then fine-tuned", kind="pretrained", paper="+0.4 (B0), 0.0 (B3)"),
    Row("warm start", {"init": "teacher"}, paper="+0.1 to +0.5 (B0)"),
    # sizes, findings 1 and 4
    Row("larger student", {"model": LARGER}, paper="−1.6 (B0, B1)"),
    Row("larger teacher", teacher={"model": LARGER}, paper="−0.7 (B0 by itself, by L2)"),
    # iterations, table 7
    Row("2 generations", generations=2, paper="−0.5 (L2)"),
    Row("3 generations", generations=3, paper="−0.8 (L2, ratio 28)"),
    # ways of others, off by default
    Row("distribution alignment", {"alignment": True}),
    Row("SoftMatch weights", {"weighting": "softmatch"}),
    Row("mixing", {"mixup": 0.5}),
    Row("consistency", {"consistency": 1.0}),
)


def main() -> None:
    """All rows of all seeds, as far as they are not done; then the table."""
    options = _options()
    preset = presets.PRESETS[options.preset]
    asked = {"labelled": options.labelled, "unlabelled": options.unlabelled}
    preset = replace(preset, **{name: count for name, count in asked.items() if count is not None})
    rows = [row for row in ROWS if not options.rows or row.name in options.rows] + [*map(_typed, options.row)]
    done = presets.done(options.out)
    for seed in options.seeds:
        left = [row for row in rows if (seed, row.name) not in done]
        if left:
            with tempfile.TemporaryDirectory() as folder:
                for outcome in _seed(preset, options, Path(folder), seed, left):
                    done[seed, outcome["row"]] = outcome
                    print(json.dumps(outcome), flush=True)
                    if options.out:
                        with options.out.open("a") as file:
                            file.write(json.dumps(outcome) + "\n")
    _print(rows, done, options.seeds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=presets.PRESETS, required=True)
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--labelled", type=int, metavar="N", help="images of each class with a label")
    parser.add_argument("--unlabelled", type=int, metavar="N", help="at most so many of the others")
    parser.add_argument("--seeds", type=presets.seeds, default=range(5), help="5: 0 to 4; or 100:103")
    parser.add_argument(
        "--rows", type=lambda text: text.split(","), default=[], help="names, comma between; default: all"
    )
    parser.add_argument("--row", action="append", default=[], help="'NAME: student.KEY=VALUE view.threshold=0.8 …'")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of every training")
    parser.add_argument("--out", type=Path, help="JSON lines; what is in it is not run again")
    parser.add_argument("--dev", action="store_true", help="judge on images of the pool, not on the test images")
    return parser.parse_args()


def _typed(text: str) -> Row:
    """A row as it is typed for --row."""
    name, _, words = text.partition(":")
    parts: dict[str, dict[str, Any]] = {"student": {}, "teacher": {}, "view": {}}
    more: dict[str, Any] = {}
    for word in shlex.split(words):
        key, _, value = word.partition("=")
        of, dot, key = key.partition(".")
        if dot:
            parts[of][key] = _value(value)
        else:
            more[of] = _value(value)
    return Row(name.strip(), **parts, **more)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Seed:
    """One draw: its store, and the teachers that were trained on it, each once."""

    def __init__(self, preset: Preset, options: argparse.Namespace, folder: Path, seed: int) -> None:
        self.preset, self.folder, self.seed = preset, folder, seed
        self.drawn: Drawn = presets.drawn(preset, options.data, folder / "lake", seed, options.dev)
        self.base = TrainConfig(**{**preset.settings, "seed": seed}).with_settings(options.set)
        self.teachers: dict[str, Trained] = {}
        self.labelled_by: tuple[str, bool] | None = None
        self.runs = 0

    def teacher(self, settings: Mapping[str, Any]) -> Trained:
        """The network trained on the labels alone, with these settings otherwise."""
        key = json.dumps(settings, sort_keys=True)
        if key not in self.teachers:
            self.teachers[key] = self.fit(self.config(self.preset.teacher, settings), 0)
        return self.teachers[key]

    def fit(self, config: TrainConfig, gen: int, pseudo: View | None = None) -> Trained:
        self.runs += 1
        out = self.folder / f"run-{self.runs}"
        return train(self.drawn.labelled, pseudo, config=config, out=out, gen=gen, publish=False)

    def view(self, gen: int, wanted: Mapping[str, Any]) -> View:
        """Of generation ``gen``'s unlabelled train images what a row wants."""
        store = self.drawn.store.refresh()
        if not wanted:
            return default_view(store, gen)
        view = store.view(gen=gen).split("train").unlabelled()
        if threshold := wanted.get("threshold", 0):
            view = view.confident(threshold)
        if (share := wanted.get("share", 1)) < 1:
            view = view.sample(max(1, round(share * len(view))), seed=self.seed)
        if (amount := wanted.get("per_class")) is not None:
            mean = max(1, len(view) // len(store.classes)) if amount == "mean" else amount
            view = view.balanced(mean, seed=self.seed, max_repeats=wanted.get("max_repeats", 10))
        return view

    def student(self, row: Row) -> Trained:
        """The last of a row's generations."""
        model, own = self.teacher(row.teacher), (json.dumps(row.teacher, sort_keys=True), row.noised)
        for gen in range(1, row.generations + 1):
            if gen > 1 or self.labelled_by != own:
                noise = self.seed if row.noised else None
                again = gen in self.drawn.store.generations
                label(self.drawn.store, model, gen=gen, replace=again, noised_teacher=noise)
                self.labelled_by = own if gen == 1 else None
            config, pseudo = self.config(self.preset.student, row.student), self.view(gen, row.view)
            if row.kind == "pretrained":
                before = self.fit(config.replace(labelled=False), gen, pseudo)
                model = self.fit(config.replace(pretrained=str(before.path)), gen)
            else:
                model = self.fit(config, gen, pseudo)
        return model

    def config(self, model: str, settings: Mapping[str, Any]) -> TrainConfig:
        """The settings of a row, for this network where they name none."""
        wanted = {"model": model, **settings}
        return self.base.replace(
            **{**wanted, "model": self.preset.larger if wanted["model"] == LARGER else wanted["model"]}
        )


def _seed(
    preset: Preset, options: argparse.Namespace, folder: Path, seed: int, rows: list[Row]
) -> Iterator[dict[str, Any]]:
    """The outcomes of the rows, those of one teacher behind each other."""
    draw = Seed(preset, options, folder, seed)
    for row in sorted(rows, key=lambda row: (row.kind.startswith("plain"), json.dumps(row.teacher), row.noised)):
        began, wall = time.process_time(), time.monotonic()
        shown = _plain(draw, row) if row.kind.startswith("plain") else _ours(draw, row)
        yield {
            "preset": options.preset, "dev": options.dev, "seed": seed, "row": row.name, "n": len(draw.drawn.judges),
            **shown, "cpu_s": round(time.process_time() - began, 1), "s": round(time.monotonic() - wall, 1),
        }  # fmt: skip


def _ours(draw: Seed, row: Row) -> dict[str, Any]:
    """How many judges a row's model has right, its kept weights and its last ones."""
    if row.kind == "teacher":
        model = draw.teacher(row.teacher)
    elif row.kind == "supervised":
        model = draw.fit(draw.config(draw.preset.student, row.student), 0)
    else:
        model = draw.student(row)
    n = len(draw.drawn.judges)
    right = {"right": round(evaluate(model, draw.drawn.judges).top1 * n)}
    last = Path(model.path).with_name("last.pt")
    return right | {"last": round(evaluate(str(last), draw.drawn.judges).top1 * n)}


def _plain(draw: Seed, row: Row) -> dict[str, Any]:
    """The same of plain.py's ways: the same arrays, network, steps and images a step."""
    config = draw.base.replace(model=draw.preset.student)
    photographs = (config.image_size or 224) > 64
    budget = plain.Budget(
        steps=config.steps or 1000, batch=config.batch_size, ratio=config.ratio, bf16=config.cpu_bf16,
        crop="resized" if photographs else "pad", **{"flip": config.flip, **row.student},
    )  # fmt: skip
    import timm

    import training.wide_resnet  # noqa: F401 - registers the networks for small images

    def make() -> torch.nn.Module:
        torch.manual_seed(draw.seed)
        network = timm.create_model(config.model, num_classes=len(draw.drawn.store.classes))
        assert isinstance(network, torch.nn.Module)
        return network

    torch.set_num_threads(config.threads or torch.get_num_threads())
    (x, y), (u, _), (judges, truth) = (
        presets.arrays(view, config) for view in (draw.drawn.labelled, draw.drawn.unlabelled, draw.drawn.judges)
    )
    if row.kind == "plain fixmatch":
        model = plain.fixmatch(make, x, y, u, budget, draw.seed, **row.view)
    else:
        model = plain.supervised(make, x, y, budget, draw.seed)
        if row.kind == "plain self-training":
            pseudo = plain.predict(model, u, budget).argmax(1)
            model = plain.self_training(make, x, y, u, pseudo, budget, draw.seed + 1000)
    right = round(plain.accuracy(model, judges, truth, budget) * len(truth))
    return {"right": right, "last": right}


def _print(rows: list[Row], done: Mapping[tuple[int, str], dict[str, Any]], seeds: range) -> None:
    """Accuracy of every row, and by how much the student is better, within each seed."""
    print(f"\n| row | accuracy % | last weights % | student − row | 95 % | seeds | paper |\n{'|---' * 7}|")
    for row in rows:
        found = {seed: done[seed, row.name] for seed in seeds if (seed, row.name) in done}
        if not found:
            continue
        scores, last = (
            intervals.repeated([100 * entry[key] / entry["n"] for entry in found.values()]).mean
            for key in ("right", "last")
        )
        both = [seed for seed in found if (seed, "student") in done]
        by, low_high = "", ""
        if len(both) > 1 and row.name != "student":
            gains = [
                100 * (done[seed, "student"]["right"] - done[seed, row.name]["right"]) / found[seed]["n"]
                for seed in both
            ]
            gain = intervals.repeated(gains)
            by, low_high = f"{gain.mean:+.2f}", f"{gain.interval.low:+.2f} … {gain.interval.high:+.2f}"
        print(f"| {row.name} | {scores:.2f} | {last:.2f} | {by} | {low_high} | {len(found)} | {row.paper} |")


if __name__ == "__main__":
    main()

"""Stores in every stage of their life, made once by real commands, and the commands that are put under fire.

A workspace is a folder with a store ``lake``, run folders, pictures and lists. Each trial works on a copy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .contents import pictures, soft_labels
from .processes import Server

TINY = [
    f"--set={key}"
    for key in (
        "model=wrn_10_1", "image_size=8", "batch_size=8", "ratio=1", "steps=6", "crop=none", "flip=false", "threads=1",
        "device=cpu", "val_fraction=0.2", "eval_every=2", "checkpoint_seconds=0", "randaugment_ops=1", "lr=0.1",
        "ema_decay=0.5",
    )
]  # fmt: skip
LABEL = ("label", "--gen", "1", "--batch-size", "8", "--device", "cpu", "--force")
STUDENT = ("view", "student-1", "--gen", "1", "--min-confidence", "0.05", "--per-class", "3")
OTHER = ("--store", "other", "import")
GIVEN = ("label", "--gen", "1", "--from", "probs.npz")
NAMED = "select id, source from images order by source, id"
SHOWN = "select id from images where split = 'train' and label is null order by id"


@dataclass(frozen=True)
class Scenario:
    """A command under fire, in a copy of a stage.

    prepare:   done to the copy first.
    sound:     False where the store is damaged before, so that only what comes out of it counts.
    exits:     exit codes of a command that did what it should.
    again:     given afterwards, where the same command would not go on.
    lake:      the store. written: what the command writes beside it.
    hook:      surroundings of the command (steps.py).
    whole:     False where it publishes several events, so that a store in between is lawful.
    halfway:   a command that ends in the one state in between that is lawful.
    """

    name: str
    stage: str
    command: tuple[str, ...]
    prepare: Callable[[Path], None] | None = None
    sound: bool = True
    exits: tuple[int, ...] = (0,)
    again: tuple[str, ...] = ()
    lake: str = "lake"
    written: str = ""
    hook: dict[str, Any] = field(default_factory=dict)
    whole: bool = True
    halfway: tuple[str, ...] = ()


class Workshop:
    """The stages below one folder, made when they are first asked for. Copies are made below it too."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self._count = 0

    def copy(self, stage: str, target: Path | None = None) -> Path:
        """A workspace of one's own."""
        source = self.stage(stage)
        if target is None:
            self._count += 1
            target = self.folder / f"trial-{self._count}"
        shutil.copytree(source, target, symlinks=True)
        return target

    def space(self, scenario: Scenario, target: Path | None = None) -> Path:
        """A workspace in which a command can be put under fire."""
        space = self.copy(scenario.stage, target)
        if scenario.prepare is not None:
            scenario.prepare(space)
        return space

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        made = self.folder / name
        if not made.exists():
            build = self.folder / f"{name}-unfinished"
            shutil.rmtree(build, ignore_errors=True)
            before = BEFORE[name]
            if before is None:
                build.mkdir(parents=True)
            else:
                shutil.copytree(self.stage(before), build, symlinks=True)
            BUILD[name](self, build)
            for left in build.glob(".output-*"):
                left.unlink()
            build.rename(made)
        return made

    def ids(self, workspace: Path, count: int) -> list[str]:
        """Hex ids of some images."""
        return json.loads((workspace / "ids.json").read_text())[:count]

    def _do(self, workspace: Path, *commands: tuple[str, ...], exits: tuple[int, ...] = (0,), **hook: object) -> str:
        said = ""
        for command in commands:
            code, said = self.server.run(workspace, *command, hook=dict(hook))
            if code not in exits:
                raise RuntimeError(f"nsdata {' '.join(command)} ended with {code} while a stage was made:\n{said}")
        return said

    def _empty(self, workspace: Path) -> None:
        pictures(workspace)

    def _images(self, workspace: Path) -> None:
        self._do(
            workspace,
            ("init", "--classes", ",".join("0123456789")),
            ("import", "train"),
            ("import", "val", "--split", "val"),
            ("import", "pool", "--unlabelled"),
        )
        found = json.loads(self._do(workspace, ("query", SHOWN, "--json")))
        ids = [row["id"] for row in found]
        (workspace / "ids.json").write_text(json.dumps(ids))
        lines = [f"{id_},{place % 10}" for place, id_ in enumerate(ids[:40])]
        (workspace / "said.csv").write_text("\n".join(["id,label", *lines]) + "\n")
        soft_labels(workspace, json.loads(self._do(workspace, ("query", NAMED, "--json"))))

    def _model(self, workspace: Path) -> None:
        self._do(workspace, ("train", "--gen", "0", *TINY))

    def _labelled(self, workspace: Path) -> None:
        self._do(workspace, LABEL, STUDENT, ("tag", "first"), ("relabel", self.ids(workspace, 1)[0], "3"))

    def _interrupted(self, workspace: Path) -> None:
        self._do(workspace, LABEL, exits=(-9,), at=["commit", "after", 9, "kill"])

    def _training(self, workspace: Path) -> None:
        self._do(workspace, ("train", "--gen", "0", *TINY), exits=(-9,), at=["write-tensors", "after", 6, "kill"])

    def _grown(self, workspace: Path) -> None:
        ids = self.ids(workspace, 30)
        self._do(
            workspace,
            ("train", "--gen", "1", *TINY),
            ("import", "more", "--unlabelled"),
            ("relabel", "--from", "said.csv"),
            ("remove", *ids[20:24]),
            ("view", "student-1", "--gen", "1", "--per-class", "2", "--replace"),
        )
        self._do(
            workspace,
            ("label", "--gen", "2", "--batch-size", "8", "--device", "cpu", "--force"),
            exits=(-9,),
            at=["commit", "after", 7, "kill"],
        )

    def _sealed(self, workspace: Path) -> None:
        top = ("--batch-size", "8", "--device", "cpu", "--force", "--top", "3", "--max-kl", "9")
        self._do(workspace, ("label", "--gen", "2", *top))

    def _undone(self, workspace: Path) -> None:
        self._do(workspace, ("import", "more", "--unlabelled"), ("undo",))

    def _given(self, workspace: Path) -> None:
        self._do(workspace, GIVEN, exits=(-9,), at=["commit", "after", 9, "kill"])

    def _exported(self, workspace: Path) -> None:
        turned = ",".join("9876543210")
        self._do(workspace, ("export", "all.parquet", "--gen", "1"), ("--store", "other", "init", "--classes", turned))


def _damaged(workspace: Path) -> None:
    """A backup, then damage of three kinds that a repair repairs with its help."""
    lake = workspace / "lake"
    shutil.copytree(lake, workspace / "backup")
    (lake / "log" / "HEAD").unlink()
    segment = next(folder for folder in sorted((lake / "images").iterdir()) if (folder / "nsdata-files.json").exists())
    (segment / "nsdata-files.json").unlink()
    largest = max((f for f in (lake / "labels").rglob("*") if f.is_file()), key=lambda f: (f.stat().st_size, str(f)))
    largest.write_bytes(largest.read_bytes()[:-7])


BEFORE: dict[str, str | None] = {
    "empty": None, "images": "empty", "model": "images", "labelled": "model", "interrupted": "model",
    "training": "images", "grown": "labelled", "sealed": "grown", "undone": "model", "given": "images",
    "exported": "labelled",
}  # fmt: skip
BUILD: dict[str, Callable[[Workshop, Path], None]] = {
    "empty": Workshop._empty, "images": Workshop._images, "model": Workshop._model, "labelled": Workshop._labelled,
    "interrupted": Workshop._interrupted, "training": Workshop._training, "grown": Workshop._grown,
    "sealed": Workshop._sealed, "undone": Workshop._undone, "given": Workshop._given, "exported": Workshop._exported,
}  # fmt: skip


def scenarios(workshop: Workshop) -> list[Scenario]:
    """Every command that writes."""
    ids = workshop.ids(workshop.stage("images"), 60)
    return [
        Scenario("init", "empty", ("init", "--classes", "a,b,c")),
        Scenario("import", "images", ("import", "more")),
        Scenario("import of labels", "images", ("import", "answers")),
        Scenario("import undone before", "undone", ("import", "more", "--unlabelled")),
        Scenario("import --move-splits", "labelled", ("import", "held-out", "--split", "test", "--move-splits")),
        Scenario(
            "import --with-soft-labels",
            "exported",
            (*OTHER, "all.parquet", "--with-soft-labels"),
            lake="other",
            halfway=(*OTHER, "all.parquet"),
        ),
        Scenario("label", "model", LABEL),
        Scenario("label, resumed", "interrupted", LABEL),
        Scenario("label --top", "model", (*LABEL, "--top", "3", "--max-kl", "9")),
        Scenario("label --replace", "labelled", (*LABEL, "--temperature", "0.5", "--replace")),
        Scenario("label --extend", "grown", (*LABEL, "--extend")),
        Scenario("label --from .npz", "images", GIVEN),
        Scenario("label --from .parquet", "images", (*GIVEN[:-1], "probs.parquet")),
        Scenario("label --from, resumed", "given", GIVEN),
        Scenario("train", "images", ("train", "--gen", "0", *TINY)),
        Scenario("train, resumed", "training", ("train", "--gen", "0", *TINY)),
        Scenario("train a student", "labelled", ("train", "--gen", "1", *TINY)),
        Scenario("train --replace", "model", ("train", "--gen", "0", *TINY, "--set=seed=1", "--replace")),
        Scenario("view", "labelled", ("view", "chosen", "--gen", "1", "--per-class", "4")),
        Scenario("view --replace", "labelled", (*STUDENT[:-1], "5", "--replace")),
        Scenario("relabel one", "labelled", ("relabel", ids[5], "7")),
        Scenario("relabel 40", "labelled", ("relabel", "--from", "said.csv")),
        Scenario("remove one", "labelled", ("remove", ids[6])),
        Scenario("remove 20", "labelled", ("remove", *ids[10:30])),
        Scenario("split 3", "labelled", ("split", *ids[:3], "--to", "test")),
        Scenario("split 40", "labelled", ("split", "--from", "said.csv", "--to", "test")),
        Scenario("classes add", "labelled", ("classes", "add", "ten", "eleven")),
        Scenario("tag", "labelled", ("tag", "best")),
        Scenario("undo", "labelled", ("undo", "gen-1")),
        Scenario("gc", "grown", ("gc", "--older-than", "0")),
        Scenario("gc --purge", "grown", ("gc", "--purge", "--older-than", "0")),
        Scenario(
            "verify --repair", "grown", ("verify", "--repair", "--from", "backup"), _damaged, sound=False, exits=(0, 3)
        ),
    ]


def writers(workshop: Workshop) -> list[Scenario]:
    """The same, and commands that write beside a store, or make one of their own."""
    demo = ("demo", "--seeds", "1")
    short = {"demo": {"steps": 30, "ema_decay": 0.8, "lr": 0.1, "batch_size": 16, "ratio": 1}}
    exports = [
        Scenario(f"export {kind}", "labelled", ("export", out, "--gen", "1"), written=out)
        for kind, out in (("folder", "out"), ("parquet", "out.parquet"), ("wds", "out.tar"), ("csv", "out.csv"))
    ]
    return [
        *scenarios(workshop), *exports,
        Scenario("demo", "empty", demo, lake="demo/lake", again=(*demo, "--replace"), hook=short, whole=False),
    ]  # fmt: skip

"""Writes a store of today's format, with one event of every kind, into ``format-<NEWEST>`` beside this file.

Run by hand, from the repository, when the format has risen: ``python -m tests.stores.write``. A folder that is there
is what earlier versions wrote, and stays: every later version must read it. What cannot be the same in two runs is the
engine's own (times and names of its commits); all else is, and nothing tells of the machine it was written on.
"""

from __future__ import annotations

import getpass
import json
import platform
import random
import shutil
import socket
import sys
import tempfile
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

import nsdata.log
import training
import training.provenance
from cli.live import Lines
from nsdata import Store
from nsdata.images.identity import encode_array
from nsdata.log.history import History
from nsdata.log.replay import Fold
from nsdata.schema import NEWEST
from nsdata.storage.objects import Objects
from training import TrainConfig, models
from training.config_values import to_toml
from training.plans import running
from training.plans.plan_file import parse

from .figures import figures

HERE = Path(__file__).parent / f"format-{NEWEST}"
LEAST = {"model": "wrn_10_1", "image_size": 8, "batch_size": 10, "device": "cpu", "threads": 1, "flip": False,
         "crop": "none", "ratio": 1}  # fmt: skip


def main() -> None:
    """Write it to a folder of its own first: an interrupted run leaves nothing half written."""
    if HERE.exists():
        sys.exit(f"error: {HERE.name} is there already; a frozen store is never written again.")
    secrets = {f"{getpass.getuser()}@{socket.gethostname()}", str(Path.home()), tempfile.gettempdir()}
    with tempfile.TemporaryDirectory() as folder, nobody(), chdir(folder):
        write(Path(folder))
        for lock in ("lake/claims", "pictures"):  # who worked on what: of no use to anybody later; and the sources
            shutil.rmtree(lock)
        for name in ("last.pt", "metrics.csv", ".lock", "events.out.tfevents.*"):
            for lost in Path("runs").rglob(name):
                lost.unlink()
        tell_nothing(Path(folder), secrets)
        (Path(folder) / "expected.json").write_text(
            json.dumps(figures(Store.open("lake")), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        )
        shutil.copytree(folder, HERE)
    files = [path for path in HERE.rglob("*") if path.is_file()]
    print(f"{HERE.name}: {len(files)} files, {sum(path.stat().st_size for path in files):,} bytes")


def write(folder: Path) -> None:
    """The store, by way of everything that writes an event."""
    classes = pictures(folder)
    store = Store.create("lake", classes)
    store.add_folder("pictures/first")
    store.tag("begun")
    gone = store.table.ids[[25, 26]]
    store.remove([bytes(id_).hex() for id_ in gone])
    abandoned = folder / "lake" / "images" / "0123456789abcdef-1"
    abandoned.mkdir()
    (abandoned / "left").write_bytes(b"by an import that was killed")
    store.gc(older_than_hours=0)  # swept
    store.gc(purge=True, older_than_hours=0)  # moved: the pictures of the removed images are gone for good
    plan(store.refresh())
    training.embed(store.refresh(), "runs/gen-0", name="seen", device="cpu", batch_size=16)
    training.label(store.refresh(), gen=1, device="cpu", force=True)
    training.label(store, gen=1, device="cpu", force=True, replace=True, temperature=0.8)
    store.add_folder("pictures/second")
    training.embed(store.refresh(), "runs/gen-0", name="seen", device="cpu", batch_size=16)  # extended
    training.label(store.refresh(), gen=1, device="cpu", force=True, extend=True, temperature=0.8)
    unlabelled = store.view(gen=1).split("train").unlabelled()
    unlabelled.where("width = 8 and gen1_confidence > 0.1").balanced(4, seed=3).save("student-1")
    pseudo = store.load_view("student-1")
    training.train(store.view().split("train").labelled(), pseudo, config=config(80), out="runs/gen-1")
    training.label(store.refresh(), gen=2, device="cpu", force=True, top=3, max_kl=9)
    known = [bytes(id_).hex() for id_ in store.table.ids]
    store.relabel({known[2]: classes[1]}, by="ann@example")  # in the event
    store.relabel({id_: classes[i % 3] for i, id_ in enumerate(known[:18])})  # a dataset of its own
    store.tag("mistake")
    store.undo()
    store.relabel({known[3]: None})
    store.undo("gen-2")
    store.undo(store.version)  # generation 2 is back
    history = History(Objects(store.url))
    fold = Fold()
    fold.add(store.events)
    history.write_checkpoint(fold)


def plan(store: Store) -> None:
    """One of a teacher alone: begun, trained, judged, carried out."""
    settings = ", ".join(f"{name} = {to_toml(value)}" for name, value in config(60).to_dict().items()
                         if name in {*LEAST, "steps", "val_fraction"} - {"model", "device"})  # fmt: skip
    text = f'device = "cpu"\n[teacher]\nmodel = "wrn_10_1"\nset = {{ {settings} }}\n[eval]\nsplit = "test"\n'
    steps = running.run(store, parse(tomllib.loads(text), "plan.toml", text), Lines())
    assert [step["did"] for step in steps] == ["done", "done"], steps


def pictures(folder: Path) -> list[str]:
    """Two folders of PNG files, 8 × 8, from scikit-learn's digits; one picture is in both, labelled in the second.

    Returns the class names.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * 255 / 16).astype(np.uint8)
    chosen = [int(i) for i in np.flatnonzero(bunch.target < 4)[:56]]
    classes = ["zero", "one", "two", "three"]
    for place, i in enumerate(chosen):
        name = classes[bunch.target[i]]
        folders = {range(20): f"first/train/{name}", range(20, 36): "first/unlabelled",
                   range(36, 44): f"first/test/{name}", range(44, 56): "second"}  # fmt: skip
        where = next(path for places, path in folders.items() if place in places)
        for path in {where, f"second/{name}" if place == 30 else where}:
            target = folder / "pictures" / path / f"{i:04d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(encode_array(images[i]))
    return classes


def config(steps: int) -> TrainConfig:
    """Enough to be better than chance."""
    return TrainConfig(**{**LEAST, "steps": steps, "val_fraction": 0.2})


@contextmanager
def nobody() -> Iterator[None]:
    """No user, machine or checkout, a clock that begins again, and chance that is the same every time."""
    draw, clock = random.Random(NEWEST), iter(range(10**9))
    begin, save = datetime(2026, 1, 1, tzinfo=UTC), models.save

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return begin + timedelta(seconds=next(clock))

    def small(path: Path, *, state: dict[str, Any], **rest: Any) -> None:
        """A checkpoint of a quarter of the size: the kernels of the convolutions with 8 bits a number."""
        import torch

        kinds = {4: torch.float8_e4m3fn, 2: torch.float16, 1: torch.float16}
        save(path, state={name: t.to(kinds.get(t.ndim, t.dtype)) for name, t in state.items()}, **rest)

    with ExitStack() as patches:
        for target, name, value in (
            (getpass, "getuser", lambda: "nsdata"),
            (socket, "gethostname", lambda: "example"),
            (platform, "processor", lambda: "cpu"),
            (uuid, "uuid4", lambda: uuid.UUID(int=draw.getrandbits(128), version=4)),
            (nsdata.log.events, "datetime", Clock),
            (training.provenance, "_code_version", lambda: None),
            (models, "save", small),
            (running, "time", SimpleNamespace(monotonic=lambda: 0.0)),
        ):
            patches.enter_context(patch.object(target, name, value))
        yield


def tell_nothing(folder: Path, secrets: set[str]) -> None:
    """The folder of a run says where its store was; and nothing else may tell of this machine."""
    for path in folder.glob("runs/*/config.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "store": "lake"}, indent=2) + "\n")
    telling = [(path, word) for path in folder.rglob("*") if path.is_file()
               for word in secrets if word.encode() in path.read_bytes()]  # fmt: skip
    if telling:
        sys.exit(f"error: {telling[0][0]} has {telling[0][1]!r} in it.")


if __name__ == "__main__":
    main()

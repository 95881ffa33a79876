"""A killed training run goes on: the law is that it ends, to the bit, as a run in one go does."""

from __future__ import annotations

import csv
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASSES, ROOT, digits
from typer.testing import CliRunner

from nsdata import Store, View
from nsdata.errors import BadInput, Conflict
from training import TrainConfig, Trained, loop, losses, resume, run_folder, tensorboard, train

Seal = Callable[..., np.ndarray]

TINY = TrainConfig(
    model="wrn_10_1",
    image_size=8,
    batch_size=8,
    ratio=1,
    steps=9,  # of 3.75 an epoch
    lr=0.05,
    soft="soft",
    val_fraction=0.1,
    keep="best",
    eval_every=4,
    randaugment_magnitude=9,
    dropout=0.3,
    drop_path=0.3,
    device="cpu",
    threads=1,
)


class Crash(Exception):
    """What a killed process comes to: nothing is written on the way out."""


def _people(store: Store) -> View:
    return store.view().split("train").labelled()


def _pseudo(store: Store, seal: Seal) -> View:
    seal(store, 1)
    return store.view(gen=1).split("train").unlabelled().confident(0.3).balanced(7)


def _stop(at: int, how: type[BaseException] = Crash) -> Callable[..., None]:
    def progress(done: int, total: int | None, **figures: float | str) -> None:
        if done == at:
            raise how

    return progress


def _tensors(content: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(content, torch.Tensor):
        yield name, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _tensors(value, f"{name}/{key}")


def _equal_files(a: Path, b: Path) -> None:
    """Every tensor, bit for bit."""
    one, two = (dict(_tensors(torch.load(path, weights_only=True))) for path in (a, b))
    assert one.keys() == two.keys() and len(one) > 10
    assert not [name for name in one if not torch.equal(one[name], two[name])]


def _equal(a: Trained, b: Trained) -> None:
    """Weights, averages, metrics, accuracy; not the speed."""
    for name in ("best.pt", "last.pt"):
        _equal_files(a.path.with_name(name), b.path.with_name(name))
    assert a.val_accuracy == b.val_accuracy and a.steps == b.steps
    for one, two in zip(a.metrics, b.metrics, strict=True):
        assert {**one, "images_per_second": 0} == {**two, "images_per_second": 0}
    with (b.path.parent / "metrics.csv").open(newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [row["loss"] for row in a.metrics]


# ---------------------------------------------------------------- the law


@pytest.mark.parametrize(
    ("changes", "pseudo", "ways"),
    [
        ({"optimiser": "sgd", "crop": "pad"}, True, ["asked", "killed", "rare"]),
        ({"optimiser": "rmsprop", "lr": 0.01, "clip_norm": 1}, True, ["asked"]),
        ({"optimiser": "adamw", "lr": 0.01, "crop": "pad", "val_fraction": 0.2}, False, ["killed"]),
        ({"unlabelled_noise": False}, True, ["rare"]),
    ],
    ids=["sgd", "rmsprop", "adamw", "gated"],
)
def test_a_run_in_pieces_is_the_run_in_one_go(
    store: Store,
    seal: Seal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    pseudo: bool,
    ways: list[str],
) -> None:
    chosen = _pseudo(store, seal) if pseudo else None
    config = TINY.replace(**changes)
    monkeypatch.setattr(resume.Keeper, "forget", lambda keeper: None)  # so that the optimiser can be compared too
    whole = train(_people(store), chosen, config=config, out=tmp_path / "whole", publish=False)
    assert whole.resumed == 0
    for way in ways:
        how, seconds, steps, last = {
            "asked": (KeyboardInterrupt, 1e9, [1, 2, 3, 4, 5, 6, 7, 8], 9),  # Ctrl-C writes on the way out
            "killed": (Crash, 0, [1, 2, 3, 4, 5, 6, 7], 8),  # the write comes after the step, and too late
            "rare": (Crash, 1e9, [4, 4, 4, 4], 8),  # only validations write
        }[way]
        resumed: list[tuple[int, int]] = []
        again = {"config": config.replace(checkpoint_seconds=seconds), "out": tmp_path / way, "publish": False}
        for at in range(1, 10):
            note = resumed.append
            with pytest.raises(how):
                train(_people(store), chosen, on_progress=_stop(at, how), on_resume=lambda *a, n=note: n(a), **again)
        pieces = train(_people(store), chosen, **again)
        assert resumed == [(step, 9) for step in steps] and pieces.resumed == last
        _equal(whole, pieces)
        _equal_files(tmp_path / "whole" / "resume.pt", tmp_path / way / "resume.pt")


def test_a_run_killed_for_good_at_any_moment_goes_on(tmp_path: Path) -> None:
    from cli.app import app

    lake, options = tmp_path / "lake", [f"{k}={v}" for k, v in TINY.to_dict().items() if v is not None]
    images, labels = digits(80)
    store = Store.create(lake, CLASSES)
    store.add_arrays(images[:40], labels[:40], source="train")
    store.add_arrays(images[40:], labels[40:], split="val", source="val")
    options = [o for o in options if not o.startswith(("steps", "model_args", "checkpoint", "crop_scale"))]
    command = ["--store", str(lake), "train", "--gen", "0", "--out", str(tmp_path / "killed")]
    command += [f"--set={option}" for option in (*options, "steps=60", "checkpoint_seconds=0")]
    config = TINY.replace(steps=60, checkpoint_seconds=0)
    with (tmp_path / "said").open("w") as said:
        child = subprocess.Popen(
            [sys.executable, "-c", "from cli.app import app; app()", *command],
            stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        while not (tmp_path / "killed" / "resume.pt").exists() and child.poll() is None:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.5))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, (tmp_path / "said").read_text()
    whole = train(_people(store), config=config, out=tmp_path / "whole", publish=False)
    (tmp_path / "killed" / ".resume.pt.1.tmp").write_bytes(b"half of it")
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "resumed at step" in done.stderr and "of 60" in done.stderr
    folder = tmp_path / "killed"
    assert {p.name for p in folder.iterdir()} == {
        ".lock", "best.pt", "config.json", "last.pt", "metrics.csv", tensorboard.NAME
    }  # fmt: skip
    for name in ("best.pt", "last.pt"):
        _equal_files(folder / name, whole.path.with_name(name))
    assert len(store.refresh().models) == 1


def test_a_kill_between_the_weights_and_the_state_changes_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(_people(store), config=TINY, out=tmp_path / "whole", publish=False)
    write = resume.Keeper.write

    def fails(keeper: resume.Keeper, run: resume.Run) -> None:
        if run.step == 8:  # unfinished.pt and metrics.csv are ahead of resume.pt now
            raise Crash
        write(keeper, run)

    monkeypatch.setattr(resume.Keeper, "write", fails)
    with pytest.raises(Crash):
        train(_people(store), config=TINY, out=tmp_path / "pieces", publish=False)
    monkeypatch.undo()
    pieces = train(_people(store), config=TINY, out=tmp_path / "pieces", publish=False)
    assert pieces.resumed == 4
    _equal(whole, pieces)


# ---------------------------------------------------------------- interrupts


def test_ctrl_c_within_a_step_waits_for_its_end_and_a_second_one_does_not(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(_people(store), config=TINY, out=tmp_path / "whole", publish=False)
    real, pressed = losses.combine, []

    def combine(*arguments: Any) -> torch.Tensor:
        pressed.append(1)
        if len(pressed) in (3, 7):
            os.kill(os.getpid(), signal.SIGINT)
        if len(pressed) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(losses, "combine", combine)
    before = signal.getsignal(signal.SIGINT)
    for steps in (3, 7):
        with pytest.raises(KeyboardInterrupt):
            train(_people(store), config=TINY, out=tmp_path / "pieces", publish=False)
        assert len(pressed) == steps and signal.getsignal(signal.SIGINT) is before
    pieces = train(_people(store), config=TINY, out=tmp_path / "pieces", publish=False)
    assert pieces.resumed == 4  # step 7 was left halfway: what counts is the state before it
    _equal(whole, pieces)


# ---------------------------------------------------------------- the end of a run


@pytest.mark.parametrize("where", ["rename", "sign", "publish", "forget"])
def test_a_run_killed_at_its_end_is_only_finished(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise Crash

    config = TINY.replace(steps=2)
    again: dict[str, Any] = {"config": config, "out": tmp_path / "run"}
    target, name = {
        "rename": (loop, "sync_path"),
        "sign": (run_folder, "sign"),
        "publish": (Store, "publish_model"),
        "forget": (resume.Keeper, "forget"),
    }[where]
    with monkeypatch.context() as patch, pytest.raises(Crash):
        # a run also begins by forgetting; only the end is meant here
        train(_people(store), on_progress=lambda done, *_, **__: patch.setattr(target, name, fails), **again)
    with monkeypatch.context() as patch:
        patch.setattr(losses, "combine", fails)  # no step is done again
        done = train(_people(store), **again)
    assert done.resumed == 2 and len(done.metrics) == 1
    kinds = [event.kind for event in store.refresh().events]
    assert kinds.count("trained") == 1 and store.models[0].sha256 == done.sha256
    assert TrainConfig.load(tmp_path / "run" / "config.json") == done.config
    assert f'"sha256": "{done.sha256}"' in (tmp_path / "run" / "config.json").read_text()
    assert train(_people(store), **again).already


def test_training_over_a_finished_run_goes_on_too(store: Store, tmp_path: Path) -> None:
    old = train(_people(store), config=TINY, out=tmp_path / "run", publish=False)
    config = TINY.replace(seed=1)
    whole = train(_people(store), config=config, out=tmp_path / "whole", publish=False)
    for at, replace in ((3, True), (6, False)):
        with pytest.raises(KeyboardInterrupt):
            train(
                _people(store), config=config, out=tmp_path / "run", publish=False, replace=replace,
                on_progress=_stop(at, KeyboardInterrupt),
            )  # fmt: skip
        assert resume.file_sha256(tmp_path / "run" / "best.pt") == old.sha256  # stays until the new one is complete
    pieces = train(_people(store), config=config, out=tmp_path / "run", publish=False, replace=True)
    assert pieces.resumed == 6
    _equal(whole, pieces)


# ---------------------------------------------------------------- what may not go on


def _interrupted(store: Store, chosen: View | None, folder: Path, **options: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(
            _people(store), chosen, config=TINY, out=folder, publish=False,
            on_progress=_stop(3, KeyboardInterrupt), **options,
        )  # fmt: skip


def test_another_run_is_refused_by_name_and_only_replaced_when_asked(store: Store, seal: Seal, tmp_path: Path) -> None:
    seal(store, 1)
    folder, chosen = tmp_path / "run", store.view(gen=1).split("train").unlabelled()
    _interrupted(store, chosen, folder)
    state = (folder / "resume.pt").read_bytes()

    def refused(words: str, people: View, pseudo: View | None, config: TrainConfig = TINY) -> None:
        with pytest.raises(BadInput, match=words) as caught:
            train(people, pseudo, config=config, out=folder, gen=1, publish=False)
        assert "--replace" in caught.value.hint and (folder / "resume.pt").read_bytes() == state

    people = _people(store)
    refused(r"another one: lr was 0.05, now 0.1\.", people, chosen, TINY.replace(lr=0.1))
    refused("steps was 9, now 12", people, chosen, TINY.replace(steps=12))
    refused(r"labelled images was 30 \(digest \w+\), now 29", people.only(np.arange(30) > 0, "few"), chosen)
    refused(r"soft-labelled images was \d+ \(digest \w+\), now none", people, None)
    store.tag("before")  # an event that changes nothing a run sees
    store.refresh()
    with pytest.raises(KeyboardInterrupt):
        train(
            _people(store), store.view(gen=1).split("train").unlabelled(), config=TINY, out=folder, publish=False,
            on_progress=_stop(4, KeyboardInterrupt), on_resume=lambda step, _: step == 3 or pytest.fail(f"{step}"),
        )  # fmt: skip
    state = (folder / "resume.pt").read_bytes()
    seal(store, 1, seed=5, replace=True)
    resealed = store.view(gen=1).split("train").unlabelled()
    refused(r"soft labels was generation 1 \(digest \w+\), now generation 1", people, resealed)
    one = store.query("select id, label from images where label is not null and split = 'train'").to_pylist()[0]
    store.relabel({one["id"]: 3 if one["label"] != 3 else 4})
    refused("labels of the labelled images was", _people(store.refresh()), chosen)
    with pytest.raises(KeyboardInterrupt):  # goes on with the old views, whatever was published since
        train(people, chosen, config=TINY, out=folder, publish=False, on_progress=_stop(5, KeyboardInterrupt))
    state = (folder / "resume.pt").read_bytes()
    done = train(people, chosen, config=TINY.replace(steps=2), out=folder, publish=False, replace=True)
    assert done.resumed == 0 and done.steps == 2


def test_restart_begins_at_step_0(store: Store, tmp_path: Path) -> None:
    _interrupted(store, None, tmp_path / "run")
    done = train(_people(store), config=TINY, out=tmp_path / "run", publish=False, restart=True)
    assert done.resumed == 0
    with pytest.raises(BadInput, match="finished run"):
        train(_people(store), config=TINY, out=tmp_path / "run", publish=False, restart=True)


def test_an_unfinished_run_of_an_earlier_nsdata_does_not_go_on_by_other_rules(store: Store, tmp_path: Path) -> None:
    _interrupted(store, None, tmp_path / "run")
    path = tmp_path / "run" / "resume.pt"
    content = torch.load(path, weights_only=True)
    for written, words in ((1, "it was begun by an earlier nsdata"), (99, "it is of a later nsdata")):
        torch.save({**content, "identity": {**content["identity"], "format": written}}, path)
        with pytest.raises(BadInput, match=f"is another one: {words}") as caught:
            train(_people(store), config=TINY, out=tmp_path / "run", publish=False)
        assert caught.value.hint.startswith("--replace to begin again")
    assert train(_people(store), config=TINY, out=tmp_path / "run", publish=False, replace=True).resumed == 0


def test_a_finished_run_of_an_earlier_nsdata_is_known_again(store: Store, tmp_path: Path) -> None:
    """Settings that there were not yet are read as what was done then."""
    train(_people(store), config=TINY, out=tmp_path / "run", publish=False)
    path = tmp_path / "run" / "config.json"
    facts = json.loads(path.read_text())
    for name in ("init", "crop_pct", "bn_eps", "bn_momentum", "labelled", "unlabelled_noise"):
        del facts["identity"][name], facts["config"][name]
    facts["identity"]["format"] = 1
    path.write_text(json.dumps(facts))
    assert train(_people(store), config=TINY, out=tmp_path / "run", publish=False).already
    with pytest.raises(BadInput, match=r"holds a finished run: bn_eps was none, now 0\.001"):
        train(_people(store), config=TINY.replace(bn_eps=1e-3), out=tmp_path / "run", publish=False)


class _Hostile:
    def __reduce__(self) -> Any:
        return os.mkdir, ("hostile",)


def test_a_damaged_state_begins_again_with_a_warning(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = TINY.replace(steps=4)
    folder, path = tmp_path / "run", tmp_path / "run" / "resume.pt"
    with pytest.raises(KeyboardInterrupt):
        train(_people(store), config=config, out=folder, publish=False, on_progress=_stop(3, KeyboardInterrupt))
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    content = torch.load(path, weights_only=True)
    torch.save({**content, "run": {**content["run"], "step": 99}}, tmp_path / "late.pt")
    torch.save({**content, "model": {}}, tmp_path / "empty.pt")
    torch.save({**content, "random": torch.zeros(7, dtype=torch.uint8)}, tmp_path / "random.pt")
    torch.save({**content, "identity": _Hostile()}, tmp_path / "hostile.pt")
    bad = [b"", b"no checkpoint", good[: len(good) // 2], bytes(flipped), pickle.dumps(_Hostile())]
    bad += [(tmp_path / f"{name}.pt").read_bytes() for name in ("late", "empty", "random", "hostile")]
    whole = train(_people(store), config=config, out=tmp_path / "whole", publish=False)
    for data in bad:
        path.write_bytes(data)
        told: list[str] = []
        done = train(_people(store), config=config, out=folder, publish=False, on_warning=told.append)
        assert done.resumed == 0 and "is damaged" in told[0] and done.warnings == told
        _equal(whole, done)
        (folder / "best.pt").unlink()
    assert not (tmp_path / "hostile").exists()
    path.write_bytes(good)
    (folder / "best.pt").write_bytes(b"a finished run")
    path.write_bytes(b"")
    with pytest.raises(BadInput, match="finished run"):  # damage is no leave to train over it
        train(_people(store), config=config, out=folder, publish=False)


def test_other_library_versions_are_told_not_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupted(store, None, tmp_path / "run")
    monkeypatch.setattr(resume, "version", lambda name: "0.1")
    done = train(_people(store), config=TINY, out=tmp_path / "run", publish=False)
    assert done.resumed == 3 and "torch was" in done.warnings[0] and "now 0.1" in done.warnings[0]


def test_a_loss_that_is_not_finite_leaves_nothing_to_go_on_with(store: Store, tmp_path: Path) -> None:
    from nsdata.errors import ModelError

    with pytest.raises(ModelError):
        train(_people(store), config=TINY.replace(lr=1e6, warmup=0, steps=50), out=tmp_path, publish=False)
    train(_people(store), config=TINY, out=tmp_path, publish=False)  # the hint's other learning rate is not refused


def test_two_runs_never_share_a_folder(store: Store, tmp_path: Path) -> None:
    refused: list[str] = []

    def second(done: int, total: int | None, **figures: float | str) -> None:
        if done == 2:
            with pytest.raises(Conflict, match="Another process is training into") as caught:
                train(_people(store), config=TINY, out=tmp_path, publish=False, replace=True)
            refused.append(caught.value.hint)

    whole = train(_people(store), config=TINY, out=tmp_path / "whole", publish=False)
    with run_folder.held(tmp_path / "other"), pytest.raises(Conflict):
        train(_people(store), config=TINY, out=tmp_path / "other", publish=False)
    first = train(_people(store), config=TINY, out=tmp_path, publish=False, on_progress=second)
    assert refused
    _equal(whole, first)

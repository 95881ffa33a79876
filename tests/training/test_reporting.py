"""A run's history: a CSV and TensorBoard's file in its folder, and services that are told of it."""

from __future__ import annotations

import struct
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from commands import TINY, ok, refused, run

from nsdata import Store
from training import TrainConfig, tensorboard, train

SMALL = TrainConfig(model="wrn_10_1", image_size=8, batch_size=8, steps=6, eval_every=2, val_fraction=0, threads=1)


def scalars(path: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, tag -> value) of each event, read by the rules of protocol buffers."""

    def fields(raw: bytes) -> list[tuple[int, Any]]:
        found, at = [], 0
        while at < len(raw):
            number, kind, at = raw[at] >> 3, raw[at] & 7, at + 1
            if kind in (1, 5):
                size = 8 if kind == 1 else 4
                value: Any = struct.unpack("<d" if kind == 1 else "<f", raw[at : at + size])[0]
                at += size
            else:
                value = shift = 0
                while True:
                    value, shift, at = value | (raw[at] & 127) << shift, shift + 7, at + 1
                    if raw[at - 1] < 128:
                        break
                if kind == 2:
                    value, at = raw[at : at + value], at + value
            found.append((number, value))
        return found

    events = []
    for message in tensorboard._messages(path.read_bytes()):
        content = dict(fields(message))
        assert content[1] > 1e9
        if 5 in content:
            pairs = [dict(fields(value)) for _, value in fields(content[5])]
            events.append((content[2], {pair[1].decode(): pair[2] for pair in pairs}))
        else:
            assert content[3] == b"brain.Event:2"
    return events


def test_a_run_writes_what_tensorboard_reads_also_in_pieces_and_again(store: Store, tmp_path: Path) -> None:
    people, rows = store.view().split("train").labelled(), []

    def stop(done: int, total: float | None, **figures: float | str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(people, config=SMALL, out=tmp_path, publish=False, on_progress=stop)
    file = tmp_path / tensorboard.NAME
    begun, before = file.read_bytes(), file.stat().st_ino
    trained = train(people, config=SMALL, out=tmp_path, publish=False, on_row=rows.append)
    assert file.read_bytes().startswith(begun) and file.stat().st_ino == before
    assert rows == trained.metrics[2:]
    read = scalars(file)
    assert [step for step, _ in read] == [row["step"] for row in trained.metrics] == [2, 4, 6]
    for (_, values), row in zip(read, trained.metrics, strict=True):
        assert values["loss/all"] == pytest.approx(row["loss"])
        assert values["accuracy/val"] == pytest.approx(row["val_accuracy"])
    file.write_bytes(file.read_bytes()[:-3])  # torn by a kill
    tensorboard.write(tmp_path, trained.metrics)
    assert scalars(file) == read
    tensorboard.write(tmp_path, trained.metrics[:1])  # another run in this folder
    assert scalars(file) == read[:1]


def test_the_checksum_is_the_one_of_the_standard() -> None:
    """123456789 in CRC-32C is e3069283 (RFC 3720's polynomial), and the mask is TensorFlow's."""
    expected = ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert tensorboard._masked(b"123456789") == expected


class Service(types.ModuleType):
    """Stands in for wandb and for mlflow: notes what it is told, and may fail."""

    def __init__(self, name: str, fails: str = "") -> None:
        super().__init__(name)
        self.told: list[tuple[Any, ...]] = []
        self.fails = fails

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*values: Any, **named: Any) -> Any:
            if name == self.fails:
                raise RuntimeError("no network")
            self.told.append((name, *values, named))
            return self

        return call


def test_services_are_told_where_they_are_asked(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSDATA_STORE", store.url)
    wandb, mlflow = Service("wandb"), Service("mlflow")
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    ok("train", "--gen", "0", *TINY, "--report", "wandb", "--report", "mlflow")
    assert [entry[0] for entry in wandb.told] == ["init", "log", "log", "finish"]
    assert wandb.told[0][-1]["name"] == "runs/gen-0" and wandb.told[0][-1]["config"]["steps"] == 2
    assert wandb.told[2][1].keys() >= {"loss", "val_accuracy"} and wandb.told[2][-1] == {"step": 2}
    assert [entry[0] for entry in mlflow.told] == ["start_run", "log_params", *["log_metrics"] * 2, "end_run"]


def test_a_service_that_fails_ends_no_run_and_one_that_is_not_there_is_told_first(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSDATA_STORE", store.url)
    monkeypatch.setitem(sys.modules, "wandb", Service("wandb", fails="log"))
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert "no service 'tensorbord'" in refused("train", "--gen", "0", *TINY, "--report", "tensorbord")[0]
    assert refused("train", "--gen", "0", *TINY, "--report", "mlflow") == (
        "mlflow is not installed.",
        "pip install mlflow",
    )
    done = run("train", "--gen", "0", *TINY, "--report", "wandb")
    assert done.exit_code == 0 and done.stderr.count("WandB failed to take a row") == 1


def test_a_trial_leaves_the_published_model_and_a_replacement_is_announced(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSDATA_STORE", store.url)
    first = run("train", "--gen", "0", *TINY)
    assert "replaces" not in first.stderr
    version, sha256 = store.refresh().version, store.models[0].sha256
    other = ["train", "--gen", "0", *TINY, "--set", "lr=0.3", "--out", "runs/trial"]
    trial = run(*other, "--no-publish")
    assert trial.stdout.startswith("not published  model 0") and "replaces" not in trial.stderr
    assert "holds this very run" in ok(*other, "--no-publish")
    assert store.refresh().version == version and store.models[0].sha256 == sha256
    real = run(*other)
    assert "replaces  model 0 of the store, wrn_10_1, runs/gen-0/best.pt, once it is trained" in real.stderr
    assert store.refresh().models[0].sha256 != sha256

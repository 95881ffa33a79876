"""The doctor finds what was planted, says what to type, and calls a healthy store healthy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store
from nsdata.report import doctor
from nsdata.report.doctor import Finding

Seal = Callable[..., np.ndarray]


def found(store: Store, what: str) -> list[Finding]:
    return [finding for finding in doctor.examine(store.url) if finding.what == what]


@pytest.fixture
def lake(tmp_path: Path) -> Store:
    """On disk: 300 labelled and 200 unlabelled train digits, 150 val and 150 test digits."""
    store = Store.create(tmp_path / "lake", CLASSES)
    images, labels = digits(800)
    store.add_arrays(images[:500], np.where(np.arange(500) < 300, labels[:500], -1), source="train")
    store.add_arrays(images[500:650], labels[500:650], split="val", source="val")
    store.add_arrays(images[650:], labels[650:], split="test", source="test")
    return store.refresh()


def test_a_healthy_store_has_nothing_to_look_at(lake: Store) -> None:
    assert not [finding for finding in doctor.examine(lake.url) if finding.good is False]
    run = CliRunner().invoke(app, ["--store", lake.url, "doctor"])
    assert run.exit_code == 0, run.output
    assert "sound" in run.stdout and "decoder" in run.stdout


def test_what_was_planted_is_found(lake: Store, seal: Seal) -> None:
    seal(lake, 1)
    lake.view(gen=1).split("train").unlabelled().save("pool")
    (finding,) = found(lake, "confidence")  # soft labels by chance are sure, and right one time in ten
    assert finding.good is False and "--calibrate" in finding.hint
    images, labels = digits(830)
    lake.add_arrays(images[800:], labels[800:], source="later")
    assert any("came in later" in finding.text for finding in found(lake, "gen-1"))
    seal(lake, 2)
    seal(lake, 1, seed=5, replace=True)
    row = int(lake.refresh().load_view("pool").rows[0])
    lake.move_split([bytes(lake.table.ids[row]).hex()], "test")
    assert any("changed split" in finding.text for finding in found(lake, "view pool"))


def test_a_class_without_labels_and_an_unbalanced_view_are_named(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", ["cat", "dog", "fox"])
    images, labels = digits(90)
    store.add_arrays(images, np.where(np.arange(90) < 20, labels % 2, -1), source="train")
    store.refresh()
    soft = np.full((90, 3), 0.05, np.float32)
    soft[np.arange(90), np.where(np.arange(90) % 30 == 0, 1, 0)] = 0.9
    store.add_soft_labels(1, store.table.ids, soft)
    store.refresh().view(gen=1).split("train").unlabelled().save("pool")
    (labels_,) = found(store, "labels")
    assert labels_.good is False and "fox" in labels_.text
    (view,) = found(store, "view pool")
    assert view.good is False and "none of fox" in view.text and "--per-class" in view.hint
    (test,) = found(store, "test")
    assert test.good is False and "--split test" in test.hint
    run = CliRunner().invoke(app, ["--store", store.url, "doctor", "--json"])
    assert run.exit_code == 3
    assert {f["what"] for f in json.loads(run.stdout)["findings"] if f["good"] is False} >= {
        "labels",
        "view pool",
        "test",
    }


def test_damage_is_found_and_a_store_that_there_is_not_is_no_crash(lake: Store, tmp_path: Path) -> None:
    largest = max((p for p in Path(lake.url, "images").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-7])
    run = CliRunner().invoke(app, ["--store", lake.url, "doctor"])
    assert run.exit_code == 3
    assert "nsdata verify" in run.stdout
    run = CliRunner().invoke(app, ["--store", str(tmp_path / "none"), "doctor"])
    assert run.exit_code == 0 and "no store" in run.stdout


def test_each_setting_is_shown_with_where_it_comes_from(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nsdata.toml").write_text('store = "elsewhere"\n[label]\nbatch_size = 64\n[query]\ntimeout = 5\n')
    monkeypatch.setenv("NSDATA_STORE", lake.url)
    monkeypatch.setenv("NSDATA_QUERY_TIMEOUT", "9")

    def sources(*words: str) -> dict[str, str]:
        run = CliRunner().invoke(app, [*words, "doctor", "--json"])
        return dict(json.loads(run.stdout)["settings"])

    assert sources() == {
        "store": f"{lake.url} (NSDATA_STORE)",
        "label.batch_size": "64 (./nsdata.toml)",
        "query.timeout": "9 (NSDATA_QUERY_TIMEOUT)",
    }
    assert sources("--store", "lake")["store"] == "lake (--store)"

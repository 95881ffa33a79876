"""The terminal: the loop typed by hand, wrong use answered in two lines, exit codes that scripts can trust."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, ok, refused, run
from conftest import ROOT

from cli.app import PANELS
from nsdata import Store


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the loop has been typed by hand up to generation 2."""
    folder = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(folder)
    try:
        ok("init", "--classes-from", "digits")
        assert "1,797 images" in ok("import", "digits")
        ok("train", "--gen", "0", *TINY)
        assert "sealed    gen-1" in ok("label", "--gen", "1")
        ok("view", "student-1", "--gen", "1", "--min-confidence", "0.1", "--per-class", "20")
        ok("train", "--gen", "1", *TINY)
        assert json.loads(ok("label", "--gen", "2", "--json"))["images"] == 1797
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(lake: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand beside that store."""
    monkeypatch.chdir(lake)
    return lake


def test_looking_tells_what_was_done(here: Path) -> None:
    shown = ok("show")
    assert "1,797" in shown
    assert "gen-2" in shown
    assert [line.split()[0] for line in ok("log").splitlines()[1:]] == ["7", "6", "5", "4", "3", "2", "1"]
    assert "student-1" in ok("views")
    kinds = [event["kind"] for event in json.loads(ok("log", "--json"))][::-1]
    assert kinds == ["created", "imported", "trained", "sealed", "viewed", "trained", "sealed"]
    facts = json.loads(ok("show", "--json"))
    assert (facts["images"], facts["splits"]["test"]["labelled"]) == (1797, 500)
    assert json.loads(ok("show", "--gen", "2", "--json"))["provenance"]["parent_generation"] == 1


def test_a_generation_is_shown_in_sentences_lineage_first(here: Path) -> None:
    shown = ok("show", "--gen", "2")
    facts = json.loads(ok("show", "--gen", "2", "--json"))["provenance"]
    lines = shown.splitlines()
    assert lines[0] == "generation 2, version 7: 1,797 images, labelled by"
    assert lines[1].startswith("  model 1, version 6: wrn_10_1, val not measured, sha256 ")
    assert not set('{}[]"_') & set(shown.replace("wrn_10_1", ""))  # neither JSON nor names of keys
    for fact in (
        facts["teacher_sha256"],
        facts["host"],
        "2 steps",
        "at 8 pixels",
        "RandAugment 2 × 5",
        "learning rate",
    ):
        assert fact in shown


def test_an_image_is_shown_by_its_file_name_where_that_is_unique(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nsdata.images.identity import encode_array

    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("cat/1.png", "dog/1.png", "dog/ab.png", "dog/deep/cat/1.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_array(np.full((5, 5), number, np.uint8)))
    ok("init", "--classes", "cat,dog")
    ok("import", "photos")
    assert "dog/1.png" in ok("show", "dog/1.png")
    assert json.loads(ok("show", "cat/1.png", "--json"))["source"] == "cat/1.png"  # whole before the end of a path
    assert json.loads(ok("show", "deep/cat/1.png", "--json"))["source"] == "dog/deep/cat/1.png"
    assert "dog/ab.png" in ok("show", "ab.png")
    message, hint = refused("show", "1.png")
    assert message.startswith("3 images come from a file called 1.png: cat/1.png (") and hint.startswith("nsdata show")
    message, _ = refused("show", "2.png")
    assert message == "No image has an id that begins with '2.png', and none comes from a file of that name."
    ok("remove", json.loads(ok("show", "dog/1.png", "--json"))["id"])
    refused("show", "dog/1.png")


def test_flipped_images_have_file_names_short_ids_and_two_decimals(here: Path) -> None:
    rows = [line.split() for line in ok("diff", "gen-1", "gen-2", "--flipped").splitlines()[1:]]
    whole = json.loads(ok("diff", "gen-1", "gen-2", "--flipped", "--json"))["flipped_images"]
    assert len(rows) == len(whole) > 0
    for (short, source, old, new, before, _, after), image in zip(rows, whole, strict=True):
        assert image["id"].startswith(short) and len(short) < 12
        assert (source, old, new) == (image["source"], image["old"], image["new"])
        assert (before, after) == (f"{image['confidence_old']:.2f}", f"{image['confidence_new']:.2f}")
        assert json.loads(ok("show", short, "--json"))["source"] == source
        break


def test_a_long_list_of_images_left_out_is_cut_and_written_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import csv

    from nsdata.images.identity import encode_array

    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    for number in range(25):
        (tmp_path / "photos" / "cat" / f"{number:02d}, ü.jpg").write_bytes(b"no image" * number)
    (tmp_path / "photos" / "cat" / "good.png").write_bytes(encode_array(np.eye(9, dtype=np.uint8)))
    ok("init", "--classes", "cat,dog")
    printed = ok("import", "photos")
    listed = [line for line in printed.splitlines() if ".jpg" in line]
    assert len(listed) == 20 and "… and 5 more" in printed
    file = re.search(r"all of them: (left-out-\d+-\d+\.csv)$", printed, re.MULTILINE)
    assert file
    with Path(file[1]).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["source"] for row in rows] == [f"cat/{number:02d}, ü.jpg" for number in range(25)]
    assert {row["what"] for row in rows} == {"skipped"} and all(row["reason"] for row in rows)
    assert len(json.loads(ok("import", "photos", "--json"))["skipped"]) == 25
    for number in range(5):
        (tmp_path / "photos" / "cat" / f"{number:02d}, ü.jpg").unlink()
    assert "left-out" not in ok("import", "photos")  # twenty are printed whole


def test_one_image_shows_its_labels_in_every_generation(here: Path) -> None:
    first = json.loads(ok("query", "select id from images order by id limit 1", "--json"))[0]["id"]
    card = json.loads(ok("show", first[:8], "--json"))
    assert card["id"] == first
    assert [said["gen"] for said in card["generations"]] == [1, 2]
    assert "generation 2" in ok("show", first)


def test_diff_equals_a_comparison_of_the_exported_labels(here: Path, tmp_path: Path) -> None:
    import pandas as pd

    change = json.loads(ok("diff", "gen-1", "gen-2", "--json"))
    frames = []
    for gen in ("1", "2"):
        ok("export", tmp_path / f"{gen}.csv", "--gen", gen)
        frames.append(pd.read_csv(tmp_path / f"{gen}.csv", dtype={"label": "string"}).set_index("id"))
    both = frames[0].add_suffix("_a").join(frames[1].add_suffix("_b"))
    flipped = both["pseudo_label_a"] != both["pseudo_label_b"]
    assert change["flipped"] == flipped.sum()
    assert change["common"] == 1797
    table = pd.crosstab(both["pseudo_label_a"], both["pseudo_label_b"])
    flips = np.zeros((10, 10), int)
    for old, row in table.iterrows():
        for new, count in row.items():
            if old != new:
                flips[int(old), int(new)] = count
    assert change["flips"] == flips.tolist()
    listed = ok("diff", "gen-1", "gen-2", "--flipped").splitlines()
    assert len(listed) == 1 + flipped.sum()
    assert len(ok("diff", "gen-1", "gen-2", "--flipped", "--limit", "2").splitlines()) == min(3, 1 + flipped.sum())
    assert run("diff", "gen-1", "gen-2", "--exit-code").exit_code == 3
    assert run("diff", "gen-1", "gen-1", "--exit-code").exit_code == 0
    assert "old \\ new" in ok("diff", "gen-1", "gen-2", "--matrix")


def test_stored_labels_score_as_their_teacher_does(here: Path) -> None:
    stored = json.loads(ok("eval", "--gen", "1", "--json"))
    model = json.loads(ok("eval", "--model", "runs/gen-0", "--json"))
    assert stored["n"] == model["n"] == 500
    assert stored["top1"] == model["top1"]
    assert stored["ece"] == pytest.approx(model["ece"], abs=1e-6)
    printed = ok("eval", "--gen", "1")
    assert f"({sum(stored['right'])} of 500; 95 %: " in printed and "calibration error" in printed
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line[:1].isdigit()}
    for name, n, right, interval in zip(
        *(stored[k] for k in ("classes", "counts", "right", "class_intervals")), strict=True
    ):
        assert rows[name][1:3] == [str(n), str(right)]
        assert rows[name][-3::2] == [f"{100 * end:.1f}" for end in interval]


@pytest.mark.parametrize("name", ["out", "out.csv", "out.parquet", "out.tar"])
def test_a_view_is_exported_in_every_format(here: Path, tmp_path: Path, name: str) -> None:
    assert "images" in ok("export", tmp_path / name, "--view", "student-1")
    message, hint = refused("export", tmp_path / name, "--view", "student-1")
    assert "exists" in message or "already" in message
    assert "--overwrite" in hint


def test_the_answer_is_on_stdout_and_whole_when_piped(here: Path) -> None:
    done = run("query", "select id, source, gen1_soft_label from images limit 2")
    assert done.stderr == ""
    assert "…" not in done.stdout
    assert "\x1b" not in done.stdout
    import csv

    rows = list(
        csv.DictReader(ok("query", "select id, gen1_soft_label soft from images limit 2", "--csv").splitlines())
    )
    assert [len(row["soft"].split()) for row in rows] == [10, 10]
    assert abs(sum(map(float, rows[0]["soft"].split())) - 1) < 1e-3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
def test_an_answer_that_cannot_be_written_is_said_and_what_was_done_is_kept(here: Path, buffered: bool) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    for command in (["tag", f"t{buffered:d}"], ["query", "--csv", "select id from images"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-c", "from cli.app import app; app()", *command],
                stdout=full, stderr=subprocess.PIPE, text=True, env=environment,
            )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.startswith("error: The answer could not be written to stdout: No space left on device.")
        assert len(done.stderr.splitlines()) == 2
    assert f"t{buffered:d}" in Store.open(here / "lake").tags
    with open("/dev/full", "w") as full:  # what is lost of the journey is no matter
        done = subprocess.run(
            [sys.executable, "-c", "from cli.app import app; app()", "show"],
            stdout=subprocess.PIPE, stderr=full, text=True, env=environment,
        )  # fmt: skip
    assert done.returncode == 0 and "images" in done.stdout


def test_settings_come_from_flags_then_environment_then_the_file(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no store" in refused("show")[0]
    (tmp_path / "nsdata.toml").write_text(f'store = "{here / "lake"}"\n[log]\nlimit = 2\n')
    assert len(ok("log").splitlines()) == 3
    monkeypatch.setenv("NSDATA_LOG_LIMIT", "4")
    assert len(ok("log").splitlines()) == 5
    assert len(ok("log", "--limit", "1").splitlines()) == 2
    monkeypatch.setenv("NSDATA_STORE", str(tmp_path / "other"))
    assert "other" in refused("show")[0]
    ok("--store", here / "lake", "show")
    ok("show", "--store", here / "lake")
    monkeypatch.delenv("NSDATA_STORE")
    for wrong in ("store = [", "stoer = 'x'", "store = 3", "[lable]\ngen = 1", "[label]\nbatch_sise = 7"):
        (tmp_path / "nsdata.toml").write_text(wrong)
        done = run("show")
        assert done.exit_code == 2, wrong
        assert "closest is 'store'" not in done.output or wrong.startswith("stoer"), wrong
    assert "label.batch_size" in run("show").output.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["label", "--gen", "4"], "cannot be labelled before generation 3", "nsdata label --gen 3"),
        (["label", "--gen", "2", "--temperature", "2"], "sealed already", "--replace"),
        (["label", "--gen", "0"], "soft labels begin at 1", "--gen 1"),
        (["label", "--gen", "3"], "no such model", "nsdata train --gen 2"),
        (["label", "--gen", "3", "--teacher", "nowhere.pt"], "no model at nowhere.pt", "ls ."),
        (["label", "--gen", "2", "--replace", "--temperature", "0"], "temperature", ""),
        (["label", "--gen", "2", "--replace", "--device", "cuda:9"], "no device", ""),
        (["train", "--gen", "5"], "has no labels yet", "nsdata label --gen 3"),
        (["train", "--gen", "0"], "finished run", "--replace"),
        (["train", "--gen", "0", "--model", "resnet51", "--out", "runs/none"], "resnet51", ""),
        (["train", "--gen", "2", "--set", "lrr=3"], "lr'", "TrainConfig"),
        (["train", "--gen", "2", "--set", "lr=fast"], "lr", ""),
        (["train", "--gen", "2", "--view", "student-1"], "generation 1", "nsdata view student-2"),
        (["train", "--gen", "0", "--view", "student-1"], "people's labels alone", ""),
        (["view", "x", "--gen", "3"], "has no labels yet; this store has 1 and 2", "nsdata label --gen 3"),
        (["view", "x", "--gen", "1", "--min-confidence", "3"], "between 0 and 1", ""),
        (["view", "x", "--gen", "1", "--min-confidence", "1"], "keeps no rows", ""),
        (["view", "x", "--gen", "1", "--where", "random() < 0.5"], "random", ""),
        (["view", "student-1", "--gen", "1", "--sample", "5"], "already", "--replace"),
        (["view", "typo"], "no view 'typo'", "nsdata views"),
        (["view", "x", "--gen", "1", "--split", "test"], "0 of 500 pass the step unlabelled", ""),
        (
            ["eval", "--gen", "1", "--split", "val"],
            "no labelled val images, and the training of generation 1's",
            "--split test",
        ),
        (["eval", "--model", "runs/gen-0", "--split", "val"], "held out none of the labelled train images", "--split"),
        (["query", "select gen3_confidence from images"], "gen3_confidence", "gen"),
        (["query", "drop table images"], "", ""),
        (["query", "select * from read_csv('/etc/passwd')"], "", ""),
        (["query", "selct 1"], "", ""),
        (
            ["diff", "gen-1", "gen-9"],
            "no version 'gen-9': generation 9 has no labels yet; this store has 1, 2",
            "--gen 3",
        ),
        (["diff", "gen-1", "99"], "no version 99; this store has", "nsdata log"),
        (["diff", "gen-1", "gen1"], "gen-1, gen-2; the closest tag is 'gen-1'", "nsdata log"),
        (["import", "/nope"], "no file or folder /nope; / holds", "ls /"),
        (["import", "/nope/cats/1.png"], "no file or folder /nope/cats/1.png: /nope does not exist", "ls /"),
        (["import", "lake/imagse"], "the closest is lake/images", "nsdata import lake/images"),
        (["import", "lake/x/y"], "lake/x does not exist", "ls lake"),
        (["show", "zz"], "No image has an id that begins with 'zz', and none", "nsdata query"),
        (["show", "00000000000000000000000000000000"], "No image", ""),
        (["eval", "--gen", "7"], "has no labels yet", ""),
        (["eval", "--model", "nowhere"], "no model", ""),
        (["init", "--classes", "a,b"], "already", "show"),
        (["init", "--store", "x@y", "--classes", "a,b"], "'@'", ""),
        (["import", "nowhere"], "nowhere", ""),
        (["import", "torchvision:Nothing"], "Nothing", "torchvision:CIFAR10"),
        (["export", "out.xyz"], "out.xyz", ""),
        (["export", "out.csv", "--view", "none"], "no view 'none'", "nsdata views"),
        (["tag", "gen-1"], "nsdata's own", ""),
        (["relabel", "ffff", "3"], "", ""),
        (["remove", "not-hex"], "No image has an id that begins with 'not-hex', and none", ""),
    ],
)
def test_wrong_use_is_answered_and_changes_nothing(here: Path, arguments: list[str], message: str, hint: str) -> None:
    before = Store.open("lake").version
    said = refused(*arguments)
    assert message in said[0]
    assert hint in said[1]
    words = " ".join(said).lower()
    assert not [word for word in ("deeplake", "deep lake", "duckdb", "obstore", "traceback") if word in words]
    assert Store.open("lake").version == before


@pytest.mark.parametrize(
    "arguments",
    [["label"], ["init"], ["init", "--classes", "a,b", "--classes-from", "x"], ["eval"], ["nonsense"],
     ["import", "digits", "--split", "dev"], ["eval", "--gen", "1", "--split", "validation"],
     ["view", "x", "--gen", "1", "--split", "dev"], ["view", "x", "--gen", "1", "--agree", "a,b"], ["diff", "gen-1"]],
)  # fmt: skip
def test_wrong_usage_ends_with_2(here: Path, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_teacher_of_other_classes_is_refused(here: Path, tmp_path: Path) -> None:
    store = tmp_path / "other"
    ok("--store", store, "init", "--classes", "zero,one,two,three,four,five,six,seven,eight,nine")
    Store.open(store).add_arrays(np.arange(640, dtype=np.uint16).view(np.uint8).reshape(20, 8, 8), None)
    message, _ = refused("--store", store, "label", "--gen", "1", "--teacher", here / "runs" / "gen-0")
    assert "classes" in message or "lacks" in message


def test_a_changed_checkpoint_is_noticed(here: Path, tmp_path: Path) -> None:
    best = here / "runs" / "gen-1" / "best.pt"
    content = best.read_bytes()
    try:
        best.write_bytes((here / "runs" / "gen-0" / "best.pt").read_bytes())
        message, hint = refused("label", "--gen", "3")
        assert "sha256" in message or "no such model" in message
        assert "--teacher" in hint or "train" in hint
        best.unlink()
        assert refused("label", "--gen", "2", "--replace")[0]
    finally:
        best.write_bytes(content)


def test_keeping_relabels_removes_and_tags(here: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(here / "lake", tmp_path / "lake")
    lake = ["--store", str(tmp_path / "lake")]
    ids = [row["id"] for row in json.loads(ok(*lake, "query", "select id from images order by id limit 4", "--json"))]
    ok(*lake, "relabel", ids[0], "7", "--by", "ann")
    (tmp_path / "said.csv").write_text(f"id,label\n{ids[1]},3\n{ids[2]},\n")
    assert "2 images" in ok(*lake, "relabel", "--from", tmp_path / "said.csv")
    ok(*lake, "remove", ids[3])
    ok(*lake, "tag", "cleaned")
    card = json.loads(ok(*lake, "show", ids[0], "--json"))
    assert card["label"] == "7"
    assert card["people"][-1]["by"] == "ann"
    assert "1,796" in ok(*lake, "show")
    assert "1,797" in ok(*lake, "show", "--at", "gen-2")
    change = json.loads(ok(*lake, "diff", "gen-2", "cleaned", "--json"))
    assert change["removed"] == 1
    assert change["relabelled"] >= 1


def test_a_dry_run_writes_nothing(here: Path) -> None:
    before = sorted(Path("lake").rglob("*"))
    estimate = json.loads(ok("label", "--gen", "2", "--replace", "--dry-run", "--json"))
    assert estimate["images"] == 1797
    assert "per class" in ok("view", "student-9", "--gen", "2", "--per-class", "5", "--dry-run")
    assert sorted(Path("lake").rglob("*")) == before


def test_control_characters_are_shown_not_obeyed(tmp_path: Path) -> None:
    from nsdata.images.identity import encode_array
    from nsdata.importers.item import Item

    store = Store.create(tmp_path / "lake", ["a", "b"])
    image = encode_array(np.zeros((4, 4), np.uint8))
    store.add_items(lambda: [Item("\x1b[2Jevil\x07.png", image, 0, "train")], source="\x1b[31mred")
    first = store.query("select id from images").to_pylist()[0]["id"]
    for arguments in (["log"], ["query", "select source from images"], ["show", first]):
        assert "\x1b" not in ok("--store", tmp_path / "lake", *arguments)


@pytest.mark.parametrize("command", ["label", "import", "train", "demo"])
def test_ctrl_c_says_how_to_go_on_and_leaves_the_store_whole(here: Path, tmp_path: Path, command: str) -> None:
    import shutil

    shutil.copytree(here / "lake", tmp_path / "lake")
    before = Store.open(tmp_path / "lake").version
    arguments = {
        "label": ["label", "--gen", "1", "--replace", "--batch-size", "1", "--teacher", str(here / "runs" / "gen-0")],
        "import": ["import", "endless.tar", "--unlabelled"],
        "train": ["train", "--gen", "0", "--model", "wrn_16_4", "--set=steps=100000", "--out", str(tmp_path / "run")],
        "demo": ["demo", "--folder", str(tmp_path / "demo")],
    }[command]
    if command == "import":
        os.mkfifo(tmp_path / "endless.tar")  # a source that never ends
        arguments[1] = str(tmp_path / "endless.tar")
    child = subprocess.Popen(
        [sys.executable, "-c", "from cli.app import app; app(prog_name='nsdata')", *arguments],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "NSDATA_STORE": str(tmp_path / "lake"), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stderr is not None
    if command == "import":
        with open(tmp_path / "endless.tar", "wb"):  # opens when the import begins to read
            time.sleep(0.5)
            child.send_signal(signal.SIGINT)
            _, stderr = child.communicate(timeout=60)
    else:
        child.stderr.readline()  # each of the others says something when it begins
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert Store.open(tmp_path / "lake").version == before


def test_help_lists_every_command_in_its_panel() -> None:
    shown = ok("--help")
    for panel, commands in PANELS.items():
        assert panel in shown
        for name, command in commands.items():
            assert name in shown
            assert command.__doc__
            ok(name, "--help")
    assert ok("--version").startswith("nsdata ")


def test_python_m_nsdata_is_the_command(tmp_path: Path) -> None:
    """Quick, under its own name, and whatever a person calls the modules of the folder that they stand in."""
    (tmp_path / "training").mkdir()
    for name in ("cli.py", "training/__init__.py"):
        (tmp_path / name).write_text("raise SystemExit('not ours')")
    root = str(ROOT)
    for safe in ([], ["-P"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *safe, "-m", "nsdata", "--help"],
            capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert "Usage: nsdata " in done.stdout
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "cli.app" in loaded
        assert not loaded & {"torch", "deeplake", "numpy", "duckdb"}


@pytest.mark.parametrize(
    "words", [["leaks", "--ids"], ["issues", "--ids"], ["diff", "1", "2", "--csv"], ["query", "select 1", "--csv"]]
)
def test_an_answer_has_one_form(words: list[str], tmp_path: Path) -> None:
    done = run("--store", tmp_path / "lake", *words, "--json")
    assert done.exit_code == 2
    assert f"{words[-1]} and --json are two forms of the answer" in done.output.replace("\n", " ")

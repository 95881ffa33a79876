"""What is not as a plan left it: images that came later, work done by hand meanwhile, and what cannot go well."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run as command
from conftest import CLASSES, digits
from safetensors.torch import save_file
from test_plans import TEXT, Crash, Watch, make

from nsdata import Store
from nsdata.errors import Conflict, NsdataError, StorageFailed
from nsdata.storage import space
from training import TrainConfig, calibrate, label, load, train
from training.models import create
from training.plans.outline import measured
from training.plans.plan_file import PlanFile, parse
from training.plans.running import prepared, run

SHORT = TEXT.partition("[[generation]]")[0].replace("steps = 4", "steps = 2").replace("val_fraction = 0", "seed = 1")


def short(runs: Path, more: str = "[[generation]]\nratio = 1\n", settings: tuple[str, ...] = ()) -> PlanFile:
    """A plan of one generation, or of what ``more`` says."""
    text = SHORT.format(runs=runs) + more
    return parse(tomllib.loads(text), "plan.toml", text, settings)


def again(store: Store, wanted: PlanFile, **options: Any) -> Watch:
    watch = Watch()
    run(Store.open(store.url), wanted, watch, **options)
    return watch


def test_images_that_come_in_later_are_labelled_and_teach_or_judge_and_a_temperature_is_fitted_once(
    tmp_path: Path,
) -> None:
    store, images, labels = make(tmp_path / "lake"), *digits(240)
    store.add_arrays(images[120:180], labels[120:180], split="val", source="val")
    more = "[[generation]]\nratio = 1\nview = { precision = 0.01, per_class = 5 }\nlabel = { calibrate = true }\n"
    wanted = short(tmp_path / "runs", more)
    first = again(store, wanted)
    assert first.did == ["teacher", "score 0", "labels 1", "student 1", "score 1"]
    assert sum("temperature" in text for text in first.said) == 1 and again(store, wanted).did == []
    known = {gen: model.sha256 for gen, model in store.refresh().models.items()}
    fitted = store.generations[1].provenance["temperature"]
    assert fitted == calibrate(store, load(tmp_path / "runs" / "gen-0"), device="cpu").temperature

    store.add_arrays(images[180:190], labels[180:190], split="test", source="later test")
    judged = again(store, wanted)
    assert judged.did == ["score 0", "labels 1", "score 1"] and judged.whys["labels 1"] == "10 images came in later"
    assert not any("temperature" in text for text in judged.said)  # it is known
    assert {gen: model.sha256 for gen, model in store.refresh().models.items()} == known

    store.add_arrays(images[190:220], np.full(30, -1), source="later train")
    taught = again(store, wanted)
    assert taught.did == ["labels 1", "student 1", "score 1"] and taught.whys["labels 1"] == "30 images came in later"
    assert "soft-labelled images" in taught.whys["student 1"] and store.refresh().models[0].sha256 == known[0]
    assert store.generations[1].provenance["temperature"] == fitted

    store.add_arrays(images[220:], labels[220:], split="val", source="later val")
    chosen = again(store, wanted)  # they judge the teacher, and its temperature
    assert chosen.did[0] == "teacher" and "validation images 60" in chosen.whys["teacher"]
    assert again(store, wanted).did == []


def test_what_is_done_by_hand_while_a_plan_is_unfinished_is_the_plans_only_if_it_is_the_same(tmp_path: Path) -> None:
    store, wanted = make(tmp_path / "lake"), short(tmp_path / "runs")
    with pytest.raises(Crash):
        run(Store.open(store.url), wanted, Watch(("labels 1", 0)))
    people, config = store.refresh().view().split("train").labelled(), wanted.turns[0].config
    ours = store.models[0].sha256
    other = train(people, config=config.replace(lr=0.01), out=tmp_path / "mine", gen=0)
    watch = Watch(("student 1", 0))
    with pytest.raises(Crash):
        run(Store.open(store.url), wanted, watch)
    (said,) = [text for text in watch.said if "replaces model 0" in text]
    assert "the store has another since; no plan made it, and it stays in" in said and "mine" in said
    assert store.refresh().models[0].sha256 == ours and load(other.path).sha256 == other.sha256

    by_hand: dict[str, Any] = {"gen": 1, "batch_size": 32, "device": "cpu", "force": True, "replace": True}
    sealed = label(store, temperature=0.5, **by_hand).version
    with pytest.raises(Conflict, match=rf"from labels 1 on it may replace generation 1, sealed at version {sealed}"):
        again(store, wanted)
    label(store.refresh(), **by_hand)  # as the plan would: that counts
    done = again(store, wanted)
    assert done.did == ["student 1", "score 1"] and store.refresh().generations[1].provenance.get("plan") is None

    changed = short(tmp_path / "runs", "[[generation]]\nratio = 1\nlabel = { temperature = 0.5 }\n")
    with pytest.raises(Conflict, match=r"from labels 1 on it may replace generation 1, .*, which no plan made"):
        again(store, changed)  # still a person's, although a plan was carried out with it
    replaced = again(store, changed, replace=True)
    assert replaced.did == ["labels 1", "student 1", "score 1"]
    assert any("labels 1 replace generation 1" in text for text in replaced.said)
    assert again(store, wanted).did == ["labels 1", "student 1"]  # the plan's own by now; the score is known


def test_what_a_later_step_would_write_over_is_said_before_the_first(tmp_path: Path) -> None:
    store, wanted = make(tmp_path / "lake"), short(tmp_path / "runs")
    people = store.view().split("train").labelled()
    train(people, config=wanted.turns[1].config, out=tmp_path / "runs" / "gen-1", publish=False)
    version = store.refresh().version
    with pytest.raises(Conflict, match=r"from student 1 on it may replace the run in .*gen-1, which no plan made"):
        again(store, wanted)
    _, lines = prepared(store, wanted, dry_run=True)
    assert [line.step for _, line in lines if line.replaces] == ["student 1"]
    assert store.refresh().version == version and not (tmp_path / "runs" / "gen-0").exists()


LATER = "[[generation]]\n[[generation]]\n"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            LATER + "model = 'wrn_10_2'\nset = { init = 'teacher' }",
            "generation 2: With init = 'teacher' it begins with",
        ),
        (LATER + "set = { pretrained = 'gone.safetensors' }", "generation 2: There is no file of starting weights"),
        (LATER + "set = { probe = true, pretrained = true }", "generation 2: A probe learns people's labels alone"),
        (LATER + "set = { model_args = { num_classes = 3 } }", "generation 2: Model 'wrn_10_1' has num_classes"),
        (LATER + "model = 'resnet10t'\nset = { model_args = { wings = 2 } }", "generation 2: Model 'resnet10t'"),
        (LATER + "model = 'levit_128s'", "generation 2: Model 'levit_128s' cannot take colour images of 8 × 8 pixels"),
        (
            LATER + "view = { precision = 0.9 }",
            "generation 2: 0 labelled images are held out of its teacher's training",
        ),
        (LATER + "label = { calibrate = true }", "generation 2: 0 labelled images are held out"),
        (LATER + "label = { top = 10 }", "generation 2: "),
        ("[eval]\nsplit = 'val'", "The plan is judged by labelled val images, and the store has none."),
    ],
    ids=lambda text: text.replace(LATER, "")[:20],
)
def test_what_cannot_go_well_is_refused_before_the_first_step(more: str, said: str, tmp_path: Path) -> None:
    store, wanted = make(tmp_path / "lake"), short(tmp_path / "runs", more)
    version = store.version
    for refusing in (lambda: again(store, wanted), lambda: prepared(store, wanted, dry_run=True)):
        with pytest.raises(NsdataError) as error:
            refusing()
        assert said in error.value.message and error.value.hint
    assert store.refresh().version == version and not (tmp_path / "runs").exists()


def test_a_teacher_that_begins_with_its_teachers_weights_a_file_in_the_way_and_a_full_disk_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, wanted = make(tmp_path / "lake"), short(tmp_path / "runs")
    with pytest.raises(NsdataError, match="the teacher: There is no teacher whose weights to begin with"):
        again(store, short(tmp_path / "runs", "", ("init=teacher",)))
    with monkeypatch.context() as patched:
        patched.setattr(space, "free", lambda path: 3_000_000)
        with pytest.raises(StorageFailed, match="this plan needs about"):
            again(store, wanted)
        with pytest.raises(StorageFailed, match="this plan needs about"):
            prepared(store, wanted, dry_run=True)
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(NsdataError, match=r"the teacher: The folder .*gen-0 cannot be made: .*runs is a file"):
        again(store, wanted)
    assert store.refresh().version == 3


def test_a_probe_is_a_plans_teacher_and_its_dry_run_counts_the_images_that_it_embeds(tmp_path: Path) -> None:
    store = make(tmp_path / "lake")
    weights = tmp_path / "backbone.safetensors"
    save_file(create(TrainConfig(model="wrn_10_1"), CLASSES).state_dict(), weights)
    text = SHORT.replace("[teacher]\n", f'[teacher]\nset = {{{{ probe = true, pretrained = "{weights}" }}}}\n')
    text = text.format(runs=tmp_path / "runs") + "[[generation]]\nratio = 1\n"
    wanted = parse(tomllib.loads(text), "plan.toml", text)
    _, lines = prepared(store, wanted, dry_run=True)
    measured(store, wanted, lines)
    teacher = lines[0][1]
    assert (teacher.steps, teacher.images) == (0, len(store)) and (teacher.seconds or 0) > 0
    assert again(store, wanted).did == ["teacher", "score 0", "labels 1", "student 1", "score 1"]
    kinds = [event.kind for event in store.refresh().events][3:]
    assert kinds == ["planned", "embedded", "trained", "judged", "sealed", "trained", "judged", "ran"]
    assert again(store, wanted).did == [] and store.models[0].plan == 4


def test_settings_given_beside_the_file_are_every_models_and_win(tmp_path: Path, monkeypatch: Any) -> None:
    more = "[[generation]]\nset = { lr = 0.5 }\n"
    plain, set_ = short(tmp_path, more), short(tmp_path, more, ("lr=0.25", "steps=3", "device=auto"))
    assert [turn.config for turn in set_.turns] == [
        turn.config.replace(lr=0.25, steps=3, device="auto") for turn in plain.turns
    ]
    assert set_.device == "auto" and set_.digest != plain.digest and set_.settings[0] == "lr=0.25"
    with pytest.raises(NsdataError, match=r"with --set: Training has no setting 'lrr'; the closest is 'lr'"):
        short(tmp_path, more, ("lrr=1",))
    monkeypatch.chdir(tmp_path)
    Store.create("lake", CLASSES)
    assert "--set is for its run" in command("run", "--init", "--set", "lr=1").output

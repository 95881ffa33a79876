"""A teacher in hand whose answers are not its checkpoint's is recorded as what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import digits

from nsdata import Store
from nsdata.errors import BadInput, GenerationError, ModelError
from nsdata.labels.lineage import lineage, lines
from training import LoadedModel, TrainConfig, label, load, train
from training.foreign import altered

CONFIG = TrainConfig(model="wrn_10_1", image_size=8, steps=2, batch_size=8, val_fraction=0, device="cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("altered")
    store = Store.create(str(folder / "lake"), [str(i) for i in range(10)])
    store.add_arrays(*digits(15))
    train(store.view().split("train").labelled(), config=CONFIG, out=folder / "run")
    return store.url, folder / "run"


class Sharper(LoadedModel):
    """Answers in its own way."""

    def probabilities(self, images: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        return super().probabilities(images, 0.01)


class Named(LoadedModel):
    """Adds nothing to the answers."""

    nickname = "x"


def _as(kind: type[LoadedModel]) -> Callable[[LoadedModel], LoadedModel]:
    import dataclasses

    return lambda model: kind(**{f.name: getattr(model, f.name) for f in dataclasses.fields(LoadedModel)})


def _hooked(model: LoadedModel) -> LoadedModel:
    model.model.register_forward_hook(lambda module, given, found: found * 100)
    return model


def _with_forward(model: LoadedModel) -> LoadedModel:
    before = model.model.forward
    model.model.forward = lambda images: before(images) * 100  # type: ignore[method-assign]
    return model


def _changed(model: LoadedModel) -> LoadedModel:
    with torch.no_grad():
        next(iter(model.model.parameters())).mul_(3)
    return model


ALTERED: dict[str, tuple[Callable[[LoadedModel], LoadedModel], str]] = {
    "a subclass": (_as(Sharper), "its class Sharper has its own probabilities"),
    "a hook": (_hooked, "its network has hooks, or a forward that was put on it"),
    "a forward": (_with_forward, "its network has hooks, or a forward that was put on it"),
    "other weights": (_changed, "its weights are not those of "),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_model_is_no_checkpoint(name: str, run: tuple[str, Path], tmp_path: Path) -> None:
    store, (alter, words) = Store.create(f"mem://{tmp_path.name}", [str(i) for i in range(10)]), ALTERED[name]
    store.add_arrays(*digits(15))
    plain, teacher = load(run[1]), alter(load(run[1]))
    said = teacher.probabilities(np.zeros((1, 8, 8, 3), np.uint8))
    done = label(store, teacher, gen=1, force=True)
    facts = store.labels(1).provenance
    assert facts["teacher_sha256"] != plain.sha256 and facts["teacher_sha256_of"] == "answers"
    assert facts["teacher"] is None and "teacher_config" not in facts
    assert any(note.startswith("no checkpoint answers as it does: " + words) for note in facts["teacher_notes"])
    assert "a model from elsewhere" in "\n".join(lines(lineage(store, 1)))
    assert done.teacher.probabilities(np.zeros((1, 8, 8, 3), np.uint8)) == pytest.approx(said)
    assert label(store, teacher, gen=1, force=True).already
    with pytest.raises(GenerationError, match="sealed already"):
        label(store, plain, gen=1, force=True)
    with pytest.raises(BadInput, match="says all of itself; model"):
        label(store, teacher, gen=1, model="resnet18")


@pytest.mark.parametrize("kind", ["loaded", "trained", "a subclass of the same answers", "compiled", "its file gone"])
def test_a_model_that_answers_as_its_file_is_that_checkpoint(kind: str, run: tuple[str, Path], tmp_path: Path) -> None:
    store = Store.create(f"mem://{tmp_path.name}", [str(i) for i in range(10)])
    store.add_arrays(*digits(15))
    teacher: Any = load(run[1])
    if kind == "trained":
        teacher = train(store.view().split("train").labelled(), config=CONFIG, out=tmp_path / "run")
    elif kind == "a subclass of the same answers":
        teacher = _as(Named)(teacher)
    elif kind == "compiled":
        teacher.model = torch.compile(teacher.model, backend="eager")
        assert altered.why(teacher) == ""
        return  # to compile takes its time
    elif kind == "its file gone":
        teacher.path = tmp_path / "gone.pt"
    label(store, teacher, gen=1, force=True)
    facts = store.labels(1).provenance
    assert facts["teacher_sha256"] == teacher.sha256 and "teacher_sha256_of" not in facts


def test_answers_that_cannot_be_are_a_sentence(run: tuple[str, Path]) -> None:
    class Wrong(LoadedModel):
        def probabilities(self, images: np.ndarray, temperature: float = 1.0) -> np.ndarray:
            raise KeyError("no")

    store = Store.create("mem://wrong-answers", [str(i) for i in range(10)])
    store.add_arrays(*digits(15))
    with pytest.raises(ModelError, match=r"The teacher .*Wrong of wrn_10_1, altered cannot label images: KeyError"):
        label(store, _as(Wrong)(load(run[1])), gen=1)


def test_a_module_with_hooks_is_known_by_its_answers_too() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 10))
    store = Store.create("mem://hooked-module", [str(i) for i in range(10)])
    store.add_arrays(*digits(15))
    seen = {"image_size": 8, "crop_pct": 1.0, "mean": 0.0, "std": 1.0}
    label(store, net, gen=1, preprocess=seen, force=True)
    handle = net.register_forward_hook(lambda module, given, found: found * 3)
    with pytest.raises(GenerationError, match="teacher sha256"):
        label(store, net, gen=1, preprocess=seen, force=True)
    label(store, net, gen=2, preprocess=seen, force=True)
    assert store.labels(2).provenance["teacher_sha256_of"] == "answers"
    with torch.no_grad():
        net[1].bias.add_(1e-6)  # no answer shows it
    with pytest.raises(GenerationError, match="teacher sha256"):
        label(store, net, gen=2, preprocess=seen, force=True)
    handle.remove()

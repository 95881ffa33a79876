"""What is no teacher, and settings that mean nothing, are refused in words that say what may be given."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import refused
from conftest import digits

from nsdata import Store
from nsdata.errors import BadInput, ModelError
from training import label

_numbers = itertools.count()


@pytest.fixture
def store() -> Store:
    store = Store.create(f"mem://mistakes-{next(_numbers)}", ["cat", "dog"])
    store.add_arrays(digits(4)[0])
    return store


class Net(torch.nn.Module):
    """Any."""


@pytest.mark.parametrize("said", [{}, {"preprocess": {"image_size": 32}}, {"classes": ["cat", "dog"]}])
@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (5, "teacher is 5; a module or a function of images, a model that train returned, or a path was expected"),
        (0.5, "teacher is 0.5; a module or a function"),
        (b"best.pt", "teacher is b'best.pt'; a module or a function"),
        ([5], "teacher is 5; a module or a function"),
        (Net().state_dict(), "teacher is an OrderedDict; a module or a function"),
        (Net, "teacher is the class Net itself, which answers nothing; a module or a function"),
    ],
)
def test_what_is_no_teacher_is_named_and_what_one_is(store: Store, teacher: Any, words: str, said: Any) -> None:
    with pytest.raises(BadInput) as error:
        label(store, teacher, gen=1, **said)
    assert words in error.value.message
    assert "label(store, " in error.value.hint


@pytest.mark.parametrize("place", ["nowhere.pt", "no/such/folder/best.pt", Path("resnet50")])
def test_a_path_where_nothing_is_says_what_would_be_taken(store: Store, place: Any) -> None:
    with pytest.raises(ModelError) as error:
        label(store, place, gen=1)
    assert error.value.message.startswith(f"There is no model at {place}: a teacher's path is that of a run folder")
    assert "a Hugging Face folder, ONNX or TorchScript" in error.value.message
    assert Path(error.value.hint.removeprefix("ls ")).is_dir()


def test_without_a_teacher_nothing_is_said_of_it(store: Store) -> None:
    with pytest.raises(BadInput, match="No teacher is given: it is the store's own, and says all of itself; model"):
        label(store, gen=1, model="resnet18")
    with pytest.raises(ModelError, match="this store has no such model yet"):
        label(store, None, gen=1)


@pytest.mark.parametrize(
    ("setting", "words", "hint"),
    [
        ("foo=3", "no setting 'foo'", "--preprocess image_size=224"),
        ("=3", "no setting ''", "--preprocess image_size=224"),
        ("image_size=large", "image_size is 'large'", "--preprocess image_size=224"),
        ("crop_mode=middle", "crop_mode is 'middle'", "--preprocess crop_mode=center"),
        ("mean=1,2,3", "mean is '1,2,3'", "--preprocess mean='[0.485, 0.456, 0.406]'"),
        ("input_size=[3, 8, 9]", "(3, S, S) was expected", "--preprocess image_size=224"),
    ],
)
def test_a_setting_that_is_typed_is_mended_by_typing(
    setting: str, words: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Store.create("lake", ["cat", "dog"]).add_arrays(digits(4)[0])
    said = refused("label", "--gen", "1", "--teacher", "x.pt", "--preprocess", setting)
    assert words in said[0] and said[1] == hint
    Path("seen.toml").write_text("foo = 3\n")
    said = refused("label", "--gen", "1", "--teacher", "x.pt", "--preprocess", "seen.toml")
    assert said[0].startswith("seen.toml: Preprocessing has no setting 'foo'") and said[1].startswith("--preprocess ")

"""The hint that saves a view again holds all that the view was made of, and works as it is typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from commands import ok, refused
from conftest import digits

from nsdata import Store
from nsdata.errors import Conflict
from nsdata.views.command import again


@pytest.fixture
def labelled(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "lake", ["cat", "dog"])
    store.add_arrays(digits(12)[0])
    soft = [[0.2 + 0.05 * i, 0.8 - 0.05 * i] for i in range(12)]
    for gen in (1, 2):
        store.add_soft_labels(gen, [bytes(i).hex() for i in store.view().ids], soft)
    return store


@pytest.mark.parametrize(
    "words",
    [
        ["--gen", "2"],
        ["--gen", "2", "--select-gen", "1", "--min-confidence", "0.55", "--max-confidence", "0.9"],
        ["--gen", "2", "--agree", "1,2", "--where", "gen1_confidence > 0.5 and label is null", "--top", "3"],
        ["--gen", "1", "--sample", "4", "--per-class", "2", "--seed", "7"],
        ["--gen", "1", "--split", "train", "--per-class", "3"],
        ["--gen", "1", "--per-class", "90", "--max-repeats", "3"],
        ["--gen", "1", "--per-class", "90", "--max-repeats", "0"],
    ],
)
def test_the_hint_saves_the_view_that_was_asked_for(labelled: Store, words: list[str]) -> None:
    labelled.view(1).split("train").unlabelled().confident(0.3).top(2).save("mine")
    base = ["--store", labelled.url, "view", "mine", *words]
    _, hint = refused(*base)
    ok("--store", labelled.url, *shlex.split(hint)[1:])
    ok(*base)  # the very same is there now
    assert labelled.refresh().load_view("mine").gen == int(words[1])


def test_what_no_option_says_is_python(labelled: Store) -> None:
    for view in (
        labelled.view(1).split("train", "val").confident(0.5).balanced(2, seed=3),
        labelled.view(1).split("train", "val").confident(0.5).balanced(20, max_repeats=None),
        labelled.view(2, select_gen=1).agreeing([1, 2]).where("label is null").sample(3),
        labelled.view().split("train").unlabelled(),
    ):
        labelled.view(1).top(1).save("mine", replace=True)
        with pytest.raises(Conflict) as error:
            view.save("mine")
        assert error.value.hint.startswith("store.view(")
        eval(error.value.hint, {"store": labelled.refresh()})
        assert [s.recipe() for s in labelled.refresh().load_view("mine").steps] == [s.recipe() for s in view.steps]


def test_a_mask_and_strange_steps_are_left_out(labelled: Store) -> None:
    view = labelled.view(1).split("train").unlabelled()
    cut = view.only([True] * len(view), "all").named("mine")
    assert again(cut.recipe) == "nsdata view mine --gen 1 --replace"
    assert again({**view.recipe, "steps": [{"kind": "colour"}]}) == "nsdata views"

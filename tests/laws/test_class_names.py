"""to_pandas() with the classes' names: those of the store, of all its classes, null where there is no label."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import CLASSES, digits, soft_labels

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.labels import labelling

NAMES = ("<b>zero</b>", *CLASSES[1:])


@pytest.fixture(scope="module")
def sealed() -> Store:
    """60 labelled and 140 unlabelled digits, with two generations that disagree."""
    store = Store.create(f"mem://names-{uuid.uuid4().hex}", NAMES)
    images, labels = digits(200)
    labels[60:] = -1
    store.add_arrays(images, labels)
    for gen in (1, 2):
        run = labelling.begin(store, gen, {})
        for part in run.parts:
            with labelling.PartWriter(part) as writer:
                writer.write(soft_labels(part.rows, 10, 1000 * gen + part.start))
        run.seal({})
    return store.refresh()


def _names(codes: np.ndarray, store: Store) -> list[Any]:
    return [store.classes[code] if code >= 0 else None for code in codes]


def _given(column: pd.Series[Any]) -> list[Any]:
    return [None if pd.isna(value) else value for value in column]


def test_labels_and_views_give_class_names(sealed: Store) -> None:
    store, labels = sealed, sealed.labels(2)
    plain, named = labels.to_pandas(), labels.to_pandas(class_names=True)
    assert list(plain) == list(named) and plain["label"].dtype == "Int32"
    assert _given(named["pseudo_label"]) == _names(labels.pseudo, store)
    assert _given(named["label"]) == _names(store.table.label[labels.rows], store) and None in _given(named["label"])
    for column in ("label", "pseudo_label"):  # all classes, in their order, and their indices as codes
        assert tuple(named[column].cat.categories) == NAMES
        assert (named[column].cat.codes == plain[column].fillna(-1)).all()
    others = ["id", "split", "source", "confidence"]
    pd.testing.assert_frame_equal(plain[others], named[others])

    view = store.view(gen=2).split("train").unlabelled().confident(0.3).balanced(12)
    named = view.to_pandas(class_names=True)
    assert list(named) == list(view.to_pandas()) and len(named) == len(view)
    assert _given(named["pseudo_label"]) == _names(labels.all_pseudo[view.rows], store)
    assert named["label"].isna().all() and tuple(named["label"].cat.categories) == NAMES
    people = store.view().to_pandas(class_names=True)
    assert "pseudo_label" not in people and _given(people["label"]) == _names(store.view().labels, store)
    assert (named["pseudo_label"] == "1").sum() == 12  # a text compares with it


def test_a_diff_gives_names_or_indices(sealed: Store) -> None:
    diff = sealed.diff("gen-1", "gen-2")
    named, plain = diff.to_pandas(), diff.to_pandas(class_names=False)
    assert list(named) == list(plain) == ["id", "old", "new", "confidence_old", "confidence_new"]
    for word in ("old", "new"):
        codes = getattr(diff.flipped, word)
        assert plain[word].tolist() == codes.tolist() and len(codes) > 100
        assert named[word].tolist() == [NAMES[code] for code in codes] == diff.to_arrow()[word].to_pylist()
        assert tuple(named[word].cat.categories) == NAMES
    same = sealed.diff("gen-2", "gen-2").to_pandas()
    assert len(same) == 0 and list(same) == list(named)


def test_a_query_gives_class_names_where_its_columns_are_class_indices(sealed: Store) -> None:
    sql = "select id, gen2_pseudo_label, label, class, label, gen1_confidence from images order by id"
    result = sealed.query(sql)
    plain, named = result.to_pandas(), result.to_pandas(class_names=True)
    assert list(named) == list(plain) == ["id", "gen2_pseudo_label", "label", "class", "label_1", "gen1_confidence"]
    assert _given(named["label"]) == _given(named["label_1"]) == _given(plain["class"])
    names = [row["gen2_class"] for row in sealed.query("select gen2_class from images order by id")]
    assert _given(named["gen2_pseudo_label"]) == names and tuple(named["label"].cat.categories) == NAMES
    alone = sealed.query("select label from images where label is null").to_pandas(class_names=True)
    assert len(alone) > 0 and alone["label"].isna().all()
    assert sealed.query("select label from images where false").to_pandas(class_names=True).shape == (0, 1)
    for wrong in ("count(*) as label", "'cat' as label", "-2 as label", "avg(label) as gen1_pseudo_label"):
        with pytest.raises(BadInput, match="were expected"):
            sealed.query(f"select {wrong} from images").to_pandas(class_names=True)
    infinite = "select union_value(a := 1) as u, date '10000-01-01' as d, label from images limit 2"
    assert list(sealed.query(infinite).to_pandas(class_names=True)) == ["u", "d", "label"]


def test_class_names_is_a_flag(sealed: Store) -> None:
    for thing in (sealed.labels(1), sealed.view(gen=1), sealed.diff(1, 2), sealed.query("select label from images")):
        with pytest.raises(BadInput, match="class_names is 'no'; True or False was expected"):
            thing.to_pandas(class_names="no")  # type: ignore[union-attr]

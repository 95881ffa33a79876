"""What a part keeps of a soft label, what reading it back gives, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata import Store
from nsdata.errors import BadInput, BadLabels, GenerationError, StoreTooNew
from nsdata.labels.codec import Codec
from nsdata.labels.invariants import check_columns, check_probabilities
from nsdata.labels.labels import Labels
from nsdata.log.parts import Part, Piece
from nsdata.log.state import Generation
from nsdata.storage import writing


def _labels(classes: int, seed: int) -> np.ndarray:
    """(12, K) float32: all degrees of certainty, with the rows that are hard to get right among them."""
    soft = soft_labels(12, classes, seed)
    soft[0] = np.eye(classes, dtype=np.float32)[seed % classes]
    soft[1] = np.float32(1) / classes
    soft[2] = 0
    soft[2, -2:] = 0.5
    soft[3, :] = 1e-30  # what softmax leaves of a teacher who is certain
    soft[3, seed % classes] = 1
    soft[4, :] = 1e-7 / classes
    soft[4, seed % classes] = 1 - 1e-7
    return soft


def _oracle(soft: np.ndarray, columns: dict[str, np.ndarray], read: np.ndarray, top: int) -> np.ndarray:
    """KL(p ‖ q) class by class in float64; where float16 reads 0, q before it is rounded."""
    lost = []
    for row, (p32, q16) in enumerate(zip(soft, read, strict=True)):
        p, kept = p32.astype(np.float64), columns["top_class"][row].tolist()
        others = [c for c in range(len(p)) if c not in kept]
        unrounded = {c: p[c] for c in kept} | {c: p[others].sum() / len(others) for c in others}
        q = np.array([float(q16[c]) or unrounded[c] for c in range(len(p))])
        p, q = p / p.sum(), q / q.sum()
        lost.append(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))
    return np.array(lost)


@given(st.integers(2, 60), st.data())
@settings(max_examples=150, deadline=None)
def test_top_k_obeys_its_laws(classes: int, data: st.DataObject) -> None:
    top, seed = data.draw(st.integers(1, classes - 1)), data.draw(st.integers(0, 10_000))
    codec, soft = Codec.of(top, classes), _labels(classes, seed)
    columns = codec.encode(soft)
    read = codec.decode(columns, classes)
    check_columns(codec, columns, classes)
    assert {name: (values.dtype.name, values.shape[1:]) for name, values in columns.items()} == {
        name: (spec.type, (spec.width,) if spec.width else ()) for name, spec in codec.schema(classes).items()
    }
    assert (read.dtype, read.shape) == (np.float16, soft.shape)
    assert np.abs(read.sum(1, dtype=np.float64) - 1).max() < 1e-3
    assert (columns["pseudo_label"] == soft.argmax(1)).all()
    assert (columns["confidence"] == soft.max(1)).all()
    order = np.argsort(-soft, axis=1, kind="stable")[:, :top]  # of equal ones the lower class first
    assert (columns["top_class"] == order).all()
    kept = np.take_along_axis(read, order, 1)
    assert (kept == np.take_along_axis(soft, order, 1).astype(np.float16)).all()
    assert (read.max(1) == kept[:, 0]).all()  # what was not kept is spread below what was
    np.put_along_axis(read_others := read.copy(), order, np.float16(0), 1)
    assert (read_others.max(1) <= kept[:, -1]).all()
    assert (columns["kl"] >= 0).all()
    assert np.abs(columns["kl"] - _oracle(soft, columns, read, top)).max() < 2e-6


@given(st.integers(2, 60), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_all_but_one_class_is_all_of_them(classes: int, seed: int) -> None:
    soft = _labels(classes, seed)
    columns = Codec(classes - 1).encode(soft)
    assert (Codec(classes - 1).decode(columns, classes) == soft.astype(np.float16)).all()
    assert columns["kl"].max() < 2e-6


@given(st.integers(2, 60), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_dense_is_float16(classes: int, seed: int) -> None:
    soft = _labels(classes, seed)
    columns = Codec().encode(soft)
    check_columns(Codec(), columns, classes)
    assert list(columns) == ["soft_label", "pseudo_label", "confidence"] == list(Codec().schema(classes))
    assert (Codec().decode(columns, classes).view(np.uint16) == soft.astype(np.float16).view(np.uint16)).all()


def test_dense_rounds_as_the_processor_does() -> None:
    """Every float16 from 0 to 1, the middles between them, and the float32 next to these."""
    halves = np.arange(0x3C01, dtype=np.uint16).view(np.float16).astype(np.float32)
    middles = (halves[1:] + halves[:-1]) / 2
    for values in (halves, middles, np.nextafter(middles, np.float32(2)), np.nextafter(middles, np.float32(0))):
        stored = Codec().encode(values.reshape(1, -1))["soft_label"]
        assert (stored.view(np.uint16) == values.astype(np.float16).view(np.uint16)).all()


def test_a_confident_label_keeps_what_float16_would_round_away() -> None:
    soft = np.full((1, 1000), 1e-4 / 999, np.float32)
    soft[0, 7] = 0.9999
    columns = Codec(1).encode(soft)
    assert columns["top_probability"][0, 0] == 1  # 1 - 1 would leave nothing to spread
    assert columns["residual"][0] == pytest.approx(1e-4, rel=1e-5)
    assert Codec(1).decode(columns, 1000)[0, 0] > 0


def test_what_is_spread_never_rounds_above_what_was_kept() -> None:
    kept, residual = np.array([[0.25]], np.float16), np.array([0.7506], np.float32)
    columns = {"top_class": np.array([[2]], np.int16), "top_probability": kept, "residual": residual}
    assert Codec(1).decode(columns, 4).tolist() == [[0.25] * 4]


def test_a_negative_zero_is_zero() -> None:
    columns = Codec(2).encode(np.array([[-0.0, 0.25, -0.0, 0.75]], np.float32))
    assert columns["top_class"].tolist() == [[3, 1]]
    check_columns(Codec(2), columns, 4)


def test_many_classes_are_numbered_in_int32() -> None:
    soft = soft_labels(3, 40_000, 0)
    codec = Codec.of(5, 40_000)
    columns = codec.encode(soft)
    assert columns["top_class"].dtype == np.int32
    check_columns(codec, columns, 40_000)
    assert (codec.decode(columns, 40_000).argmax(1) == soft.argmax(1)).all()
    assert Codec(5).schema(32_767)["top_class"].type == "int16"


def test_no_rows_are_no_rows() -> None:
    for codec in (Codec(), Codec(3)):
        columns = codec.encode(np.empty((0, 10), np.float32))
        check_columns(codec, columns, 10)
        assert codec.decode(columns, 10).shape == (0, 10)


def test_what_the_door_lets_in_the_seal_lets_through() -> None:
    """A teacher's bfloat16 sums to 1.0009: stored as 1.001, with a confidence of 1."""
    soft = check_probabilities(np.array([[1.0009, 0, 0], [0.9991, 0, 0], [0.333, 0.333, 0.333]], np.float32), 3, 3)
    for codec in (Codec(), Codec(1), Codec(2)):
        check_columns(codec, codec.encode(soft), 3)


def test_codecs_have_names_that_are_read_back() -> None:
    for codec, name in ((Codec(), "dense float16"), (Codec(10), "top-10 float16")):
        assert codec.name == name
        assert Codec.parse(name) == codec
    for unknown in ("dense bfloat16", "top-0 float16", "top-x float16", "top-3 float16 ", "", None):
        with pytest.raises(StoreTooNew, match="does not know"):
            Codec.parse(unknown)  # type: ignore[arg-type]


@pytest.mark.parametrize(("top", "said"), [(0, "at least 1"), (-3, "at least 1"), (10, "dense"), (2.5, "whole number")])
def test_a_top_that_cannot_be_is_refused(top: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Codec.of(top, 10)
    assert Codec.of(None, 10) == Codec()
    assert Codec.of(9, 10) == Codec(9)


def test_bytes_per_image() -> None:
    assert Codec().bytes_per_image(10) == 10 * 2 + 4 + 4
    assert Codec(10).bytes_per_image(1000) == 10 * (2 + 2) + 4 + 4 + 4 + 4
    assert Codec(10).bytes_per_image(40_000) == 10 * (4 + 2) + 4 + 4 + 4 + 4


def _put(column: str, value: Any, *place: int) -> Callable[[dict[str, np.ndarray]], None]:
    def spoil(columns: dict[str, np.ndarray]) -> None:
        columns[column][(17, *place)] = value

    return spoil


def _twice(columns: dict[str, np.ndarray]) -> None:
    columns["top_class"][17, 2] = columns["top_class"][17, 1]


def _next_class(columns: dict[str, np.ndarray]) -> None:
    columns["pseudo_label"][17] = (columns["pseudo_label"][17] + 1) % 10


@pytest.mark.parametrize(
    ("top", "spoil", "said"),
    [
        (None, _put("soft_label", np.nan, 3), "soft label of row 17 holds NaN"),
        (None, _put("confidence", np.inf), "row 17 holds NaN or infinity"),
        (None, _put("soft_label", -0.5, 3), "row 17 holds a probability outside"),
        (None, _put("soft_label", 0.9, 3), "row 17 sums to"),
        (None, _put("pseudo_label", 10), "pseudo-label of row 17 is 10"),
        (None, _put("confidence", 0.2), "confidence of row 17"),
        (None, _next_class, "row 17"),
        (3, _put("top_class", 10, 1), "class of row 17 is not one"),
        (3, _put("top_class", -1, 1), "class of row 17 is not one"),
        (3, _twice, "Row 17 stores a class twice"),
        (3, _next_class, "pseudo-label of row 17 is not its first"),
        (3, _put("top_probability", np.nan, 1), "row 17 holds NaN"),
        (3, _put("top_probability", 0, 1), "row 17 do not descend"),
        (3, _put("residual", -0.1), "residual of row 17 is -0.1"),
        (3, _put("residual", np.nan), "residual of row 17 is nan"),
        (3, _put("residual", 0.9), "row 17 and their residual sum to"),
        (3, _put("kl", np.nan), "divergence of row 17"),
        (3, _put("kl", -1e-3), "divergence of row 17"),
        (3, _put("confidence", 0.2), "confidence of row 17"),
    ],
)
def test_a_broken_law_and_its_row_are_named(
    top: int | None, spoil: Callable[..., None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nsdata.labels.invariants._BLOCK", 70)  # rows are counted on from block to block
    codec, soft = Codec.of(top, 10), soft_labels(30, 10, 1)
    soft[17] = np.array([1, 1, 4, 1, 1, 8, 1, 1, 1, 1], np.float32) / 20
    columns = codec.encode(soft)
    check_columns(codec, columns, 10)
    spoil(columns)
    with pytest.raises(BadLabels, match=said):
        check_columns(codec, columns, 10)


def test_a_column_of_another_shape_is_named() -> None:
    columns = Codec(3).encode(soft_labels(5, 10, 0))
    with pytest.raises(BadLabels, match="column top_class is int16 of shape"):
        check_columns(Codec(4), columns, 10)
    with pytest.raises(BadLabels, match="column kl is float64"):
        check_columns(Codec(3), {**columns, "kl": columns["kl"].astype(np.float64)}, 10)


@pytest.mark.parametrize("top", [None, 3])
def test_labels_are_read_from_pieces_with_gaps_between_the_parts(top: int | None, tmp_path: Path) -> None:
    """Rows 10 to 49 in three datasets, of which the first and second have more than counts; rows 70 to 89 in one."""
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(*digits(100))
    codec, soft = Codec.of(top, 10), soft_labels(100, 10, 5)
    columns = codec.encode(soft)
    for name, start, stop in (("a/0", 10, 30), ("a/1", 25, 45), ("a/2", 40, 50), ("b/0", 70, 90)):
        with writing.Writer(f"{store.url}/labels/{name}", codec.schema(10)) as writer:
            writer.append({column: values[start:stop] for column, values in columns.items()})
            writer.commit("labels")
    pieces = (Piece("labels/a/0", 15), Piece("labels/a/1", 15), Piece("labels/a/2", 10))
    parts = (Part("labels/a", 10, 40, {}, pieces), Part("labels/b", 70, 20, {}, (Piece("labels/b/0", 20),)))
    generation = Generation(1, 3, 2, "labels", parts, {"codec": codec.name}, {})
    labels = Labels(store.table, generation)
    rows = np.r_[10:50, 70:90]
    read = codec.decode(columns, 10)
    assert (labels.rows == rows).all()
    assert (labels.soft == read[rows]).all()
    assert (labels.pseudo == soft.argmax(1)[rows]).all()
    assert (labels.confidence == soft.max(1)[rows]).all()
    assert np.flatnonzero(labels.all_pseudo < 0).tolist() == np.flatnonzero(np.isnan(labels.all_confidence)).tolist()
    mixed = np.random.default_rng(0).choice(rows, 200)  # in any order, with repeats
    assert (labels.take(mixed) == read[mixed]).all()
    assert labels.take(rows[:0]).shape == (0, 10)
    known = labels.take_known(np.arange(100))
    assert (known[rows] == read[rows]).all()
    assert not known[50:70].any()
    for row, why in ((9, "left out"), (50, "left out"), (69, "left out"), (90, "came in later")):
        with pytest.raises(GenerationError, match=f"row {row}: it .*{why}"):
            labels.take(np.array([20, row, 80]))
    frame = labels.to_arrow()
    assert np.array(frame["soft_label"].to_pylist(), np.float16).tolist() == read[rows].tolist()


def test_a_generation_that_says_nothing_of_its_codec_is_dense(store: Store, seal: Callable[..., np.ndarray]) -> None:
    soft = seal(store, 1)  # by an identity without a codec
    assert (store.labels(1).soft == soft.astype(np.float16)).all()

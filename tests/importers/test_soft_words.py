"""Tables of soft labels as spreadsheets write them: understood, or refused in words, never read wrong."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import digits, soft_labels
from PIL import Image

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.importers.soft.blocks import names_of

_numbers = itertools.count()


@pytest.fixture
def store() -> Store:
    store = Store.create(f"mem://words-{next(_numbers)}", ["cat", "dog", "elk", "fox"])
    store.add_arrays(digits(3)[0])
    return store


def _given(store: Store, folder: Path, text: str | bytes, encoding: str = "utf-8") -> list[list[float]]:
    """The soft labels that a table becomes, ``ID0`` standing for an id."""
    for place, id_ in enumerate(store.table.ids):
        text = text.replace(f"ID{place}", bytes(id_).hex()) if isinstance(text, str) else text
    (folder / "x.csv").write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    store.add_soft_label_file(1, folder / "x.csv")
    return [[round(float(v), 3) for v in row] for row in store.labels(1).soft[:1]]


HEAD = "id,cat,dog,elk,fox\n"
HALVES = [[0.5, 0.5, 0.0, 0.0]]


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "ID0,5e-1,5E-1,0e0,+0.0\n",
        "\ufeff" + HEAD + "ID0,.5,0.50,0,0\n",
        (HEAD + "ID0,0.5,0.5,0,0\n").replace("\n", "\r\n"),
        (HEAD + "ID0,0.5,0.5,0,0\n").replace(",", ";"),
        (HEAD + "ID0,0.5,0.5,0,0\n").replace(",", "\t"),
        HEAD + "\nID0,0.5,0.5,0,0\n\nID1,,,,\n",
        "id,soft\nID0,0.5 0.5 0 0\n",
        'id,soft\nID0,"[0.5, 0.5, 0, 0]"\n',
        "id\tsoft\nID0\t0.5;0.5; 0;0\n",
    ],
)
def test_what_means_one_thing_is_understood(store: Store, tmp_path: Path, text: str) -> None:
    assert _given(store, tmp_path, text) == HALVES


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "id;cat;dog;elk;fox\nID0;0,5;0,5;0;0\n",
            "x.csv holds '0,5' where a number was expected: one has a decimal point",
        ),
        ("id;cat;dog;elk;fox\nID0;1;0;0;0\nID1;1,0;0,0;0,0;0,0\n", "x.csv holds '1,0' where a number was expected"),
        (HEAD + 'ID0,"0,5","0,5",0,0\n', "x.csv holds '0,5' where a number was expected"),
        (HEAD + "ID0,0,5,0,5,0,0\n", "has 7 cells, and its header 5."),
        (HEAD + "ID0,0.5\n", "has 2 cells, and its header 5."),
        (HEAD + 'ID0,"1,000.5",1,1,1\n', "x.csv holds '1,000.5' where a number was expected"),
        (HEAD + "ID0,1'000,1,1,1\n", "x.csv holds '1'000' where a number was expected: one has a decimal point"),
        (HEAD + "ID0,50%,50%,0%,0%\n", "x.csv holds '50%' where a number from 0 to 1 was expected: percent"),
        (HEAD + "ID0,1/2,1/2,0,0\n", "x.csv holds '1/2' where a number was expected."),
        (HEAD + "ID0,0.5,0.5,nan,0\n", "NaN, infinity or nothing"),
        (HEAD + "ID0,0.5,0.5,,0\n", "NaN, infinity or nothing"),
        ("id\tsoft\nID0\t1,0 0,0\n", "x.csv holds '1,0 0,0' where a number was expected: one has a decimal point"),
        ("id,soft\nID0,1 0,0 0\n", "A line of x.csv"),
        ('id,soft\nID0,"0,5;0,5;0,0;0,0"\n', "holds '0,5;0,5;0,0;0,0' where a number was expected: one has a decimal"),
        ("id,soft\nID0,1_0 0 0 0\n", "holds '1_0' where a number was expected."),
    ],
)
def test_what_means_another_number_is_refused_in_words(store: Store, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInput) as error:
        _given(store, tmp_path, text)
    assert words in error.value.message
    assert "conversion" not in error.value.message and "CSV column #" not in error.value.message
    assert not store.generations


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_another_encoding_is_named(store: Store, tmp_path: Path, encoding: str) -> None:
    with pytest.raises(BadInput, match="no CSV in UTF-8: it looks like UTF-16") as error:
        _given(store, tmp_path, HEAD + "ID0,0.5,0.5,0,0\n", encoding)
    assert error.value.hint.startswith("iconv -f UTF-16")


def test_a_row_whose_id_and_path_are_of_two_images_is_refused(store: Store, tmp_path: Path) -> None:
    sources = store.table.sources()
    head = HEAD.replace("id,", "id,path,")
    bare = HEAD.replace("id,", "id,path,")
    with pytest.raises(BadInput) as error:
        _given(store, tmp_path, head + f"ID0,{sources[0]},1,0,0,0\nID1,{sources[2]},0,1,0,0\n")
    assert bytes(store.table.ids[1]).hex() in error.value.message and "names two images" in error.value.message
    assert f"that is {sources[1]}" in error.value.message and f"'{sources[2]}' is the image" in error.value.message
    assert not store.generations
    text = f"ID0,{sources[0]},0.5,0.5,0,0\nID1,/elsewhere/1.png,1,0,0,0\n,{sources[2]},1,0,0,0\n"
    assert _given(store, tmp_path, bare + text) == HALVES  # one that nothing is called says nothing
    assert store.generations[1].rows == 3


@pytest.mark.parametrize("form", ["columns", "npz"])
def test_classes_that_differ_in_case_are_taken_with_a_notice_and_others_are_offered(
    store: Store, tmp_path: Path, form: str
) -> None:
    import numpy as np

    ids = [bytes(id_).hex() for id_ in store.table.ids]

    def give(classes: list[str]) -> list[str]:
        notes: list[str] = []
        file = tmp_path / ("x.npz" if form == "npz" else "x.csv")
        if form == "npz":
            np.savez(file, ids=np.array(ids, str), soft=np.eye(4)[:3], classes=np.array(classes, str))
        else:
            rows = [",".join([id_, *map(str, row)]) for id_, row in zip(ids, np.eye(4), strict=False)]
            file.write_text("\n".join([",".join(["id", *classes]), *rows]))
        store.add_soft_label_file(1, file, on_note=notes.append, replace=True)
        return notes

    assert give(["Fox", "ELK", "dog", "Cat"]) == ["matched without case: Fox → fox, ELK → elk, Cat → cat"]
    assert store.labels(1).pseudo.tolist() == [3, 2, 1]
    assert give(["fox", "elk", "dog", "cat"]) == []
    for classes in (["Fox", "FOX", "dog", "cat"], ["cat", "Cat", "dog", "elk"]):
        with pytest.raises(BadInput):
            give(classes)
    store.add_classes(["polar bear"])
    with pytest.raises(BadInput) as error:
        give(["fox", "elk", "dog", "polar_bear"])
    assert error.value.hint == "if these are the same, name them as the store does: polar bear for polar_bear"


def test_a_path_that_several_have_agrees_where_one_is_meant(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    for place, name in enumerate(["cat", "dog"]):
        (tmp_path / "p" / name).mkdir(parents=True)
        Image.fromarray(np.full((4, 4, 3), 99 * place, np.uint8)).save(tmp_path / "p" / name / "0.png")
    store = Store.create(tmp_path / "lake", ["cat", "dog"])
    store.add_folder(tmp_path / "p")
    ids = [bytes(id_).hex() for id_ in store.table.ids]
    (tmp_path / "x.csv").write_text(f"id,path,cat,dog\n{ids[0]},0.png,1,0\n{ids[1]},0.png,0,1\n")
    assert store.add_soft_label_file(1, tmp_path / "x.csv").images == 2


RAW = [bytes(range(200, 216)), b"img_00000001.jpg"]  # the second could be a name; beside the first it is an id
NUL = b"\xff" + bytes(15)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"img_00000001.jpg", b"img_1.jpg"], ["img_00000001.jpg", "img_1.jpg"]),
        ([b"img_00000001.jpg"], ["img_00000001.jpg"]),
        (["фото_001.png".encode(), None], ["фото_001.png", None]),
        (RAW, [RAW[0].hex(), RAW[1].hex()]),
        ([RAW[0], NUL.rstrip(b"\0")], [RAW[0].hex(), NUL.hex()]),  # as numpy gives them back
        ([RAW[0], b"7.png"], [RAW[0].hex(), "7.png"]),
        ([{"path": b"img_00000001.jpg"}, {"path": "b.png"}, 7], ["img_00000001.jpg", "b.png", "7"]),
    ],
)
def test_bytes_name_images_as_texts_do_or_are_raw_ids(values: list[object], expected: list[str | None]) -> None:
    assert names_of(values) == expected


@pytest.mark.parametrize("kind", ["npz", "parquet"])
@pytest.mark.parametrize("key", ["id", "path"])
def test_a_column_of_bytes_names_every_image(tmp_path: Path, key: str, kind: str) -> None:
    store = Store.create(f"mem://bytes-{next(_numbers)}", ["cat", "dog", "elk", "fox"])
    names = ["img_00000001.jpg", "img_00000002.jpg", "фото_001.png", "b.png"]
    for name, image in zip(names, digits(4)[0], strict=True):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "in" / name, "PNG")
    store.add_folder(tmp_path / "in", labelled=False)
    said = [bytes(id_) for id_ in store.table.ids] if key == "id" else [s.encode() for s in store.table.sources()]
    soft = soft_labels(4, 4, 0)
    if kind == "npz":
        np.savez(file := tmp_path / "p.npz", **{f"{key}s": np.array(said), "soft": soft})
    else:
        pd.DataFrame({key: said, "soft": list(soft)}).to_parquet(file := tmp_path / "p.parquet")
    given = store.add_soft_label_file(1, file)
    assert given.images == 4 and np.abs(store.labels(1).soft - soft).max() < 1e-3


def test_a_tensor_of_bfloat16_is_told_how_to_become_an_array(store: Store) -> None:
    torch = pytest.importorskip("torch")
    soft = torch.full((3, 4), 0.25, dtype=torch.bfloat16)
    names = [bytes(id_).hex() for id_ in store.table.ids]
    with pytest.raises(BadInput, match="a tensor of bfloat16") as error:
        store.add_soft_labels(1, names, soft)
    assert error.value.hint == "tensor.detach().cpu().float().numpy()"
    store.add_soft_labels(1, names, soft.detach().cpu().float().numpy())
    with pytest.raises(BadInput, match="a tensor that") as error:
        store.add_soft_labels(2, names, torch.full((3, 4), 0.25, requires_grad=True))
    assert error.value.hint == "tensor.detach().cpu().numpy()"


def test_a_file_is_read_as_what_it_is_whatever_it_is_called(store: Store, tmp_path: Path) -> None:
    names, soft = [bytes(id_).hex() for id_ in store.table.ids], soft_labels(3, 4, 0)
    pd.DataFrame({"id": names, "soft": list(soft)}).to_parquet(tmp_path / "a.csv")
    np.savez(tmp_path / "a.npz", ids=np.array(names), soft=soft)
    (tmp_path / "a.npz").rename(tmp_path / "b.csv")
    for gen, name in enumerate(("a.csv", "b.csv"), 1):
        store.add_soft_label_file(gen, tmp_path / name)
        assert np.abs(store.labels(gen).soft - soft).max() < 1e-3


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\x1f\x8b\x08\0" + bytes(30), "packed by gzip"),
        (b"PK\x05\x06" + bytes(18), "no text"),
        (b"\x93NUMPY\x01\0", "a single array of numpy's"),
        (bytes([1, 0, 7, 9, 20]) * 40, "no text"),
    ],
)
def test_what_is_no_text_is_not_taken_for_utf_16(store: Store, tmp_path: Path, start: bytes, words: str) -> None:
    (tmp_path / "x.csv").write_bytes(start)
    with pytest.raises(BadInput, match=words) as error:
        store.add_soft_label_file(1, tmp_path / "x.csv")
    assert "iconv" not in error.value.hint and error.value.hint


def test_an_index_that_pandas_wrote_is_no_class_and_others_are_not_added_by_habit(store: Store, tmp_path: Path) -> None:
    assert _given(store, tmp_path, "Unnamed: 0,id,cat,dog,elk,fox\n0,ID0,.5,.5,0,0\n") == HALVES
    with pytest.raises(BadInput, match="has pred, y_true, which the store has not") as error:
        _given(store, tmp_path, "id,cat,dog,elk,fox,pred,y_true\nID0,.5,.5,0,0,0,1\n")
    assert error.value.hint == "leave out what is no class; if it is one, for ever: nsdata classes add pred y_true"

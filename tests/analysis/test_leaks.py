"""Copies of held-out images among those that train are found, other images are not, and nothing is changed."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import ok, refused, run
from conftest import CLASSES, digits, jpeg, pixels, with_vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from nsdata import Store
from nsdata.analysis import near, near_vectors
from nsdata.arithmetic.hamming import Index
from nsdata.errors import BadInput, NotFound
from nsdata.images import fingerprint
from nsdata.importers import Item

words = st.integers(0, 2**63 - 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(words, words), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 99), st.sets(st.integers(0, 62), max_size=14), words), max_size=20),
    st.sampled_from([3, 4, 5]),
    st.integers(1, 1 << 20),
)
def test_codes_that_differ_in_few_bits_are_those_of_brute_force(
    known: list[tuple[int, int]], asked: list[tuple[int, set[int], int]], bands: int, piece: int
) -> None:
    codes = np.array(known, np.uint64)
    queries = codes[[place % len(known) for place, _, _ in asked]].reshape(-1, 2)
    queries[:, 0] ^= np.array([sum(1 << bit for bit in bits) for _, bits, _ in asked], np.uint64)
    every = {
        (q, t): tuple((int(a) ^ int(b)).bit_count() for a, b in zip(queries[q], codes[t], strict=True))
        for q in range(len(queries))
        for t in range(len(codes))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nsdata.arithmetic.hamming._PIECE", piece)
        parts = list(Index(codes, bands).near(queries, 12, 40))
    found = [(int(q), int(t), int(d)) for part in parts for q, t, d in zip(*part, strict=True)]
    assert len({(q, t) for q, t, _ in found}) == len(found)
    assert all(every[q, t][0] <= 12 and sum(every[q, t]) == d <= 40 for q, t, d in found)
    sure = {pair for pair, (first, second) in every.items() if first < 2 * bands and first + second <= 40}
    assert sure <= {(q, t) for q, t, _ in found}


def test_of_many_codes_only_some_are_compared_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsdata.arithmetic.hamming._PIECE", 1 << 14)
    monkeypatch.setattr("nsdata.arithmetic.hamming._QUERIES", 64)
    codes = np.full((20_000, 2), 5, np.uint64)  # all in one bucket
    codes[:, 0] ^= np.uint64(1) << np.arange(20_000, dtype=np.uint64) % np.uint64(16)
    index = Index(codes)
    queries = np.zeros((32, 2), np.uint64)  # 640,000 pairs that agree in three bands
    queries[:, 0] = (1 << 16) - 1
    tracemalloc.start()
    assert not list(index.near(queries, 4, 40))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_where_very_many_codes_are_alike_a_query_meets_some_and_its_own_first() -> None:
    random = np.random.default_rng(0)
    codes = np.full((20_000, 2), 5, np.uint64)
    codes[10_000:, 0] ^= random.integers(0, 1 << 8, 10_000).astype(np.uint64) << np.uint64(20)
    found = {int(q): int((d == 0).sum()) for q, _, d in _each(Index(codes).near(codes[[0, 19_999]], 14, 30))}
    met = sum(len(q) for q, _, _ in Index(codes).near(codes[[0, 19_999]], 14, 30))
    assert found[0] >= 256 and found[1] >= 10 and met < 2 * 4 * 17 * 256


def _each(parts: Iterator[tuple[np.ndarray, ...]]) -> Iterator[tuple[np.ndarray, ...]]:
    for q, t, d in parts:
        for one in np.unique(q):
            yield one, t[q == one], d[q == one]


@pytest.mark.parametrize("within", [False, True])
def test_among_pictures_that_are_nearly_all_the_same_each_has_eight_and_memory_is_bounded(within: bool) -> None:
    random = np.random.default_rng(0)
    hashed = np.repeat(random.integers(0, 1 << 63, (3, 10, 2), np.uint64), 1_000, 0)
    hashed[:, 0, 0] ^= np.uint64(1) << random.integers(0, 63, len(hashed)).astype(np.uint64)
    split = np.where(np.arange(len(hashed)) % 20, 0, 2)
    every = np.arange(len(hashed))
    few = every if within else every[split > 0]
    tracemalloc.start()
    found = near._candidates(hashed, every, few, None if within else split)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(np.bincount(found.of, minlength=len(every)), 8 * np.isin(every, few))
    assert (found.what // 64).max() <= 2 and peak < 100 << 20


@pytest.fixture(scope="module")
def photos(shared: Path) -> list[Image.Image]:
    """Photographs, all different."""
    with tarfile.open(shared / "imagenette" / "val.tar") as tar:
        names = [name for name in tar.getnames() if name.lower().endswith((".jpg", ".jpeg"))][::10]
        return [Image.open(io.BytesIO(tar.extractfile(name).read())).convert("RGB") for name in names]  # type: ignore[union-attr]


def _saved(image: Image.Image, kind: str) -> bytes:
    width, height = image.size
    if kind == "png":
        file = io.BytesIO()
        image.save(file, "png")
        return file.getvalue()
    changed = {
        "jpeg 30": lambda: image,
        "half": lambda: image.resize((width // 2, height // 2)),
        "crop": lambda: image.crop((width // 20, height // 12, width // 20 + 9 * width // 10, height)),
        "mirror": lambda: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "dark": lambda: ImageEnhance.Brightness(image).enhance(0.8),
        "bright": lambda: ImageEnhance.Brightness(image).enhance(1.2),
    }[kind]()
    return jpeg(changed, quality=30 if kind == "jpeg 30" else 90)


KINDS = {"jpeg 30": "same picture", "half": "same picture", "crop": "part", "mirror": "same picture",
         "dark": "same picture", "bright": "same picture", "png": "same pixels"}  # fmt: skip


@pytest.fixture(scope="module")
def lake(photos: list[Image.Image]) -> Store:
    """50 photographs: 7 each for train and test under every kind of change, one picture of one colour in both."""
    store = Store.create(f"mem://leaks-{uuid.uuid4().hex}", ["a", "b"])
    items = [Item(f"{n:02}.jpg", jpeg(image), n % 2, "train") for n, image in enumerate(photos[:40])]
    items += [Item(f"{n:02}.jpg", jpeg(image), 0, "test") for n, image in enumerate(photos[40:], 40)]
    for n, kind in enumerate(KINDS):
        original = Image.open(io.BytesIO(items[n].data)).convert("RGB")
        items.append(Item(f"{kind}.test", _saved(original, kind), 0, "test"))
    items.append(Item("val.jpg", _saved(photos[45], "jpeg 30"), None, "val"))
    items.append(Item("again.jpg", _saved(photos[20], "jpeg 30"), None, "train"))
    items += [Item(f"flat {split}", _saved(Image.new("RGB", (40, 40 + n), "red"), "png"), None, split)
              for n, split in enumerate(("train", "test"))]  # fmt: skip
    store.add_items(lambda: items, source="photos")
    return store


def test_planted_copies_are_found_and_nothing_else(lake: Store) -> None:
    version = lake.version
    found = lake.leaks()
    planted = {(f"{kind}.test", f"{n:02}.jpg"): kind for n, kind in enumerate(KINDS)}
    pairs = {(pair.one.source, pair.other.source): pair for pair in found.pairs}
    assert set(pairs) == {*planted, ("45.jpg", "val.jpg")}
    for sources, kind in planted.items():
        pair = pairs[sources]
        assert (pair.kind, pair.mirrored) == (KINDS[kind], kind == "mirror")
        assert (pair.one.split, pair.other.split) == ("test", "train")
        assert pair.agree == (int(sources[1][:2]) % 2 == 0)
    assert pairs["45.jpg", "val.jpg"].agree is None
    counts = {(c.split, c.other): (c.images, c.pairs, c.differ) for c in found.counts}
    assert counts == {("test", "train, labelled"): (7, 7, 3), ("test", "val"): (1, 1, 0)}
    assert found.images == {"train": 42, "val": 1, "test": 18}
    assert lake.refresh().version == version


def test_within_splits_it_is_looked_for_on_request(lake: Store) -> None:
    more = {(p.one.source, p.other.source) for p in lake.leaks(within=True).pairs}
    assert more - {(p.one.source, p.other.source) for p in lake.leaks().pairs} == {("20.jpg", "again.jpg")}


def test_without_the_images_to_drop_no_pair_is_left(photos: list[Image.Image]) -> None:
    store = Store.create(f"mem://leaks-{uuid.uuid4().hex}", ["a", "b"])
    kinds = ((90, "train"), (60, "train"), (30, "test"))
    items = [Item(f"{n}-{q}.jpg", jpeg(image, quality=q), n % 2, split)
             for n, image in enumerate(photos[:3]) for q, split in kinds]  # fmt: skip
    store.add_items(lambda: items, source="photos")
    found = store.leaks(within=True)
    assert len(found.pairs) == 9
    store.remove(found.surplus)
    assert not store.leaks(within=True).pairs
    assert len(store.view().split("test")) == 3


def test_of_very_many_pairs_the_best_are_listed_and_all_are_counted(
    lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lake.leaks(within=True)
    monkeypatch.setattr("nsdata.analysis.leaks._LISTED", 2)
    some = lake.leaks(within=True)
    assert [p.likeness for p in some.pairs] == [p.likeness for p in whole.pairs[:2]]
    assert (some.found, some.counts, some.surplus) == (len(whole.pairs), whole.counts, whole.surplus)
    assert some.leaking == whole.leaking == {"train": 7, "val": 1, "test": 8}
    assert dict(some.lines())["listed"] == "the 2 pairs that are most alike"
    assert "listed" not in dict(whole.lines()) and whole.found == len(whole.pairs)


@pytest.mark.parametrize("candidates", [3, 1 << 22])
def test_it_is_the_same_in_small_pieces(lake: Store, monkeypatch: pytest.MonkeyPatch, candidates: int) -> None:
    whole = lake.leaks(within=True)
    monkeypatch.setattr(near, "_HELD", candidates)
    monkeypatch.setattr(near, "_TOGETHER", 4)
    monkeypatch.setattr(near, "_PIECE", 3)
    monkeypatch.setattr(near, "_BATCH", 7)
    monkeypatch.setattr(near, "_BANDS", ((1, 5), (np.inf, 3)))
    again = lake.leaks(within=True)
    assert [(p.one, p.other, p.kind) for p in again.pairs] == [(p.one, p.other, p.kind) for p in whole.pairs]
    assert [p.likeness for p in again.pairs] == pytest.approx([p.likeness for p in whole.pairs], abs=1e-4)


def test_digits_that_people_write_alike_are_not_the_same() -> None:
    store = Store.create(f"mem://leaks-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(400)
    store.add_arrays(images[:300], labels[:300], source="train")
    store.add_arrays(images[300:], labels[300:], split="test", source="test")
    assert len(store.leaks(likeness=0.8).pairs) > 50
    found = store.leaks()
    assert found.least > 0.9 and "look much alike" in str(found)
    assert len(found.pairs) <= 2


def test_the_code_of_a_mirrored_picture_is_that_of_the_picture_mirrored() -> None:
    pictures = np.random.default_rng(0).uniform(0, 255, (5, 32, 32)).astype(np.float32)
    codes, mirrored = fingerprint.codes(pictures), fingerprint.codes(pictures[:, :, ::-1])
    opposite = [0, 3, 2, 1, 6, 5, 4, 9, 8, 7]
    assert np.bitwise_count(codes ^ fingerprint.MIRROR ^ mirrored[:, opposite]).sum() <= 2  # signs of rounding
    assert fingerprint.is_flat(np.full((1, 32, 32), 7.0)).all() and not fingerprint.is_flat(pictures).any()


def test_a_crop_is_measured(photos: list[Image.Image]) -> None:
    small = [np.asarray(image.resize((32, 32), Image.Resampling.BOX))[None] for image in
             (photos[3], photos[3].crop((12, 6, 212, 218)))]  # fmt: skip
    one, other = (fingerprint.grey(picture) for picture in small)
    alike, windows = fingerprint.likeness(one, other, fingerprint.WINDOWS[:1])
    width, height = photos[3].size
    assert alike[0] > 0.95
    np.testing.assert_allclose(windows[0], [6 / height, 218 / height, 12 / width, 212 / width], atol=0.02)


@pytest.fixture
def embedded(tmp_path: Path) -> Store:
    """Digits and their pixels as embeddings; two of test are nearly two of train, with a pixel off."""
    store = Store.create(tmp_path / "lake", CLASSES)
    images, labels = digits(120)
    test = images[100:].copy()
    test[:2] = images[:2]
    test[:2, 0, 0] += 8
    store.add_arrays(images[:100], labels[:100], source="train")
    store.add_arrays(test, labels[100:], split="test", source="test")
    return with_vectors(store, pixels(np.concatenate([images[:100], test])), "wrn")


def test_by_embeddings_the_nearest_are_those_of_brute_force(embedded: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = embedded.leaks(embeddings="wrn")
    assert {(p.one.source, p.other.source, p.kind) for p in found.pairs[:2]} == {
        ("test/0000", "train/0000", "alike"),
        ("test/0001", "train/0001", "alike"),
    }
    vectors = embedded.embeddings("wrn").vectors.astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = vectors[100:] @ vectors[:100].T
    nearest = np.sort(likeness, axis=1)
    away = 1 - np.median(nearest[:, -2])
    assert found.least == pytest.approx(1 - away / 5, abs=1e-5)
    line = np.clip(1 - 0.3 * (1 - nearest[:, -5]), 1 - away / 2, 1 - away / 5)
    assert len(found.pairs) == (likeness >= line[:, None]).sum() <= 3
    monkeypatch.setattr(near_vectors, "_VECTORS", 7)
    again = embedded.leaks(embeddings="wrn")
    assert [(p.one, p.other) for p in again.pairs] == [(p.one, p.other) for p in found.pairs]
    every = embedded.leaks(embeddings="wrn", within=True, likeness=0.97)
    likeness = np.triu(vectors @ vectors.T, 1)
    assert {(p.one.id, p.other.id) for p in every.pairs} | {(p.other.id, p.one.id) for p in every.pairs} >= {
        (bytes(embedded.table.ids[i]).hex(), bytes(embedded.table.ids[j]).hex())
        for i, j in zip(*np.nonzero(likeness > 0.9701), strict=True)
    }


def test_the_command_prints_pairs_ids_and_json(photos: list[Image.Image], tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", ["a", "b"])
    items = [Item(f"{n}.jpg", jpeg(image), n % 2, "train") for n, image in enumerate(photos[:4])]
    items += [Item("copy.jpg", _saved(photos[1], "mirror"), 0, "test"), Item("other.jpg", jpeg(photos[9]), 0, "test")]
    store.add_items(lambda: items, source="photos")
    answer = ok("--store", store.url, "leaks")
    assert "1 pair; without 1 image none is left" in answer
    assert "same picture, mirrored" in answer and "copy.jpg" in answer and "other.jpg" not in answer
    wrong = store.table.sources().index("1.jpg")
    (id_,) = ok("--store", store.url, "leaks", "--ids").split()
    assert id_ == bytes(store.table.ids[wrong]).hex()
    typed = next(line for line in answer.splitlines() if line.startswith("to drop them")).split("nsdata ")[1]
    plain = json.loads(ok("--store", store.url, "leaks", "--json"))
    assert plain["pairs"][0]["one"]["source"] == "copy.jpg" and plain["pairs"][0]["agree"] is False
    assert plain["surplus"] == [id_] and plain["images"] == {"train": 4, "val": 0, "test": 2}
    assert run("--store", store.url, "leaks", "--exit-code").exit_code == 3
    ok("--store", store.url, *typed.split())
    assert run("--store", store.url, "leaks", "--exit-code").exit_code == 0
    assert "none" in ok("--store", store.url, "leaks")


def test_of_many_to_drop_the_command_prints_how_to_pipe_them(lake: Store) -> None:
    words = dict(lake.leaks(likeness=0.86).lines())
    assert words["to drop them"] == "nsdata leaks --likeness 0.86 --ids | xargs nsdata remove"
    assert words["or to move them"].endswith("xargs nsdata split --to test")
    assert dict(lake.leaks(within=True).lines())["to drop them"] == "nsdata leaks --within --ids | xargs nsdata remove"


def test_what_cannot_be_is_refused(embedded: Store) -> None:
    with pytest.raises(BadInput, match="likeness is 2"):
        embedded.leaks(likeness=2)
    with pytest.raises(NotFound, match="no embeddings 'none'"):
        embedded.leaks(embeddings="none")
    message, hint = refused("--store", embedded.url, "leaks", "--likeness", "0")
    assert "likeness is 0" in message and hint


def test_where_nothing_is_held_out_nothing_is_compared() -> None:
    store = Store.create(f"mem://leaks-{uuid.uuid4().hex}", CLASSES)
    assert not store.leaks(within=True).pairs
    images, labels = digits(20)
    store.add_arrays(images, labels, source="train")
    assert "nothing can leak" in str(store.leaks())

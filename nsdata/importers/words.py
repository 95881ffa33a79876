"""What single names say: of a folder, a file, a member of an archive. levels.py looks at them together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import PurePath

from nsdata.errors import BadInput

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    # what is held out of everything is test, neither trained on nor chosen by: "evaluation" beside "training"
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "holdout", "heldout"), "test"),
    **dict.fromkeys(("unlabelled", "unlabeled", "extra"), "unlabelled"),
}
"""Split words, case-folded, and what they mean: "train", "val", "test"; "unlabelled": train, without labels."""

HELD_OUT = frozenset({"val", "test"})
_BESIDE = frozenset(
    {
        *("set", "sets", "data", "dataset", "split", "part", "images", "image", "imgs", "img", "pictures", "photos"),
        *("files", "folder"),
    }
)
"""What says nothing beside a split word: ``test set``, ``train_images``, ``TestImages``, ``testdata``."""

_YEAR = re.compile(r"(train|val|test)(19|20)\d\d$")  # COCO's train2017
_SHARD = re.compile(  # train-00000-of-00012, val-003, test0, val_shard_7, test-shard-000000-of-000001
    r"(([-_.](shard|part|chunk))?[-_.]\d+[-_]?of[-_]?\d+(-[0-9a-f]{8,64})?"
    r"|([-_. ]?(shard|part|chunk)?[-_. ]?\d+)+)$",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"(train|val|test)\d+$")  # test1_img
_WITHIN = re.compile(  # a split's word anywhere in a name: VOCtrainval_06, testb
    r"(training|trainval|train)|validation|valid|val|testing|test|development|dev|evaluation|eval|h[eo]ld_?out"
)
_CAMEL = re.compile(  # TrainImages, trainA; TESTData; VOCtest, VOCtrainval
    r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!train|test)[a-z])|(?<=[A-Z][A-Z])(?=train|test)"
)
_COPY = re.compile(r"(copy|copie|kopie|copia|of|v\d*|\d+|\d{8}t\d{6}z?)$")  # what a browser, Drive or a person adds
_ENDINGS = frozenset(
    {
        *("tar", "tgz", "tbz2", "txz", "tzst", "gz", "bz2", "xz", "zst", "zip", "npz", "npy", "parquet", "pq", "arrow"),
        *("snappy", "gzip", "zstd", "lz4", "brotli"),  # test.snappy.parquet
        *("csv", "tsv", "txt", "json", "jsonl", "ndjson", "jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"),
    }
)
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".lst", ".parquet", ".pq")
_OF_TABLES = frozenset(
    {
        *("label", "labels", "annotation", "annotations", "anno", "annos", "target", "targets", "answers", "solution"),
        *("list", "lists", "meta", "metadata", "info", "index", "gt", "truth", "groundtruth"),
    }
)
"""What a table is called beside its split word: ``test_labels.csv``, ``val_annotations.txt``."""

_QUALIFIERS = frozenset(
    {
        *("final", "new", "old", "small", "full", "mini", "tiny", "large", "raw", "clean", "original", "orig", "all"),
        *("resized", "cropped", "public", "private", "hidden", "only", "fixed", "labelled", "labeled"),
    }
)
"""What a part of a set may be called beside its split word: whether it is that part, nobody knows."""

PLAIN = frozenset(("images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "data", "jpegs"))
"""Folders that hold pictures and say nothing of them: Tiny ImageNet's ``images``."""

MASKS = frozenset(
    {
        *("mask", "masks", "seg", "segmentation", "segmentations", "depth", "heatmap", "heatmaps", "saliency"),
        *("thumb", "thumbs", "thumbnail", "thumbnails", "label", "labels", "annotation", "annotations"),
        *("gt", "ground_truth", "groundtruth", "trimap", "trimaps"),
    }
)
"""What lies beside photographs and is none: as a folder's name, or in an ending (``k.seg.png``)."""


SUNDRY = frozenset(
    {
        *("misc", "other", "others", "new", "old", "raw", "original", "originals", "augmented", "crops", "cropped"),
        *("unsorted", "unknown", "all", "small", "large"),
    }
)
"""Folders within those of classes which hardly name one, also where several classes have them."""


@lru_cache(maxsize=4096)  # asked of every row of a table
def split_word(name: str) -> str | None:
    """What a name means as a split if it is nothing but a split word: "train", "val", "test", "unlabelled"; else None.

    ``Training``, ``test set``, ``val_images``, ``TestImages``, ``testdata`` and ``train2017`` are; ``test_tubes`` and
    ``my_test`` are not.
    """
    return _split_word(name.casefold()) or _split_word(name)  # TESTset, TestSet


def _split_word(name: str) -> str | None:
    words = [word for word in _cut(name) if word not in _BESIDE]
    if words == ["held", "out"] or words == ["hold", "out"]:
        return "test"
    if words in (["no", "label"], ["no", "labels"]):  # CVAT's folder beside those of classes
        return "unlabelled"
    if len(words) != 1:
        return None
    word = words[0]
    if found := _YEAR.match(word):
        return SPLIT_WORDS[found[1]]
    parts = (word.removesuffix(end) for end in _BESIDE if word.endswith(end))
    return SPLIT_WORDS.get(word) or next((SPLIT_WORDS[part] for part in parts if part in SPLIT_WORDS), None)


def says_labelled(name: str) -> bool:
    """Whether a folder beside ``unlabelled/`` is called as what has labels: ``labelled``, ``labeled images``."""
    return [word for word in _cut(name) if word not in _BESIDE] in (["labelled"], ["labeled"])


def split_of_name(name: str) -> str | None:
    """What the name of a source, a file or a folder, says of its split; None for nothing.

    A whole word, or one with the numbers of a shard, the mark of a copy, a version or a date: ``test.tar``,
    ``Testing/``, ``train-00000-of-00012.parquet``, ``test (1).zip``, ``Copy of test.zip``, ``TEST_v2.zip``; of a table
    also ``test_labels.csv``. Raises
    BadInput for a name that may be a held-out part: it ends in its word, after others (``cifar10_test.tar``), or
    qualifies it (``test_final.zip``, ``testA``). It is one as likely as not, and pictures of a test set must not come
    into train.
    """
    base = PurePath(name).name
    words = [word for word in _words(base) if word not in _ENDINGS]
    if base.lower().endswith(_TABLES):
        words = [word for word in words if word not in _OF_TABLES]
    rest = [word for word in words if not _COPY.match(word)]
    if (found := split_word("_".join(words)) or split_word("_".join(rest))) is not None:
        return found
    last = words[-1] if words else ""
    word = last if SPLIT_WORDS.get(last) in (*HELD_OUT, "unlabelled") else _qualified(rest)
    if SPLIT_WORDS.get(word, "train") != "train":
        way = "--unlabelled, or --split train" if SPLIT_WORDS[word] == "unlabelled" else "--split test, val or train"
        raise BadInput(
            f"'{base}' may be a part called '{word}' or not; only a whole word names a split.",
            f"say which it is: {way}",
        )
    return None


def qualified(name: str) -> str:
    """The split word of a folder's name that has nothing else but what qualifies or counts it: "train" of ``trainA``,
    "test" of ``test (1)``, ``Test 2``; "" for none, and where the name is a split."""
    words = [word for word in _words(name) if not _COPY.match(word)]
    return _qualified(words) if split_word(name) is None else ""


def _qualified(words: Sequence[str]) -> str:
    said = [word for word in words if word in SPLIT_WORDS]
    others = [word for word in words if word not in said and word not in _BESIDE]
    return said[-1] if said and all(word in _QUALIFIERS or len(word) == 1 for word in others) else ""


def doubt_of_name(name: str) -> str:
    """The split word within a name that is not taken as its split (``test`` of ``test_tubes.tar``, ``testb.zip``); ""
    for none."""
    words = (re.sub(r"^test[a-z]$", "test", word) for word in _words(PurePath(name).name))
    return next((word for word in words if SPLIT_WORDS.get(word) not in (None, "train")), "")


def nearly(name: str) -> str:
    """The held-out split word of a folder that may be a part, though no whole word says so; "" for none.

    It ends in it (``my_test``), or has nothing else but what qualifies or counts it (``testA``, ``test (1)``).
    """
    last = _words(name)[-1:]
    word = last[0] if split_word(name) is None and last and last[0] in SPLIT_WORDS else qualified(name)
    return word if SPLIT_WORDS.get(word) in HELD_OUT else ""


def parted(names: Iterable[str]) -> list[str]:
    """Those of these names that differ in a split word only, train and one held out, wherever in the name it stands:
    ``seg_train``, ``seg_test``; ``trainA``, ``testA``; ``VOCtrainval.tar``, ``VOCtest.tar``."""
    found: dict[tuple[str, str], dict[str, bool]] = {}  # what is left of the names -> whether they say train
    for name in names:
        whole = "_".join(_words(name))
        for word in _WITHIN.finditer(whole):
            found.setdefault((whole[: word.start()], whole[word.end() :]), {})[name] = bool(word[1])
    return sorted({name for parts in found.values() if len({*parts.values()}) == 2 for name in parts})


def numbered(names: Iterable[str]) -> bool:
    """Whether folders are called as shards are, and so hardly after classes: ``shard-000``, ``00000``, ``00001``."""
    names = list(names)
    if all(re.fullmatch(r"(shard|part|chunk|batch)s?[-_. ]?\d+", name.strip(), re.IGNORECASE) for name in names):
        return True
    wide = all(re.fullmatch(r"\d{5,}", name) for name in names) and len(set(map(len, names))) == 1
    return wide and sorted(map(int, names)) == list(range(len(names)))


def name_words(name: str) -> list[str]:
    """The words of a file's name, without its folder and ending: "train", "images", "1" of ``TrainImages_1.txt``."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", PurePath(name).stem)
    return [word.casefold() for word in found]


def _words(name: str) -> list[str]:
    """The words of a name without the endings of files and the number of a shard."""
    name = name.strip()
    while (parts := name.rpartition("."))[0] and parts[2].casefold() in _ENDINGS:
        name = parts[0]
    return [_COUNTED.sub(r"\1", word) for word in _cut(_SHARD.sub("", name) or name)]


def _cut(name: str) -> list[str]:
    """A name's words, case-folded; a change from small to capital letters parts them, too."""
    return [word for word in re.split(r"[\W_]+", _CAMEL.sub(" ", name).casefold()) if word]

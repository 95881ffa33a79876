"""What single names say: of a folder, a file, a member of an archive. levels.py looks at them together."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    (
        "set",
        "data",
        "dataset",
        "split",
        "part",
        "images",
        "image",
        "imgs",
        "img",
        "pictures",
        "photos",
        "files",
        "folder",
    )
)
_YEAR = re.compile(r"(train|val|test)(19|20)\d\d$")  # COCO's train2017
_SHARD = re.compile(  # train-00000-of-00012, val-003, test0, val_shard_7
    r"([-_.]\d+[-_]?of[-_]?\d+(-[0-9a-f]{16})?|([-_. ]?(shard|part|chunk)?[-_. ]?\d+)+)$", re.IGNORECASE
)

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


def split_word(name: str) -> str | None:
    """What a name means as a split if it is nothing but a split word: "train", "val", "test", "unlabelled"; else None.

    ``Training``, ``test set``, ``val_images`` and ``train2017`` are; ``test_tubes`` and ``my_test`` are not.
    """
    words = [word for word in re.split(r"[\W_]+", name.strip().casefold()) if word and word not in _BESIDE]
    if words == ["held", "out"] or words == ["hold", "out"]:
        return "test"
    if len(words) != 1:
        return None
    word = words[0]
    if found := _YEAR.match(word):
        return SPLIT_WORDS[found[1]]
    return SPLIT_WORDS.get(word) or SPLIT_WORDS.get(word.removesuffix("set") if word.endswith("set") else "")


def split_of_name(name: str) -> str | None:
    """What the name of a source, a file or a folder, says of its split; None for nothing.

    A whole word, or one with the numbers of a shard: ``test.tar``, ``train-00000-of-00012.parquet``, ``Testing/``.
    Raises BadInput for a name that ends in the word for a held-out part, after others (``cifar10_test.tar``): it is one
    as likely as not, and pictures of a test set must not come into train.
    """
    stem = _stem(name)
    if (found := split_word(stem)) is not None:
        return found
    last = re.split(r"[\W_]+", stem.casefold())[-1]
    if SPLIT_WORDS.get(last) in (*HELD_OUT, "unlabelled"):
        way = "--unlabelled, or --split train" if SPLIT_WORDS[last] == "unlabelled" else "--split test, val or train"
        raise BadInput(
            f"'{PurePath(name).name}' may be a part called '{last}' or not; only a whole word names a split.",
            f"say which it is: {way}",
        )
    return None


def doubt_of_name(name: str) -> str:
    """The split word within a name that is not taken as its split (``test`` of ``test_tubes.tar``); "" for none."""
    words = re.split(r"[\W_]+", _stem(name).casefold())
    return next((word for word in words if SPLIT_WORDS.get(word) not in (None, "train")), "")


def nearly(name: str) -> str:
    """The held-out split word in which a folder's name ends though it is none by itself: "test" of ``my_test``; ""."""
    last = _words(name)[-1:]
    return last[0] if split_word(name) is None and last and SPLIT_WORDS.get(last[0]) in HELD_OUT else ""


def parted(names: Iterable[str]) -> list[str]:
    """Those of these names that differ in a split word only, train and one held out: ``seg_train``, ``seg_test``."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        words = _words(name)
        at = next((i for i, word in enumerate(words) if word in SPLIT_WORDS), None)
        if at is not None:
            found.setdefault((*words[:at], *words[at + 1 :]), {})[name] = SPLIT_WORDS[words[at]]
    return sorted(n for parts in found.values() if {"train"} < {*parts.values()} - {"unlabelled"} for n in parts)


def name_words(name: str) -> list[str]:
    """The words of a file's name, without its folder and ending: "train", "images", "1" of ``TrainImages_1.txt``."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", PurePath(name).stem)
    return [word.casefold() for word in found]


def _words(name: str) -> list[str]:
    bare = _SHARD.sub("", name.strip()) or name
    return [word for word in re.split(r"[\W_]+", bare.casefold()) if word]


def _stem(name: str) -> str:
    """A name without its endings and the number of a shard."""
    base = PurePath(name).name
    stem = base[: base.find(".", 1)] if "." in base[1:] else base
    return _SHARD.sub("", stem) or stem

"""How many of the labels that ``nsdata issues`` doubts are wrong, and how many of the wrong ones it finds.

    python benchmarks/issues.py --data DATA --out issues.jsonl

DATA is a folder with cifar10/ (CIFAR-10 as JPEG) and human-labels/ (CIFAR-10N, CIFAR-10H, cleanlab's reviewed errors).
Rows:
  CIFAR-10N        train images with labels by people (aggregate of three, or the worst of them), against the original
  CIFAR-10H        test images, each with the answer of one of the fifty people who saw it, drawn by a seed
  verified errors  test images with their original labels; the errors are those that reviewers confirmed
Judged by:
  patches          a probe of features that no label made: k-means of whitened patches, pooled in quarters of the image
                   (Coates, Lee & Ng 2011)
  pyx              cleanlab's own cross-validated probabilities of a good network, given as a generation
Beside it the plain baseline, the labels of the lowest probability; drawn at random, as many are wrong as of all. And
what cleanlab's other orders, filters and estimates would do with the same probabilities.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.count import num_label_issues
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from PIL import Image
from sklearn.cluster import MiniBatchKMeans

from nsdata import Store
from nsdata.analysis.issues import doubtful
from nsdata.analysis.out_of_sample import judgement
from nsdata.embeddings import embedding
from nsdata.importers.item import Item

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SIDE, CENTRES, AT_ONCE = 6, 256, 20  # pixels of a patch, centres of k-means, images at a time


def main() -> None:
    """All rows, one after the other."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--images", type=int, default=10_000, help="of the train split")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, required=True)
    args = options.parse_args()
    began, human = time.process_time(), args.data / "human-labels"
    train, test = (_listed(args.data, split)[:most] for split, most in (("train", args.images), ("test", None)))
    noisy, people = np.load(human / "cifar10n_train.npz"), np.load(human / "cifar10h_test.npz")
    place = {index: at for at, index in enumerate(noisy["index"].tolist())}
    known = np.asarray([place[index] for index, *_ in train])
    counts = people["counts"] / people["counts"].sum(1, keepdims=True)
    drawn = (np.random.default_rng(args.seed).random((len(counts), 1)) > counts.cumsum(1)).sum(1).clip(max=9)
    truth, theirs = (np.asarray([label for _, label, _ in some]) for some in (train, test))
    with tempfile.TemporaryDirectory() as folder, args.out.open("a", encoding="utf-8") as out:
        store = Store.create(f"{folder}/lake", CLASSES)
        aggregate, worst = noisy["aggre_label"][known], noisy["worse_label"][known]
        for split, rows, labels in (("train", train, aggregate), ("test", test, drawn)):
            store.add_items(lambda r=rows, n=labels, s=split: _items(r, n, s), source=split)
            store.refresh()
        _publish(store, np.concatenate([_pixels(train), _pixels(test)]))
        pyx = np.load(human / "cleanlab_cifar10_test_pyx.npz")["pyx"]
        store.add_soft_labels(1, [f"{split}/{index}" for split, index in _names("test", test)], pyx)
        store.refresh()
        print(f"features: {time.process_time() - began:.0f} s of processor time")

        def row(labels: str, wrong: np.ndarray, split: str, gen: int | None) -> None:
            found = _measured(store, wrong, split, gen)
            print(json.dumps(row := {"labels": labels, "judged by": "pyx" if gen else "patches", **found}))
            out.write(json.dumps({**row, "seed": args.seed, "processor": time.process_time() - began}) + "\n")

        row("CIFAR-10N aggregate", aggregate != truth, "train", None)
        for gen in (None, 1):
            row("CIFAR-10H, one answer", drawn != theirs, "test", gen)
        _relabel(store, "test", test, theirs)
        with (human / "cleanlab_cifar10_test_mturk.csv").open() as file:
            errors = {
                int(line["source_index"]) for line in csv.DictReader(file) if line["is_label_error"] in ("1", "True")
            }
        for gen in (None, 1):
            row("verified errors", np.asarray([index in errors for index, *_ in test]), "test", gen)
        _relabel(store, "train", train, worst)
        row("CIFAR-10N worst", worst != truth, "train", None)


def _measured(store: Store, wrong: np.ndarray, split: str, gen: int | None) -> dict[str, Any]:
    """Precision of the first labels, and precision and recall of all that are doubted."""
    found = judgement(store, gen, None if gen else "patches", split, gen is not None)
    labels = store.table.label[found.rows]
    doubts, likely = doubtful(labels, found), found.probabilities
    assert len(labels) == len(wrong)
    doubted = np.flatnonzero(doubts.doubted)
    ranked = doubted[np.argsort(doubts.quality[doubted], kind="stable")]
    plain = np.argsort(doubts.quality, kind="stable")
    firsts = {k: min(k, len(ranked)) for k in (50, 100, int(wrong.sum()))}
    return {
        "n": len(labels),
        "wrong": int(wrong.sum()),
        "agrees": float((doubts.best == labels).mean()),
        "doubted": len(ranked),
        "expected": doubts.expected,
        "precision": float(wrong[ranked].mean()),
        "recall": float(wrong[ranked].sum() / wrong.sum()),
        "first": {k: float(wrong[ranked[:n]].mean()) for k, n in firsts.items()},
        "plain": {k: float(wrong[plain[:k]].mean()) for k in firsts},
        "plain recall": float(wrong[plain[: len(ranked)]].sum() / wrong.sum()),
        "random": float(wrong.mean()),
        "other": _others(labels.astype(np.int64), likely.astype(np.float64), wrong),
    }


def _others(labels: np.ndarray, likely: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    """What other choices of cleanlab's would do: orders of all labels, filters, estimates of how many are wrong."""
    found: dict[str, Any] = {}
    for order in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        ranked = np.argsort(get_label_quality_scores(labels, likely, method=order), kind="stable")
        found[order] = {k: float(wrong[ranked[:k]].mean()) for k in (50, 100, int(wrong.sum()))}
    for way in ("both", "prune_by_noise_rate", "prune_by_class", "confident_learning"):
        mask = find_label_issues(labels, likely, filter_by=way, n_jobs=1)
        doubted = int(mask.sum())
        hits = int((mask & wrong).sum())
        found[way] = {"doubted": doubted, "precision": hits / doubted, "recall": hits / int(wrong.sum())}
    found["calibrated"] = int(num_label_issues(labels, likely, estimation_method="off_diagonal_calibrated"))
    return found


def _listed(data: Path, split: str) -> list[tuple[int, int, bytes]]:
    """(place in the original order, label, JPEG) of a split, in that order."""
    with (data / "cifar10" / "manifest.csv").open() as file:
        known = {row["path"]: row for row in csv.DictReader(file) if row["split"] == split}
    with tarfile.open(data / "cifar10" / f"{split}.tar.gz") as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.name in known}
        found = [(int(known[n]["source_index"]), int(known[n]["label"]), f.read()) for n, f in files.items() if f]
    return sorted(found)


def _names(split: str, rows: list[tuple[int, int, bytes]]) -> list[tuple[str, int]]:
    return [(split, index) for index, *_ in rows]


def _items(rows: list[tuple[int, int, bytes]], labels: np.ndarray, split: str) -> Iterator[Item]:
    for (index, _, data), label in zip(rows, labels.tolist(), strict=True):
        yield Item(f"{split}/{index}", data, label, split)


def _relabel(store: Store, split: str, rows: list[tuple[int, int, bytes]], labels: np.ndarray) -> None:
    store.relabel({f"{s}/{index}": int(label) for (s, index), label in zip(_names(split, rows), labels, strict=True)})
    store.refresh()


def _publish(store: Store, pixels: np.ndarray) -> None:
    """The features of all images, as embeddings called patches."""
    vectors = _features(pixels)
    identity = {"model": "patches", "backbone_sha256": "0" * 64, "preprocess": {}, "precision": "float32",
                "device": "cpu", "batch_size": AT_ONCE}  # fmt: skip
    run = embedding.begin(store, "patches", vectors.shape[1], identity)
    for part in run.parts:
        with embedding.PartWriter(part) as writer:
            writer.write(vectors[part.start : part.start + part.rows])
    run.seal({"model_sha256": "0" * 64})
    store.refresh()


def _pixels(rows: list[tuple[int, int, bytes]]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for *_, data in rows])


def _features(pixels: np.ndarray) -> np.ndarray:
    """(n, 4 × CENTRES) float32: how near each quarter's patches are to centres that patches of other images gave."""
    some = np.random.default_rng(0).permutation(len(pixels))[:500]
    patches = _patches(pixels[some], 4)[0]
    mean = patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov(patches - mean, rowvar=False))
    white = ((vectors / np.sqrt(values + 0.1)) @ vectors.T).astype(np.float32)
    means = MiniBatchKMeans(CENTRES, batch_size=4096, n_init=1, max_iter=30, random_state=0)
    centres = means.fit((patches - mean) @ white).cluster_centers_.astype(np.float32)
    found = []
    for start in range(0, len(pixels), AT_ONCE):
        patches, side = _patches(pixels[start : start + AT_ONCE], 1)
        patches = (patches - mean) @ white
        squares = (patches**2).sum(1, keepdims=True) - 2 * patches @ centres.T + (centres**2).sum(1)
        far = np.sqrt(np.maximum(squares, 0))
        near = np.maximum(far.mean(1, keepdims=True) - far, 0).reshape(-1, side, side, CENTRES)
        halves = (slice(side // 2), slice(side // 2, side))
        found.append(np.concatenate([near[:, y, x].sum((1, 2)) for y in halves for x in halves], 1))
    return np.concatenate(found)


def _patches(pixels: np.ndarray, step: int) -> tuple[np.ndarray, int]:
    """(patches, numbers) float32, each of mean 0 and contrast 1; and how many there are along a side."""
    views = np.lib.stride_tricks.sliding_window_view(pixels, (SIDE, SIDE), axis=(1, 2))[:, ::step, ::step]
    flat = views.reshape(-1, SIDE * SIDE * 3).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return flat / np.sqrt((flat**2).mean(1, keepdims=True) + 10), views.shape[1]


if __name__ == "__main__":
    main()

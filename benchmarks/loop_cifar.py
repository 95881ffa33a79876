"""The loop on CIFAR-10 JPEGs, against the controls that show what each part is worth.

    python benchmarks/loop_cifar.py DATA [--seeds 3] [--size 16] [--steps 600] …

DATA is a folder with train.tar.gz, extra.tar.gz and test.tar.gz of class folders (32-px JPEGs). Per seed:

    teacher      supervised, small network, the labelled images
    supervised   supervised, student's network, equal steps: what size alone gives
    un-noised    student without RandAugment, crops, flips, dropout, stochastic depth: what soft labels alone give
    student      noised student on labels and soft labels
    student 2    the same from the student's labels (with --generations 2)

The test split is looked at once per model, at the end. Nothing here is chosen by it.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

from nsdata import Store
from training import TrainConfig, evaluate, label, train


def main() -> None:
    """Run all seeds and print one table."""
    options = _options()
    results: list[dict[str, float]] = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            results.append(_seed(Path(folder), options, seed))
            print(json.dumps({"seed": seed, **{k: round(v, 4) for k, v in results[-1].items()}}), flush=True)
    names = [name for name in results[0] if not name.endswith("_s")]
    print("\n| model | test top-1, mean of seeds | gain over teacher | positive in |\n|---|---|---|---|")
    for name in names:
        scores = np.array([result[name] for result in results])
        gains = scores - np.array([result["teacher"] for result in results])
        error = scores.std(ddof=1) / len(scores) ** 0.5 if len(scores) > 1 else float("nan")
        print(
            f"| {name} | {100 * scores.mean():.2f} ± {100 * error:.2f} | {100 * gains.mean():+.2f} "
            f"| {(gains > 0).sum()} of {len(gains)} |"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--labelled", type=int, default=2000, help="labelled train images, the same per class")
    parser.add_argument("--unlabelled", type=int, default=38_000, help="of the rest and extra; at most so many")
    parser.add_argument("--size", type=int, default=32, help="pixels of a side in training and labelling")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--ratio", type=int, default=3)
    parser.add_argument("--teacher", default="wrn_10_1")
    parser.add_argument("--student", default="wrn_10_2")
    parser.add_argument("--magnitude", type=float, default=9)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--generations", type=int, default=1, choices=(1, 2))
    parser.add_argument("--skip-un-noised", action="store_true", help="leave out the control that takes longest")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch; 0 = its own choice")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def _seed(folder: Path, options: argparse.Namespace, seed: int) -> dict[str, float]:
    """Accuracies of all models and the seconds that each took, for one draw of the labelled images."""
    store = _store(folder / "lake", options, seed)
    test = store.view().split("test")
    scores: dict[str, float] = {}

    def fit(name: str, gen: int, model: str, pseudo: object = None, **changes: object) -> object:
        base: dict[str, object] = {
            "model": model, "image_size": options.size, "batch_size": options.batch_size, "ratio": options.ratio,
            "steps": options.steps, "lr": options.lr, "ema_decay": 0.995, "crop": "pad", "seed": seed,
            "randaugment_magnitude": options.magnitude, "dropout": 0.0, "drop_path": 0.0, "label_smoothing": 0.0,
            "device": options.device, "threads": options.threads, "weight_decay": 5e-4,
        }  # fmt: skip
        config = TrainConfig(**{**base, **changes})  # type: ignore[arg-type]
        people = store.refresh().view().split("train").labelled()
        began = time.monotonic()
        trained = train(
            people, pseudo, config=config, out=folder / name, gen=gen, publish=name in ("teacher", "student")
        )  # type: ignore[arg-type]
        scores[name] = evaluate(trained, test, device=options.device).top1
        scores[f"{name}_s"] = time.monotonic() - began
        return trained

    teacher = fit("teacher", 0, options.teacher)
    if options.student != options.teacher:  # else the teacher is that control
        fit("supervised", 0, options.student)
    label(store, teacher, gen=1, device=options.device)
    if not options.skip_un_noised:
        fit("un-noised", 1, options.student, _chosen(store, 1, options, seed), noise=False)
    student = fit("student", 1, options.student, _chosen(store, 1, options, seed), drop_path=0.05)
    if options.generations == 2:
        label(store, student, gen=2, device=options.device)
        fit("student 2", 2, options.student, _chosen(store, 2, options, seed), drop_path=0.05)
    return scores


def _chosen(store: Store, gen: int, options: argparse.Namespace, seed: int) -> object:
    pool = store.refresh().view(gen=gen).split("train").unlabelled()
    return pool.confident(options.threshold).balanced(len(pool) // len(store.classes), seed=seed)


def _store(url: Path, options: argparse.Namespace, seed: int) -> Store:
    """Labelled images drawn by seed, the same number per class; the rest of train and extra without labels."""
    from nsdata.importers.item import Item

    names = sorted({name.split("/")[1] for name, _ in _members(options.data / "test.tar.gz")})
    store = Store.create(url, names)
    train_ = list(_members(options.data / "train.tar.gz"))
    order = np.random.default_rng(seed).permutation(len(train_))
    quota = dict.fromkeys(names, options.labelled // len(names))
    items: list[Item] = []
    for place in order:
        name, data = train_[place]
        known = quota[name.split("/")[1]] > 0
        quota[name.split("/")[1]] -= known
        items.append(Item(name, data, names.index(name.split("/")[1]) if known else None, "train"))
    items += [Item(name, data, None, "train") for name, data in _members(options.data / "extra.tar.gz")]
    labelled = [item for item in items if item.label is not None]
    rest = [item for item in items if item.label is None][: options.unlabelled]
    store.add_items(lambda: [*labelled, *rest], source="train and extra")
    test = [Item(n, data, names.index(n.split("/")[1]), "test") for n, data in _members(options.data / "test.tar.gz")]
    store.add_items(lambda: test, source="test")
    return store


def _members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        return [(m.name, archive.extractfile(m).read()) for m in archive if m.isfile()]  # type: ignore[union-attr]


if __name__ == "__main__":
    main()

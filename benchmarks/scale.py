"""Views and diffs of large stores against plain numpy: time, and peak memory per row.

    python -m benchmarks.scale views  [--rows 1000000 --classes 1000 --per-class 700 --confidence uniform equal ...]
    python -m benchmarks.scale diffs  [--rows 1000000 --classes 10]
    python -m benchmarks.scale memory [--rows 1000000 4000000 16000000 --classes 1000 --per-class 700]

Stores are synthetic (pictures of one byte, random ids, 5 % labelled, 2 % of another split), written by the code that
imports and labels into a temporary folder (``--folder``), and removed. In one process, ours and numpy take turns;
medians of ``--rounds``. ``views`` and ``diffs`` open the store again for each round: ours reads the columns, numpy has
them in memory.

Two numpys: "fast" knows no ids, so ties go by row and repeats by its own generator: one sort of packed 64-bit keys, the
least work there is. "exact" chooses the very rows that ours chooses, by ``numpy.lexsort``, and ours is checked by it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nsdata import Store
from nsdata.analysis.diff import Diff
from nsdata.arithmetic.seeded import mix
from nsdata.labels import labelling, staging
from nsdata.labels.codec import Codec
from nsdata.schema import SEGMENT
from nsdata.storage import engine, inventory, writing

Array = np.ndarray[Any, Any]

IMPORT = 1 << 22  # rows of one import
APPEND = 1 << 16
MINIMUM = 0.3
CONFIDENCES: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "uniform": lambda draw, n: draw.random(n) * 0.98 + 0.01,
    "sharp": lambda draw, n: np.minimum(draw.random(n) * 1.5 + 0.01, 1.0),  # a third of them 1
    "levels": lambda draw, n: np.ceil(draw.random(n) * 256) / 256,
    "equal": lambda draw, n: np.full(n, 0.75),
}


def images(store: Store, rows: int) -> None:
    """Import ``rows`` synthetic images."""
    draw = np.random.default_rng(0)
    counts = dict.fromkeys(("added", "labelled", "present", "gained", "skipped", "clashes", "train", "val", "test"), 0)
    for start in range(0, rows, IMPORT):
        name, count = f"images/synthetic-{start}", min(IMPORT, rows - start)
        with writing.Writer(f"{store.url}/{name}", SEGMENT) as writer:
            for first in range(0, count, APPEND):
                n = min(APPEND, count - first)
                label = np.where(draw.random(n) < 0.05, draw.integers(len(store.classes), size=n), -1)
                side = np.full(n, 8, np.int32)
                writer.append(
                    {
                        "id": draw.integers(256, size=(n, 16), dtype=np.uint8),
                        "image": [b"."] * n,
                        "label": label.astype(np.int32),
                        "split": (draw.random(n) < 0.02).astype(np.int8),
                        "source": ["."] * n,
                        "width": side,
                        "height": side,
                    }
                )
            writer.commit("images")
        segment = {"name": name, "rows": count, "digests": {}, "files": inventory.finish(store.objects, name)}
        data = {"source": "synthetic", "segment": segment, "people": None, "counts": counts | {"added": count}}
        store.publish("imported", partial(_unchanged, data))


def _unchanged(data: dict[str, Any], _: object) -> dict[str, Any]:
    return data


def label(store: Store, gen: int, codec: Codec, columns: Callable[[Array], Mapping[str, Array]]) -> None:
    """Seal a generation: ``columns`` gives those of a part for its rows."""
    run = labelling.begin(store, gen, {"teacher_sha256": f"{gen:064}", "codec": codec.name, "batch_size": 256})
    for part in run.parts:
        with staging.PartWriter(part) as writer:
            writer.write_columns(dict(columns(part.pending)))
    run.seal({})
    store.refresh()


def sure_columns(confidence: str, classes: int) -> Callable[[Array], dict[str, Array]]:
    """Columns of top-1 labels: random classes, with confidences of this kind."""
    draw = np.random.default_rng(1)

    def of(rows: Array) -> dict[str, Array]:
        n = len(rows)
        pseudo = draw.integers(classes, size=n).astype(np.int32)
        sure = CONFIDENCES[confidence](draw, n).astype(np.float32)
        return {
            "top_class": pseudo.astype(np.int16 if classes <= 32_767 else np.int32)[:, None],
            "top_probability": sure.astype(np.float16)[:, None],
            "residual": 1 - sure,
            "kl": np.zeros(n, np.float32),
            "pseudo_label": pseudo,
            "confidence": sure,
        }

    return of


def soft_columns(gen: int, classes: int) -> Callable[[Array], dict[str, Array]]:
    """Columns of dense labels: of two generations, the second is the first with noise."""
    codec = Codec()

    def of(rows: Array) -> dict[str, Array]:
        first, noise = np.random.default_rng([0, int(rows[0])]), np.random.default_rng([gen, int(rows[0])])
        found = []
        for start in range(0, len(rows), 4096):
            n = min(4096, len(rows) - start)
            logits = first.standard_normal((n, classes), np.float32)
            logits[np.arange(n), first.integers(classes, size=n)] += first.normal(8, 4, n).clip(0)
            logits += np.float32(0.7) * noise.standard_normal((n, classes), np.float32)
            soft = np.exp(logits - logits.max(1, keepdims=True))
            found.append(codec.encode((soft / soft.sum(1, keepdims=True)).astype(np.float32)))
        return {name: np.concatenate([block[name] for block in found]) for name in found[0]}

    return of


def build(folder: str, rows: int, classes: int, *gens: Callable[[Array], Mapping[str, Array]], top: bool) -> str:
    """A store of these images and generations; its address."""
    url = str(Path(folder) / f"lake-{rows}-{classes}-{time.monotonic_ns()}")
    store = Store.create(url, [f"class {k}" for k in range(classes)])
    images(store, rows)
    for gen, columns in enumerate(gens, 1):
        label(store, gen, Codec(1 if top else None), columns)
    return url


def ours(url: str, per_class: int) -> Array:
    """The view of the issue, on a store opened just now."""
    view = Store.open(url).view(gen=1).split("train").unlabelled().confident(MINIMUM).balanced(per_class)
    return view.rows


def fast(column: Mapping[str, Array], n: int, classes: int) -> Array:
    """The least that chooses such rows: packed keys, no ids, repeats drawn by numpy."""
    keep = (column["split"] == 0) & (column["label"] < 0) & (column["confidence"] >= np.float32(MINIMUM))
    rows = np.flatnonzero(keep)
    group, bits = column["pseudo"][rows], np.uint64(int(len(keep) - 1).bit_length())
    sure = (np.float32(1).view(np.uint32) - column["confidence"][rows].view(np.uint32)).astype(np.uint64)  # 25 bits
    keys = (((group.astype(np.uint64) << np.uint64(25)) | sure) << bits) | rows.astype(np.uint64)
    keys.sort()
    ranked = (keys & ((np.uint64(1) << bits) - np.uint64(1))).view(np.int64)
    sizes = np.bincount(group, minlength=classes)
    firsts = np.cumsum(sizes) - sizes
    times = (np.arange(len(ranked)) - np.repeat(firsts, sizes) < n).astype(np.int64)
    short = (sizes > 0) & (sizes < n)
    if short.any():
        whole, rest = np.divmod(n, np.maximum(sizes, 1))
        at = np.flatnonzero(np.repeat(short, sizes))  # places in ``ranked``
        of = np.repeat(np.arange(classes), sizes)[at]
        lots = np.random.default_rng(0).integers(1 << 30, size=len(at)).astype(np.uint64) << bits
        lots |= (of.astype(np.uint64) << (bits + np.uint64(30))) | at.astype(np.uint64)
        lots.sort()
        sizes_short = np.where(short, sizes, 0)
        place = np.arange(len(at)) - np.repeat(np.cumsum(sizes_short) - sizes_short, sizes_short)
        times[at] = whole[of]
        times[(lots & ((np.uint64(1) << bits) - np.uint64(1)))[place < rest[of]].astype(np.int64)] += 1
    return np.repeat(ranked, times)


def exact(column: Mapping[str, Array], n: int, classes: int) -> Array:
    """Exactly our rows, as one would write it down: ties by id, repeats by a hash of seed and id."""
    keep = (column["split"] == 0) & (column["label"] < 0) & (column["confidence"] >= np.float32(MINIMUM))
    rows = np.flatnonzero(keep)
    high, low = np.ascontiguousarray(column["id"][rows]).view(">u8").astype(np.uint64).T
    group = column["pseudo"][rows]
    ranked = np.lexsort((low, high, -column["confidence"][rows], group))
    by_lot = np.lexsort((low, high, mix(0, 0, high, low), group))
    sizes = np.bincount(group, minlength=classes)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    whole, rest = np.divmod(n, np.maximum(sizes, 1))
    short = np.repeat(sizes < n, sizes)
    times = np.where(short, np.repeat(whole, sizes), place < n)
    again = np.zeros(len(rows), bool)
    again[by_lot[short & (place < np.repeat(rest, sizes))]] = True
    return rows[np.repeat(ranked, times + again[ranked])]


def in_memory(url: str) -> dict[str, Array]:
    """The columns that both numpys work on."""
    store = Store.open(url)
    table, labels = store.table, store.labels(1)
    found = {"id": table.ids, "label": table.label, "split": table.split}
    found |= {"confidence": labels.all_confidence, "pseudo": labels.all_pseudo}
    return {name: values.copy() for name, values in found.items()}


def in_turn(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, run one after the other in every round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in times.items()}


def views(folder: str, args: argparse.Namespace) -> None:
    """Print a line for each kind of confidence."""
    print("| rows | classes | confidences | ours | of which reading | numpy, fast | numpy, exact | ours / fast |")
    print("|--:|--:|---|--:|--:|--:|--:|--:|")
    for kind in args.confidence:
        for rows in args.rows:
            url = build(folder, rows, args.classes, sure_columns(kind, args.classes), top=args.classes > 1)
            column, n = in_memory(url), args.per_class or _per_class(rows, args.classes)
            assert np.array_equal(ours(url, n), exact(column, n, args.classes))
            assert len(fast(column, n, args.classes)) == len(ours(url, n))
            found = in_turn(
                {
                    "ours": partial(ours, url, n),
                    "reading": partial(_read, url),
                    "fast": partial(fast, column, n, args.classes),
                    "exact": partial(exact, column, n, args.classes),
                },
                args.rounds,
            )
            milli = " | ".join(f"{1000 * found[name]:,.0f} ms" for name in ("ours", "reading", "fast", "exact"))
            print(
                f"| {rows:,} | {args.classes:,} | {kind} | {milli} | {found['ours'] / found['fast']:.1f} |", flush=True
            )


def _read(url: str) -> None:
    """Open the store and read the columns that the view needs, ids left out."""
    store = Store.open(url).pinned()
    labels = store.labels(1)
    assert len(store.table.split) == len(store.table.label) == len(labels.all_confidence) == len(labels.all_pseudo)


def diffs(folder: str, args: argparse.Namespace) -> None:
    """Print a line for each number of rows."""
    print("| rows | classes | diff | reading both soft labels once | ratio | with all other columns | ratio |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for rows in args.rows:
        url = build(folder, rows, args.classes, *(soft_columns(g, args.classes) for g in (1, 2)), top=False)
        works: dict[str, Callable[[], object]] = {
            "diff": partial(_diff, url),
            "read": partial(_read_soft, url),
            "all": partial(_read_soft, url, others=True),
        }
        found = in_turn(works, args.rounds)
        milli = [f"{1000 * seconds:,.0f} ms" for seconds in found.values()]
        ratios = [f"{found['diff'] / found[name]:.2f}" for name in ("read", "all")]
        cells = [f"{rows:,}", f"{args.classes:,}", *milli[:2], ratios[0], milli[2], ratios[1]]
        print(f"| {' | '.join(cells)} |", flush=True)


def _diff(url: str) -> Diff:
    return Store.open(url).diff("gen-1", "gen-2")


def _read_soft(url: str, others: bool = False) -> None:
    """Read the soft labels of both generations, a dataset at a time; the other columns that a diff needs as well."""
    store = Store.open(url)
    if others:
        table = store.table
        called = [store.labels(gen).all_pseudo for gen in store.generations]
        assert all(len(column) == len(table) for column in (table.ids, table.label, *called))
    for found in store.generations.values():
        for part in found.parts:
            for piece in part.pieces:
                reader = engine.Reader(f"{url}/{piece.name}", Codec().schema(len(store.classes)))
                assert len(reader.read("soft_label")) == piece.rows


def memory(folder: str, args: argparse.Namespace) -> None:
    """Print a line for each number of rows; each view is made in a process of its own."""
    print("| rows | classes | confidences | view | peak memory of it | bytes per row |")
    print("|--:|--:|---|--:|--:|--:|")
    for kind in args.confidence:
        for rows in args.rows:
            with tempfile.TemporaryDirectory(dir=folder) as inner:
                columns = sure_columns(kind, args.classes)
                url = build(inner, rows, args.classes, columns, top=args.classes > 1)
                n = args.per_class or _per_class(rows, args.classes)
                command = [sys.executable, "-m", "benchmarks.scale", "one", url, "--per-class", str(n)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, before, peak = map(float, done.stdout.split())
            per_row = (peak - before) / rows
            print(
                f"| {rows:,} | {args.classes:,} | {kind} | {seconds:.2f} s | {peak / 1e9:.2f} GB | {per_row:.0f} |",
                flush=True,
            )


def one(url: str, per_class: int) -> None:
    """Seconds of one view; bytes of this process before it, and at its peak."""
    Store.open(url).labels(1)
    before = _peak()
    began = time.perf_counter()
    ours(url, per_class)
    print(time.perf_counter() - began, before, _peak())


def _per_class(rows: int, classes: int) -> int:
    return max(1, rows * 7 // 10 // classes)


def _peak() -> int:
    """Of this program alone: ``ru_maxrss`` begins with what the process that started it had."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(found.split()[1]) * 1024


def main() -> None:
    """Build, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("views", "diffs", "memory", "one"))
    parser.add_argument("url", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--classes", type=int, default=None, help="1,000; 10 for diffs")
    parser.add_argument(
        "--per-class",
        type=int,
        help="0.7 of a class's rows: of uniform confidences, a little more than most classes keep",
    )
    parser.add_argument("--confidence", nargs="+", choices=list(CONFIDENCES), default=["uniform"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", help="where the stores are written for a while")
    args = parser.parse_args()
    if args.what == "one":
        one(args.url, args.per_class)
        return
    args.classes = args.classes or (10 if args.what == "diffs" else 1000)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        {"views": views, "diffs": diffs, "memory": memory}[args.what](folder, args)


if __name__ == "__main__":
    main()

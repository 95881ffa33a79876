"""Views and diffs of large stores against plain numpy: processor time, and peak memory per row.

    python -m benchmarks.scale views   [--rows 1000000 --classes 1000 --per-class 700 --confidence uniform equal ...]
    python -m benchmarks.scale diffs   [--rows 1000000 --classes 10]
    python -m benchmarks.scale memory  [--rows 1000000 16000000 32000000 --classes 1000]
    python -m benchmarks.scale columns [--rows 130000000 --classes 1000]

Stores are synthetic (synthetic.py), written by the code that imports and labels into a temporary folder (``--folder``),
and removed. All ways take turns in one process; medians of ``--rounds``, in milliseconds of processor time of all
threads together: time on the wall depends on what else a machine does. Run it with OMP_NUM_THREADS=1.

``views``: ours opens the store again each time, reads what it needs and checks files against the log's digests; "again"
is another view of an open store. numpy's ways are in selecting.py; "files" reads the columns from .npy files first.
Their rows are compared with ours. ``diffs``: against reading all that a diff reads, in the same way, and against the
engine alone reading both soft labels. ``memory``: a view in a process of its own. ``columns``: what a view does behind
reading, on columns in memory and ids in a file, for more rows than are quickly imported; some classes are checked.
"""

from __future__ import annotations

import argparse
import os
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

from benchmarks import selecting
from benchmarks.selecting import MINIMUM, MOST_REPEATS
from benchmarks.synthetic import CONFIDENCES, build, soft_columns, sure_columns
from nsdata import Store
from nsdata.analysis.diff import Diff
from nsdata.arithmetic import selection
from nsdata.labels.codec import Codec
from nsdata.storage import engine
from nsdata.views.rows import Chosen

Array = np.ndarray[Any, Any]

PLAIN = 4_000_000  # rows up to which numpy's whole sorts check the others


def ours(store: Store, per_class: int) -> Array:
    """The view of the issue."""
    return store.view(gen=1).split("train").unlabelled().confident(MINIMUM).balanced(per_class).rows


def opened(url: str, per_class: int) -> Array:
    """The same on a store opened just now."""
    return ours(Store.open(url), per_class)


def to_files(url: str, folder: Path) -> None:
    """The columns that numpy works on, as .npy files."""
    store = Store.open(url)
    table, labels = store.table, store.labels(1)
    columns = {"id": table.ids, "label": table.label, "split": table.split}
    columns |= {"confidence": labels.all_confidence, "pseudo": labels.all_pseudo}
    folder.mkdir()
    for name, values in columns.items():
        np.save(folder / f"{name}.npy", values)


def from_files(folder: Path) -> dict[str, Array]:
    """These columns, in memory."""
    found = {path.stem: np.load(path) for path in folder.iterdir()}
    return found | selecting.halves(found.pop("id"))


def in_turn(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of processor time of each, run one after the other in every round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            began = time.process_time()
            work()
            times[name].append(1000 * (time.process_time() - began))
    return {name: statistics.median(found) for name, found in times.items()}


def _line(*cells: object) -> None:
    shown = (
        f"{cell:,.0f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else cell for cell in cells
    )
    print(f"| {' | '.join(map(str, shown))} |", flush=True)


def views(folder: str, args: argparse.Namespace) -> None:
    """Print a line for each kind of confidence."""
    names = ("ours", "reading", "again", "files", "exact", "fast")
    _line("rows", "classes", "confidences", *names, "ours / files", "again / exact", "again / fast")
    _line(*["--:"] * 12)
    for kind in args.confidence:
        for rows in args.rows:
            url = build(folder, rows, args.classes, sure_columns(kind, args.classes), top=args.classes > 1)
            K, n, columns = args.classes, args.per_class or _per_class(rows, args.classes), Path(f"{url}-columns")
            to_files(url, columns)
            column, store = from_files(columns), Store.open(url)
            chosen = opened(url, n)
            assert np.array_equal(chosen, selecting.exact(column, n, K))
            assert rows > PLAIN or np.array_equal(chosen, selecting.plain(column, n, K))
            assert len(selecting.fast(column, n, K)) == len(chosen)
            works: dict[str, Callable[[], object]] = {
                "ours": partial(opened, url, n),
                "reading": partial(_read, url),
                "again": partial(ours, store, n),
                "files": lambda: selecting.exact(from_files(columns), n, K),  # noqa: B023 - called within the loop
                "exact": partial(selecting.exact, column, n, K),
                "fast": partial(selecting.fast, column, n, K),
            }
            found = in_turn(works, args.rounds)
            pairs = (("ours", "files"), ("again", "exact"), ("again", "fast"))
            _line(rows, K, kind, *(found[name] for name in names), *(f"{found[a] / found[b]:.2f}" for a, b in pairs))


def _read(url: str) -> None:
    """Open the store and read the columns that the view needs, ids left out."""
    store = Store.open(url).pinned()
    labels = store.labels(1)
    assert len(store.table.split) == len(store.table.label) == len(labels.all_confidence) == len(labels.all_pseudo)


def diffs(folder: str, args: argparse.Namespace) -> None:
    """Print a line for each number of rows."""
    _line("rows", "classes", "diff", "reading what it reads", "ratio", "engine, both soft labels alone", "ratio")
    _line(*["--:"] * 7)
    for rows in args.rows:
        url = build(folder, rows, args.classes, *(soft_columns(g, args.classes) for g in (1, 2)), top=False)
        works: dict[str, Callable[[], object]] = {
            "diff": partial(_diff, url),
            "all": partial(_read_all, url),
            "soft": partial(_read_soft, url),
        }
        found = in_turn(works, args.rounds)
        ratios = [f"{found['diff'] / found[name]:.2f}" for name in ("all", "soft")]
        _line(rows, args.classes, found["diff"], found["all"], ratios[0], found["soft"], ratios[1])


def _diff(url: str) -> Diff:
    return Store.open(url).diff("gen-1", "gen-2")


def _read_all(url: str) -> None:
    """Read all that a diff reads, as it does: soft labels into the same memory again."""
    store = Store.open(url)
    table = store.table
    assert len(table.ids) == len(table.label) == len(table.split) == len(table)
    step = max(1, (1 << 20) // len(store.classes))
    room = np.empty((step, len(store.classes)), np.float16)
    for gen in store.generations:
        labels = store.labels(gen)
        assert len(labels.all_pseudo) == len(labels.all_confidence) == len(table)
        for start in range(0, len(table), step):
            stop = min(start + step, len(table))
            assert labels.between(start, stop, room[: stop - start]).base is room


def _read_soft(url: str) -> None:
    """Read the soft labels of both generations with the engine, a dataset at a time."""
    store = Store.open(url)
    for found in store.generations.values():
        for part in found.parts:
            for piece in part.pieces:
                reader = engine.Reader(f"{url}/{piece.name}", Codec().schema(len(store.classes)))
                assert len(reader.read("soft_label")) == piece.rows


def memory(folder: str, args: argparse.Namespace) -> None:
    """Print a line for each number of rows; each view is made in a process of its own."""
    _each_apart(folder, args, "view_of_store")


def columns(folder: str, args: argparse.Namespace) -> None:
    """Print a line for each number of rows: the steps of the view on columns in memory, ids in a file."""
    _each_apart(folder, args, "view_of_columns")


def _each_apart(folder: str, args: argparse.Namespace, what: str) -> None:
    _line("rows", "classes", "confidences", "view", "ns a row", "peak", "bytes a row")
    _line(*["--:"] * 7)
    for kind in args.confidence:
        for rows in args.rows:
            K, n = args.classes, args.per_class or _per_class(rows, args.classes)
            with tempfile.TemporaryDirectory(dir=folder) as inner:
                if what == "view_of_store":
                    inner = build(inner, rows, K, sure_columns(kind, K), top=K > 1)
                call = f"from benchmarks import scale; scale.{what}({inner!r}, {rows}, {K}, {n}, {kind!r})"
                done = subprocess.run([sys.executable, "-c", call], stdout=subprocess.PIPE, text=True, check=True)
            seconds, before, peak = map(float, done.stdout.split())
            each = f"{(peak - before) / rows:.0f}"
            _line(rows, K, kind, f"{seconds:.2f} s", f"{1e9 * seconds / rows:.0f}", f"{peak / 1e9:.2f} GB", each)


def view_of_store(url: str, rows: int, classes: int, per_class: int, kind: str) -> None:
    """Print seconds of processor time of one view; bytes of this process before it, and at its peak."""
    Store.open(url).labels(1)
    before, began = _peak(), time.process_time()
    opened(url, per_class)
    print(time.process_time() - began, before, _peak())


def view_of_columns(folder: str, rows: int, classes: int, per_class: int, kind: str) -> None:
    """Print the same of what the steps do; the columns are among the bytes."""
    path, before, draw = Path(folder) / "ids", _peak(), np.random.default_rng(0)
    column: dict[str, Array] = {"label": np.empty(rows, np.int32), "split": np.empty(rows, np.int8)}
    column |= {"confidence": np.empty(rows, np.float32), "pseudo": np.empty(rows, np.int32)}
    with path.open("wb") as file:
        for start in range(0, rows, 1 << 20):
            n = min(1 << 20, rows - start)
            file.write(draw.bytes(16 * n))
            block = slice(start, start + n)
            column["label"][block] = np.where(draw.random(n) < 0.05, 0, -1)
            column["split"][block] = draw.random(n) < 0.02
            column["confidence"][block] = CONFIDENCES[kind](draw, n)
            column["pseudo"][block] = draw.integers(classes, size=n)
    began = time.process_time()
    found = _of_columns(column, path, per_class, classes)
    seconds, peak = time.process_time() - began, _peak()
    _check(column, found, per_class, classes)
    print(seconds, before, peak)


def _of_columns(column: Mapping[str, Array], path: Path, per_class: int, K: int) -> Array:
    """What the steps of the view do."""
    label, split, sure = column["label"], column["split"], column["confidence"]
    chosen = Chosen(np.ones(len(label), bool))
    chosen = chosen.only(lambda at: split[at] == 0).only(lambda at: label[at] < 0)
    chosen = chosen.only(lambda at: selection.is_confident(sure[at], MINIMUM))
    with path.open("rb") as file:
        room = np.empty((1 << 16, 16), np.uint8)

        def ids(positions: Array) -> Array:  # as views.rows.ids_at reads them
            found, begin = np.empty((len(positions), 16), np.uint8), 0
            while begin < len(positions):
                first = int(positions[begin])
                end = begin + int(np.searchsorted(positions[begin:], first + len(room)))
                some = positions[begin:end] - first
                os.preadv(file.fileno(), [room[: int(some[-1]) + 1].data], 16 * first)
                np.take(room, some, axis=0, out=found[begin:end], mode="clip")
                begin = end
            return found

        return selection.balanced(
            column["pseudo"], sure, ids, per_class, K, max_repeats=MOST_REPEATS, among_n=chosen.mask
        )


def _check(column: Mapping[str, Array], found: Array, per_class: int, K: int) -> None:
    """Amounts of all classes, and the rows of some but for ties and draws."""
    sizes = np.bincount(column["pseudo"].take(found), minlength=K)
    assert (sizes == per_class).all()
    ends = np.cumsum(sizes)
    for k in range(0, K, max(1, K // 10)):
        rows = found[ends[k] - sizes[k] : ends[k]]
        of_class = np.flatnonzero(column["pseudo"] == k)
        kept = of_class[selecting.keeps({name: values.take(of_class) for name, values in column.items()})]
        sure = column["confidence"].take(rows)
        assert (column["pseudo"].take(rows) == k).all() and (np.diff(sure) <= 0).all()
        best = np.sort(column["confidence"].take(kept))[::-1][:per_class]
        assert np.array_equal(np.unique(sure), np.unique(best)) and len(np.unique(rows)) == min(len(kept), per_class)


def _per_class(rows: int, classes: int) -> int:
    return max(1, rows * 7 // 10 // classes)


def _peak() -> int:
    """Of this program alone: ``ru_maxrss`` begins with what the process that started it had."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(found.split()[1]) * 1024


def main() -> None:
    """Build, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("views", "diffs", "memory", "columns"))
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
    args.classes = args.classes or (10 if args.what == "diffs" else 1000)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        {"views": views, "diffs": diffs, "memory": memory, "columns": columns}[args.what](folder, args)


if __name__ == "__main__":
    main()

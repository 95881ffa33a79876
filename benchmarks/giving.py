"""``nsdata label --from FILE`` on a large store: time, processor time, and memory beyond the soft labels themselves.

    python -m benchmarks.giving [--rows 1000000 --classes 10 --kinds npz parquet csv --dtype float32 --key id]

The store is synthetic (benchmarks.scale); each file holds a row for every image, in another order than the store's, and
is given in a process of its own. Reading: until the file is arrays in memory. Peak: the most memory of the process.
Beyond: without the soft labels in the file's type, and without what a process has that only opened the store.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale import build
from nsdata import Store
from nsdata.arithmetic.ids import hexes
from nsdata.importers.soft.read import read

BLOCK = 1 << 24  # probabilities written at a time


def soft(places: np.ndarray[Any, Any], classes: int, dtype: str) -> np.ndarray[Any, Any]:
    """Soft labels for these places: a sharp class each, and something for the others."""
    found = np.full((len(places), classes), 0.25 / classes, dtype)
    found[np.arange(len(places)), places % classes] += 0.75
    return found


def write(path: Path, store: Store, dtype: str, key: str) -> Path:
    """A file with a soft label for every image, by its id; key "bytes": ids of an .npz as (N, 16) uint8."""
    classes, n = list(store.classes), len(store.table)
    order = np.random.default_rng(0).permutation(n)
    if path.suffix == ".npz":
        ids: Any = store.table.ids[order]
        ids = ids if key == "bytes" else np.array(hexes(ids))
        np.savez(path, ids=ids, soft=soft(order, len(classes), dtype), classes=np.array(classes))
        return path
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    def tables() -> Iterator[Any]:
        for start in range(0, n, max(1, BLOCK // len(classes))):
            places = order[start : start + max(1, BLOCK // len(classes))]
            of = soft(
                places, len(classes), "float16" if path.suffix == ".parquet" and dtype == "float16" else "float32"
            )
            columns = {name: np.ascontiguousarray(of[:, place]) for place, name in enumerate(classes)}
            yield pa.table({"id": hexes(store.table.ids[places]), **columns})

    writer: Any = None
    for table in tables():
        if writer is None:
            make = pq.ParquetWriter if path.suffix == ".parquet" else csv.CSVWriter
            writer = make(path, table.schema)
        writer.write_table(table)
    writer.close()
    return path


def measure(url: str, file: str) -> None:
    """In a process of its own: give the file, print seconds, processor seconds, seconds of reading, peak MB."""
    store = Store.open(url)
    if file:
        began, used = time.monotonic(), time.process_time()
        read(file, store.classes, 1)
        reading = time.monotonic() - began
        began, used = time.monotonic(), time.process_time()
        store.add_soft_label_file(1, file)
        print(time.monotonic() - began, time.process_time() - used, reading, end=" ")
    else:
        print(0.0, 0.0, 0.0, end=" ")
    status = Path("/proc/self/status").read_text().split()  # of getrusage a child inherits its parent's peak
    print(int(status[status.index("VmHWM:") + 1]) * 1024 / 1e6)


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--kinds", nargs="+", default=["npz", "parquet", "csv"])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--key", default="id", choices=["id", "bytes"])
    parser.add_argument("--folder")
    parser.add_argument("--measure", nargs=2, metavar=("STORE", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(*asked.measure)
        return 0
    print("| rows | classes | file | MB | s | of which reading | CPU s | µs/image | peak MB | beyond | bytes/image |")
    print("|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        url = build(folder, asked.rows, asked.classes, top=False)
        store = Store.open(url)
        opened = _run(url, "")[3]
        for kind in asked.kinds:
            file = write(Path(folder) / f"probs.{kind}", store, asked.dtype, asked.key)
            seconds, used, reading, peak = _run(url, str(file))
            own = asked.rows * asked.classes * (2 if asked.dtype == "float16" and kind != "csv" else 4) / 1e6
            beyond = peak - opened - own
            print(
                f"| {asked.rows:,} | {asked.classes:,} | .{kind} | {file.stat().st_size / 1e6:,.0f} | {seconds:.1f} | "
                f"{reading:.1f} | {used:.1f} | {1e6 * seconds / asked.rows:.1f} | {peak:,.0f} | {beyond:,.0f} | "
                f"{1e6 * beyond / asked.rows:,.0f} |",
                flush=True,
            )
            file.unlink()
            store.refresh().undo()
    return 0


def _run(url: str, file: str) -> tuple[float, float, float, float]:
    command = [sys.executable, "-m", "benchmarks.giving", "--measure", url, file]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    seconds, used, reading, peak = map(float, told[-4:])
    return seconds, used, reading, peak


if __name__ == "__main__":
    sys.exit(main())

"""What labels take on disk, what that costs at scale, and what top-k loses: the tables of docs/scale.md.

    python benchmarks/codec.py [--rows 200000] [--pictures NAME=SOURCE ...] [--write docs/scale.md]

Real datasets are written through nsdata.storage.engine in parts of 65,536 rows, in batches of 256 as a labelling run
writes them, and their files added up. ``--pictures``: folders or tars of JPEG or PNG files, whose mean size becomes a
line. ``--write`` puts each table between its marks in the page; without it they are printed. The teachers are
synthetic: seeded normal logits, with a margin for one class.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nsdata.labels.codec import Codec
from nsdata.labels.invariants import check_columns
from nsdata.schema import SEGMENT, Schema
from nsdata.storage import engine, writing

Array = np.ndarray[Any, Any]

PART, BATCH = 65_536, 256
IMAGES = (1_000_000, 130_000_000, 300_000_000)
PRICE = 0.023  # dollars per GB and month
LAYOUTS = [(10, None), (10, 3), (100, None), (100, 10), (1000, None), (1000, 10), (1000, 50)]
TEACHERS = {  # spread of the logits of all classes; mean and spread of one class's margin above them
    "sure": (1.0, 14.0, 2.0),
    "sometimes unsure": (1.0, 10.0, 3.0),
    "unsure, with rivals": (2.0, 10.0, 3.0),
    "guessing": (1.0, 4.0, 2.0),
}


def teacher(kind: str, rows: int, classes: int, seed: int = 0) -> Array:
    """(rows, classes) float32 probabilities of a synthetic teacher."""
    scale, margin, spread = TEACHERS[kind]
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, classes)) * scale
    logits[np.arange(rows), draw.integers(classes, size=rows)] += np.maximum(draw.normal(margin, spread, rows), 0)
    soft = np.exp(logits - logits.max(1, keepdims=True))
    return (soft / soft.sum(1, keepdims=True)).astype(np.float32)


def main() -> None:
    """Measure, and print or write every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the datasets of 100 and 1,000 classes")
    parser.add_argument("--pictures", nargs="*", default=[])
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    measured = {layout: _labels_on_disk(*layout, options.rows) for layout in LAYOUTS}
    besides = _segment_on_disk(1_000_000)
    given = [text.split("=", 1) for text in options.pictures]
    pictures = {name: _mean_bytes(Path(path)) for name, path in given}
    tables = {
        "sizes": _sizes(measured, besides, pictures),
        "scale": _scale({layout: size for layout, (_, size, _) in measured.items()}, besides, pictures),
        "kl": _losses(),
        "times": _times(options.rows),
    }
    for name, table in tables.items():
        print(f"{name}\n\n{table}\n")
    if options.write:
        page = options.write.read_text()
        for name, table in tables.items():
            head, rest = page.split(f"<!-- {name} -->\n", 1)
            page = f"{head}<!-- {name} -->\n{table}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
        options.write.write_text(page)


def _labels_on_disk(classes: int, top: int | None, rows: int) -> tuple[int, float, float]:
    """Rows written, bytes of a row on disk, seconds of writing."""
    rows = 1_000_000 if classes == 10 else rows
    codec, soft = Codec.of(top, classes), teacher("sometimes unsure", 4096, classes)
    spent = 0.0

    def batches() -> Iterator[Mapping[str, Any]]:
        nonlocal spent
        for start in range(0, rows, BATCH):
            at = start % len(soft)
            began = time.perf_counter()
            yield codec.encode(soft[at : at + min(BATCH, rows - start)])
            spent += time.perf_counter() - began  # of encoding, and of what is done with the batch

    return rows, _on_disk(codec.schema(classes), batches()) / rows, spent


def _segment_on_disk(rows: int) -> float:
    """Bytes of a row of a segment, its picture left out: ids, labels, splits, sizes, names of 24 characters."""
    draw = np.random.default_rng(0)

    def batches() -> Iterator[Mapping[str, Any]]:
        for start in range(0, rows, 4096):
            n = min(4096, rows - start)
            numbers = {name: np.zeros(n, SEGMENT[name].type) for name in ("label", "split", "width", "height")}
            names = [f"unlabelled/{start + i:08d}.jpeg" for i in range(n)]
            ids = draw.integers(256, size=(n, 16), dtype=np.uint8)
            yield {"id": ids, "image": [b"."] * n, "source": names, **numbers}

    return _on_disk(SEGMENT, batches()) / rows - 1


def _on_disk(schema: Schema, batches: Iterator[Mapping[str, Any]]) -> int:
    """Bytes of all files of the parts that these batches make."""
    with tempfile.TemporaryDirectory() as folder:
        more, part = True, 0
        while more:
            with writing.Writer(f"{folder}/part-{part:05d}", schema) as writer:
                written = 0
                while written < PART and (more := (batch := next(batches, None)) is not None):
                    assert batch is not None
                    writer.append(batch)
                    written += len(batch["id" if "id" in batch else "confidence"])
                writer.commit("labels")
            part += 1
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _mean_bytes(source: Path) -> float:
    """Of the JPEG and PNG files in a folder or archive."""
    endings = (".jpg", ".jpeg", ".png")
    if source.is_dir():
        sizes = [path.stat().st_size for path in source.rglob("*") if path.suffix.lower() in endings]
    else:
        with tarfile.open(source) as archive:
            sizes = [member.size for member in archive if member.name.lower().endswith(endings)]
    return sum(sizes) / len(sizes)


def _sizes(measured: Mapping[Any, Any], besides: float, pictures: Mapping[str, float]) -> str:
    lines = [
        "| what | rows written | bytes per image on disk | of these the numbers | images/s |",
        "|---|--:|--:|--:|--:|",
    ]
    for (classes, top), (rows, size, seconds) in measured.items():
        codec = Codec.of(top, classes)
        lines.append(
            f"| soft labels of {classes:,} classes, {codec.name} | {rows:,} | {size:,.1f} "
            f"| {codec.bytes_per_image(classes):,} | {rows / seconds:,.0f} |"
        )
    lines.append(f"| image without its picture: id, label, split, size, name | 1,000,000 | {besides:,.1f} | | |")
    lines += [f"| pictures: {name} | | {size:,.0f} | | |" for name, size in pictures.items()]
    return "\n".join(lines)


def _scale(labels: Mapping[Any, float], besides: float, pictures: Mapping[str, float]) -> str:
    rows = {f"labels, {classes:,} classes, {Codec.of(top, classes).name}": b for (classes, top), b in labels.items()}
    rows["images without their pictures"] = besides
    rows |= {f"pictures: {name}": size for name, size in pictures.items()}
    lines = ["| | " + " | ".join(f"{n // 1_000_000:,} M images" for n in IMAGES) + " |", "|---|" + "--:|" * len(IMAGES)]
    for name, size in rows.items():
        cells = [f"{_short(size * n / 1e9)} GB · {_dollars(size * n / 1e9 * PRICE)}" for n in IMAGES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _dollars(value: float) -> str:
    return f"${value:,.{2 if value < 100 else 0}f}" if value >= 0.005 else "under a cent"


def _losses() -> str:
    kept = (1, 5, 10, 20, 50)
    lines = ["| teacher | classes | mean confidence | " + " | ".join(f"top-{k}" for k in kept) + " |"]
    lines.append("|---|--:|--:|" + "--:|" * len(kept))
    for classes in (1000, 10):
        for kind in TEACHERS:
            soft = teacher(kind, 20_000, classes)
            cells = []
            for k in kept:
                kl = Codec(k).encode(soft)["kl"].astype(np.float64) if k < classes else None
                cells.append("" if kl is None else f"{kl.mean():.4f} · {np.quantile(kl, 0.99):.3f}")
            lines.append(f"| {kind} | {classes:,} | {soft.max(1).mean():.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _times(rows: int) -> str:
    classes = 1000
    soft = teacher("sometimes unsure", PART, classes)
    lines = [
        "| 1,000 classes | encode 65,536 | check 65,536 | decode 256 | read and decode 256 at random of 65,536 |",
        "|---|--:|--:|--:|--:|",
    ]
    for top in (None, 10, 50):
        codec = Codec.of(top, classes)
        encode, columns = _timed(lambda: codec.encode(soft), 3)  # noqa: B023
        check, _ = _timed(lambda: check_columns(codec, columns, classes), 3)  # noqa: B023
        few = {name: values[:BATCH] for name, values in columns.items()}
        decode, _ = _timed(lambda: codec.decode(few, classes), 50)  # noqa: B023
        with tempfile.TemporaryDirectory() as folder:
            with writing.Writer(folder + "/part", codec.schema(classes)) as writer:
                writer.append(columns)
                writer.commit("labels")
            reader, draw = engine.Reader(folder + "/part", codec.schema(classes)), np.random.default_rng(0)

            def read() -> Array:
                at = draw.integers(PART, size=BATCH)  # noqa: B023
                return codec.decode({name: reader.take(name, at) for name in codec.soft_columns}, classes)  # noqa: B023

            take, _ = _timed(read, 50)
        lines.append(f"| {codec.name} | {encode:.2f} s | {check:.2f} s | {decode * 1e3:.2f} ms | {take * 1e3:.1f} ms |")
    return "\n".join(lines)


def _timed(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """The median of the seconds that it takes, and what it gives."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)), result


if __name__ == "__main__":
    main()

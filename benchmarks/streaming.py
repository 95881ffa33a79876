"""How fast nsdata's batches come, against other loaders on the same files.

    python benchmarks/streaming.py --photos FOLDER_OR_TAR --small FOLDER_OR_TAR … [--workload P|C|both] [--json FILE]

Two workloads, described in peers/workload.py: full-size photographs and 32-px pictures. Each loader delivers whole
epochs of the same balanced view, globally shuffled, decoded, cut, mirrored, in uint8 batches with their soft labels;
on two threads or two worker processes. Each measurement is a process of its own; the loaders take turns in every
round, and medians are told. Loaders that are not installed are left out: peers/__init__.py says what to install.

    images/s      of a whole epoch, its start included, files in the page cache, after one epoch to warm up; with
                  --cold the files are dropped from the page cache before each epoch, and what a disk gives is told
    first batch   seconds from asking for an epoch to its first batch; a first epoch may start processes or compile
    CPU           of the process and its children
    memory        the most that the process and its children took in the first epoch, shared pages counted once
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not this folder: "import streaming" must find Mosaic's package, here and in children

from benchmarks.peers import entries  # noqa: E402
from benchmarks.peers.child import drop  # noqa: E402
from benchmarks.peers.entry import Entry  # noqa: E402
from benchmarks.peers.workload import Workload, enlarged, found, make, replicated  # noqa: E402

QUICK = {"P": 800, "C": 8_000}  # entries of an epoch
LIMIT_SECONDS = 900  # of one child

Results = dict[str, list[dict[str, Any]]]  # what the children measured, by loader


def main() -> None:
    """Make the workloads, convert, measure in turns, tell."""
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # children end with us then, too
    with tempfile.TemporaryDirectory() as made:
        folder = asked.folder or Path(made)
        told: dict[str, Any] = {}
        for name in "PC" if asked.workload == "both" else asked.workload:
            work = _workload(folder, name, asked)
            about = json.loads((work.folder / "about.json").read_text())
            print(f"{name}: {about['pictures']:,} pictures, {about['mean_bytes'] / 1000:.1f} kB each, "
                  f"{about['entries']:,} entries an epoch")  # fmt: skip
            for line in about["left_out"]:
                print(f"  left out: {line}")
            chosen = list(_installed(name, asked.only))
            ready, results = _converted(work, chosen), dict[str, list[dict[str, Any]]]()
            told[name] = {"about": about, "results": results, "ways": {e.label: [e.way, e.note] for e in chosen}}
            for number in range(asked.rounds):
                if asked.cold:
                    disk = statistics.median(limit(work) for _ in range(3))
                    print(f"  the disk alone, 8 threads, one request a picture: {disk:,.0f} images/s", flush=True)
                _round(work, ready, results, number, asked)
                if asked.json:  # after each round: an interrupted run keeps what it has
                    asked.json.write_text(json.dumps(told, indent=1))
            print("\n".join(table(told[name])), flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = ROOT.parent / "shared" / "data"
    parser.add_argument("--photos", type=Path, default=data / "photos" / "photos.tar", help="folder or archive")
    parser.add_argument(
        "--small", type=Path, nargs="+", default=[data / "cifar10" / f"{part}.tar.gz" for part in ("train", "extra")]
    )
    parser.add_argument(
        "--replicate", type=int, default=0, metavar="N",
        help="make N files of the photographs, that many times larger a store: each has a comment of its own",
    )  # fmt: skip
    parser.add_argument("--large", type=int, default=0, metavar="N", help="make N of 12 megapixels of the photographs")
    parser.add_argument("--workload", choices=["P", "C", "both"], default="both")
    parser.add_argument("--samples", type=int, default=4_000, help="about so many entries in an epoch of P")
    parser.add_argument("--small-samples", type=int, default=40_000, help="the same of C")
    parser.add_argument("--quick", action="store_true", help="few entries and one round: does everything work?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documented-rounds", type=int, default=1000, help="fewer for the slow ways, to save time")
    parser.add_argument("--epochs", type=int, default=1, help="timed epochs of a measurement, after the first")
    parser.add_argument("--cold", action="store_true", help="drop the files from the page cache before every epoch")
    parser.add_argument("--only", default="", help="parts of loaders' names, with commas between them")
    parser.add_argument("--json", type=Path, help="write all figures")
    parser.add_argument("--folder", type=Path, help="keep workloads and converted files here, and use them again")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.samples, asked.small_samples = 1, QUICK["P"], QUICK["C"]
    return asked


def _workload(folder: Path, name: str, asked: argparse.Namespace) -> Workload:
    sources = [asked.photos] if name == "P" else asked.small
    samples = asked.samples if name == "P" else asked.small_samples
    copies, large = (asked.replicate, asked.large) if name == "P" else (0, 0)
    made = "".join([f"-{copies}" * bool(copies), f"-large-{large}" * bool(large)])
    place = folder.resolve() / f"{name}-{samples}-{sources[0].stem.partition('.')[0]}{made}"
    if (place / "about.json").exists():
        return Workload(place, name)
    every: Iterable[tuple[str, bytes]] = chain.from_iterable(found(source) for source in sources)
    if large:
        every = enlarged((data for _, data in every), large)
    return make(place, name, replicated(every, copies) if copies else every, samples)


def _installed(name: str, only: str) -> Iterator[Entry]:
    wanted = [part.strip().lower() for part in only.split(",") if part.strip()]
    for entry in entries():
        if name not in entry.on or (wanted and not any(part in entry.label.lower() for part in wanted)):
            continue
        if entry.missing:
            print(f"  skipped: {entry.label} (not installed: {', '.join(entry.missing)})")
        else:
            yield entry


def _converted(work: Workload, chosen: list[Entry]) -> list[Entry]:
    ready = []
    for entry in chosen:
        done = entry.convert is None or entry.converted(work).is_dir()
        figures = {} if done else _child(work, entry, "--convert")
        if "error" in figures:
            print(f"  skipped: {entry.label} (its files could not be written: {figures['error']})", flush=True)
        else:
            ready.append(entry)
    return ready


def _round(work: Workload, ready: list[Entry], results: Results, number: int, asked: argparse.Namespace) -> None:
    """One measurement of each loader; every round begins with another one. What fails is not tried again."""
    start = number * len(ready) // asked.rounds
    for entry in [*ready[start:], *ready[:start]]:
        if entry.way == "documented" and number >= asked.documented_rounds:
            continue
        figures = _child(work, entry, "--epochs", str(asked.epochs), *["--cold"] * asked.cold)
        if "error" in figures:
            ready.remove(entry)
            print(f"  failed: {entry.label}: {figures['error']}", flush=True)
            continue
        results.setdefault(entry.label, []).append(figures)
        rate = statistics.median(figures["images_per_s"])
        print(f"  round {number + 1}  {entry.label:<50} {rate:>10,.0f} images/s", flush=True)


def _child(work: Workload, entry: Entry, *options: str) -> dict[str, Any]:
    """What one child writes, or its error. Its whole family ends with it."""
    logs = work.folder / "logs"
    logs.mkdir(exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in entry.label)
    out, log = logs / f"{name}.json", logs / f"{name}.txt"
    out.unlink(missing_ok=True)
    place = work.folder / "tmp"  # what a loader leaves in its temporary folder ends with its process
    place.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.peers.child", str(work.folder), work.name, entry.label, str(out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(place), "HF_HUB_OFFLINE": "1"}
    with log.open("w") as file:
        child = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
        )
        try:
            child.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {LIMIT_SECONDS} s"}
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # workers that outlive it
            child.wait()
            shutil.rmtree(place, ignore_errors=True)
    time.sleep(0.2)  # its memory goes back before the next begins
    if not out.exists():
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return {"error": f"{lines[-1] if lines else 'no output'}   (all of it: {log})"}
    return dict(json.loads(out.read_text()))


def limit(work: Workload) -> float:
    """Pictures of an epoch's order that a cold disk gives in a second, each in one request for its file."""
    drop(work.folder / "files")
    order = work.order(0)[:1000]
    paths = [work.path(row) for row in order.tolist()]
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(Path.read_bytes, paths):
            pass
    return len(order) / (time.perf_counter() - began)


def table(told: dict[str, Any]) -> list[str]:
    """The lines of a Markdown table, the fastest first; ratios to ours are medians of each round's own."""
    rows = summary(told)
    lines = [
        "",
        "| loader | way | images/s | to ours | rounds | CPU µs/image | MB | first batch, s | later | remarks |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        bold = "**" if row["way"] == "ours" else ""
        lines.append(
            f"| {bold}{row['name']}{bold} | {row['way']} | {bold}{row['rate']:,.0f}{bold} | {ratio} "
            f"| {row['least']:,.0f} to {row['most']:,.0f} | {row['cpu']:,.0f} | {row['mb']:,.0f} | {row['cold']:.2f} "
            f"| {row['first']:.2f} | {'; '.join(row['remarks'])} |"
        )
    others = sorted(o for rounds in told["results"].values() for figures in rounds for o in figures["others_cores"])
    if others:
        middle, most = statistics.median(others), others[-1]
        lines += ["", f"Other work on this machine meanwhile: {middle:.2f} cores in the median, {most:.2f} at most."]
    return lines


def summary(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Medians of each loader, the fastest first; what chart.py draws."""
    results, ways = told["results"], told["ways"]
    ours = next((label for label in results if ways[label][0] == "ours"), None)
    rows = []
    for label, rounds in results.items():
        rates = [statistics.median(figures["images_per_s"]) for figures in rounds]
        base = [statistics.median(figures["images_per_s"]) for figures in results[ours]] if ours else []
        way, note = ways[label]
        remarks = [note] if note else []
        remarks += dict.fromkeys(remark for figures in rounds for remark in figures["remarks"])
        rows.append({
            "name": label.removesuffix(f", {way}"), "way": way, "remarks": remarks,
            "rate": statistics.median(rates), "least": min(rates), "most": max(rates),
            "ratio": statistics.median(a / b for a, b in zip(rates, base, strict=False)) if base else None,
            "cpu": statistics.median(c for figures in rounds for c in figures["cpu_us_per_image"]),
            "mb": statistics.median(figures["peak_mb"] for figures in rounds),
            "cold": statistics.median(figures["first_epoch_first_batch_s"] for figures in rounds),
            "first": statistics.median(f for figures in rounds for f in figures["first_batch_s"]),
        })  # fmt: skip
    return sorted(rows, key=lambda row: -row["rate"])


if __name__ == "__main__":
    main()

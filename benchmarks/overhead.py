"""What labelling into a store costs beyond the teacher's own work: ``label`` against decoding and inference alone.

    python benchmarks/overhead.py cifar10/train.tar.gz --model wrn_16_2 --size 32 --images 5000

Both ways see the same images in the same batches through the same stream, on the same threads; they take turns, and a
median of each is told. ``label`` is timed as a whole: begin, parts, commits, verification, seal (not the probe of the
teacher, which is inference too). Where other work disturbs the clock, look at the last line: of the time of one run of
``label``, the share that its main thread spent elsewhere than in inference or waiting for decoded images.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nsdata import Store
from nsdata.importers import Item
from nsdata.importers.detect import open_source
from nsdata.streaming.stream import stream
from training import TrainConfig, answering, models, noise, teacher
from training.models import Preprocess


def main() -> None:
    """Make a store and a teacher, then time both ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="images, as nsdata import takes them")
    parser.add_argument("--model", default="wrn_16_2")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1, help="torch's")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", type=float, default=0.0, help="tell what takes more than this share of label")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        store = _store(asked, folder)
        path = _teacher(asked, store, Path(folder) / "model.pt")
        pure, whole = [], []
        _alone(store, models.load(path), asked.batch_size)  # warm
        for number in range(asked.repeats):
            pure.append(_alone(store, models.load(path), asked.batch_size))
            whole.append(_label(store, path, asked, number))
            (wall, cpu), (wall_label, cpu_label, _) = pure[-1], whole[-1]
            print(
                f"  alone {wall:6.2f} s, CPU {cpu:6.2f} s   label {wall_label:6.2f} s, CPU {cpu_label:6.2f} s",
                flush=True,
            )
        if asked.profile:
            _profile(lambda: _label(store, path, asked, -1), asked.profile)
    print(f"{asked.model}, {asked.size} px, {len(store):,} images, batches of {asked.batch_size}:")
    for name, place in (("wall", 0), ("CPU", 1)):  # on a shared machine only the time of the CPU can be trusted
        a, b = ([times[place] for times in way] for way in (pure, whole))
        middle, least = statistics.median(b) / statistics.median(a) - 1, min(b) / min(a) - 1
        print(f"  {name:<4} median {statistics.median(a):.2f} s alone, {statistics.median(b):.2f} s labelled: "
              f"{100 * middle:+.1f} %; of the quickest of each {100 * least:+.1f} %")  # fmt: skip
    outside = sorted(rest / (wall - rest) for wall, _, rest in whole)
    print(f"  outside inference and decoding: {100 * statistics.median(outside):.1f} % of their time "
          f"({100 * outside[0]:.1f} to {100 * outside[-1]:.1f} %)")  # fmt: skip


def _store(asked: argparse.Namespace, folder: str) -> Store:
    store = Store.create(Path(folder) / "lake", [str(k) for k in range(10)])

    def items() -> Any:
        found = open_source(asked.source, classes=store.classes, labelled=False)
        yield from itertools.islice((item for item in found if isinstance(item, Item)), asked.images)

    store.add_items(items, source=asked.source)
    return store


def _teacher(asked: argparse.Namespace, store: Store, path: Path) -> Path:
    """An untrained one: inference takes the same time whatever the weights are."""
    config = TrainConfig(model=asked.model, image_size=asked.size)
    model = models.create(config, store.classes).eval()
    preprocess = Preprocess.of(model, asked.size)
    models.save(path, state=model.state_dict(), step=0, val_accuracy=None, config=config, classes=store.classes,
                preprocess=preprocess, generation=0)  # fmt: skip
    return path


def _alone(store: Store, model: models.LoadedModel, batch_size: int) -> tuple[float, float]:
    """Decoding and inference, and nothing else; seconds, and seconds of CPU."""
    model.to(torch.device("cpu"))
    rows, decode = np.arange(len(store)), noise.clean(model.preprocess)
    began, cpu = time.perf_counter(), time.process_time()
    with closing(stream(store.table, rows, batch_size, decode=decode, shuffle=False)) as batches:
        for batch in batches:
            model.probabilities(batch.images, 1.0)
    return time.perf_counter() - began, time.process_time() - cpu


def _label(store: Store, path: Path, asked: argparse.Namespace, number: int) -> tuple[float, float, float]:
    """All of ``label``, and the seconds of it outside inference and decoding. Each time another temperature, or it
    would be the same run."""
    inside, probabilities, read = 0.0, models.LoadedModel.probabilities, answering.stream

    def timed(work: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal inside
        began = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            inside += time.perf_counter() - began

    def timed_stream(*args: Any, **kwargs: Any) -> Any:
        with closing(read(*args, **kwargs)) as batches:
            while (batch := timed(next, batches, None)) is not None:
                yield batch

    models.LoadedModel.probabilities = lambda *args: timed(probabilities, *args)  # type: ignore[method-assign]
    answering.stream = timed_stream  # type: ignore[assignment]
    began, cpu = time.perf_counter(), time.process_time()
    try:
        teacher.label(store, path, gen=1, temperature=1 + 1e-3 * (number + 2), batch_size=asked.batch_size,
                      device="cpu", replace=1 in store.generations, force=True)  # fmt: skip
    finally:
        models.LoadedModel.probabilities, answering.stream = probabilities, read  # type: ignore[method-assign]
    seconds = time.perf_counter() - began
    return seconds, time.process_time() - cpu, seconds - inside


def _profile(work: Any, least: float) -> None:
    """Where the main thread's time goes."""
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.runcall(work)
    stats: Any = pstats.Stats(profile)
    total = stats.total_tt
    for (file, _, name), (_, _, _, cumulative, _) in sorted(stats.stats.items(), key=lambda entry: -entry[1][3]):
        if cumulative > least * total and ("nsdata" in file or "training" in file or "built" in name):
            print(f"  {100 * cumulative / total:5.1f} %  {Path(file).name}:{name}")


if __name__ == "__main__":
    main()

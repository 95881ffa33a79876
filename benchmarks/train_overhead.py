"""What a training costs beyond decoding, forward and backward passes: ``train`` against those alone.

    python benchmarks/train_overhead.py --data ../shared/data --preset cifar --steps 60

Both see the same batches of the same views through the same stream, with the same crops, on the same threads; they
take turns, and medians are told, by processor time. "alone" decodes, normalises, and makes the forward and the backward
pass. What ``train`` does more is told part by part: noise on the batch, losses, the optimiser, the average of the
weights; the rest is the plan, records, validation and checkpoints.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import presets
import torch
from torch.nn.functional import cross_entropy

from nsdata import View
from training import TrainConfig, data, label, losses, models, noise, objective, train
from training.config_values import settled
from training.defaults import Facts, settle
from training.models import Preprocess


def main() -> None:
    """Make a store and a generation, then time both ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=presets.PRESETS, default="cifar")
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the training")
    asked = parser.parse_args()
    preset = presets.PRESETS[asked.preset]
    base = TrainConfig(**{**preset.settings, "model": preset.student}).with_settings(asked.set)
    base = base.replace(steps=asked.steps)
    torch.set_num_threads(base.threads or 1)
    with tempfile.TemporaryDirectory() as folder:
        drawn = presets.drawn(preset, asked.data, Path(folder) / "lake", 0, False)
        people = drawn.labelled
        label(drawn.store, train(people, config=base.replace(steps=1), out=Path(folder) / "teacher"), gen=1)
        pseudo = drawn.store.refresh().view(gen=1).split("train").unlabelled()
        config = settle(base, Facts.of(people, pseudo))
        alone, whole, parts = [], [], []
        for number in range(asked.repeats + 1):
            alone.append(_spent(lambda: _alone(people, pseudo, config)))
            with _timed() as spent:
                out = Path(folder) / f"run-{number}"
                whole.append(_spent(lambda: train(people, pseudo, config=config, out=out, gen=1, publish=False)))  # noqa: B023
            parts.append(dict(spent))
        alone, whole, parts = alone[1:], whole[1:], parts[1:]  # the first pair warms
    images = asked.steps * config.batch_size * (1 + config.ratio)
    a, b = statistics.median(alone), statistics.median(whole)
    ratios = [w / o for w, o in zip(whole, alone, strict=True)]
    print(f"{asked.preset}, {config.model} at {config.image_size} px, {asked.steps} steps, {images:,} images")
    print(f"alone {1e6 * a / images:8.1f} µs an image; train {1e6 * b / images:8.1f} µs: "
          f"{statistics.median(ratios):.3f} times ({min(ratios):.3f} to {max(ratios):.3f})")  # fmt: skip
    for name in parts[0]:
        print(f"  {name:12} {100 * statistics.median(part[name] for part in parts) / a:5.1f} % of alone")


def _alone(people: View, pseudo: View, config: TrainConfig) -> None:
    """The same batches, forward and backward, and nothing else."""
    device = torch.device("cpu")
    half, layout = objective.arithmetic(config, device)
    model = models.create(config, people.store.classes).to(memory_format=layout).train()
    preprocess = Preprocess.of(model, config.side, config.crop_pct)
    crop = noise.train_crop(config, preprocess)
    mixed = data.mixed_batches(
        data.Source(people, crop), data.Source(pseudo, crop),
        batch_size=config.batch_size, ratio=config.ratio, seed=config.seed,
    )  # fmt: skip
    with closing(mixed):
        for _, batch in zip(range(settled(config.steps)), mixed, strict=False):
            images = torch.cat([torch.as_tensor(batch.labelled), torch.as_tensor(batch.unlabelled)])
            images = preprocess.normalise(images.permute(0, 3, 1, 2)).contiguous(memory_format=layout)
            said = torch.cat([torch.as_tensor(batch.labels).long(), torch.as_tensor(batch.soft).argmax(1)])
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = model(images).float()
            model.zero_grad(set_to_none=True)
            cross_entropy(logits, said).backward()  # type: ignore[no-untyped-call]


def _spent(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


@contextmanager
def _timed() -> Iterator[defaultdict[str, float]]:
    """Processor seconds within the parts of a step, while this lasts."""
    spent: defaultdict[str, float] = defaultdict(float)
    places: list[tuple[Any, str, str]] = [
        (noise.BatchNoise, "distort", "noise"),
        (losses, "unlabelled_losses", "losses"),
        (torch.optim.SGD, "step", "optimiser"),
        (__import__("timm").utils.ModelEmaV3, "update", "average"),
    ]
    old = [getattr(owner, name) for owner, name, _ in places]

    def wrapped(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                spent[part] += time.thread_time() - began

        return timed

    for (owner, name, part), function in zip(places, old, strict=True):
        setattr(owner, name, wrapped(function, part))
    try:
        yield spent
    finally:
        for (owner, name, _), function in zip(places, old, strict=True):
            setattr(owner, name, function)


if __name__ == "__main__":
    main()

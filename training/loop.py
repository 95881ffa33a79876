"""train(): one function, read from top to bottom. A teacher from people's labels, or a student."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nsdata import View
from nsdata.classes import whole_number
from nsdata.errors import BadInput, ModelError, NsdataError, StorageFailed
from nsdata.progress import Progress, silent
from training import data, losses, models, noise
from training.config import TrainConfig
from training.models import LoadedModel, Preprocess
from training.optimiser import learning_rate, make_optimiser, moving_average

FIELDS = (
    "step",
    "epoch",
    "lr",
    "loss",
    "loss_labelled",
    "loss_unlabelled",
    "val_accuracy",
    "images_per_second",
)
"""Columns of metrics.csv; losses are means since the row before, val_accuracy is 0 to 1 or empty."""


@dataclass(slots=True, kw_only=True)
class Trained(LoadedModel):
    """The model of a run as it lies in ``path``, and how the run went.

    metrics: the rows of metrics.csv. warnings: sentences for the person.
    """

    metrics: list[dict[str, float | None]]
    warnings: list[str]
    steps: int
    seconds: float


def train(
    people: View,
    pseudo: View | None = None,
    *,
    config: TrainConfig | None = None,
    out: str | Path,
    gen: int | None = None,
    teacher_parameters: int | None = None,
    publish: bool = True,
    replace: bool = False,
    on_progress: Progress = silent,
    on_warning: Callable[[str], None] | None = None,
) -> Trained:
    """Train generation ``gen``'s model on people's labels and, if given, a generation's soft labels.

    people:  labelled train images. pseudo: images of a view with a generation (``store.view(gen=1)…``).
    out:     the run's folder: config.json, metrics.csv, last.pt, and best.pt once the run is complete.
    gen:     of this model; by default 0 without ``pseudo``, else its generation.
    publish: record the model in the store, so that ``label`` finds it as the next generation's teacher.
    replace: train over a finished run in ``out``.
    on_warning: told each of ``Trained.warnings`` before the first step.

    The EMA weights that are best on the validation images are kept (ties: the later), the last ones without
    validation. Test images are never looked at. Deterministic for a seed on one machine's CPU.

    Raises BadInput, EmptyView, ModelError (unknown model, a loss that is not finite). Ctrl-C passes through.
    """
    config = config or TrainConfig()
    gen = (0 if pseudo is None else pseudo.gen) if gen is None else whole_number("gen", gen)
    split = data.prepare(people, pseudo, config.val_fraction, gen=gen, ratio=config.ratio)
    assert gen is not None  # prepare() refused a pseudo view without one
    if publish:
        people.store.head().writable()  # now, not after hours of training
    folder = _claim(Path(out), replace)
    device = models.pick_device(config.device)
    on_gpu = device.type == "cuda"
    classes = people.store.classes

    with _writing(folder), _seeded(config.seed, config.threads, device):
        model = models.create(config, classes)
        preprocess = Preprocess.of(model, config.image_size)
        warnings = [*split.warnings, *_size_warning(model, pseudo, teacher_parameters)]
        for text in warnings:  # before the hours of work, not after them
            if on_warning is not None:
                on_warning(text)
        layout = torch.channels_last if on_gpu and config.channels_last else torch.contiguous_format
        model = model.to(device).to(memory_format=layout)
        ema = moving_average(model, config.ema_decay)
        optimiser = make_optimiser(model, config)
        add_noise = noise.BatchNoise(config, preprocess)

        size = preprocess.image_size
        fixed = config.crop != "resized" or not config.noise
        crop, plain = noise.train_crop(config, preprocess), noise.clean(preprocess)
        labelled = data.Source(split.labelled, crop, fixed=fixed, image_size=size)
        unlabelled = val = None
        if split.unlabelled is not None:
            unlabelled = data.Source(split.unlabelled, crop, fixed=fixed, image_size=size)
        if split.val is not None:
            val = data.Source(split.val, plain, fixed=True, image_size=size)

        per_epoch = len(split.labelled) / config.batch_size  # an epoch is a pass over the labelled images
        steps = config.steps or max(1, math.ceil(config.epochs * per_epoch))
        every = config.eval_every or max(1, steps // 20)
        _write_config(folder, config, steps, gen, classes, split, preprocess)
        keep: dict[str, Any] = {"config": config, "classes": classes, "preprocess": preprocess, "generation": gen}

        rows: list[dict[str, float | None]] = []
        best: float | None = None
        figures: dict[str, float | str] = {}
        sums, counted = np.zeros(3), 0  # loss, labelled, unlabelled since the last row
        began = lap = time.perf_counter()
        mixed = data.mixed_batches(
            labelled, unlabelled, batch_size=config.batch_size, ratio=config.ratio, seed=config.seed
        )
        with closing(mixed) as batches:
            for step, batch in zip(range(steps), batches, strict=False):
                lr = learning_rate(config, step, steps, per_epoch)
                for group in optimiser.param_groups:
                    group["lr"] = lr

                # labelled and unlabelled images share one forward pass and so one set of batch norm statistics
                images = _to(batch.images, device)
                images = add_noise(images, _generator(config.seed, step)).contiguous(memory_format=layout)
                with torch.autocast("cuda", torch.bfloat16, enabled=config.amp and on_gpu):
                    logits = model(images).float()
                n = len(batch.labels)
                labelled_N = losses.labelled_losses(logits[:n], _to(batch.labels, device), config.label_smoothing)
                unlabelled_M = losses.unlabelled_losses(logits[n:], _to(batch.soft, device), config.soft)
                loss = losses.combine(labelled_N, unlabelled_M, config.loss)

                # one wait for the device a step: a loss that is not finite must not reach the weights
                now = torch.stack([loss, labelled_N.mean(), unlabelled_M.sum() / max(1, len(unlabelled_M))])
                value, value_labelled, value_unlabelled = now.tolist()
                if not math.isfinite(value):
                    raise ModelError(
                        f"The loss is {value} at step {step + 1} of {steps}, learning rate {lr:.3g}.",
                        f"--set lr={config.lr / 4:g}, or --set clip_norm=1",
                    )
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                if config.clip_norm:
                    nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
                optimiser.step()
                ema.update(model, step=step + 2)  # timm counts from one, and one further, for TF's formula

                sums += (value, value_labelled, value_unlabelled)
                counted += 1
                done = step + 1
                figures["loss"] = value
                if done % every == 0 or done == steps:
                    speed = counted * len(batch.images) / max(time.perf_counter() - lap, 1e-9)
                    accuracy = None if val is None else _accuracy(ema.module, val, preprocess, config)
                    mean = [float(v) for v in sums / counted]
                    rows.append(_row(done, done / per_epoch, lr, mean, len(batch.soft), accuracy, speed))
                    state = ema.module.state_dict()
                    models.save(folder / "last.pt", state=state, step=done, val_accuracy=accuracy, **keep)
                    if best is None or accuracy is None or accuracy >= best:
                        best = accuracy
                        models.save(folder / "unfinished.pt", state=state, step=done, val_accuracy=best, **keep)
                    _write_metrics(folder, rows)
                    sums[:], counted = 0, 0
                    figures["images_per_second"] = speed
                    if accuracy is not None:
                        figures["accuracy"] = accuracy
                    lap = time.perf_counter()
                on_progress(done, steps, **figures)

        # best.pt means a run that is complete; what an interrupted one leaves is called otherwise
        (folder / "unfinished.pt").replace(folder / "best.pt")
        saved = models.load(folder / "best.pt")
        _sign(folder, saved)
    seconds = time.perf_counter() - began
    facts = {field.name: getattr(saved, field.name) for field in dataclasses.fields(LoadedModel)}
    trained = Trained(**facts, metrics=rows, warnings=warnings, steps=steps, seconds=seconds)
    if publish:
        _publish(people, pseudo, trained)
    return trained


@torch.inference_mode()
def _accuracy(model: nn.Module, val: data.Source, preprocess: Preprocess, config: TrainConfig) -> float:
    """Share of the validation images whose most probable class is their label; the model is in eval mode."""
    device = next(model.parameters()).device
    right = 0
    with closing(val.batches(256)) as batches:
        for batch in batches:
            images = preprocess.normalise(_to(batch.images, device).permute(0, 3, 1, 2))
            with torch.autocast("cuda", torch.bfloat16, enabled=config.amp and device.type == "cuda"):
                right += int((model(images).argmax(1) == _to(batch.labels, device)).sum())
    return right / len(val.view)


def _publish(people: View, pseudo: View | None, trained: Trained) -> None:
    """Tell the store: this is the model of its generation."""
    people.store.head().publish_model(
        gen=trained.generation,
        path=trained.path.resolve(),
        sha256=trained.sha256,
        name=trained.name,
        parameters=trained.parameters,
        val_accuracy=trained.val_accuracy,
        config=trained.config.to_dict(),
        views=[view.recipe for view in (people, pseudo) if view is not None],
    )


def _size_warning(model: nn.Module, pseudo: View | None, teacher: int | None) -> list[str]:
    """The paper's rule: a student is equal to or larger than its teacher."""
    if pseudo is not None and pseudo.gen is not None and teacher is None:
        teacher = pseudo.store.labels(pseudo.gen).provenance.get("teacher_parameters")
    mine = models.parameters(model)
    if pseudo is None or teacher is None or mine >= teacher:
        return []
    return [
        f"The student has {mine:,} parameters, fewer than its teacher's {teacher:,}; "
        "Noisy Student asks for an equal or larger student."
    ]


def _claim(folder: Path, replace: bool) -> Path:
    """The run's folder, made if it is not there. Raises BadInput if it holds a finished run."""
    if (folder / "best.pt").exists() and not replace:  # with it, the old model stays until the new one is complete
        raise BadInput(f"The folder {folder} holds a finished run.", f"nsdata train … --out {folder}-2, or --replace")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"The folder {folder} cannot be made: {error.strerror}.", "--out FOLDER") from error
    return folder


def _sign(folder: Path, model: LoadedModel) -> None:
    """Put into config.json which best.pt this run ended in."""
    path = folder / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content |= {"sha256": model.sha256, "val_accuracy": model.val_accuracy, "parameters": model.parameters}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """A run folder that cannot be written is the disk's failure, not a defect of ours."""
    try:
        yield
    except OSError as error:
        if isinstance(error, NsdataError):
            raise
        raise StorageFailed(
            f"The run folder {folder} cannot be written: {error.strerror or error}.", f"ls -ld {folder}; df -h {folder}"
        ) from error


@contextmanager
def _seeded(seed: int, threads: int, device: torch.device) -> Iterator[None]:
    """Torch's global random state and thread count as the config wants them, and as they were afterwards."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.set_num_threads(threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _generator(seed: int, step: int) -> torch.Generator:
    """The noise of a step depends on nothing but the seed and the step."""
    state = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _to(array: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _row(
    step: int, epoch: float, lr: float, mean: list[float], soft: int, accuracy: float | None, speed: float
) -> dict[str, float | None]:
    unlabelled = mean[2] if soft else None
    return dict(zip(FIELDS, (step, epoch, lr, mean[0], mean[1], unlabelled, accuracy, speed), strict=True))


def _write_metrics(folder: Path, rows: list[dict[str, float | None]]) -> None:
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def _write_config(
    folder: Path,
    config: TrainConfig,
    steps: int,
    gen: int,
    classes: tuple[str, ...],
    split: data.Split,
    preprocess: Preprocess,
) -> None:
    views = {"labelled": split.labelled, "unlabelled": split.unlabelled, "val": split.val}
    content = {
        "config": config.to_dict(),
        "generation": gen,
        "steps": steps,
        "classes": list(classes),
        "preprocess": preprocess.to_dict(),
        "views": {name: None if view is None else view.recipe for name, view in views.items()},
        "store": split.labelled.store.url,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("torch", "torchvision", "timm", "numpy", "pillow")},
    }
    (folder / "config.json").write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")

"""train(): one function, read from top to bottom. A teacher from people's labels, or a student."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nsdata import View
from nsdata.arguments import file_path, flag
from nsdata.errors import ModelError
from nsdata.progress import Progress, watched
from nsdata.storage.durable import sync_path
from training import arguments, data, files, judging, losses, models, noise, resume, run_folder, run_identity, trial
from training.config import TrainConfig
from training.config_values import settled
from training.device import pick_device, to_device
from training.fine_tuning import freeze, not_tuned
from training.models import LoadedModel, Preprocess
from training.objective import Objective, arithmetic
from training.optimiser import learning_rate, make_optimiser, moving_average
from training.planned import Finished, Plan
from training.planned import plan as planned
from training.probing import facts_of, probed
from training.publishing import publish as publish_model
from training.run_folder import Row
from training.seeds import generator, initial, seeded
from training.split import size_warning
from training.starting import begun_with
from training.validation import Validation


@dataclass(slots=True, kw_only=True, repr=False)
class Trained(LoadedModel):
    """The model of a run as it lies in ``path``, and how the run went.

    metrics: the rows of metrics.csv. warnings: sentences for the person. resumed: the step from which this call went
    on; 0 if it began. seconds: of training, an interrupted part of it included. already: it was finished before.
    """

    metrics: list[Row]
    warnings: list[str]
    steps: int
    resumed: int
    seconds: float
    already: bool = False


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
    restart: bool = False,
    plan: int | None = None,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], None] | None = None,
    on_resume: Callable[[int, int], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> Trained:
    """Train generation ``gen``'s model on people's labels and, if given, a generation's soft labels.

    people:  labelled train images. pseudo: images of a view with a generation (``store.view(gen=1)…``).
    out:     the run's folder: config.json, metrics.csv, last.pt, and best.pt once the run is complete.
    gen:     of this model; by default 0 without ``pseudo``, else its generation.
    publish: record the model in the store, so that ``label`` finds it as the next generation's teacher.
    replace: train over a finished run in ``out``, or over an unfinished one that is of something else.
    restart: begin at step 0 even where this very run was interrupted and could be resumed.
    plan:    the event of the plan that this is a step of, which is recorded; None where a person trains.
    on_progress: None: a bar in a terminal or notebook. on_warning: given each of ``Trained.warnings`` as it arises.
    on_resume: given (step, steps) of a run that is resumed. on_row: given each new row of metrics.csv.

    What the configuration leaves open is decided by training/defaults.py. The last EMA weights are kept, or those best
    on the validation images (``config.keep``; ties: the later). Test images are never looked at. Deterministic for a
    seed on one machine's CPU. A run that was interrupted or killed is resumed when the same call is made again
    (training/resume.py), there to the same bits.

    Where ``out`` holds this very run, finished, its model is returned and published if the store does not know it.

    Raises BadInput, EmptyView, ModelError (unknown, or a loss that is not finite), Conflict (another trains there).
    """
    config, folder = arguments.config(config), file_path("out", out)
    publish, replace, restart = flag("publish", publish), flag("replace", replace), flag("restart", restart)
    gen, teacher_parameters = arguments.of_run(people, pseudo, gen, teacher_parameters)
    of_run = planned(
        people, pseudo, config=config, out=folder, gen=gen, publish=publish, replace=replace, restart=restart
    )
    if of_run.finished is not None:
        return _already(people, pseudo, of_run, of_run.finished, publish, plan)
    if of_run.config.probe:
        return _probed(people, of_run, folder, publish, replace, on_progress, on_warning, plan)
    config, gen, split, steps, per_epoch = of_run.config, of_run.gen, of_run.split, of_run.steps, of_run.per_epoch
    device = pick_device(config.device, "--set device=auto")
    classes = people.store.classes
    warnings: list[str] = []

    def warn(text: str) -> None:
        warnings.append(text)
        if on_warning is not None:
            on_warning(text)

    with run_folder.held(folder), files.writing(folder), seeded(initial(config.seed, gen), config.threads, device):
        if restart or not (folder / resume.NAME).exists():
            run_folder.refuse_finished(folder, replace)
        model = models.create(config, classes, pretrained=begun_with(config, split.unlabelled))
        freeze(model, config)
        preprocess = Preprocess.of(model, config.side, config.crop_pct)
        size = size_warning(models.parameters(model), pseudo, teacher_parameters)
        unjudged = [judging.UNJUDGED] if split.unlabelled is not None and split.val is None else []
        untaken = [*models.untaken(model, config), *not_tuned(model, config)]
        for text in (*split.warnings, *size, *untaken, *unjudged):
            warn(text)  # before the hours of work, not after them
        model = model.to(device).to(memory_format=arithmetic(config, device)[1])
        images_a_step = config.batch_size * (config.labelled + (0 if split.unlabelled is None else config.ratio))
        trial.check(model, config, preprocess.image_size, images_a_step, len(classes))
        # the EMA is the model: it is what is validated, saved, and labels the next generation. It costs one more copy
        # of the weights and one pass over them a step
        ema = moving_average(model, settled(config.ema_decay))
        optimiser = make_optimiser(model, config)
        objective = Objective(model, config, preprocess, split)
        every = config.eval_every or max(1, steps // 20)  # each pass over val costs its images once, without gradients

        same = run_identity.identity(config, steps, gen, classes, preprocess, split, device.type)
        run_folder.need_room(folder, models.parameters(model))
        keeper = resume.Keeper(folder, same, model, ema.module, optimiser, config.checkpoint_seconds)
        run = None if restart else keeper.restore(replace=replace, warn=warn)
        resumed = 0 if run is None else run.step
        if run is None:
            run_folder.refuse_finished(folder, replace)
            keeper.forget()  # first, so that no state is ever beside another run's weights
            (folder / "unfinished.pt").unlink(missing_ok=True)
            run = resume.Run()
        elif on_resume is not None:
            on_resume(resumed, steps)
        run_folder.write_config(folder, config, steps, gen, classes, split, preprocess, same, plan)
        if run.rows:
            run_folder.write_metrics(folder, run.rows)
        judged = Validation.of(people, split.val, settled(config.val_fraction))
        keep: dict[str, Any] = {
            "config": config, "classes": classes, "preprocess": preprocess, "generation": gen, "validation": judged
        }  # fmt: skip

        # crops are chosen before decoding, so that only their part of a JPEG is decoded; the rest of the noise is drawn
        # on the device, for the whole batch at once
        labelled = unlabelled = val = None
        if config.labelled:
            labelled = data.Source(split.labelled, objective.noise.labelled_crop)
        if split.unlabelled is not None:
            unlabelled = data.Source(split.unlabelled, objective.noise.unlabelled_crop)
        if split.val is not None:
            val = data.Source(split.val, noise.clean(preprocess))

        figures: dict[str, float | str] = {}
        told = False  # that the loss rises
        began = time.perf_counter() - run.seconds
        # B labelled images and ratio × B soft-labelled ones a step, each from an endless shuffle of its own; what step
        # n sees depends on seed and n alone, so that a resumed run sees the same
        mixed = data.mixed_batches(
            labelled, unlabelled, batch_size=config.batch_size, ratio=config.ratio, seed=config.seed, start=run.step
        )
        with (
            closing(to_device(mixed, device)) as batches,
            keeper.kept(run),
            watched(on_progress, f"training {config.model}", "steps") as report,
        ):
            report(run.step, steps)
            for step, batch in zip(range(run.step, steps), batches, strict=False):
                keeper.begin_step()
                lr = learning_rate(config, step, steps, per_epoch)
                for group in optimiser.param_groups:
                    group["lr"] = lr * group["scale"]

                labelled_N, unlabelled_M = objective(batch, generator(config.seed, step))
                loss = losses.combine(labelled_N, unlabelled_M, config.loss)

                # one wait for the device a step: a loss that is not finite must not reach the weights
                means = [each.sum() / max(1, len(each)) for each in (labelled_N, unlabelled_M)]
                now = torch.stack([loss, *means])
                value, value_labelled, value_unlabelled = now.tolist()
                if not math.isfinite(value):
                    keeper.forget()  # it would come to the same end
                    raise ModelError(
                        f"The loss is {value} at step {step + 1} of {steps}, learning rate {lr:.3g}.",
                        f"--set lr={settled(config.lr) / 4:g}, or --set clip_norm=1",
                    )
                optimiser.zero_grad(set_to_none=True)  # frees the gradients' memory while the next forward pass runs
                loss.backward()  # type: ignore[no-untyped-call]
                if config.clip_norm:
                    nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
                optimiser.step()
                ema.update(model, step=step + 2)  # timm counts from one, and one further, for TF's formula

                run.step = done = step + 1
                run.sums = [a + b for a, b in zip(run.sums, (value, value_labelled, value_unlabelled), strict=True)]
                run.counted += 1
                run.seconds = time.perf_counter() - began
                figures["loss"] = value
                validated = done % every == 0 or done == steps
                if validated:
                    speed = run.counted * len(batch) / max(run.seconds - run.lap, 1e-9)
                    hits = None if val is None else judging.right(ema.module, val, preprocess, config)
                    accuracy = None if hits is None else float(hits.mean())
                    seen = (len(batch), len(batch.labels), len(batch.soft))
                    mean = [s / run.counted if count else None for s, count in zip(run.sums, seen, strict=True)]
                    run.rows.append(run_folder.row(done, done / per_epoch, lr, mean, accuracy, speed))
                    state = ema.module.state_dict()
                    models.save(folder / "last.pt", state=state, step=done, val_accuracy=accuracy, **keep)
                    # the best on val, of ties the later; or the last, as without val
                    last = config.keep == "last" or accuracy is None or run.best is None
                    if not run.best_step or last or (accuracy or 0.0) >= (run.best or 0.0):
                        run.best, run.best_step = accuracy, done
                        models.save(folder / "unfinished.pt", state=state, step=done, val_accuracy=run.best, **keep)
                    run_folder.write_metrics(folder, run.rows)
                    if on_row is not None:
                        on_row(run.rows[-1])
                    if not told and (rises := judging.rising([row["loss"] for row in run.rows])) is not None:
                        told = True
                        warn(rises)
                    run.sums, run.counted = [0.0, 0.0, 0.0], 0
                    figures["images_per_second"] = speed
                    if accuracy is not None:
                        figures |= {"accuracy": accuracy, "val_images": len(split.val or ())}
                    run.seconds = run.lap = time.perf_counter() - began
                keeper.end_step()
                report(done, steps, **figures)
                if validated:
                    keeper.write(run)
                else:
                    keeper.write_if_due(run)

        # killed anywhere below, the same call finds run.sha256 and only does the rest
        unfinished, best = folder / "unfinished.pt", folder / "best.pt"
        if run.sha256 is None:
            run.sha256 = run_folder.file_sha256(unfinished)
            keeper.write(run)
        if unfinished.exists():  # best.pt means a run that is complete; what an interrupted one leaves has another name
            run_folder.keep_replaced(best, run.sha256)
            unfinished.replace(best)
            sync_path(str(folder))
        saved = models.load(best)
        run_folder.sign(folder, saved, run.seconds)
        if pseudo is not None and split.val is not None and val is not None:
            hits = judging.right(saved.model.to(device), val, preprocess, config)
            if (worse := judging.behind(split.val, hits, pseudo)) is not None:
                warn(worse)
            saved.model.cpu()
        facts = {field.name: getattr(saved, field.name) for field in dataclasses.fields(LoadedModel)}
        trained = Trained(
            **facts, metrics=run.rows, warnings=warnings, steps=steps, resumed=resumed, seconds=run.seconds
        )
        if publish:
            publish_model(people, pseudo, trained, plan)
        keeper.forget()
    return trained


def _probed(
    people: View, of_run: Plan, folder: Path, publish: bool, replace: bool, on_progress: Progress | None,
    on_warning: Callable[[str], None] | None, plan: int | None,
) -> Trained:  # fmt: skip
    """The model of a run that only fits the classifier (training/probing.py)."""
    warnings, device = list(of_run.split.warnings), pick_device(of_run.config.device, "--set device=auto")
    seeds = seeded(initial(of_run.config.seed, of_run.gen), of_run.config.threads, device)
    with run_folder.held(folder), files.writing(folder), seeds:
        run_folder.refuse_finished(folder, replace)
        found = probed(people, of_run, folder, plan, publish=publish, on_progress=on_progress, warn=warnings.append)
        saved, metrics, seconds = found
        trained = Trained(**facts_of(saved), metrics=metrics, warnings=warnings, steps=1, resumed=0, seconds=seconds)
        if publish:
            publish_model(people, None, trained, plan)
    if on_warning is not None:
        for text in warnings:
            on_warning(text)
    return trained


def _already(people: View, pseudo: View | None, run: Plan, done: Finished, publish: bool, plan: int | None) -> Trained:
    """The model of this very run, which is finished; it is published if the store does not know it."""
    saved = models.load(done.path)
    facts = {field.name: getattr(saved, field.name) for field in dataclasses.fields(LoadedModel)}
    trained = Trained(
        **facts, metrics=done.metrics(), warnings=run.split.warnings, steps=run.steps, resumed=run.steps,
        seconds=float(done.facts.get("seconds", 0.0)), already=True,
    )  # fmt: skip
    if publish and not done.published:
        publish_model(people, pseudo, trained, plan)
    return trained

"""resume.pt: the whole state of an unfinished run, written between two steps, taken up again only by the same run.

"The same" is its identity: every setting that can change a number, the images, their labels, the soft labels. What
is resumed ends in the same bits on a CPU. The file is tensors and plain values, read with ``weights_only=True``: it
runs no code.
"""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.files import write_tensors
from training.run_folder import FIELDS, RESUME, Row, file_sha256, unfinished_other
from training.run_identity import difference, other

NAME = RESUME


@dataclass(slots=True)
class Run:
    """How far a run has come. With the tensors it is all that resuming needs.

    step: optimiser steps done. rows: of metrics.csv. best, best_step: validation accuracy (0 to 1, None if not
    measured) and step of unfinished.pt; step 0 means that there is none yet. sums, counted: losses (all, labelled,
    unlabelled) and steps since the last row. seconds: of training, over all sittings; lap: when the last row was
    written. sha256: of the weights to keep, once every step is done.
    """

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    best: float | None = None
    best_step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    counted: int = 0
    seconds: float = 0.0
    lap: float = 0.0
    sha256: str | None = None


class Keeper:
    """Writes, takes up and removes the state of one run, whose parts it knows.

    While a step changes them, the parts do not fit together: from ``begin_step`` to ``end_step`` Ctrl-C (and SIGTERM,
    where it raises) waits; a second one does not.
    """

    def __init__(
        self, folder: Path, identity: dict[str, Any], model: nn.Module, average: nn.Module,
        optimiser: torch.optim.Optimizer, seconds: float,
    ) -> None:  # fmt: skip
        """seconds: between two writes that nothing else calls for."""
        self.path, self.identity, self.seconds = folder / NAME, identity, seconds
        self.model, self.average, self.optimiser = model, average, optimiser
        self.device = next(model.parameters()).device
        self._whole, self._written, self._at = True, 0, time.monotonic()
        self._before: dict[int, Any] = {}
        self._waiting: int | None = None

    # ---------------------------------------------------------------- out

    def write(self, run: Run) -> None:
        """The state as it is now, whole or not at all."""
        content = {
            "identity": self.identity,
            "environment": _environment(),
            "run": dataclasses.asdict(run),
            "model": dict(self.model.state_dict()),
            "average": dict(self.average.state_dict()),
            "optimiser": self.optimiser.state_dict()["state"],  # its settings are the config's
            "random": torch.get_rng_state(),
            "random_device": _device_random(self.device),
        }
        write_tensors(self.path, content)
        self._written, self._at = run.step, time.monotonic()

    def write_if_due(self, run: Run) -> None:
        """The same, if the last time is long enough ago."""
        if time.monotonic() - self._at >= self.seconds:
            self.write(run)

    def forget(self) -> None:
        """The run is complete, or is not to be resumed."""
        self.path.unlink(missing_ok=True)

    # ---------------------------------------------------------------- in

    def restore(self, *, replace: bool, warn: Callable[[str], None]) -> Run | None:
        """Where the run in this folder stopped, its tensors put in place; None to begin at step 0.

        Raises BadInput if it is another run's and not to be replaced. A file that is damaged is reported to ``warn``.
        """
        if not self.path.exists():
            return None
        try:
            content = _read(self.path)
            another = other(dict(content["identity"]), self.identity, finished=False)
        except Exception as error:  # torch raises a dozen kinds for bytes that it did not write
            self._tell_damage(error, warn)
            return None
        if another and not replace:
            raise unfinished_other(self.path.parent, another)
        if another:
            return None
        try:
            run = self._run(content)
            self._restore(content)
        except Exception as error:
            self._tell_damage(error, warn)
            return None
        was, now = dict(content["environment"]), _environment()
        if changed := difference(was, now):
            warn(f"Since this run was begun, {changed}: its numbers may differ from those of a run in one go.")
        self._written = run.step
        return run

    def _tell_damage(self, error: Exception, warn: Callable[[str], None]) -> None:
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        warn(f"The state of the unfinished run, {self.path}, is damaged ({text}); it cannot be resumed.")

    def _run(self, content: dict[str, Any]) -> Run:
        """Checked against the files beside it. Raises ValueError and its like."""
        run = Run(**content["run"])
        run.rows = [{name: row[name] for name in FIELDS} for row in run.rows]
        run.sums = [float(value) for value in run.sums]
        run.seconds, run.lap, run.counted = float(run.seconds), float(run.lap), int(run.counted)
        if not 0 <= run.step <= self.identity["number of steps"] or len(run.sums) != 3:
            raise ValueError(f"step {run.step}, {len(run.sums)} sums")
        folder = self.path.parent
        unfinished, best = folder / "unfinished.pt", folder / "best.pt"
        if run.sha256 is not None:
            kept = unfinished if unfinished.exists() else best
            if file_sha256(kept) != run.sha256:
                raise ValueError(f"{kept} is not the file that it was")
        elif run.best_step:
            kept = torch.load(unfinished, map_location="cpu", weights_only=True, mmap=True)
            if int(kept["step"]) < run.best_step:
                raise ValueError(f"{unfinished} is of step {kept['step']}, not {run.best_step}")
            # a kill between the two files' writing leaves it one validation ahead; on a CPU that comes out the same
            run.best, run.best_step = kept["val_accuracy"], int(kept["step"])
        return run

    def _restore(self, content: dict[str, Any]) -> None:
        """All of the tensors or, where one does not fit, none."""
        for name, module in (("model", self.model), ("average", self.average)):
            mine, theirs = module.state_dict(), content[name]
            if {k: (v.shape, v.dtype) for k, v in mine.items()} != {k: (v.shape, v.dtype) for k, v in theirs.items()}:
                raise ValueError(f"the {name}'s tensors do not fit")
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        for index, values in content["optimiser"].items():
            for value in values.values():
                if isinstance(value, Tensor) and value.ndim and value.shape != parameters[index].shape:
                    raise ValueError("the optimiser's tensors do not fit")
        on_device = content["random_device"]
        before = torch.get_rng_state(), _device_random(self.device)
        try:
            torch.set_rng_state(content["random"])
            _set_device_random(self.device, on_device)
        except Exception:
            torch.set_rng_state(before[0])
            _set_device_random(self.device, before[1])
            raise
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": content["optimiser"], "param_groups": groups})
        self.model.load_state_dict(content["model"])
        self.average.load_state_dict(content["average"])

    # ---------------------------------------------------------------- interrupts

    @contextmanager
    def kept(self, run: Run) -> Iterator[None]:
        """Training: an interrupt between two steps writes the state before it goes its way."""
        if threading.current_thread() is threading.main_thread():  # only there can handlers be set
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(signal.getsignal(number)):
                    self._before[number] = signal.signal(number, self._interrupted)
        try:
            yield
        except KeyboardInterrupt:
            if self._whole and run.step > self._written:
                self.write(run)
            raise
        finally:
            for restored, handler in self._before.items():
                signal.signal(restored, handler)
            self._before.clear()

    def begin_step(self) -> None:
        """From here on the parts change."""
        self._whole = False

    def end_step(self) -> None:
        """The parts fit together again; an interrupt that waited raises here."""
        self._whole = True
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._before[number](number, None)

    def _interrupted(self, number: int, frame: Any) -> None:
        if self._whole or self._waiting is not None:
            self._before[number](number, frame)
        else:
            self._waiting = number


def _read(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as file:  # torch.load does not look at the checksums that torch.save writes
        if bad := file.testzip():
            raise ValueError(f"wrong checksum of {bad}")
    content = torch.load(path, map_location="cpu", weights_only=True)
    return dict(content)


def _environment() -> dict[str, Any]:
    """What may change the last digits without being a reason to refuse."""
    names = ("torch", "torchvision", "timm", "numpy", "pillow")
    return {**{name: version(name) for name in names}, "threads": torch.get_num_threads()}


def _device_random(device: torch.device) -> Tensor | None:
    """The random state of a device that has one of its own."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def _set_device_random(device: torch.device, state: Tensor | None) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(_needed(state), device)
    elif device.type == "mps":
        torch.mps.set_rng_state(_needed(state))


def _needed(state: Tensor | None) -> Tensor:
    if state is None:
        raise ValueError("the device's random state is missing")
    return state

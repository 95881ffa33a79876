"""The folder of a training run: one process at a time works in it, and no file in it is ever half written."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from nsdata.errors import BadInput, Conflict
from nsdata.storage.address import replaced
from nsdata.storage.durable import sync_way
from nsdata.storage.space import need
from training import tensorboard
from training.config import TrainConfig
from training.files import write_whole, writing

if TYPE_CHECKING:
    from training.models import LoadedModel, Preprocess
    from training.split import Split

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

RESUME = "resume.pt"
"""The whole state of an unfinished run."""

Row = dict[str, float | None]
"""A row of metrics.csv: a value for each of FIELDS."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """This process's alone meanwhile, and made if it is not there. Raises BadInput, Conflict."""
    import fcntl

    with writing(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise BadInput(f"The folder {folder} cannot be made: {error.strerror}.", "--out FOLDER") from error
        sync_way(str(folder))  # an interrupted run may have made it: what the store's log names must outlive the power
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(folder) from error
        except OSError:  # a file system that knows no locks: nothing is lost but the guard
            pass
        for left in folder.glob(".*.tmp"):  # of a process that was killed while it wrote; it had the lock
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)  # the file stays: removing a lock file that another process has opened breaks the lock


def refuse_held(folder: Path) -> None:
    """Raises Conflict where another process works in a folder at this moment."""
    import fcntl

    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy(folder) from error
    except OSError:  # a file system that knows no locks
        pass
    finally:
        os.close(descriptor)


def _busy(folder: Path) -> Conflict:
    return Conflict(f"Another process is training into {folder}.", f"wait for it, or --out {folder}-2")


def need_room(folder: Path, parameters: int) -> None:
    """Raises StorageFailed where the disk has no room for a run's files; those of an interrupted run are replaced.

    Four bytes a parameter: the last and the best weights, those of a run before it, and what a run resumes from
    (weights, average, momentum), of which the new lies beside the old for a moment.
    """
    there = sum(file.stat().st_size for file in folder.glob("*.pt"))
    need(folder, max(9 * 4 * parameters - there, 3 * 4 * parameters), "training")


def check_place(folder: Path) -> None:
    """Raises BadInput where a run folder cannot be, as something else is there or on the way to it."""
    for place in (folder, *folder.absolute().parents):
        if place.is_dir():
            return
        if os.path.lexists(place):
            raise BadInput(f"The folder {folder} cannot be made: {place} is a file.", "--out FOLDER")


def refuse_finished(folder: Path, replace: bool) -> None:
    """Raises BadInput for a folder with a finished run, unless it is to be trained over."""
    if (folder / "best.pt").exists() and not replace:  # with it, the old model stays until the new one is complete
        raise holds_another(folder)


class AnotherRun(BadInput):
    """A folder holds another run than the one that is asked for; ``difference``: in words, from that."""

    difference = ""
    finished = True


def holds_another(folder: Path, difference: str = "") -> AnotherRun:
    """The error of a folder that holds a finished run."""
    other = f": {difference}" if difference else ""
    error = AnotherRun(f"The folder {folder} holds a finished run{other}.", f"--out {folder}-2, or --replace")
    error.difference = difference
    return error


def unfinished_other(folder: Path, difference: str) -> AnotherRun:
    """The error of a folder that holds an unfinished run."""
    hint = f"--replace to begin again, or --out {folder}-2"
    error = AnotherRun(f"The unfinished run in {folder} is another one: {difference}.", hint)
    error.difference, error.finished = difference, False
    return error


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json says; nothing where it cannot be read."""
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_metrics(folder: Path, rows: list[Row]) -> None:
    """metrics.csv, again; and the same for TensorBoard."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(folder / "metrics.csv", lambda file: _text(file, text.getvalue()))
    tensorboard.write(folder, rows)


def write_config(
    folder: Path,
    config: TrainConfig,
    steps: int,
    gen: int,
    classes: tuple[str, ...],
    split: Split,
    preprocess: Preprocess,
    identity: dict[str, Any],
    plan: int | None = None,
) -> None:
    """config.json: what this run is of. identity: with what another run must agree to be the same. plan: the event of
    the plan that it is a step of."""
    views = {"labelled": split.labelled, "unlabelled": split.unlabelled, "val": split.val}
    content = {
        "config": config.to_dict(),
        "generation": gen,
        "steps": steps,
        "classes": list(classes),
        "preprocess": preprocess.to_dict(),
        "views": {name: None if view is None else view.recipe for name, view in views.items()},
        "store": split.labelled.store.url,
        "identity": identity,
        "plan": plan,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("torch", "torchvision", "timm", "numpy", "pillow")},
    }
    write_whole(folder / "config.json", lambda file: _text(file, json.dumps(content, indent=2, default=str) + "\n"))


def file_sha256(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_replaced(best: Path, sha256: str) -> None:
    """Keep the checkpoint that another replaces, under a name of its own: the store may know it as a teacher."""
    if best.exists() and (old := file_sha256(best)) != sha256:
        with contextlib.suppress(FileExistsError):
            os.link(best, replaced(best, old))


def sign(folder: Path, model: LoadedModel, seconds: float) -> None:
    """Put into config.json which best.pt this run ended in, after how many seconds of training."""
    path = folder / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content |= {"sha256": model.sha256, "val_accuracy": model.val_accuracy, "val_images": model.val_images}
    content |= {"parameters": model.parameters, "seconds": seconds}
    write_whole(path, lambda file: _text(file, json.dumps(content, indent=2) + "\n"))


def _text(file: IO[bytes], text: str) -> None:
    file.write(text.encode())


def row(step: int, epoch: float, lr: float, mean: list[float | None], accuracy: float | None, speed: float) -> Row:
    """One for metrics.csv. mean: of the losses of all images, of the labelled and of the unlabelled; None of none."""
    return dict(zip(FIELDS, (step, epoch, lr, *mean, accuracy, speed), strict=True))

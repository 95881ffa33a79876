"""What is likely to go wrong, here and in a store, and the command that helps.

Of the machine: versions, decoder, free disk. Of a store: whether it is as it was published, who judges its models,
what leaks, what is stale, unbalanced or over-confident.
"""

from __future__ import annotations

import io
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nsdata import __version__
from nsdata.analysis.calibration import Calibration, calibration
from nsdata.analysis.glance import NOTHING, glance
from nsdata.arithmetic.intervals import wilson
from nsdata.errors import BadInput, NotFound, NsdataError, StoreNotFound
from nsdata.images import decoder
from nsdata.images.crops import random_resized
from nsdata.labels.eligibility import unlabelled_rows
from nsdata.schema import SPLITS
from nsdata.storage import space
from nsdata.text import listed
from nsdata.versions.handle import Handle
from nsdata.views import moved
from nsdata.views.changed import words
from nsdata.views.command import again
from nsdata.views.saved import load

if TYPE_CHECKING:
    from nsdata.log.state import Generation
    from nsdata.verify.report import Report

PACKAGES = ("deeplake", "numpy", "pillow", "pyarrow", "duckdb", "torch", "timm")

FEW = 100  # labelled images of a split: an accuracy of theirs is known to 8 points, or worse
SECONDS = 2.0  # that looking for leaks may take
UNBALANCED = 10.0  # times as many entries of one class as of another, in a view of soft labels


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's. good: None where there is nothing to judge. hint: the command that helps."""

    what: str
    text: str
    good: bool | None = None
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def machine(url: str) -> list[Finding]:
    """Versions, the decoder and its speed, GPUs, and the disk on which a store at this address lies, or would."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    found = [
        Finding("nsdata", f"{__version__} · Python {platform.python_version()} · {platform.platform()}"),
        Finding("packages", versions),
        _decoder(),
        _gpus(),
    ]
    free = space.free(url)
    if free is not None:
        found.append(Finding("disk", f"{free / 1e9:,.1f} GB free", free > 1e9, "" if free > 1e9 else "nsdata gc"))
    return found


def examine(url: str, report: Report | None = None) -> list[Finding]:
    """The store at an address, as it is now. report: of ``verify``, if it was run. What cannot be read is a finding."""
    found: list[Finding] = []
    if report is not None:
        found.append(Finding("files", report.summary, report.sound, "" if report.sound else "nsdata verify"))
    try:
        store = Handle.open(url)
        found.insert(0, Finding("store", f"{store.url} at version {store.version}: {len(store):,} images"))
    except StoreNotFound as error:
        return [Finding("store", error.message, None, error.hint)]
    except NsdataError as error:
        return [Finding("store", error.message, False, error.hint), *found]
    known = {finding.text for finding in found}  # of what is damaged, once is enough
    found += [finding for finding in findings(store) if finding.what != "damage" or finding.text not in known]
    alike = glance(store, SECONDS)
    return [*found, Finding("leaks", alike.text, alike.clean, alike.way if alike.why != NOTHING else "")]


def findings(store: Handle, known: Mapping[int, Calibration | None] | None = None) -> list[Finding]:
    """What is likely to go wrong with a store's contents, at one version. known: what was ``calibrated`` before."""
    found: list[Finding] = []
    for part in (_judges, _classes, _room, partial(_generations, known=known or {}), _views):
        try:
            found += part(store)
        except NotFound as error:  # what a purge took, as of a view's old generation, is no damage
            found.append(Finding("purged", error.message, None, error.hint))
        except NsdataError as error:
            if all(finding.text != error.message for finding in found):
                found.append(Finding("damage", error.message, False, error.hint))
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _decoder() -> Finding:
    """Which decoder there is, and how many photographs of 500 × 375 a second it makes random crops of, on one core."""
    noise = np.random.default_rng(0).integers(0, 255, (47, 63, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    blobs, out = [file.getvalue()] * 32, np.empty((32, 224, 224, 3), np.uint8)
    keys = np.arange(32, dtype=np.uint64) << np.uint64(40)
    began = time.perf_counter()
    decoder.decode_into(out, blobs, np.full(32, 500), np.full(32, 375), keys, random_resized(224))
    speed = f"{32 / (time.perf_counter() - began):,.0f} crops a second on one core"
    if decoder.turbo() is not None:
        return Finding("decoder", f"in C, {speed}", True)
    hint = f"{sys.executable} -m pip install --force-reinstall --no-deps nsdata   # with a C compiler"
    return Finding("decoder", f"Pillow's: the part in C was not built, or fits no libjpeg here; {speed}", False, hint)


def _gpus() -> Finding:
    """What NVIDIA's driver reports; whether torch was built for it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", "none that NVIDIA's driver reports")
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return Finding("GPU", "the driver does not answer", False, "nvidia-smi")
    text = "; ".join(done.stdout.strip().splitlines()) or "none"
    if "+cpu" in _version("torch"):
        hint = f"{sys.executable} -m pip install --upgrade torch   # a build for CUDA"
        return Finding("GPU", f"{text}, but torch was built without CUDA", False, hint)
    return Finding("GPU", text, True)


def _judges(store: Handle) -> Iterator[Finding]:
    """Whether there are enough labelled images outside of train to tell two models apart."""
    table = store.table
    labelled = table.visible & (table.label >= 0)
    for name, what in (("val", "chooses weights and thresholds"), ("test", "judges models")):
        count = int((labelled & (table.split == SPLITS.index(name))).sum())
        low, high = wilson(round(0.9 * count), count)
        text = f"{count:,} labelled images: it {what}"
        if count:
            text += f"; an accuracy of 90 % is known to {100 * (high - low) / 2:.1f} points"
        if name == "val" and not count:
            yield Finding("val", "no labelled images: training holds out some of train, or nothing", None)
            continue
        hint = "" if count >= FEW else f"nsdata import FOLDER --split {name}"
        yield Finding(name, text if count else f"no labelled images: nothing {what}", count >= FEW, hint)


def _classes(store: Handle) -> Iterator[Finding]:
    """Classes of which no train image has a label, or hardly any beside the largest."""
    table = store.table
    train = table.visible & (table.split == SPLITS.index("train")) & (table.label >= 0)
    counts = np.bincount(table.label[train], minlength=len(store.classes))
    if not counts.any():
        yield Finding(
            "labels", "no train image has a label: no teacher can be trained", False, "nsdata relabel IMAGE CLASS"
        )
        return
    empty = [store.classes[k] for k in np.flatnonzero(counts == 0)]
    text = f"{int(counts.sum()):,} of train, {int(counts.min()):,} to {int(counts.max()):,} of each class"
    if empty:
        yield Finding("labels", f"{text}; none of {listed(empty, 5)}", False, "nsdata relabel IMAGE CLASS")
    else:
        yield Finding("labels", text, True)


def _room(store: Handle) -> Iterator[Finding]:
    """Whether another generation fits on the disk."""
    free, needed = space.free(store.url), len(store.table) * (2 * len(store.classes) + 8)
    if free is not None and free < 2 * needed:
        text = f"{free / 1e9:,.1f} GB are free, and a generation takes {needed / 1e9:,.1f}"
        yield Finding("room", text, False, "nsdata gc")


def calibrated(store: Handle, gen: int) -> Calibration | None:
    """None where no image judges."""
    try:
        return calibration(store, gen)
    except BadInput:
        return None


def remedy(sealed: Generation, known: Calibration) -> str:
    """What helps where a generation's confidence is not to be believed."""
    if sealed.given or known.what == "test":  # somebody else's model cannot be run again; test images fit nothing
        return f"nsdata calibration --gen {sealed.number}"
    return f"nsdata label --gen {sealed.number} --replace --calibrate"


def _generations(store: Handle, known: Mapping[int, Calibration | None]) -> Iterator[Finding]:
    """Generations that are stale or lack images, and whether the newest can be believed."""
    for gen, sealed in sorted(store.generations.items()):
        if sealed.stale:
            text = "an earlier generation was sealed again: its teacher learnt from what is no more"
            yield Finding(f"gen-{gen}", text, False, _again(store, gen))
        if moves := moved.of_generation(store, sealed):
            text = f"taught by images of which {words(moves)}"
            yield Finding(f"gen-{gen}", text, False, f"nsdata train --gen {gen - 1}")
    newest = max(store.generations, default=None)
    if newest is None:
        return
    if later := unlabelled_rows(store.state, store.generations[newest]):
        text = f"{later:,} images came in later, and have no soft label"
        yield Finding(
            f"gen-{newest}", text, False, f"nsdata label --gen {newest}{_from(store.generations[newest])} --extend"
        )
    found = known[newest] if newest in known else calibrated(store, newest)
    if found is None:
        text = f"nobody can judge that of generation {newest}: no image of val or test has a label"
        yield Finding("confidence", text)
        return
    error, chance = found.ece.value, found.ece.chance or 0.0
    text = f"of generation {newest}: calibration error {100 * error:.1f} %, by chance {100 * chance:.1f}"
    hint = "" if found.believable else remedy(store.generations[newest], found)
    yield Finding("confidence", text, found.believable, hint)


def _again(store: Handle, gen: int) -> str:
    """What comes first of all that makes a stale generation again: in the order of the loop, train or label."""
    models, sealed = store.models, store.generations
    for number in range(1, gen):
        model, after = models.get(number), sealed.get(number + 1)
        if model is None or number not in sealed or after is None or after.given:
            continue
        if model.event < sealed[number].origin:
            return f"nsdata train --gen {number}"
        if after.origin < model.event:
            return f"nsdata label --gen {number + 1} --replace"
    return f"nsdata label --gen {gen}{_from(sealed[gen])} --replace"


def _from(sealed: Generation) -> str:
    """What writes a generation again has of the first time: a file, where somebody gave its soft labels."""
    return " --from FILE" if sealed.given else ""


def _views(store: Handle) -> Iterator[Finding]:
    """Saved views whose images changed since, or that are of a generation and unbalanced."""
    for name, saved in store.views.items():
        hint = again(saved.recipe, name=name)
        if changed := moved.of_view(store, saved):
            yield Finding(f"view {name}", str(changed), False, hint)
        try:
            view = load(store, name)
        except NsdataError as error:
            yield Finding(f"view {name}", error.message, False, error.hint)
            continue
        if (soft := view.soft_labels) is None:
            continue
        counts = np.bincount(soft.all_pseudo[view.rows].clip(0), minlength=len(store.classes))
        absent = [store.classes[k] for k in np.flatnonzero(counts == 0)]
        most, least = int(counts.max()), int(counts[counts > 0].min())
        if absent or most > UNBALANCED * least:
            text = f"{least:,} to {most:,} entries of a class" + (f", none of {listed(absent, 5)}" if absent else "")
            balance = f"nsdata view {name} --gen {view.gen} --per-class {max(least, int(np.median(counts)))} --replace"
            yield Finding(f"view {name}", text, False, balance)

"""Weights that a run begins with: what can be known of them without torch, and what is recorded of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nsdata import View
from nsdata.errors import BadInput, ModelError
from nsdata.storage.address import checkpoint
from training import fetch, run_folder
from training.config import TrainConfig
from training.foreign import kinds

HINT = "--set pretrained=FILE, of a .safetensors, .pth or .bin file of weights, or --set pretrained=false"
SCRATCH = "--set init=scratch"
PROBED = "--model NAME --set pretrained=FILE of its weights, or --set pretrained=true"
_READ = ("ours", "torch", "safetensors", "timm")
"""Kinds of files of weights that fit one of timm's models."""


def check(config: TrainConfig, pseudo: View | None) -> None:
    """Raise ModelError for a file of starting weights that is not there, holds none or is not the one recorded, and
    BadInput for a teacher's where there is no teacher."""
    check_early(config, student=pseudo is not None and pseudo.gen is not None)
    if config.init == "teacher" and pseudo is not None:
        _check_teachers(pseudo)


def check_early(config: TrainConfig, *, student: bool) -> None:
    """The same as far as nothing need be there of the generation that teaches a student."""
    if isinstance(config.pretrained, str):
        file = Path(config.pretrained)
        if not file.exists():
            raise ModelError(f"There is no file of starting weights at {file}.", HINT)
        if (kind := kinds.kind_of(file)).name not in _READ:
            raise ModelError(f"{file} holds no weights of timm's to start from: its kind is {kind.name}.", HINT)
    if config.init == "teacher" and not student:
        raise BadInput(
            "There is no teacher whose weights to begin with: this model learns no generation's soft labels.", SCRATCH
        )
    if config.probe and config.pretrained is False:
        raise BadInput("A probe is of a network that knows something, and this one begins with nothing.", PROBED)
    if config.probe and student:
        raise BadInput("A probe learns people's labels alone, and this is a student.", "--gen 0, or --set probe=false")


def _check_teachers(pseudo: View) -> None:
    file, recorded = _teachers(pseudo)
    if not file.exists():
        raise ModelError(f"The teacher of generation {pseudo.gen} lay at {file}, and nothing is there now.", SCRATCH)
    kind = kinds.kind_of(file)
    if kind.name not in _READ:
        text = f"The teacher of generation {pseudo.gen}, {file}, holds no weights of timm's: its kind is {kind.name}."
        raise ModelError(text, SCRATCH)
    if (found := kinds.sha256(kind)) != recorded:
        raise ModelError(
            f"{file} is not the file that was recorded for the teacher of generation {pseudo.gen}: "
            f"sha256 {found[:8]}…, {recorded[:8]}… was expected.",
            f"--set pretrained={file}   (if these are the weights you want)",
        )


def _teachers(pseudo: View) -> tuple[Path, str]:
    """The file of the teacher that wrote a view's soft labels, and the SHA-256 that it must have. Raises ModelError
    where they were given, or written by code: no file has their teacher's weights."""
    assert pseudo.gen is not None
    facts = pseudo.store.state.generations[pseudo.gen].provenance
    place, sha256 = facts.get("teacher"), facts.get("teacher_sha256")
    if not place or not sha256:
        raise ModelError(f"No file of the teacher's weights is recorded of generation {pseudo.gen}.", SCRATCH)
    return checkpoint(pseudo.store.url, str(place), str(sha256)), str(sha256)


def begun_with(config: TrainConfig, pseudo: View | None) -> bool | str:
    """What a new network is filled with: a file, timm's published weights (True), or nothing (False)."""
    if config.init == "teacher" and pseudo is not None:
        return str(_teachers(pseudo)[0])
    return config.pretrained


def identity(config: TrainConfig, pseudo: View | None) -> dict[str, Any]:
    """What of them makes two runs the same: their content, wherever they lie. Nothing where there are none."""
    if isinstance(config.pretrained, str):
        return {"pretrained": f"weights of sha256 {kinds.sha256(kinds.kind_of(Path(config.pretrained)))}"}
    if config.init == "teacher" and pseudo is not None:
        return {"init": f"teacher of sha256 {_teachers(pseudo)[1]}"}
    return {}


def recorded(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """The configuration as it is published: with the SHA-256 of the weights that the run in a folder began with."""
    values = config.to_dict()
    fields = ["pretrained"] if isinstance(config.pretrained, str) else ["init"] if config.init == "teacher" else []
    for field in fields:
        identity = run_folder.read_config(folder).get("identity")
        found = identity.get(field) if isinstance(identity, dict) else None
        values[f"{field}_sha256"] = str(found).rpartition(" ")[2] if found else None
    if config.pretrained is True and config.init != "teacher":
        values["pretrained_sha256"] = fetch.sha256(config.model)
    return values

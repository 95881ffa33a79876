"""A model as a command names it: one of timm's, or the file of a checkpoint or of weights. Needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from nsdata.arguments import text
from nsdata.errors import BadInput, ModelError
from nsdata.untrusted import NAME
from training import architectures
from training.early import model_file
from training.foreign.kinds import Kind, kind_of, sha256

_FILES = (".pt", ".pth", ".bin", ".safetensors", ".tar", ".ckpt")
_READ = ("ours", "torch", "safetensors", "timm")


@dataclass(frozen=True)
class Named:
    """arch: its timm name; "" where its file says it. kind: of the file; None of timm's published weights."""

    arch: str
    kind: Kind | None = field(default=None, repr=False)

    @property
    def sha256(self) -> str:
        """Of the file."""
        assert self.kind is not None
        return sha256(self.kind)


def named(model: str | Path, arch: str | None = None) -> Named:
    """What a model's name or path stands for. arch: of a file of weights that does not say it. Raises ModelError for a
    path without a model and for a name that timm has not; BadInput."""
    place = Path(model)
    if not (isinstance(model, Path) or place.exists() or place.suffix in _FILES):
        name = text("model", model)
        if arch is not None:
            raise BadInput(f"{name} is a name of timm's, and the architecture '{arch}' is one more.", "--model NAME")
        try:
            architectures.check(name)
        except ModelError as error:
            close = error.hint.rpartition("=")[2] if error.hint.startswith("--set") else "NAME"
            raise ModelError(error.message, f"--model {close}, or the path of a file of weights") from error
        return Named(name)
    file = place if place.is_dir() and not (place / "best.pt").exists() else model_file(place)
    kind = kind_of(file)
    if kind.name not in _READ:
        raise ModelError(
            f"{file} is a model of the kind {kind.name}, whose features are not known here.", "--model NAME"
        )
    if kind.name == "ours":
        return Named("", kind)
    found = arch or str(kind.facts.get("architecture") or "")
    if not found:
        raise ModelError(f"{file} does not say of which model its weights are.", f"--model {file} --arch NAME")
    try:
        architectures.check(found)
    except ModelError as error:
        raise ModelError(error.message, "--arch NAME, as timm calls it") from error
    return Named(found, kind)


def usual_name(model: str) -> str:
    """The name that a model's embeddings have, where none is given: its own, in letters that the store takes."""
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-._")[:80] or "model"
    assert NAME.fullmatch(found)
    return found


def checked_name(name: object) -> str:
    """A name for embeddings. Raises BadInput."""
    found = text("name", name)
    if not NAME.fullmatch(found):
        raise BadInput(
            f"'{found[:60]}' is no name for embeddings; letters, digits, '.', '_' and '-' are.", "--name dino"
        )
    return found

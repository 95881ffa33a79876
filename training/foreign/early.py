"""What can be known of a teacher from elsewhere before torch is loaded, and is reported first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nsdata.arguments import path
from nsdata.errors import BadInput, GenerationError, ModelError
from nsdata.log.state import Generation
from nsdata.storage.address import near
from training.foreign.given import Given
from training.foreign.kinds import Kind, kind_of, need
from training.foreign.matching import match


def check(teacher: Any, said: Given, ours: Sequence[str]) -> Kind | None:
    """What lies at the path of a teacher from elsewhere; None for one of ours, by path or in hand, or the store's own.

    Raises ModelError for what is no teacher, lacks its architecture's name, needs a package that is not there, or has
    other classes; BadInput for what was said of a teacher that says all itself.
    """
    if not isinstance(teacher, str | Path):
        if said:
            raise _says_it_itself("The teacher is a model of nsdata, or was matched before", said)
        return None
    place = Path(path("teacher", teacher, "a model that train returned, or the path of its folder"))
    if (place / "best.pt").exists():
        place = place / "best.pt"
    if not place.exists():
        raise ModelError(f"There is no model at {place}.", f"ls {near(place.parent)}")
    kind = kind_of(place)
    if kind.name == "ours":
        if said:
            raise _says_it_itself(f"{place} is a checkpoint of nsdata", said)
        return None
    if kind.name in ("torch", "safetensors") and not said.model and "arch" not in kind.words:
        raise ModelError(
            f"{place} holds weights and does not say of which model.",
            "--model NAME, as timm calls it: --model resnet18",
        )
    if kind.name in ("onnx", "transformers"):
        need({"onnx": "onnxruntime"}.get(kind.name, kind.name), place)
    names = said.classes if said.classes is not None else kind.names
    if names is not None:
        match(ours, names, len(names), said.class_map, f"The teacher {place}")
    return kind


def check_same(sealed: Generation, said: Given) -> None:
    """Raise GenerationError where a generation was sealed with something else said of its teacher."""
    was = sealed.provenance.get("teacher_options")
    for name, value in said.options().items():
        before = was.get(name) if isinstance(was, dict) else None
        if before != value:
            raise GenerationError(
                f"Generation {sealed.number} is sealed already, at version {sealed.event}, with {name} "
                f"{_short(before)}, not {_short(value)}.",
                f"nsdata show --gen {sealed.number}; the same command with --replace writes it again",
            )


def _short(value: Any) -> str:
    text = "none given" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"


def _says_it_itself(who: str, said: Given) -> BadInput:
    names = ", ".join(name for name, value in said.options().items() if value is not None)
    return BadInput(f"{who}, and says all of itself; {names} cannot be said of it.", "nsdata label --gen 1")

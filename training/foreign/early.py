"""What can be known of a teacher from elsewhere before torch is loaded, and is reported first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nsdata.arguments import path, wrong
from nsdata.errors import BadInput, GenerationError, ModelError
from nsdata.log.state import Generation
from nsdata.storage.address import near
from training import architectures
from training.foreign.given import Given
from training.foreign.kinds import TAKEN as WEIGHTS
from training.foreign.kinds import Kind, kind_of, need
from training.foreign.matching import match

TAKEN = f"a run folder or best.pt of nsdata train, or of somebody else's: {WEIGHTS}"


def check(teacher: Any, said: Given, ours: Sequence[str]) -> Kind | None:
    """What lies at the path of a teacher from elsewhere; None for one of ours, by path or in hand, or the store's own.

    Raises ModelError for what is no teacher, lacks its architecture's name, needs a package that is not there, or has
    other classes; BadInput for what was said of a teacher that says all itself.
    """
    if not isinstance(teacher, str | Path):
        if teacher is not None and not hasattr(teacher, "path"):
            raise _no_teacher(teacher)
        if said:
            who = (
                "No teacher is given: it is the store's own" if teacher is None else "The teacher is a model of nsdata"
            )
            raise _says_it_itself(f"{who}{'' if teacher is None else ', or was matched before'}", said)
        return None
    place = Path(path("teacher", teacher, TAKEN))
    if (place / "best.pt").exists():
        place = place / "best.pt"
    if not place.exists():
        above = next(folder for folder in place.absolute().parents if folder.is_dir())
        raise ModelError(f"There is no model at {place}: a teacher's path is that of {TAKEN}.", f"ls {near(above)}")
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
    if kind.name in ("torch", "safetensors") and said.model:
        try:
            architectures.check(said.model)
        except ModelError as error:
            raise architectures.of_teacher(error) from error
    if kind.name in ("onnx", "transformers"):
        need({"onnx": "onnxruntime"}.get(kind.name, kind.name), place)
    who = f"The teacher {place}"
    names = said.classes if said.classes is not None else kind.names(ours, who)
    if names is not None:
        match(ours, names, len(names), said.class_map, who)
    return kind


def _no_teacher(teacher: Any) -> BadInput:
    """The error for what is neither a model, a module or function in hand, nor a path."""
    expected = "a module or a function of images, a model that train returned, or a path"
    if isinstance(teacher, type):
        name = teacher.__name__
        return BadInput(
            f"teacher is the class {name} itself, which answers nothing; {expected} was expected.",
            f"label(store, {name}(), gen=1), with its weights loaded",
        )
    weights = isinstance(teacher, Mapping)
    return wrong(
        "teacher",
        teacher,
        expected,
        "net.load_state_dict(weights); label(store, net, gen=1)" if weights else "label(store, net, gen=1)",
    )


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

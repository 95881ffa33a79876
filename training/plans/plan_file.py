"""plan.toml, read and checked: who is trained on what, generation after generation. Needs no torch, and no store."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from nsdata.arguments import number, whole_number
from nsdata.errors import BadInput, ModelError
from nsdata.schema import SPLITS
from nsdata.storage.address import near
from nsdata.views.steps import MOST_REPEATS
from training import architectures
from training.config import TrainConfig
from training.config_values import is_device
from training.recipe_files import recipe
from training.selection import THRESHOLD

HELP = "docs/plans.md has every key; nsdata run --init writes a plan for this store"
Tables = list[tuple[str, Mapping[str, Any]]]  # where each is, and what it says; the later one wins


@dataclass(frozen=True)
class Labelling:
    """How a generation is labelled: arguments of ``label``."""

    temperature: float = 1.0
    calibrate: bool = False
    top: int | None = None
    batch_size: int = 256
    max_kl: float = 0.05
    force: bool = False


@dataclass(frozen=True)
class Choice:
    """Which soft labels teach. per_class: "mean" of the classes' sizes; 0: not balanced. max_repeats 0: no limit."""

    min_confidence: float | None = THRESHOLD
    precision: float | None = None
    per_class: int | str = "mean"
    max_repeats: int = MOST_REPEATS
    seed: int = 0


@dataclass(frozen=True)
class Turn:
    """One generation: its labels, the choice of them, and the model that learns them; of generation 0 the model."""

    gen: int
    config: TrainConfig
    label: Labelling | None = None
    view: Choice | None = None


@dataclass(frozen=True)
class PlanFile:
    """A plan that can be carried out. name, text: of its file. split: that judges; None: whichever can. settings:
    "key=value", given beside the file, of every model."""

    name: str
    text: str = field(repr=False)
    runs: str
    device: str
    split: str | None
    turns: tuple[Turn, ...]
    settings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of what it means: comments and spelled-out defaults change nothing."""
        turns = [{**asdict(turn), "config": turn.config.to_dict()} for turn in self.turns]
        meant = {"runs": self.runs, "device": self.device, "split": self.split, "turns": turns}
        return hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()

    def folder(self, gen: int) -> Path:
        """Where a generation's model is trained."""
        return Path(self.runs) / f"gen-{gen}"


def read(path: Path, settings: Sequence[str] = ()) -> PlanFile:
    """The plan in a file, with these settings in every model, whatever the file says.

    Raises BadInput, naming the place in it; ModelError for a network that there is not.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise BadInput(f"The plan {path} cannot be read: {error.strerror}.", "nsdata run --init") from error
    except ValueError as error:
        raise BadInput(f"The plan {path} is not valid TOML: {error}.", HELP) from error
    return parse(values, near(path), text, settings)


def parse(values: Mapping[str, Any], name: str, text: str = "", settings: Sequence[str] = ()) -> PlanFile:
    """The plan that these tables make. Raises as ``read``."""
    top = _keys(name, values, ("runs", "device", "train", "teacher", "student", "generation", "eval"))
    devices = [setting.partition("=")[2] for setting in settings if setting.partition("=")[0].strip() == "device"]
    top |= {"device": devices[-1].strip()} if devices else {}
    train = _keys(f"{name}, [train]", top.get("train", {}), _MODEL)
    teacher = _keys(f"{name}, [teacher]", top.get("teacher", {}), _MODEL)
    student = _keys(f"{name}, [student]", top.get("student", {}), (*_MODEL, "label", "view"))
    judge = _keys(f"{name}, [eval]", top.get("eval", {}), ("split",))
    generations = top.get("generation", [])
    if not isinstance(generations, list):
        raise BadInput(f"{name}: 'generation' is one table; a list of them was expected.", "[[generation]]")
    every = (f"{name}, [train]", train)
    turns = [Turn(0, _config([every, (f"{name}, [teacher]", teacher)], top, settings))]
    for gen, values_of in enumerate(generations, 1):
        here = f"{name}, generation {gen}"
        own = _keys(here, values_of, (*_MODEL, "label", "view"))
        config = _config([every, (f"{name}, [student]", student), (here, own)], top, settings)
        both: Tables = [(f"{name}, [student]", student), (here, own)]
        turns.append(Turn(gen, config, _labelling(both), _choice(both)))
        if not config.ratio:
            raise BadInput(f"{here}: the ratio is 0, so the soft labels would not be used.", "ratio = 3")
    device, runs, split = top.get("device", "auto"), top.get("runs", "runs"), judge.get("split")
    if not isinstance(device, str) or not is_device(device):
        raise BadInput(f"{name}: there is no device {device!r}; auto, cpu, cuda, cuda:1 or mps was expected.", HELP)
    if not isinstance(runs, str) or not runs.strip():
        raise BadInput(f"{name}: runs is {runs!r}; the path of a folder was expected.", 'runs = "runs"')
    if split is not None and split not in SPLITS[1:]:
        raise BadInput(f"{name}, [eval]: split is {split!r}; test or val was expected.", 'split = "test"')
    return PlanFile(name, text, runs, device, split, tuple(turns), tuple(settings))


_MODEL = ("model", "recipe", "ratio", "set")


def _keys(where: str, values: Any, known: Iterable[str]) -> dict[str, Any]:
    """A table, if it has no key but these."""
    if not isinstance(values, Mapping):
        raise BadInput(f"{where}: {values!r} is no table of settings.", HELP)
    for key in values:
        if key not in (names := list(known)):
            close = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
            near = f"the closest is '{close[0]}'" if close else f"there are {', '.join(names)}"
            raise BadInput(f"{where}: there is no key '{key}'; {near}.", HELP)
    return dict(values)


def _config(tables: Tables, top: Mapping[str, Any], settings: Sequence[str]) -> TrainConfig:
    """The last recipe that is named, with the settings of all tables on it, and these on top."""
    where = tables[-1][0]
    base = TrainConfig(device=str(top.get("device", "auto"))) if is_device(str(top.get("device"))) else TrainConfig()
    for place, table in tables:
        if (name := table.get("recipe")) is not None:
            base = _at(place, partial(recipe, name)).replace(device=base.device)
    changes: dict[str, Any] = {}
    for place, table in tables:
        own_set = table.get("set", {})
        if not isinstance(own_set, Mapping):
            raise BadInput(f"{place}: 'set' is {own_set!r}; a table of settings was expected.", "set = { steps = 300 }")
        own = {**own_set, **{key: table[key] for key in ("model", "ratio") if key in table}}
        if "device" in own:
            raise BadInput(f"{place}: the device is the whole plan's, for labelling too.", 'device = "cpu", at the top')
        for key, value in own.items():  # one by one: so the place is that of the mistake
            _at(place, partial(TrainConfig.from_dict, {key: value}))
        changes |= own
    config = _at(where, lambda: base.replace(**changes))
    config = _at(f"{where}, with --set", lambda: config.with_settings(settings))
    _at(where, lambda: architectures.check(config.model))
    return config


def _labelling(tables: Tables) -> Labelling:
    values = _merged(tables, "label", Labelling)
    where = tables[-1][0]
    checks: dict[str, Callable[[Any], bool]] = {
        "temperature": lambda v: number("temperature", v) > 0, "max_kl": lambda v: number("max_kl", v) >= 0,
        "batch_size": lambda v: whole_number("batch_size", v) >= 1, "top": lambda v: whole_number("top", v) >= 1,
        "calibrate": lambda v: isinstance(v, bool), "force": lambda v: isinstance(v, bool),
    }  # fmt: skip
    _check(f"{where}, label", values, checks)
    if values.get("calibrate") and values.get("temperature", 1.0) != 1.0:
        raise BadInput(f"{where}, label: calibrate fits the temperature; 'temperature' does not go with it.", HELP)
    return Labelling(**values)


def _choice(tables: Tables) -> Choice:
    values = _merged(tables, "view", Choice)
    where = tables[-1][0]
    checks: dict[str, Callable[[Any], bool]] = {
        "min_confidence": lambda v: 0 <= number("min_confidence", v) <= 1,
        "precision": lambda v: 0 < number("precision", v) <= 1,
        "per_class": lambda v: v == "mean" or whole_number("per_class", v) >= 0,
        "max_repeats": lambda v: whole_number("max_repeats", v) >= 0,
        "seed": lambda v: 0 <= whole_number("seed", v) < 2**64,
    }  # fmt: skip
    _check(f"{where}, view", values, checks)
    if "precision" in values:
        values["min_confidence"] = None
    return Choice(**values)


def _merged(tables: Tables, name: str, kind: Any) -> dict[str, Any]:
    """A table within tables; of precision and min_confidence, which are one choice, the later one."""
    values: dict[str, Any] = {}
    for where, table in tables:
        own = _keys(f"{where}, {name}", table.get(name, {}), kind.__dataclass_fields__)
        if {"precision", "min_confidence"} <= set(own):
            raise BadInput(f"{where}, {name}: precision finds the threshold; min_confidence does not go with it.", HELP)
        for one, other in (("precision", "min_confidence"), ("min_confidence", "precision")):
            if one in own:
                values.pop(other, None)
        values |= own
    return values


def _check(where: str, values: Mapping[str, Any], checks: Mapping[str, Callable[[Any], bool]]) -> None:
    for key, value in values.items():
        if not _at(where, partial(checks[key], value)):
            raise BadInput(f"{where}: '{key}' cannot be {value!r}.", HELP)


def _at(where: str, make: Callable[[], Any]) -> Any:
    """What it makes; a mistake is said with its place."""
    try:
        return make()
    except (BadInput, ModelError) as error:
        raise type(error)(f"{where}: {error.message}", HELP) from error

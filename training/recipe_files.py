"""Recipes: settings under a name, each in a TOML file of training/recipes, which says where they are from."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nsdata.arguments import text
from nsdata.errors import BadInput
from training.config import TrainConfig

FOLDER = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class Recipe:
    """about: what it is for. source: whose settings they are. measured: what they were measured to do here. settings:
    what differs from the defaults."""

    name: str
    about: str
    source: str
    measured: str
    settings: dict[str, Any] = field(repr=False)

    @property
    def config(self) -> TrainConfig:
        """The whole configuration."""
        return TrainConfig.from_dict(self.settings)


def recipes() -> list[Recipe]:
    """All of them, by name."""
    return [_read(name) for name in _names()]


def recipe(name: str) -> TrainConfig:
    """The configuration of this name, for ``replace`` and ``with_settings``. Raises BadInput for an unknown one."""
    known = _names()
    if text("recipe", name) not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        near = f"the closest is '{close[0]}'" if close else f"there are {', '.join(known)}"
        raise BadInput(f"There is no recipe '{name}'; {near}.", "nsdata recipes")
    return _read(name).config


def _names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _read(name: str) -> Recipe:
    """A recipe with what it has from the one that it extends."""
    content = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    source, settings = content.get("source", ""), content["settings"]
    measured = content.get("measured", "not measured here")
    if (of := content.get("extends")) is not None:
        base = _read(of)
        source, settings = source or base.source, {**base.settings, **settings}
    return Recipe(name, content["about"], source, measured, settings)

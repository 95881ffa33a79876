"""A configuration in a file: TOML, or JSON, or a run folder's config.json."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput
from training.config_values import to_toml


def read(path: Path) -> dict[str, Any]:
    """The settings in a .toml or .json file; of a run's config.json its "config". Raises BadInput."""
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise BadInput(f"The config file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # both parsers raise a subclass of it
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise BadInput(f"The config file {path} is not valid {kind}: {error}.") from error
    if not isinstance(values, dict):
        raise BadInput(f"The config file {path} holds a {type(values).__name__}; settings are expected.")
    return values["config"] if isinstance(values.get("config"), dict) else values


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Settings to a .json file, or to TOML, which has no null: an absent field is its default, as every None is."""
    if path.suffix == ".json":
        text = json.dumps(dict(values), indent=2) + "\n"
    else:
        text = "".join(f"{k} = {to_toml(v)}\n" for k, v in values.items() if v is not None)
    path.write_text(text, encoding="utf-8")

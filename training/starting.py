"""Starting weights from disk: what can be known of them without torch, and what is recorded of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nsdata.errors import ModelError
from training import run_folder
from training.config import TrainConfig
from training.foreign import kinds

HINT = "--set pretrained=FILE, of a .safetensors, .pth or .bin file of weights, or --set pretrained=false"


def check(config: TrainConfig) -> None:
    """Raise ModelError for a file of starting weights that is not there or holds none."""
    if not isinstance(config.pretrained, str):
        return
    file = Path(config.pretrained)
    if not file.exists():
        raise ModelError(f"There is no file of starting weights at {file}.", HINT)
    if (kind := kinds.kind_of(file)).name not in ("ours", "torch", "safetensors", "timm"):
        raise ModelError(f"{file} holds no weights of timm's to start from: its kind is {kind.name}.", HINT)


def identity(config: TrainConfig) -> dict[str, Any]:
    """What of them makes two runs the same: their content, wherever they lie. Nothing where there are none."""
    if not isinstance(config.pretrained, str):
        return {}
    return {"pretrained": f"weights of sha256 {kinds.sha256(kinds.kind_of(Path(config.pretrained)))}"}


def recorded(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """The configuration as it is published: with the SHA-256 of the weights that the run in a folder began with."""
    values = config.to_dict()
    if isinstance(config.pretrained, str):
        identity = run_folder.read_config(folder).get("identity")
        found = identity.get("pretrained") if isinstance(identity, dict) else None
        values["pretrained_sha256"] = str(found).rpartition(" ")[2] if found else None
    return values

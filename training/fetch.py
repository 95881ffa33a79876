"""The weights that timm publishes for a model: from this machine where they are on it, else fetched, and their digest.

Arguments of timm's that would bring other weights in beside those that are recorded are refused.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nsdata.errors import ModelError
from training.run_folder import file_sha256

HINT = "--set pretrained=FILE of weights that were fetched elsewhere, or --set pretrained=false"
_SECONDS = 5.0  # to answer at all: the hub's client tries again for 46 s where there is no network
_NAMES = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
_ELSEWHERE = ("file", "url", "hf_hub_id", "state_dict", "source", "custom_load")  # of timm's configuration: weights


def check_arguments(arguments: dict[str, Any], model: str) -> None:
    """Raise ModelError for arguments of a network that fill it with weights, or give it another number of classes."""
    named = "checkpoint_path" if arguments.get("checkpoint_path") else "pretrained" if "pretrained" in arguments else ""
    for key in ("pretrained_cfg", "pretrained_cfg_overlay"):
        value = arguments.get(key)
        if value is not None and (not isinstance(value, dict) or any(name in value for name in _ELSEWHERE)):
            named = named or key
    if named:
        raise ModelError(
            f"Model '{model}' has {named} among its model_args, and weights from there would not be recorded.",
            "--set pretrained=FILE, of a .safetensors, .pth or .bin file of weights",
        )
    if "num_classes" in arguments:
        raise ModelError(
            f"Model '{model}' has num_classes among its model_args; it has an output for each class of the store.",
            "--set model_args={}, and nsdata classes lists the classes",
        )


def arguments(given: dict[str, Any], model: str, *, published: bool) -> dict[str, Any]:
    """The arguments of a network, once checked; with its published weights, if it is to have them and they are here.

    Else timm fetches them. Raises ModelError where there are none, or neither here nor to be fetched: at once.
    """
    check_arguments(given, model)
    if not published:
        return given
    import timm

    cfg = timm.get_pretrained_cfg(model)
    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        raise ModelError(f"There are no published weights of '{model}'.", HINT)
    if (file := _kept(model)) is not None:
        over = given.get("pretrained_cfg_overlay") or {}
        return {**given, "pretrained_cfg_overlay": {**over, "file": str(file), "custom_load": False}}
    if cfg.hf_hub_id:
        import huggingface_hub.constants as hub

        why = "HF_HUB_OFFLINE is set" if hub.HF_HUB_OFFLINE else _unreachable(hub.ENDPOINT)
    else:
        why = _unreachable(str(cfg.url))
    if why:
        raise ModelError(f"The weights of '{model}' are not on this machine and cannot be fetched: {why}.", HINT)
    return given


def sha256(model: str) -> str | None:
    """Of the file of a model's published weights, once they are on this machine; None where it is not known which."""
    file = _kept(model)
    return None if file is None else file_sha256(file)


def _kept(model: str) -> Path | None:
    """The file that was fetched before."""
    import timm

    cfg = timm.get_pretrained_cfg(model)
    if cfg is not None and cfg.hf_hub_id:
        from huggingface_hub import try_to_load_from_cache

        names = [cfg.hf_hub_filename] if cfg.hf_hub_filename not in (None, *_NAMES) else list(_NAMES)
        for name in names:
            found = try_to_load_from_cache(cfg.hf_hub_id, str(name))
            if isinstance(found, str):
                return Path(found)
        return None
    if cfg is not None and cfg.url and not cfg.custom_load:
        from torch.hub import get_dir

        file = Path(get_dir()) / "checkpoints" / Path(urlsplit(str(cfg.url)).path).name
        return file if file.is_file() else None
    return None


def _unreachable(url: str) -> str:
    """Why a server does not answer; empty where it does, or where a proxy would ask it."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return ""
    place = urlsplit(url)
    try:
        with socket.create_connection((str(place.hostname), place.port or 443), _SECONDS):
            return ""
    except OSError as error:
        return f"{place.hostname} cannot be reached ({error.strerror or error})"

"""Weights from a file, read without running code, and fitted to a timm model: whole, or refused in a sentence."""

from __future__ import annotations

import argparse
import importlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nsdata.errors import ModelError
from nsdata.text import listed
from training.foreign.kinds import Kind, kind_of, refused
from training.foreign.names import Said, said

AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
"""Keys of a checkpoint's averaged weights, which are taken before the others: timm's first."""

PLAIN = ("state_dict", "model", "model_state_dict", "state", "net", "weights")
_AVERAGE = re.compile(r"(^|[._])(ema|swa|avg|averaged?|shadow|polyak)([._]|$)", re.IGNORECASE)
_HARMLESS: list[Any] = [
    argparse.Namespace,  # timm's arguments: an object of plain values
    np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.float32)), type(np.dtype(np.int64)),
]  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """tensors by name. taken: the key of the checkpoint that they were under, "" for none. facts: what else it says.
    said: what of it may name the outputs (names.py)."""

    file: Path
    tensors: dict[str, Tensor] = field(repr=False)
    taken: str
    facts: dict[str, Any] = field(repr=False)
    said: Said = field(default_factory=list, repr=False)


def read(kind: Kind) -> Weights:
    """The weights of a .safetensors file or of a checkpoint of torch's. Raises ModelError."""
    if kind.name in ("safetensors", "timm") and kind.file.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return Weights(kind.file, dict(load_file(kind.file)), "", {}, kind.said)
        except Exception as error:
            raise ModelError(f"The safetensors file {kind.file} cannot be read: {error}.") from error
    content = _loaded(kind.file)
    if not isinstance(content, Mapping):
        raise refused(kind.file, f"a saved {type(content).__name__}, not a state dict")
    facts = {name: value for name, value in content.items() if not isinstance(value, Tensor | Mapping)}
    names = said(content)
    other = [key for key in content if isinstance(key, str) and key not in AVERAGED and _AVERAGE.search(key)]
    for key in (*AVERAGED, *other):
        if averaged := _averaged(kind.file, content, key):
            return Weights(kind.file, averaged, key, {**facts, **_arguments(content)}, names)
    for key in PLAIN:
        found = content.get(key)
        if isinstance(found, Mapping) and _tensors(found):
            return Weights(kind.file, _tensors(found), key, {**facts, **_arguments(content)}, names)
    if not (tensors := _tensors(content)):
        raise refused(kind.file, "a checkpoint without weights" + _keys(content))
    return Weights(kind.file, tensors, "", {}, names)


def _averaged(file: Path, content: Mapping[Any, Any], key: str) -> dict[str, Tensor]:
    """The averaged weights under a key of a checkpoint, or one step below it; {} where it holds no weights at all.

    Raises ModelError for weights without names, which would be passed over for the last ones without a word.
    """
    found = content.get(key)
    if isinstance(found, Tensor):  # of a state dict itself
        return {}
    inside = [found, *found.values()] if isinstance(found, Mapping) else []
    named = next((tensors for one in inside if isinstance(one, Mapping) and (tensors := _tensors(one))), {})
    if named and any(isinstance(tensor, Tensor) and tensor.ndim for tensor in named.values()):
        return named
    lists = [one for one in (found, *inside[1:]) if isinstance(one, list | tuple)]
    if any(isinstance(one, Tensor) and one.ndim for several in lists for one in several):
        last = next((name for name in PLAIN if isinstance(content.get(name), Mapping)), "model")
        save = f"import torch; torch.save(torch.load('{file}', weights_only=True)['{last}'], 'last.pth')"
        raise ModelError(
            f"{file} has averaged weights under '{key}' without their names, so they cannot be read.",
            f'python -c "{save}"  (its last weights alone)',
        )
    return {}


def _keys(content: Mapping[Any, Any]) -> str:
    return f" (it holds {listed([str(key) for key in content], 6)})"


def _loaded(file: Path) -> Any:
    numpy_scalar = importlib.import_module("numpy._core.multiarray").scalar
    allowed = [*_HARMLESS, (numpy_scalar, "numpy.core.multiarray.scalar"), numpy_scalar]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{file} holds more than weights and plain values, which would run code when it is read.",
            "torch.save(model.state_dict(), 'weights.pth') where it was trained, or safetensors",
        ) from error
    except Exception as error:  # torch raises a dozen kinds for bytes that are not a checkpoint
        raise ModelError(f"{file} is a damaged checkpoint ({type(error).__name__}).", f"ls -l {file}") from error


def _tensors(values: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors of a state dict, without what wrappers keep beside them; none for any other mapping."""
    if not all(isinstance(name, str) for name in values):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, Tensor) and name != "n_averaged"}


def _arguments(content: Mapping[str, Any]) -> dict[str, Any]:
    """What timm was called with: of its names those that say how a picture was seen."""
    args = content.get("args")
    values = vars(args) if isinstance(args, argparse.Namespace) else dict(args) if isinstance(args, Mapping) else {}
    found = {"args": {key: values[key] for key in ("mean", "std", "crop_pct", "interpolation") if values.get(key)}}
    size = values.get("input_size")
    found["args"] |= {"image_size": size[-1]} if isinstance(size, list | tuple) and size else {}
    found["args"] |= {"image_size": values["img_size"]} if isinstance(values.get("img_size"), int) else {}
    return found


def _own(weights: Weights, wanted: set[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of one network under the names of a model, and notes of what was left aside.

    Without the "module." of DDP, "_orig_mod." of torch.compile, "model." of Lightning and the like. What lies beside
    the network, such as a criterion's weights, is no part of it. Of several networks the averaged one is taken. Raises
    ModelError where none of them is.
    """
    tensors = dict(weights.tensors)
    while tensors:
        top = next(iter(tensors)).partition(".")[0] + "."
        if wanted & set(tensors) or not all(name.startswith(top) for name in tensors):
            break
        tensors = {name.removeprefix(top): value for name, value in tensors.items()}
    needed = [name for name in wanted if not name.endswith("batches_tracked")]
    if not needed or wanted & set(tensors):
        return tensors, []
    ends = [name.removesuffix(needed[0]) for name in tensors if name.endswith(f".{needed[0]}")]
    tops = [top for top in ends if all(top + name in tensors for name in needed)]
    if len(tops) > 1:
        averaged = [top for top in tops if _AVERAGE.search(top)]
        if len(averaged) != 1:
            names = listed([f"'{top[:-1]}'" for top in tops], 4)
            raise ModelError(
                f"{weights.file} holds several such networks: {names}.",
                "a file with the weights of one of them",
            )
        tops = averaged
    if not tops:
        return tensors, []
    (top,) = tops
    beside = [name for name in tensors if not name.startswith(top)]
    notes = [f"of {weights.file.name} the network '{top[:-1]}' is taken, without {listed(beside, 2)}"] if beside else []
    return {name.removeprefix(top): value for name, value in tensors.items() if name.startswith(top)}, notes


class Fitted(NamedTuple):
    """fresh: layers that stay as they were drawn. notes: what was left aside, in sentences."""

    fresh: list[str]
    notes: list[str]


def fitted(model: nn.Module, weights: Weights, *, name: str, whole: bool) -> Fitted:
    """Load weights into a timm model.

    whole: the classifier too; else one of another number of classes is left as it is, as timm does. Raises ModelError
    where any other tensor is missing, left over or of another shape.
    """
    mine = model.state_dict()
    heads = () if whole else tuple(f"{layer}." for layer in classifiers(model))
    tensors, notes = _own(weights, {key for key in mine if not heads or not key.startswith(heads)})
    convert = getattr(importlib.import_module(type(model).__module__), "checkpoint_filter_fn", None)
    if convert is not None:  # timm's: names of the first releases, positions of another image size
        try:
            tensors = dict(convert(tensors, model))
        except TypeError:
            tensors = dict(convert(tensors))
        except Exception as error:
            raise _other_model(weights, name, f"{type(error).__name__}: {error}") from error
    fresh: list[str] = []
    if not whole:
        for layer in classifiers(model):
            keys = {f"{layer}.weight", f"{layer}.bias"} & set(mine)
            if any(key not in tensors or tensors[key].shape != mine[key].shape for key in keys):
                fresh.append(layer)
                tensors = {key: value for key, value in tensors.items() if not key.startswith(f"{layer}.")}
    lent = {f"{layer}.{end}" for layer in fresh for end in ("weight", "bias")}
    missing = [key for key in mine if key not in tensors and key not in lent and not key.endswith("batches_tracked")]
    extra = [key for key in tensors if key not in mine]
    wrong = [key for key, value in tensors.items() if key in mine and value.shape != mine[key].shape]
    if missing or extra or wrong:
        parts = [f"it lacks {listed(missing, 2)}"] if missing else []
        parts += [f"it has {listed(extra, 2)}, which the model has not"] if extra else []
        parts += [
            f"{key} is {tuple(tensors[key].shape)} and not {tuple(mine[key].shape)}" for key in wrong[:1]
        ]  # fmt: skip
        raise _other_model(weights, name, "; ".join(parts))
    model.load_state_dict(tensors, strict=False)
    return Fitted(fresh, notes)


def classifiers(model: nn.Module) -> list[str]:
    """Names of a timm model's last layers."""
    config = getattr(model, "pretrained_cfg", None) or {}
    found = config.get("classifier")
    names = [found] if isinstance(found, str) else list(found or [])
    return [name for name in names or ("fc", "head", "classifier") if hasattr(model, name.partition(".")[0])]


def _other_model(weights: Weights, name: str, why: str) -> ModelError:
    return ModelError(f"The weights in {weights.file} are not those of a model '{name}': {why}.", "--model NAME")


def start_from(model: nn.Module, file: str, name: str) -> None:
    """Fill a fresh network with starting weights from disk; a classifier of other classes stays fresh. Raises
    ModelError."""
    kind = kind_of(Path(file))
    if kind.name == "ours" or kind.name in ("torch", "safetensors", "timm"):
        fitted(model, read(kind), name=name, whole=False)
        return
    raise ModelError(
        f"{file} holds no weights that training can begin with: it is {kind.name}.", "--set pretrained=FILE.safetensors"
    )

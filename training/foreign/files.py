"""A file or folder on disk as a teacher from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nsdata.errors import BadInput, ModelError
from training import architectures, models
from training.config import TrainConfig
from training.foreign import huggingface, weights
from training.foreign.given import Given, as_ours
from training.foreign.kinds import Kind, label_names, sha256
from training.foreign.names import carried, of_object
from training.foreign.python import described
from training.foreign.seen import DEFAULT, seen
from training.foreign.teacher import Foreign, Network, matched_with
from training.models import Preprocess


def load(ours: Sequence[str], place: Path, kind: Kind, given: Given) -> Foreign:
    """The teacher in a file or folder, for a store of these classes. Raises ModelError, BadInput."""
    if kind.name == "onnx":
        return _onnx(ours, place, kind, given)
    if kind.name == "torchscript":
        return _torchscript(ours, place, kind, given)
    if kind.name == "transformers":
        return huggingface.load(ours, place, kind, given)
    return _timm(ours, place, kind, given)


def _timm(ours: Sequence[str], place: Path, kind: Kind, given: Given) -> Foreign:
    """A state dict of timm's, with its architecture's name, or a folder of its hub, which says it itself."""
    read = weights.read(kind)
    name = str(given.model or kind.facts.get("architecture") or read.facts.get("arch") or "")
    folder = kind.facts if kind.name == "timm" else {}
    known = [*kind.said, *read.said] if kind.name != "safetensors" else kind.said
    names = label_names(kind.facts) if kind.name == "timm" else None
    told = _told(folder, read)
    size = given.preprocess.get("image_size") if isinstance(given.preprocess, dict) else None
    if given.classes is None and names is None:
        names = carried(known, ours, f"The teacher {place}", _outputs(name, read))
    outputs = len(given.classes or names or ()) or _outputs(name, read) or len(ours)
    config = TrainConfig(
        model=name, model_args=dict(folder.get("model_args") or {}), image_size=size or told.get("image_size"),
        noise=False,
    )  # fmt: skip
    try:
        with torch.random.fork_rng(devices=[]):  # fresh weights are drawn only to be replaced
            model = models.create(config, [str(i) for i in range(outputs)], pretrained=False)
    except ModelError as error:
        raise architectures.of_teacher(error) from error
    fitted = weights.fitted(model, read, name=name, whole=True)
    own = Preprocess.from_dict({**Preprocess.of(model).to_dict(), **told})
    notes = [f"weights of '{read.taken}' in {place.name}"] if read.taken else []
    return matched_with(
        ours, given, runner=Network(model.eval().requires_grad_(False)), name=name, names=names, said=known,
        preprocess=seen(given, own), sha256=sha256(kind), sha256_of="file", path=place,
        parameters=models.parameters(model), notes=[*notes, *fitted.notes, *described(given, own)],
    )  # fmt: skip


def _told(folder: dict[str, Any], read: weights.Weights) -> dict[str, Any]:
    """What a hub folder's configuration, or the arguments in a checkpoint, say of how pictures were seen."""
    values = dict(folder.get("pretrained_cfg") or read.facts.get("args") or {})
    try:
        return as_ours({k: v for k, v in values.items() if k in _SEEN})
    except BadInput as error:
        raise ModelError(f"{read.file} says of itself: {error}", "--preprocess image_size=224") from error


_SEEN = {"input_size", "image_size", "crop_pct", "crop_mode", "interpolation", "mean", "std"}


def _outputs(name: str, read: weights.Weights) -> int | None:
    """How many outputs the classifier in a file has, if it is where timm's configuration says."""
    import timm  # not above: training.models explains a broken installation, and comes first

    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    layer = getattr(cfg, "classifier", None)
    ends = [f"{one}.weight" for one in ([layer] if isinstance(layer, str) else layer or ())]
    found = [value for key, value in read.tensors.items() if any(key == e or key.endswith(f".{e}") for e in ends)]
    return int(found[0].shape[0]) if found else None


def _torchscript(ours: Sequence[str], place: Path, kind: Kind, given: Given) -> Foreign:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have torch.export
        try:
            module = torch.jit.load(str(place), map_location="cpu")  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            text = str(error).splitlines()[0]
            raise ModelError(f"The TorchScript file {place} cannot be loaded: {text}.") from error
    return matched_with(
        ours, given, runner=Network(module.eval()), name=given.model or "TorchScript",
        said=[*kind.said, *of_object(module)],
        preprocess=seen(given, DEFAULT), sha256=sha256(kind), sha256_of="file", path=place,
        parameters=models.parameters(module), notes=described(given, DEFAULT),
    )  # fmt: skip


def _onnx(ours: Sequence[str], place: Path, kind: Kind, given: Given) -> Foreign:
    from training.foreign.onnx import Session

    session = Session(kind.file)
    own = DEFAULT if session.side is None else Preprocess.from_dict({**DEFAULT.to_dict(), "image_size": session.side})
    return matched_with(
        ours, given, runner=session, name=given.model or "ONNX", said=session.said, preprocess=seen(given, own),
        sha256=sha256(kind), sha256_of="file", path=place, notes=described(given, own),
    )  # fmt: skip

"""An image classifier in a Hugging Face folder as a teacher: its weights whole, pictures as its own code makes them."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from nsdata.errors import BadInput, ModelError
from nsdata.images.crops import Crop
from nsdata.images.decoder import cropped
from nsdata.text import listed
from training import models, noise
from training.foreign.given import Given, as_ours
from training.foreign.kinds import PROCESSOR, Kind, read_json, sha256
from training.foreign.python import described
from training.foreign.seen import DEFAULT, OwnTransform, Seen, seen
from training.foreign.teacher import Foreign, Network, matched_with
from training.models import Preprocess

_COUNTERS = ("num_batches_tracked", "position_ids", "relative_position_index")  # buffers of whole numbers: no weights


def load(ours: Sequence[str], place: Path, kind: Kind, given: Given) -> Foreign:
    """The teacher in a folder, for a store of these classes. Raises ModelError, BadInput."""
    from transformers import AutoModelForImageClassification

    with _quiet():
        try:
            model, loaded = AutoModelForImageClassification.from_pretrained(
                str(place), local_files_only=True, trust_remote_code=False, use_safetensors=kind.file.suffix != ".bin",
                output_loading_info=True,
            )  # fmt: skip
        except Exception as error:  # of any of its 400 models
            raise ModelError(f"The folder {place} cannot be loaded by transformers: {_said(error)}.") from error
        notes = check_whole(loaded, model, place)
        if getattr(model.config, "problem_type", None) == "multi_label_classification" and given.outputs is None:
            raise ModelError(
                f"The model in {place} says of each class alone whether it is there (problem_type is multi_label_…).",
                "--outputs logits takes the softmax over its classes all the same",
            )
        pictures, more = _pictures(place, given)
    return matched_with(
        ours, given, runner=Network(model.eval().requires_grad_(False)), name=given.model or type(model).__name__,
        said=kind.said, preprocess=pictures, sha256=sha256(kind), sha256_of="file", path=place,
        parameters=models.parameters(model), notes=[*notes, *more],
    )  # fmt: skip


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what transformers writes to a log, and its bars: what matters of it is said here."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def check_whole(loaded: Mapping[str, Any], model: nn.Module, place: Path) -> list[str]:
    """Refuse a model that transformers filled in part: what its file lacks is drawn at random, anew each time.

    loaded: missing_keys, unexpected_keys, mismatched_keys and error_msgs, as from_pretrained gives them. Returns notes
    about tensors that the model has no place for and does without, such as a pooling layer. Raises ModelError.
    """
    lacks, extra = (
        sorted(str(name) for name in loaded.get(key) or () if not str(name).endswith(_COUNTERS))
        for key in ("missing_keys", "unexpected_keys")
    )
    mine = {_numberless(name) for name in model.state_dict()}
    more = [name for name in extra if _numberless(name) in mine]  # layers beyond those that config.json tells of
    wrong = sorted(str(one[0] if isinstance(one, list | tuple) else one) for one in loaded.get("mismatched_keys") or ())
    parts = [f"it lacks {listed(lacks, 2)}"] if lacks else []
    parts += [f"it has {listed(more or extra, 2)}, which the model has not"] if more or (lacks and extra) else []
    parts += [f"{wrong[0]} is of another shape"] if wrong else []
    parts += [str(loaded["error_msgs"][0]).splitlines()[0]] if loaded.get("error_msgs") else []
    if parts:
        raise ModelError(
            f"The weights in {place} are not those of the {type(model).__name__} in its config.json: "
            f"{'; '.join(parts)}.",
            f"a whole folder, as model.save_pretrained writes it: ls -l {place}",
        )
    return [f"the file also has {listed(extra, 2)}, which the model does without"] if extra else []


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _pictures(place: Path, given: Given) -> tuple[Seen, list[str]]:
    """How the model sees pictures, and what to say of it. Raises ModelError, BadInput.

    As preprocessor_config.json is read here, where that gives the pictures that transformers makes; else as its
    processor makes them, which is slower.
    """
    if callable(given.preprocess) or not (place / PROCESSOR).exists():
        return seen(given, DEFAULT), described(given, DEFAULT)
    own = None if given.preprocess is not None else _processor(place)
    try:
        read = Preprocess.from_dict({**DEFAULT.to_dict(), **as_ours(read_json(place / PROCESSOR))})
    except BadInput as error:
        if isinstance(given.preprocess, dict) and set(given.preprocess) == set(DEFAULT.to_dict()):
            return seen(given, DEFAULT), []  # all of it was said
        if own is None:
            raise ModelError(f"{place / PROCESSOR}: {error.message}", error.hint) from error
        read = None
    if read is not None and (own is None or same(read, own)):
        return seen(given, read), described(given, read)
    assert own is not None
    return OwnTransform(own), [f"pictures are made by its own {own.name}, of transformers"]


class Processor:
    """An image processor of transformers as a function of a PIL image to (3, H, W) float32."""

    def __init__(self, processor: Any) -> None:
        self.processor, self.name = processor, type(processor).__name__

    def __call__(self, image: Image.Image) -> Tensor:
        """The model's input of one picture."""
        found: Tensor = self.processor(image, return_tensors="pt")["pixel_values"][0]
        return found

    def __repr__(self) -> str:
        return f"{self.name} {self.processor.to_json_string()}"


def _processor(place: Path) -> Processor | None:
    """The folder's own; None where transformers knows none for it."""
    from transformers import AutoImageProcessor

    try:
        return Processor(AutoImageProcessor.from_pretrained(str(place), local_files_only=True, trust_remote_code=False))
    except Exception:  # of a type that it does not know, with values that it does not take, …
        return None


def same(read: Preprocess, own: Processor) -> bool:
    """Whether both see the same in three pictures: within one grey level in the mean, but for one pixel that the middle
    of a picture may lie beside (a margin that is odd is rounded up by one and down by the other)."""
    scale = 255 * torch.tensor(read.std).view(3, 1, 1)
    for sides in ((60, 44), (301, 400), (500, 375)):
        image = Image.fromarray(_trial_picture()).resize(sides, Image.Resampling.BILINEAR)
        try:
            theirs = own(image)
        except Exception:  # it fails on pictures of this kind; label() says so of the first real one
            return False
        ours = _as_read(read, _png(image))
        if ours.shape != theirs.shape:
            return False
        if min(float(d.mean()) for d in _differences(ours * scale, theirs * scale)) > 1:
            return False
    return True


def _as_read(read: Preprocess, data: bytes) -> Tensor:
    """(3, H, W) float32: what label() would show of an encoded picture."""
    decode = noise.clean(read)
    pixels = cropped(data, decode) if isinstance(decode, Crop) else decode(data, 0)
    return read.normalise(torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None])[0]


def _differences(a: Tensor, b: Tensor) -> list[Tensor]:
    """|a - b| where b is moved by up to a pixel."""
    side = a.shape[-1] - 2
    if side < 1:
        return [(a - b).abs()]
    inner = a[:, 1:-1, 1:-1]
    return [(inner - b[:, y : y + side, x : x + side]).abs() for y in range(3) for x in range(3)]


def _trial_picture() -> np.ndarray:
    """(4, 6, 3) uint8: seeded colours, to be made larger."""
    return np.random.Generator(np.random.PCG64(11)).integers(0, 256, (4, 6, 3)).astype(np.uint8)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _said(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__

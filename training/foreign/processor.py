"""What a Hugging Face preprocessor_config.json does to a picture: a resize, a crop in the middle, a normalisation.

Each type of processor reads the same keys in its own way (transformers/models/*/image_processing_*.py). What a type or
key does that is not known here is refused, never passed over. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nsdata.arguments import shown
from nsdata.errors import BadInput
from nsdata.text import listed

TYPES = ("image_processor_type", "feature_extractor_type")
PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}  # resample, by its number
HINT = "label(store, teacher, gen=1, preprocess=a function of an RGB PIL image)"

# A side that is one number is a square's for the first, the shorter side's for the second.
_SQUARE = ("", "ViT", "DeiT", "Beit", "Siglip", "Pvt", "Segformer", "EfficientNet")
_SHORTER = ("CLIP", "Bit", "MobileNetV1", "MobileNetV2", "ConvNext", "Levit", "PoolFormer")
_BICUBIC = ("CLIP", "Bit", "DeiT", "Beit", "Siglip", "Levit", "PoolFormer")  # where resample is not said
_READ = frozenset(
    ("do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct", "do_rescale", "rescale_factor",
     "do_normalize", "image_mean", "image_std", "rescale_offset", "include_top")
)  # fmt: skip
_SILENT = frozenset(  # they change no pixel of an RGB picture
    (*TYPES, "processor_class", "do_convert_rgb", "data_format", "input_data_format", "return_tensors", "device",
     "_valid_processor_keys", "do_reduce_labels", "disable_grouping", "default_to_square")
)  # fmt: skip


def is_processor(values: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of these, and not timm's or ours."""
    return "image_mean" in values or any(name in values for name in TYPES)


def of_processor(values: Mapping[str, Any]) -> dict[str, Any]:
    """image_size, crop_pct, crop_mode, interpolation, mean and std: as ``Preprocess`` has them, not checked yet.

    Raises BadInput for a processor that does something else, or something that is not known here.
    """
    kind = _kind(values)
    found = _geometry(values, kind)
    resample = values.get("resample")
    if resample is None:
        resample = "nearest" if kind == "EfficientNet" else "bicubic" if kind in _BICUBIC else "bilinear"
    found["interpolation"] = PILLOW.get(resample, resample) if isinstance(resample, int) else resample
    return found | _normalisation(values)


def _kind(values: Mapping[str, Any]) -> str:
    """Its type, "" where it has none. Raises BadInput for a type, or a key that says something, not known here."""
    name = str(next((values[key] for key in TYPES if values.get(key)), ""))
    kind = name.removesuffix("Fast").removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    if not kind and values.get("crop_pct") is not None and values.get("crop_size") is None:
        kind = "ConvNext"  # no other has the one without the other
    if kind not in (*_SQUARE, *_SHORTER):
        raise BadInput(f"The preprocessor is a {name}, which is not known here.", HINT)
    strange = sorted(str(key) for key, value in values.items() if key not in _READ | _SILENT and value)
    if strange:
        raise BadInput(f"The preprocessor has {listed(strange, 3)}, not known here.", HINT)
    return kind


def _geometry(values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """image_size, crop_pct and crop_mode."""
    size, square = _side("size", values.get("size", 224), kind in _SQUARE)
    crop, share = values.get("crop_size"), values.get("crop_pct")
    if not values.get("do_resize", True) or size is None:
        raise BadInput("The preprocessor does not resize to a square; a teacher sees squares.", HINT)
    share = 224 / 256 if share is None and kind == "ConvNext" else share
    if share is not None and (not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 2):
        raise BadInput(f"The preprocessor's crop_pct is {shown(share)}; more than 0, up to 2 was expected.", HINT)
    if kind == "ConvNext":  # the middle of a larger picture; from 384 pixels on all of it, squashed
        whole = size >= 384
        return {"image_size": size, "crop_pct": 1.0 if whole else share, "crop_mode": "squash" if whole else "center"}
    resized = size
    if kind == "Levit" and not square:
        resized = int(256 / 224 * size)
    elif share is not None:
        if kind not in ("PoolFormer", ""):
            raise BadInput(f"The preprocessor has a crop_pct ({share:g}), which is not known of its type here.", HINT)
        resized, square = int(size / share), False
    if values.get("do_center_crop", crop is not None and not square):
        middle, _ = _side("crop_size", size if crop is None else crop, True)
        if middle is None or middle > resized:
            raise BadInput(f"The preprocessor cuts {str(crop)[:60]} out of {resized} pixels.", HINT)
    elif square:
        middle = resized
    else:
        raise BadInput("The preprocessor resizes the shorter side and cuts no square out of it.", HINT)
    # timm resizes to int(image_size / crop_pct): a hair less than the quotient, so that it comes out as it is here
    share = 1.0 if middle == resized else middle / (resized + 1e-6)
    return {"image_size": middle, "crop_pct": share, "crop_mode": "squash" if square else "center"}


def _side(name: str, value: Any, square: bool) -> tuple[int | None, bool]:
    """A side in pixels, and whether it is both sides' and not the shorter one's."""
    if isinstance(value, Mapping):
        there = {key: side for key, side in value.items() if side is not None}
        if set(there) == {"height", "width"} and there["height"] == there["width"]:
            value, square = there["height"], True
        elif set(there) == {"shortest_edge"}:
            value, square = there["shortest_edge"], False
        else:
            raise BadInput(f"The preprocessor's {name} is {str(dict(value))[:60]}; squares are seen here.", HINT)
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return (value if number else None), square


def _normalisation(values: Mapping[str, Any]) -> dict[str, Any]:
    """mean and std of values 0 to 1: after ``scale``, minus one where it says so, minus mean, by std, once or twice."""
    factor = 255 * float(values.get("rescale_factor") or 1 / 255) if values.get("do_rescale", True) else 255.0
    offset = 1.0 if values.get("rescale_offset") and values.get("do_rescale", True) else 0.0
    mean, std = [0.0] * 3, [1.0] * 3
    normal, twice = values.get("do_normalize", True), values.get("include_top", False)
    given = {key: _three(key, values.get(key)) for key in ("image_mean", "image_std") if normal or twice}
    if normal:
        mean, std = given["image_mean"], given["image_std"]
    if twice:  # EfficientNet's, for TensorFlow's weights: by the deviation once more
        std = [a * b for a, b in zip(std, given["image_std"], strict=True)]
    return {"mean": [(m + offset) / factor for m in mean], "std": [s / factor for s in std]}


def _three(key: str, value: Any) -> list[float]:
    numbers = [value] * 3 if isinstance(value, int | float) else list(value) if isinstance(value, list | tuple) else []
    numbers = numbers * 3 if len(numbers) == 1 else numbers
    if len(numbers) != 3 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
        raise BadInput(f"The preprocessor's {key} is {shown(value)}; three numbers were expected.", HINT)
    return [float(v) for v in numbers]

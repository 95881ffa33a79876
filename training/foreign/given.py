"""What a person says of a teacher from elsewhere: its architecture, classes, kind of answers, how it sees a picture.

Checked before a model is loaded. Needs no torch.
"""

from __future__ import annotations

import csv
import hashlib
import json
import numbers
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsdata.arguments import listing, path, shown, text, wrong
from nsdata.errors import BadInput
from training.foreign.kinds import read_json
from training.foreign.matching import Map, plain_name
from training.foreign.processor import is_processor, of_processor

OUTPUTS = ("logits", "probabilities")

WORDS = {
    "crop_mode": ("center", "squash", "border"),
    "interpolation": ("bilinear", "bicubic", "lanczos", "box", "hamming", "nearest"),
}
EXAMPLES = {
    "image_size": "224", "crop_pct": "0.875", "crop_mode": "center", "interpolation": "bicubic",
    "mean": "'[0.485, 0.456, 0.406]'", "std": "'[0.229, 0.224, 0.225]'",
}  # fmt: skip
# of a timm configuration: what says nothing of how a picture is seen
TIMM = (
    *("architecture", "classifier", "custom_load", "description", "file", "first_conv", "fixed_input_size"),
    *("hf_hub_filename", "hf_hub_id", "in_chans", "is_training", "label_names", "label_offset", "license"),
    *("license_url", "min_input_size", "model_id", "num_classes", "num_features", "origin_url", "paper_ids"),
    *("paper_name", "pool_size", "source", "state_dict", "tag", "test_crop_pct", "test_input_size", "url"),
)


@dataclass(frozen=True)
class Given:
    """What was said. preprocess: a dict of ours, partly or whole; or a function of a PIL image; None: the default."""

    model: str | None = None
    classes: tuple[str, ...] | None = None
    class_map: Map | None = None
    outputs: str | None = None
    preprocess: dict[str, Any] | Callable[[Any], Any] | None = None

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return self != Given()

    def options(self) -> dict[str, Any]:
        """As plain JSON, to be recorded and compared: long lists by their digest."""
        seen = self.preprocess
        return {
            "model": self.model,
            "classes": None if self.classes is None else _digest(list(self.classes)),
            "class map": None if self.class_map is None else _digest(sorted(self.class_map.items())),
            "outputs": self.outputs,
            "preprocess": seen if isinstance(seen, dict) or seen is None else "a function",
        }


NOTHING = Given()


def given(
    model: object = None,
    classes: object = None,
    class_map: object = None,
    outputs: object = None,
    preprocess: object = None,
) -> Given:
    """All of it checked. Lists, mappings, and paths of files with them. Raises BadInput."""
    if outputs is not None and (not isinstance(outputs, str) or outputs not in OUTPUTS):
        raise BadInput(f"outputs is {shown(outputs)}; {' or '.join(OUTPUTS)} was expected.", "--outputs logits")
    return Given(
        model=None if model is None else text("model", model, "model='resnet18'").strip(),
        classes=None if classes is None else _classes(classes),
        class_map=None if class_map is None else _class_map(class_map),
        outputs=None if outputs is None else str(outputs),
        preprocess=_preprocess(preprocess),
    )


def from_texts(
    model: str | None, classes: Path | None, class_map: Path | None, outputs: str | None, preprocess: list[str]
) -> Given:
    """As a command line says it: files of names, "image_size=224" or a file of such. Raises BadInput."""
    seen: Any = None
    if preprocess and all("=" not in setting for setting in preprocess[:1]):
        seen = Path(preprocess[0])
        preprocess = preprocess[1:]
    values: dict[str, Any] = {} if seen is None else _config_file(seen)
    try:
        as_ours(values)
    except BadInput as error:
        raise BadInput(f"{seen}: {error.message}", "--preprocess image_size=224, or such settings in a file") from error
    for setting in preprocess:
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadInput(f"The setting '{setting}' has no '='.", f"--preprocess {name or 'image_size'}=VALUE")
        name = name.strip()
        try:
            values[name] = tomllib.loads(f"v = {value.strip()}")["v"]
        except tomllib.TOMLDecodeError:
            values[name] = value.strip()
        try:
            as_ours({name: values[name]})
        except BadInput as error:
            example = name if name in EXAMPLES else "image_size"
            raise BadInput(error.message, f"--preprocess {example}={EXAMPLES[example]}") from error
    return given(model, classes, class_map, outputs, values or None)


def _classes(value: object) -> tuple[str, ...]:
    if isinstance(value, Path):
        names: Sequence[Any] = [line for line in _lines(value, "--classes-file FILE") if line.strip()]
    else:
        names = listing("classes", value, "names, one an output", "classes=['cat', 'dog']")
    for name in names:
        if isinstance(name, bool) or not isinstance(name, str | numbers.Integral) or not plain_name(name):
            raise wrong("The name of an output", name, "a text")
    return tuple(plain_name(name) for name in names)


def _lines(file: Path, hint: str) -> list[str]:
    try:
        return Path(path("A file's path", file)).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise BadInput(f"The file {file} cannot be read: {error.strerror}.", hint) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"The file {file} is no text in UTF-8.", hint) from error


def _class_map(value: object) -> Map:
    if isinstance(value, Path) and value.suffix.lower() == ".json":
        try:
            value = read_json(value)
        except Exception as error:
            raise BadInput(str(error), "--class-map FILE") from error
    rows: list[tuple[Any, Any]]
    if isinstance(value, Path):
        cells = _two_cells(value)
        if cells and [cell.strip().lower() for cell in cells[0]] == ["theirs", "ours"]:
            cells = cells[1:]
        rows = [(row[0], row[1].strip() or None) for row in cells]
    elif isinstance(value, Mapping):
        rows = list(value.items())
    else:
        raise wrong("class_map", value, "a mapping of their class to ours", "class_map={'tabby': 'cat'}")
    found: dict[str, str | None] = {}
    for key, mine in rows:
        for name in (key, mine):
            if isinstance(name, bool) or not (name is None or isinstance(name, str | numbers.Integral)):
                raise wrong("A name in the class map", name, "a text")
        theirs = plain_name(key)
        ours = None if mine is None or not plain_name(mine) else plain_name(mine)
        if key is None or not theirs:
            raise wrong("A class in the class map", key, "a name")
        if found.get(theirs, ours) != ours:
            raise BadInput(f"The class map sends '{theirs}' to '{found[theirs]}' and to '{ours}'.", "--class-map FILE")
        found[theirs] = ours
    if not found:
        raise BadInput("The class map is empty.", "--class-map FILE: their name, ours a line")
    return found


def _two_cells(file: Path) -> list[list[str]]:
    """The lines of a class map, parted at what parts every one of them in two. Raises BadInput."""
    lines = _lines(file, "--class-map FILE")
    read = {
        mark: [row for row in csv.reader(lines, delimiter=mark) if any(cell.strip() for cell in row)] for mark in ",;\t"
    }
    fits = [mark for mark, cells in read.items() if all(len(row) == 2 for row in cells)]
    if len(fits) > 1 and any(read.values()):
        names = " and ".join({"\t": "a tab"}.get(mark, f"'{mark}'") for mark in fits)
        raise BadInput(
            f"The lines of {file} can be parted at {names}; their class and ours were expected.",
            'quote names that have one: "tabby, tabby cat",cat',
        )
    if fits:
        return read[fits[0]]
    row = next(row for row in read[","] if len(row) != 2)
    cells = f"{len(row)} cell{'s' if len(row) > 1 else ''} ({shown(','.join(row))})"
    raise BadInput(
        f"A line of {file} has {cells}; their class and ours were expected.",
        'a comma between the two, and quotes around names that have one: "tabby, tabby cat",cat',
    )


def _preprocess(value: object) -> dict[str, Any] | Callable[[Any], Any] | None:
    if value is None:
        return None
    if hasattr(value, "to_dict"):  # training.models.Preprocess
        value = value.to_dict()
    if isinstance(value, Path):
        value = _config_file(value)
    if isinstance(value, Mapping):
        return as_ours(value)
    if callable(value):
        return value
    raise wrong("preprocess", value, "a mapping such as timm's data config, or a function of a PIL image", HINT)


HINT = "preprocess={'image_size': 224, 'mean': [0.5, 0.5, 0.5], 'std': [0.5, 0.5, 0.5]}"


def _config_file(file: Path) -> dict[str, Any]:
    if file.suffix.lower() == ".json":
        try:
            return read_json(file)
        except Exception as error:
            raise BadInput(str(error), "--preprocess FILE") from error
    try:
        return tomllib.loads("\n".join(_lines(file, "--preprocess FILE")))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"The file {file} is neither JSON nor TOML: {error}.", "--preprocess FILE.json") from error


def as_ours(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ours that a configuration decides: ours, timm's, or that of a Hugging Face preprocessor. Raises
    BadInput for keys and values that mean nothing here."""
    values = dict(values)
    if is_processor(values):
        return {key: _checked(key, value) for key, value in of_processor(values).items()}
    if (size := values.pop("input_size", None)) is not None:
        if not isinstance(size, list | tuple) or len(size) != 3 or size[0] != 3 or size[1] != size[2]:
            raise BadInput(f"The input_size is {size}; (3, S, S) was expected: colour and square.", HINT)
        values.setdefault("image_size", size[1])
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in TIMM or value is None:
            continue
        found[key] = _checked(key, value)
    return found


def _checked(key: str, value: Any) -> Any:
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key == "image_size" and number and value == int(value) and 1 <= value <= 8192:
        return int(value)
    if key == "crop_pct" and number and 0 < value <= 2:
        return float(value)
    if key in WORDS and isinstance(value, str) and value in WORDS[key]:
        return value
    if key in ("mean", "std"):
        three = [value] * 3 if number else list(value) if isinstance(value, list | tuple) else []
        three = three * 3 if len(three) == 1 else three
        plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in three)
        if len(three) == 3 and plain and (key == "mean" or min(three) > 0):
            return [float(v) for v in three]
    allowed = {
        "image_size": "1 to 8192 pixels", "crop_pct": "more than 0, up to 2", "mean": "three numbers, of values 0 to 1",
        "std": "three numbers above 0", **{name: ", ".join(words) for name, words in WORDS.items()},
    }  # fmt: skip
    if key not in allowed:
        raise BadInput(f"Preprocessing has no setting '{key}'; it has {', '.join(allowed)}.", HINT)
    raise BadInput(f"The preprocessing's {key} is {shown(value)}; allowed: {allowed[key]}.", HINT)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()

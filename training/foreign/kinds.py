"""What a file or folder of weights is, by its first bytes, without loading it: nothing in it is run to find out."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import pickletools
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from nsdata.errors import ModelError
from training.foreign.names import Said, carried, said
from training.run_folder import file_sha256

PICKLE_MAGIC = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # torch's, in its files of before 2020
OURS = {"format", "model_args", "val_accuracy", "preprocess", "state"}  # keys of a checkpoint of nsdata
PROCESSOR, SAFE, INDEX = "preprocessor_config.json", "model.safetensors", "model.safetensors.index.json"
WEIGHTS = (SAFE, "pytorch_model.bin")  # of a Hugging Face folder; the first that there is
TAKEN = "a timm state dict (.pth), .safetensors, a Hugging Face folder, ONNX or TorchScript"
_MOST_PICKLE = 1 << 26  # bytes of a checkpoint's structure; the tensors lie beside it
_MOST_JSON = 100_000_000  # as safetensors itself
_MOST_EXTRA = 1 << 22
_SAFE_GLOBALS = ("torch", "collections", "argparse", "numpy", "_codecs", "builtins", "__builtin__")

_BEGINNINGS = [
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
    (b"GGUF", "a GGUF file"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the weights themselves"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
]


@dataclass(frozen=True)
class Kind:
    """name: one of ours, torch, safetensors, torchscript, onnx, timm, transformers.

    file:  the weights. facts: of the header (safetensors: its tensors' shapes; folders: config.json).
    words: texts in a checkpoint's structure, such as its keys. said: what may name its outputs (names.py).
    """

    name: str
    file: Path
    facts: dict[str, Any] = field(default_factory=dict, repr=False)
    words: frozenset[str] = field(default_factory=frozenset, repr=False)
    said: Said = field(default_factory=list, repr=False)

    def names(self, ours: Sequence[str], who: str) -> tuple[str, ...] | None:
        """Of its outputs, in order, as far as they are known before it is loaded. Raises ModelError."""
        return label_names(self.facts) if self.name == "timm" else carried(self.said, ours, who)


def kind_of(place: Path) -> Kind:
    """What lies at a path. Raises ModelError for what no teacher can be read from, saying what it is."""
    if place.is_dir():
        return _folder(place)
    try:
        size = place.stat().st_size
        with place.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ModelError(f"The model {place} cannot be read: {error.strerror}.", f"ls -l {place}") from error
    if not head:
        raise refused(place, "an empty file")
    if head.startswith(b"PK\x03\x04"):
        return _archive(place)
    if len(head) > 9 and 2 <= (length := int.from_bytes(head[:8], "little")) <= _MOST_JSON and head[8:9] == b"{":
        return Kind("safetensors", place, *_header(place, length, size))
    if place.suffix.lower() == ".onnx" or (head[0] == 8 and b"pytorch" in head):
        return Kind("onnx", place)
    if head[0] == 0x80:
        if PICKLE_MAGIC not in head:
            raise refused(place, "a Python pickle, which would run code when it is read")
        return Kind("torch", place)
    for beginning, what in _BEGINNINGS:
        if head.startswith(beginning):
            raise refused(place, what)
    text = head.lstrip()[:1] in (b"{", b"[") or (head.isascii() and b"\0" not in head)
    raise refused(place, "a text file" if text else f"none of these ({size:,} bytes, {head[:4].hex()}…)")


def refused(place: Path, what: str, hint: str = "") -> ModelError:
    """The error of something that is no teacher: one sentence that says what it is."""
    return ModelError(f"{place} is {what}; {TAKEN} was expected.", hint or "--teacher FILE, of one of these kinds")


def sha256(kind: Kind) -> str:
    """Of all bytes that decide what a teacher answers: of one file its own, of several one over theirs."""
    parts = [kind.file]
    if kind.name == "onnx":  # weights of more than 2 GB lie beside it
        names = (f"{kind.file.name}.data", f"{kind.file.name}_data", f"{kind.file.stem}.data")
        parts += [beside for name in names if (beside := kind.file.with_name(name)).exists()]
    elif kind.file.name == INDEX:
        parts += sorted(kind.file.parent.glob("model-*.safetensors"))
    try:
        found = [file_sha256(part) for part in parts]
    except OSError as error:
        raise ModelError(f"The model {kind.file} cannot be read: {error.strerror}.", f"ls -l {kind.file}") from error
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def _folder(place: Path) -> Kind:
    config = place / "config.json"
    facts = read_json(config) if config.exists() else {}
    if not facts:
        raise refused(place, "a folder without a best.pt or a config.json")
    weights = next((place / name for name in (*WEIGHTS[:1], INDEX, *WEIGHTS[1:]) if (place / name).exists()), None)
    if weights is None:
        raise ModelError(
            f"The folder {place} has a config.json and no weights: {' or '.join(WEIGHTS)} was expected.", f"ls {place}"
        )
    if isinstance(facts.get("architecture"), str):
        if weights.name == INDEX:
            raise ModelError(f"The weights in {place} are in several files; timm writes one.", f"ls {place}")
        return Kind("timm", weights, _of_hub(facts, config))
    named = facts.get("architectures")
    kind = named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""
    if not kind.endswith(("ForImageClassification", "ForImageClassificationWithTeacher")):
        what = f"a folder of '{kind}'" if kind else "a folder whose config.json names no architecture"
        raise refused(place, what)
    _check_numbered(facts, config)
    return Kind("transformers", weights, facts, said=said({key: facts.get(key) for key in ("id2label", "label2id")}))


def _check_numbered(facts: dict[str, Any], config: Path) -> None:
    """Raise ModelError for an id2label that transformers itself cannot read."""
    found = facts.get("id2label")
    if found is not None and not (isinstance(found, dict) and all(str(key).isdecimal() for key in found)):
        raise ModelError(
            f"The id2label in {config} has no number for each name: {{'0': 'cat', …}} was expected.",
            f"cat {config}",
        )


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object. Raises ModelError for anything else."""
    try:
        if file.stat().st_size > _MOST_JSON:
            raise ValueError("too large")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        text = getattr(error, "strerror", None) or "it is not JSON"
        raise ModelError(f"{file} cannot be read: {text}.", f"head -c 300 {file}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} holds a {type(found).__name__}; a JSON object was expected.", f"head -c 300 {file}")
    return found


def _header(place: Path, length: int, size: int) -> tuple[dict[str, Any], frozenset[str], Said]:
    """The shape of each tensor of a safetensors file, no words, and what its metadata says. Raises ModelError for a
    damaged one."""
    try:
        with place.open("rb") as file:
            file.seek(8)
            found = json.loads(file.read(length))
        tensors = {name: value for name, value in found.items() if name != "__metadata__"}
        ends = max((value["data_offsets"][1] for value in tensors.values()), default=0)
        shapes = {name: tuple(value["shape"]) for name, value in tensors.items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ModelError(f"{place} begins as a safetensors file, and its header is damaged.") from error
    if 8 + length + ends != size:
        raise ModelError(f"The safetensors file {place} is {size:,} bytes long; {8 + length + ends:,} were expected.")
    return shapes, frozenset(), said(found.get("__metadata__"))


def _archive(place: Path) -> Kind:
    """A ZIP archive: a checkpoint of torch's, a TorchScript program, or something else."""
    try:
        with zipfile.ZipFile(place) as archive:
            names = archive.namelist()
            top = next((name for name in names if name.endswith("/data.pkl") and name.count("/") == 1), None)
            if top is None:
                if any(name.endswith(("archive_format", "/models/model.json")) for name in names):
                    raise refused(place, "a program of torch.export (.pt2)", "torch.jit.save(torch.jit.trace(…), FILE)")
                what = "a NumPy archive" if names and names[0].endswith(".npy") else "a ZIP archive"
                raise refused(place, what)
            root = top.removesuffix("data.pkl")
            if f"{root}constants.pkl" in names:
                return Kind("torchscript", place, said=_extras(archive, f"{root}extra/"))
            with archive.open(top) as file:
                words = _structure(place, file)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{place} is a damaged checkpoint: its end is missing, or it was cut.") from error
    return Kind("ours" if words >= OURS else "torch", place, words=words)


def _extras(archive: zipfile.ZipFile, folder: str) -> Said:
    """What the small files say that were saved with a TorchScript program."""
    small = [one for one in archive.infolist() if one.filename.startswith(folder) and one.file_size < _MOST_EXTRA]
    return said({Path(one.filename).stem: archive.read(one) for one in small})


def _structure(place: Path, file: IO[bytes]) -> frozenset[str]:
    """The texts in a pickle, which is not run. Raises ModelError for one that asks for other classes than tensors'."""
    words: set[str] = set()
    with contextlib.suppress(ValueError, IndexError, UnicodeDecodeError):  # damaged: whoever loads it will say so
        for opcode, value, _ in pickletools.genops(file.read(_MOST_PICKLE)):
            if opcode.name in ("GLOBAL", "INST") and isinstance(value, str):
                _check_global(place, *value.split(" ", 1))
            elif isinstance(value, str):
                words.add(value)
    return frozenset(words)


def _check_global(place: Path, module: str, name: str = "") -> None:
    layer = module.startswith("torch.nn.") and name[:1].isupper() and name != "Parameter"
    if layer or module.split(".")[0] not in _SAFE_GLOBALS:
        raise ModelError(
            f"{place} holds a pickled {module}.{name}, which would run code when it is read; weights alone are taken.",
            "torch.save(model.state_dict(), 'weights.pth') where it was trained, or safetensors",
        )


def _of_hub(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """A config.json of timm's hub in its present form: its first form had no ``pretrained_cfg`` and held all that is in
    it, with ``labels`` for ``label_names``. Raises ModelError for names that are no list."""
    inner = config.get("pretrained_cfg")
    if not isinstance(inner, dict):
        inner = {key: value for key, value in config.items() if key not in ("architecture", "model_args")}
    names = next((of[key] for key in ("label_names", "labels") for of in (config, inner) if of.get(key)), None)
    if isinstance(names, dict):
        names = list(carried([("id2label", names)], (), f"The teacher {file.parent}") or ()) or names
    plain = isinstance(names, list) and all(isinstance(name, str | int) for name in names)
    if names is not None and not plain:
        raise ModelError(f"The label_names in {file} are no list of names, in the order of the outputs.", f"cat {file}")
    return {**config, "pretrained_cfg": inner, "label_names": names}


def label_names(config: dict[str, Any]) -> tuple[str, ...] | None:
    """Of a folder of timm's hub, as ``_of_hub`` gives it."""
    found = config.get("label_names")
    return tuple(map(str, found)) if found else None


def need(package: str, place: Path) -> None:
    """Raises ModelError unless a package is installed."""
    if importlib.util.find_spec(package) is None:
        raise ModelError(f"{place} needs the package '{package}', which is not installed.", f"pip install {package}")

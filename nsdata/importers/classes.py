"""The class names that a source of images, or a plain list, suggests for a new store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nsdata import arguments
from nsdata.errors import BadInput
from nsdata.importers.detect import detect
from nsdata.importers.files import files_of, inside
from nsdata.importers.formats import digits, folder, manifest, parquet, tar
from nsdata.importers.formats.layout import SPLIT_OF, UNLABELLED
from nsdata.importers.item import Skipped


def classes_from(path: str | Path) -> list[str]:
    """Class names in the order that they will keep for ever, without doubles.

    path: a folder of class folders (also below train/) or a tar of such: sorted by name; a text file: one
    name per line, as they stand; a CSV: its label column, sorted (by value if all are numbers); a parquet
    file or folder of such: its ClassLabel names; MNIST's idx files or "digits": "0" to "9". Raises BadInput
    where there are none.
    """
    path = arguments.path("classes_from", path)
    if str(path) == "digits" and not Path(path).exists():
        return list(digits.CLASSES)
    where = files_of(path)[0]
    if where.is_file() and where.suffix.lower() in (".txt", ".names", ".labels"):
        found = _lines(where)
    else:
        kind = detect(where)
        if kind == "folder":
            found = _folders(where)
        elif kind == "tar":
            found = sorted({n for file in _each(where, "tar") for n in _tar_folders(file)})
        elif kind == "parquet":
            found = _parquet(_each(where, "parquet")[0])
        elif kind == "manifest":
            found = _values(label for _, label, _ in manifest.rows(where / "labels.csv" if where.is_dir() else where))
        else:
            found = list(digits.CLASSES) if kind == "idx" else []
    if not found:
        raise BadInput(f"{where} names no classes.", "nsdata init --classes cat,dog,fox")
    return found


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"{path} is no text in UTF-8: {e}.", f"file {path}") from e
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _folders(root: Path) -> list[str]:
    tops = folder.subfolders(root)
    splits = [n for n in tops if n in SPLIT_OF]
    if splits and len(splits) == len(tops):
        return sorted({n for s in splits if s not in UNLABELLED for n in folder.subfolders(root / s)})
    return [n for n in tops if n not in UNLABELLED]


def _each(where: Path, kind: str) -> list[Path]:
    return inside(where, kind) if where.is_dir() else [where]


def _tar_folders(path: Path) -> Iterable[str]:
    """The class folders in a tar; of WebDataset samples the names in their .cls files."""
    for member in tar.members(path):
        if isinstance(member, Skipped):
            continue
        name, data = member
        if name.endswith(".cls"):
            yield data.decode("utf-8", "replace").strip()
            continue
        parts = name.split("/")[:-1]
        while parts and parts[0] in SPLIT_OF and len(parts) > 1:
            parts = [] if parts[0] in UNLABELLED else parts[1:]
        if parts and parts[0] not in SPLIT_OF:
            yield parts[0]


def _parquet(path: Path) -> list[str]:
    with parquet.opened(path) as file:
        schema = file.schema_arrow
        own = parquet.own_classes(schema)
        label = next((n for n in parquet.LABELS if n in schema.names), None)
        if own or label is None:
            return own
        batches = file.iter_batches(batch_size=parquet.batch_rows(file, path, [label], 65_536), columns=[label])
        return _values(value for batch in batches for value in batch.column(label).to_pylist())


def _values(values: Iterable[object]) -> list[str]:
    """Different values as sorted names, numbers by size; empty ones and -1 are no class."""
    names = {str(v).strip() for v in values if v is not None and v == v} - {"", "-1"}
    numbers = all(n.isdecimal() for n in names)
    return sorted(names, key=int) if numbers else sorted(names)

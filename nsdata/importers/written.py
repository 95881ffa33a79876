"""What was written beside an image, in a column or key: the label that it means, and the split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.class_names import ClassNames, clean, empty, minus_one, plain, spelled, whole
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import LABELLED_BY
from nsdata.importers.found import Found
from nsdata.importers.split_columns import Unsure
from nsdata.importers.words import split_word
from nsdata.schema import SPLITS
from nsdata.text import listed

STATE = "state.json"  # of save_to_disk
SPLIT_IN = {
    "column": "the column of splits",
    "key": "the key split in .json files",
    "array": "the names of the arrays",
    "file": "the names of the files",
}
_SEEN = {
    "column": "its columns are",
    "key": "beside its pictures there are the keys",
    "array": "its arrays are",
    "file": "no file of labels lies beside",
}
PLACES = " (numbers: places in the list of classes)"
Written = tuple[tuple[str, object], ...]

BY_TEACHERS = (
    f"labels that a generation gave were left out: {LABELLED_BY} says which, and they are no person's; "
    "--with-soft-labels brings them in as that generation's"
)
BINARY = (".feather", ".arrow", ".msgpack", ".sqlite3", ".rds", ".7z", ".tgz", ".bz2", ".xz", ".zst")
"""Endings of files that may hold tables and arrays, and are not looked into."""

_UNENDING = frozenset(("label", "labels", "annotation", "annotations", "targets", "groundtruth", "ground_truth"))
NO_PICTURES = frozenset(
    {
        *(*BINARY, ".manifest", ".list"),
        *(
            ".csv",
            ".tsv",
            ".txt",
            ".json",
            ".jsonl",
            ".ndjson",
            ".xml",
            ".yaml",
            ".yml",
            ".toml",
            ".names",
            ".ini",
            ".cfg",
        ),
        *(
            ".md",
            ".rst",
            ".html",
            ".pdf",
            ".log",
            ".py",
            ".sh",
            ".ipynb",
            ".npy",
            ".npz",
            ".mat",
            ".xlsx",
            ".xls",
            ".ods",
            ".lst",
            ".pkl",
            ".pickle",
            ".sqlite",
            ".db",
        ),
        *(".cls", ".label", ".labels", ".class", ".target", ".category", ".split"),  # of a sample that lies in a folder
        *(".zip", ".gz", ".tar", ".parquet", ".h5", ".hdf5", ".tfrecord", ".pt", ".pth", ".safetensors"),
    }
)
"""Endings of files that are no pictures: they do not make a folder one of pictures."""


def label_of(written: Written, names: ClassNames, where: str) -> tuple[int | None, str]:
    """(class, the column or key that names it): text that names a class, else a number that does, else one as a place.

    None, "" where nothing is said. Raises BadInput for what is no class, and for two that differ.
    """
    texts: dict[int, str] = {}
    numbers: dict[int, str] = {}
    rest: list[tuple[str, object]] = []
    for key, value in ((key, plain(value)) for key, value in written):
        index = names.named(value)
        if index is None:
            if not empty(value):
                rest.append((key, value))
        elif isinstance(value, str) and whole(clean(value)) is None:
            texts.setdefault(index, key)
        else:
            numbers.setdefault(index, key)
    for chosen in (texts, numbers):
        if len(chosen) > 1:
            raise _two(where, [(key, names.classes[index]) for index, key in chosen.items()])
        for index, key in chosen.items():
            for other, value in rest:
                names.beside(value, index, where, other)
            return index, key
    if not rest:
        return None, ""
    places = {names.place(value, where, key): key for key, value in rest}
    if len(places) > 1:
        raise _two(where, rest)
    ((index, key),) = places.items()
    return index, key + PLACES


def _two(where: str, labels: Sequence[tuple[str, object]]) -> BadInput:
    said = " and ".join(f"'{quoted(spelled(value)[:100])}' ({quoted(key)})" for key, value in labels[:2])
    return BadInput(f"{where} has two labels: {said}.", "leave out one of the two columns or keys")


class Numbers:
    """For ``init``, of all images: columns of numbers that stand beside names, and in one row alone."""

    def __init__(self) -> None:
        self._beside: set[str] = set()
        self._alone: dict[str, tuple[object, str]] = {}

    def look(self, written: Written, where: str) -> None:
        """One image's labels."""
        if len(written) < 2:
            return
        values = [(key, plain(value)) for key, value in written if not empty(value)]
        numbers = {k: v for k, v in values if whole(clean(v) if isinstance(v, str) else v) is not None}
        if len(numbers) < len(values):
            self._beside.update(numbers)
        else:
            self._alone.update((key, (value, where)) for key, value in numbers.items())

    def check(self, what: str) -> None:
        """Raise BadInput where it is not known which class a number is."""
        for key in self._beside & self._alone.keys():
            value, where = self._alone[key]
            raise BadInput(
                f"The label of {where} is the number {quoted(str(value))} in {quoted(key)}, others in {what} have a "
                "name beside theirs: it is not known which class it is.",
                "write the name in that row, or leave the column of numbers out",
            )


def for_init(written: Written, where: str) -> list[object]:
    """What one image's labels say, for ``init``: text before numbers. Raises BadInput where two columns differ."""
    values = [(key, plain(value)) for key, value in written if not empty(value)]
    if several := [(key, value) for key, value in values if isinstance(value, list | tuple | dict | set)]:
        ((key, value), *_) = several
        held = quoted(spelled(value)[:100])
        raise BadInput(
            f"{where} has several values for a label, {held} ({quoted(key)}); one was expected.",
            "one label an image; or nsdata init --classes a,b,c, and --unlabelled for the import",
        )
    texts = {clean(value): key for key, value in values if isinstance(value, str) and whole(clean(value)) is None}
    if len(texts) > 1:
        raise BadInput(
            f"Labels of {where} stand in {listed([quoted(key) for key in texts.values()])}, and differ.",
            "leave out all but one of them, or nsdata init --classes a,b,c",
        )
    spelt = {whole(clean(value) if isinstance(value, str) else value) for _, value in values}
    if not texts and len(spelt) > 1:
        raise BadInput(
            f"Labels of {where} stand in {listed([quoted(key) for key, _ in values])}, and are several numbers.",
            "leave out all but one of them, or nsdata init --classes a,b,c",
        )
    numbers = [value for _, value in values] or [value for _, value in written if minus_one(value)]
    return list(texts) or numbers[:1]


def no_split_in(value: object) -> bool:
    """Whether a cell or key says nothing of a split: None, NaN, blanks."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def split_of_cell(value: object, where: str) -> str | None:
    """The split that a cell or key names; None for an empty one. Raises BadInput for an unknown name and Unsure."""
    if isinstance(value, Unsure):
        raise BadInput(f"The split of {where} is not sure: {value.message}.", value.hint)
    if no_split_in(value):
        return None
    found = split_word(str(value))
    if found is None:
        raise BadInput(
            f"Split '{quoted(str(value)[:200])}' in {where} is unknown; there are {', '.join(SPLITS)}.",
            "--split train, val or test says it for all",
        )
    return found


def is_paper(source: str) -> bool:
    """Whether a file's ending says that it is no picture."""
    base = source[source.rfind("/") + 1 :].lower()
    return base[base.rfind(".") :] in NO_PICTURES or base in _UNENDING


def no_labels(path: Path, found: Found, *, init: bool = False) -> BadInput:
    """The error where labels were expected and none found: what there is instead. init: classes were asked for."""
    what = f"{_SEEN[found.kind]} {listed(list(map(quoted, found.seen)), 20)}"
    ways = {
        "array": "give the set of these images an array of labels (y_train beside x_train, labels beside images)",
        "file": "put the file of labels beside it (train-labels-idx1-ubyte beside train-images-idx3-ubyte)",
    }
    way = ways.get(found.kind, "call the one with the labels label, labels, class, category or target")
    if init:
        return BadInput(f"{path} names no classes: {what}.", f"{way}; or nsdata init --classes cat,dog,fox")
    return BadInput(f"{path} has no labels: {what}.", f"{way}; or --unlabelled")

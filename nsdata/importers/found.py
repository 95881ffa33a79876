"""What a format finds in a source, before anybody decides its class and split: that is rule.py's alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from nsdata.importers.split_columns import Cells


@dataclass(frozen=True, slots=True)
class Found:
    """One image as a format finds it. A format reads; it decides neither class nor split.

    source: where it came from, relative to what was imported: ``cat/001.jpg``, ``train.tar!cat/001.jpg``.
    data:   the encoded bytes, exactly as they came; b"" where only the rest was asked for.
    folder: the folders in which it lies, below what was imported, "/" between them: ``train/cat``; "" for none.
    labels: what was written of its label, as written, with the name of the column, key or array that holds it:
            ``(("label", 3), ("class", "cat"))``. An empty value says that it has no label; () that nothing could.
    split:  what was written of its split beside it (a column, a key, an array's name), as written; None for nothing.
    names:  the source's own class names, in the order of its numbers (ClassLabel): a number in ``labels`` is one of
    them.
    id:     16 bytes; None means BLAKE2b-128 of ``data`` (arrays, which have no encoded bytes, bring their own).
    row:    its place for people, "row 12 of labels.csv"; "" where source says it.
    kind:   what holds labels: "column", "key", "array".
    seen:   the columns or keys that there are, where a label could have been among them.
    beside: endings of its sample's members that are not its picture: ``seg.png``.
    split_in: what says its split, where that is no column, key or array: "state.json".
    texts:  where its labels are numbers, the short texts beside them, of which one may name its class (called.py).
    cells:  where no column or key is one of splits by its name, what those have that may be (split_columns.py).
    """

    source: str
    data: bytes = field(repr=False)
    folder: str = ""
    labels: tuple[tuple[str, object], ...] = ()
    split: object = None
    names: tuple[str, ...] = ()
    id: bytes | None = None
    row: str = ""
    kind: str = "column"
    seen: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    split_in: str = ""
    cells: Cells = ()
    texts: Cells = ()

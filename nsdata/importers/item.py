"""What every importer yields: an image with what is known of it, or what could not be read and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from nsdata.arguments import shown, text, whole_number, wrong
from nsdata.errors import BadInput
from nsdata.schema import ID_BYTES, NO_LABEL, SPLITS


@dataclass(frozen=True, slots=True)
class Item:
    """One image on its way in.

    source: where it came from, relative to what was imported: ``cat/001.jpg``, ``train.tar!cat/001.jpg``.
    data:   the encoded bytes, exactly as they came.
    label:  class index 0..K-1, or None where there is none.
    split:  "train", "val" or "test".
    id:     16 bytes; None means BLAKE2b-128 of ``data`` (arrays, which have no encoded bytes, bring their own).
    named:  False: it is train because nothing names a split; that moves no image out of another one.
    """

    source: str
    data: bytes = field(repr=False)
    label: int | None
    split: str
    id: bytes | None = None
    named: bool = True


@dataclass(frozen=True, slots=True)
class Skipped:
    """One file that did not come in. reason is a short phrase: "empty file", "truncated after 1,024 bytes".

    damage: the source itself is damaged: what came after or around may be lost.
    passed: it is not for an import, and known not to be: ``strict`` has nothing against it.
    """

    source: str
    reason: str
    damage: bool = False
    passed: bool = False


def checked(item: object) -> Item | Skipped:
    """What a source yielded, if it is of the right kinds. Raises BadInput."""
    if isinstance(item, Skipped):
        return item
    if not isinstance(item, Item):
        raise wrong("What the import yields", item, "an nsdata.importers.Item", "Item(source, data, label, split)")
    text("The source of an Item", item.source)
    for what, value in (("data", item.data), ("id", item.id)):
        if not isinstance(value, bytes) and (what == "data" or value is not None):
            hint = "store.add_arrays(…) takes pixels" if what == "data" else "bytes.fromhex(id)"
            raise wrong(f"The {what} of {item.source}", value, "bytes", hint)
    return item


def codes(item: Item, id_: bytes, classes: int) -> tuple[int, int]:
    """The label and split codes of an item of a store with so many classes.

    Raises BadInput: what is published stays for ever.
    """
    label = NO_LABEL if item.label is None else whole_number(f"The label of {item.source}", item.label)
    if not (label == NO_LABEL and item.label is None) and not 0 <= label < classes:
        raise BadInput(f"{item.source} has the label {label}; the store has {classes} classes, 0 to {classes - 1}.")
    if not isinstance(item.split, str) or item.split not in SPLITS:
        raise BadInput(f"{item.source} has the split {shown(item.split)}; train, val or test was expected.")
    if len(id_) != ID_BYTES:
        raise BadInput(f"The id of {item.source} has {len(id_)} bytes; {ID_BYTES} were expected.")
    return label, SPLITS.index(item.split)

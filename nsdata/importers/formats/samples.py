"""Members of an archive as images: files in folders, or WebDataset samples (key.jpg with key.cls or key.json).

A sample's picture is the member with a plain ending, of several that which comes first in PICTURES; where all endings
have several parts (``k.left.jpg``) the only one that is no mask (words.MASKS), or one called image, img or rgb. What
else it holds is named in the report, and taken by ``--member ENDING`` in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.called import texts_beside
from nsdata.importers.class_names import clean, whole
from nsdata.importers.formats.layout import IMAGE_ENDINGS, MAX_BYTES, quoted, readable
from nsdata.importers.formats.tables import LABELS, SPLITS, normal, people_s, splits
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.split_columns import Unsure, may_say
from nsdata.importers.words import MASKS, split_word
from nsdata.text import listed

Member = tuple[str, bytes]

NO_OBJECT = "(no JSON object)"  # in place of the keys of a .json
ALONE = "no image beside it"  # of a label without a picture among its neighbours
PICTURES = tuple(ending.removeprefix(".") for ending in IMAGE_ENDINGS)
_TEXTS = frozenset({"cls", "y", *LABELS})  # side files that hold a label, as text or as JSON
_WITH_LABELS = _TEXTS | {"json"}
_WITH_SPLITS = frozenset(SPLITS)  # side files that hold a split, as text
_PACKED = frozenset({"pyd", "pickle", "pkl", "cbor", "msgpack", "mp", "ten", "tenbin"})  # may hold one; not read
_CALLED = re.compile(r"label|class|target|categor|annot")  # endings of others that may
_SIDES = _WITH_LABELS | {
    *_WITH_SPLITS,
    *("txt", "caption", "xml", "csv", "id", "index", "inx"),
    *("npy", "npz", "pth", "pt"),
    *_PACKED,
}  # what WebDataset writers put beside an image; whatever else is there is taken for an image


def found(archive: str, members: Iterator[Member | Skipped], member: str | None = None) -> Iterator[Found | Skipped]:
    """The images among an archive's members, with what lies beside each; one sample in memory at a time.

    archive: its name, for sources. member: the ending of that member of a sample that is its picture. Raises BadInput
    for a sample with a label and several pictures of which none is named.
    """
    for key, group in _samples(archive, members):
        if isinstance(group, Skipped):
            yield group
            continue
        if len(group) == 1 and member is None and _last(name := group[0][0]) not in _WITH_LABELS:  # nearly always
            yield Found(f"{archive}!{readable(name)}", group[0][1], _folder(name))
            continue
        for part in _parts(group):
            yield from _sample(archive, key, part, member)


def is_picture(name: str) -> bool:
    """Whether a member holds no label: its bytes are not needed where only labels are looked at."""
    return _last(name) not in _WITH_LABELS and not _side(name)


def _sample(archive: str, key: str, group: list[Member], member: str | None) -> Iterator[Found | Skipped]:
    sides = _with_labels(group)
    images = _images(group, bool(sides))
    if not images:
        if sides:
            yield Skipped(f"{archive}!{readable(group[0][0])}", ALONE)
        else:
            yield from (Found(f"{archive}!{readable(name)}", data, _folder(name)) for name, data in group)
        return
    chosen, beside = _chosen(images, member, bool(sides))
    if not chosen:
        if member is not None and sides:
            yield Skipped(f"{archive}!{readable(group[0][0])}", f"no member .{member} in its sample")
            return
        endings = sorted(_ending(name) for name, _ in images)
        raise BadInput(
            f"Sample {quoted(key)} of {archive} has several pictures: {listed([quoted(e) for e in endings], 5)}.",
            f"--member {quoted(endings[0])}  (or another of them)",
        )
    said = _facts(sides, [(".txt", data) for name, data in group if _ending(name) == "txt"])
    for kind, data in ((_side(name), data) for name, data in group):
        if kind in _WITH_SPLITS and (text := data.decode("utf-8", "replace").strip(' \n\r\t"')):
            split: object = text
            if said["split"] is not None and split_word(text) != split_word(str(said["split"])):
                differ = f"'{quoted(str(said['split'])[:100])}' in one member, '{quoted(text[:100])}' in .{kind}"
                split = Unsure(differ, "write the same into both; --split train, val or test says it for all")
            said |= {"split": split, "split_in": f"the members .{kind}"}
    if not sides:
        said["seen"] = tuple(f".{_ending(name)}" for name, _ in group if _unread(name))
    for name, data in chosen:
        yield Found(f"{archive}!{readable(name)}", data, _folder(name), kind="key", beside=beside, **said)


def _folder(name: str) -> str:
    return readable(name.rpartition("/")[0])


def _chosen(images: list[Member], member: str | None, labelled: bool) -> tuple[list[Member], tuple[str, ...]]:
    """(the pictures, the endings of what is none) of a sample; without a label every picture that is no mask."""
    if len(images) == 1 and member is None:
        return images, ()
    if member is not None:
        taken = [image for image in images if _ending(image[0]) == member.casefold().lstrip(".")]
        if not taken and not labelled and len(images) == 1:
            return images, ()
    else:
        plain = sorted((i for i in images if "." not in _ending(i[0])), key=lambda i: _rank(_ending(i[0])))
        others = [image for image in images if not _is_mask(_ending(image[0]))]
        if not labelled:
            taken = others if plain else images
        else:
            taken = plain[:1] or (others if len(others) == 1 else [])
            if not taken:
                named = [i for i in others if _ending(i[0]).partition(".")[0] in ("image", "img", "rgb", "input")]
                taken = named if len(named) == 1 else []
    return taken, tuple(_ending(image[0]) for image in images if image not in taken)


def _rank(ending: str) -> int:
    return PICTURES.index(ending) if ending in PICTURES else len(PICTURES)


def _is_mask(ending: str) -> bool:
    """Whether an ending is that of a mask: seg.png, but not of a name with dots: 2.png."""
    return "." in ending and any(clean(part) in MASKS for part in ending.split(".")[:-1])


def _parts(group: list[Member]) -> list[list[Member]]:
    """A sample; or several whose names have dots (``1.2.jpg`` with ``1.2.cls``), each beside its own label."""
    if len(group) < 3 or any(_side(name) for name, _ in group):
        return [group]
    stems: dict[str, list[Member]] = {}
    for member in group:
        stems.setdefault(_stem(member[0]), []).append(member)
    paired = [part for part in stems.values() if any(_last(name) in _WITH_LABELS for name, _ in part)]
    if len(stems) > 1 and paired and all(len(_images(part, True)) == 1 for part in paired):
        return list(stems.values())
    return [group]


def _facts(sides: dict[str, bytes], more: list[tuple[str, bytes]]) -> dict[str, Any]:
    """What the files beside an image say: of Found labels, split, cells, texts and seen. more: texts beside them."""
    facts: Any = {}
    odd: list[tuple[str, object]] = []
    if "json" in sides:
        facts = _json(sides["json"])
    if not isinstance(facts, dict):
        odd, facts = [(".json", Unsure("its .json is no JSON object with keys such as label", ""))], {NO_OBJECT: None}
    labels = [(f".json {name}", value) for alias in LABELS for name, value in facts.items() if normal(name) == alias]
    plain = [(name, value) for name, value in labels if not isinstance(value, dict | list)]
    labels = plain or labels  # boxes beside a class
    if any(_spelled(value) for _, value in labels):  # "class": "2019" is a name, and "label": 0 beside it a place
        labels = [(name, value) for name, value in labels if isinstance(value, str)]
    for kind in sorted(_TEXTS & sides.keys()):
        text = sides[kind].decode("utf-8", "replace").strip()
        held = (_json(sides[kind]) if text[:1] in ("{", "[", '"') else None) or text
        if isinstance(held, dict):  # k.label.json
            held = next((held[name] for alias in LABELS for name in held if normal(name) == alias), held)
        labels.append((f".{kind}", held))
    labels = odd or (labels if people_s(facts) else [(name, None) for name, _ in labels])
    meaning = splits(facts)
    cells = tuple((name, facts[name]) for name in meaning.rest if may_say(facts[name]))
    split = None if meaning.split is None else facts[meaning.split]
    beside = {**facts, **{name: data.decode("utf-8", "replace") for name, data in more}}
    texts = texts_beside(tuple(labels), beside, meaning._replace(labels=tuple(n for n in facts if normal(n) in LABELS)))
    return {"labels": tuple(labels), "split": split, "seen": tuple(facts), "cells": cells, "texts": texts}


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _unread(name: str) -> bool:
    """Whether a member of a sample may hold its label in a form that is not read."""
    return _last(name) in _PACKED or (_last(name) not in PICTURES and _CALLED.search(_ending(name)) is not None)


def _spelled(value: object) -> bool:
    """Whether a number is written as a text, as only a name is in JSON."""
    return isinstance(value, str) and whole(clean(value)) is not None


def _with_labels(group: list[Member]) -> dict[str, bytes]:
    """What holds a sample's label, by "cls", "json", …: key.cls, key.label.txt, key.json, or key.what.cls of one image.

    A key.what.json says nothing, unless the image is key.what.jpg: it need not be about labels.
    """
    found = {kind: data for kind, data in ((_side(n), d) for n, d in group) if kind in _WITH_LABELS}
    if not found:
        stems = {_stem(name) for name, _ in group if _last(name) not in _WITH_LABELS}
        found = {_last(n): d for n, d in group if _last(n) in _WITH_LABELS and _stem(n) in stems}
    if not _TEXTS & found.keys() and len(group) > 1:
        others = [data for name, data in group if _last(name) == "cls"]
        if len(others) == 1:
            found["cls"] = others[0]
    return found


def _side(name: str) -> str:
    """What a side file that may hold a label or split is: "cls" of k.cls, k.cls.txt and k.cls.json, "json" of k.json;
    "" for others."""
    ending = _ending(name)
    kind = ending.removesuffix(".txt").removesuffix(".json")
    return kind if kind in _TEXTS | _WITH_SPLITS or ending == "json" else ""


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


def _images(group: list[Member], labelled: bool) -> list[Member]:
    """A sample without its side files; a label that nobody understood is kept, to be reported."""
    if len(group) == 1 and not labelled:
        return group
    quiet = _SIDES if labelled else _SIDES - _WITH_LABELS
    return [member for member in group if _last(member[0]) not in quiet and not _unread(member[0])]


def _ending(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _last(name: str) -> str:
    """The last part of an ending: "jpg" of k.image.jpg; "" of a name without any."""
    base, dot, last = name.rpartition(".")
    return last.lower() if dot and "/" not in last and base else ""


def key_of(name: str) -> str:
    """A member's path up to the first dot of its name: what the members of a sample share."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _samples(archive: str, members: Iterator[Member | Skipped]) -> Iterator[tuple[str, list[Member] | Skipped]]:
    """Neighbouring members that share all but their ending, as WebDataset groups them; damage in between."""
    group: list[Member] = []
    key, size = "", 0
    for member in members:
        if isinstance(member, Skipped):
            inside = not member.damage and key_of(member.source.removeprefix(archive + "!")) == key
            if group and not inside:  # a link in a sample does not part it from its label
                yield key, group
                group, size = [], 0
            yield "", member
            continue
        this = key_of(member[0])
        if this != key:
            if group:
                yield key, group
            group, size = [], 0
        key, size = this, size + len(member[1])
        if size > MAX_BYTES and group:  # members of one name without end are to fill the memory
            reason = f"its sample has over {MAX_BYTES / 1e9:.1f} GB, too large"
            yield "", Skipped(f"{archive}!{readable(member[0])}", reason)
            continue
        group.append(member)
    if group:
        yield key, group

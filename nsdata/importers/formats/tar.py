"""Images from a tar, in one pass: class folders, or WebDataset samples (key.jpg with key.cls or key.json).

Read block by block, not with tarfile, which ends silently at the first damage, as if the archive were whole.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.formats.folder import regular
from nsdata.importers.formats.layout import (
    MAX_BYTES,
    UNLABELLED,
    Places,
    ignored,
    label_of,
    quoted,
    readable,
    split_of_file,
)
from nsdata.importers.formats.unpacked import Unpacked
from nsdata.importers.item import Item, Skipped
from nsdata.schema import SPLITS

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_WITH_LABELS = frozenset({"cls", "json"})  # side files that may hold a label
_SIDES = _WITH_LABELS | {
    *("txt", "caption", "xml", "csv", "id", "index", "inx", "cbor", "msgpack", "mp"),
    *("npy", "npz", "pyd", "pth", "pt", "ten", "tenbin"),
}  # what WebDataset writers put beside an image; whatever else is there is taken for an image
_BLOCK = 512
_BODILESS = {  # types without data, whatever size their header says
    tarfile.LNKTYPE: "hard link",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
    tarfile.DIRTYPE: "folder",
}
_FOLDERS = (tarfile.DIRTYPE, b"D", b"V")  # nothing is lost with them: D is GNU's list of a folder, V a title

Member = tuple[str, bytes]


def items(
    path: Path, *, classes: Sequence[str], split: str | None = None, labelled: bool = True
) -> Iterator[Item | Skipped]:
    """The images of one tar, in its order; one sample in memory at a time.

    Labels and splits come from the folders (layout.py) or, for a WebDataset sample, from its ``.cls`` (a
    class name or index) or the "label" and "split" of its ``.json``; its other side files (_SIDES) are passed
    over. Links, and what damage took, are Skipped. Raises BadInput for an unknown class and for no tar.
    """
    file_split = split_of_file(path.name)
    places = Places(classes, split, labelled, file_split, str(path))
    index = {name: i for i, name in enumerate(classes)}
    for key, group in _samples(path):
        if isinstance(group, Skipped):
            yield group
            continue
        sides = _with_labels(group)
        images = _images(group, bool(sides))
        if not sides:
            for name, data in images or group:
                where, label = places.of(name.rpartition("/")[0])
                yield Item(f"{path.name}!{readable(name)}", data, label, where)
            continue
        if not images:
            yield Skipped(f"{path.name}!{readable(group[0][0])}", "no image beside it")
            continue
        label, named = _facts(sides, classes, index, f"{key} of {path}")
        if label is None and "cls" not in sides:
            label = _folders(places, images[0][0])[1]  # a .json that says nothing of the label: its folder may
        for name, data in images:
            yield Item(
                f"{path.name}!{readable(name)}",
                data,
                label if labelled and file_split not in UNLABELLED else None,
                split or named or _folders(places, name)[0],
            )


def _folders(places: Places, name: str) -> tuple[str, int | None]:
    """The split and label that a sample's folders say; folders that name no class say nothing."""
    try:
        return places.of(name.rpartition("/")[0])
    except BadInput:
        return places.of("")[0], None


def _facts(
    sides: dict[str, bytes], classes: Sequence[str], index: dict[str, int], where: str
) -> tuple[int | None, str | None]:
    """(label, split) from the files beside an image."""
    facts: Any = {}
    if "json" in sides:
        try:
            facts = json.loads(sides["json"])
        except (ValueError, RecursionError):
            facts = {}
    facts = facts if isinstance(facts, dict) else {}
    value = facts.get("label")
    if "cls" in sides:
        value = sides["cls"].decode("utf-8", "replace").strip()
    split = facts.get("split")
    return label_of(value, classes, index, where), split if split in SPLITS else None


def _with_labels(group: list[Member]) -> dict[str, bytes]:
    """What holds a sample's label, by "cls" and "json": key.cls, key.json, or key.what.cls beside one image.

    Beside several (img.1.jpg, img.2.jpg, img.2.cls) it is not known which it means. A key.what.json
    says nothing: it lies beside many a class folder's images, and need not be about labels.
    """
    found = {ending: data for ending, data in ((_ending(n), d) for n, d in group) if ending in _WITH_LABELS}
    if "cls" not in found and len(group) > 1:
        others = [data for name, data in group if _last(name) == "cls"]
        if len(others) == 1 and sum(_last(name) not in _SIDES for name, _ in group) == 1:
            found["cls"] = others[0]
    return found


def _images(group: list[Member], labelled: bool) -> list[Member]:
    """A sample without its side files; a label that nobody understood is kept, to be reported."""
    if len(group) == 1 and not labelled:
        return group
    quiet = _SIDES if labelled else _SIDES - _WITH_LABELS
    return [member for member in group if _last(member[0]) not in quiet]


def _ending(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _last(name: str) -> str:
    """The last part of an ending: "jpg" of k.image.jpg; "" of a name without any."""
    return _ending(name).rpartition(".")[2]


def _key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _samples(path: Path) -> Iterator[tuple[str, list[Member] | Skipped]]:
    """Neighbouring members that share all but their ending, as WebDataset groups them; damage in between."""
    group: list[Member] = []
    key, size = "", 0
    for member in members(path):
        if isinstance(member, Skipped):
            inside = not member.damage and _key(member.source.removeprefix(path.name + "!")) == key
            if group and not inside:  # a link in a sample does not part it from its label
                yield key, group
                group, size = [], 0
            yield "", member
            continue
        this = _key(member[0])
        if this != key:
            if group:
                yield key, group
            group, size = [], 0
        key, size = this, size + len(member[1])
        if size > MAX_BYTES and group:  # members of one name without end are to fill the memory
            reason = f"its sample has over {MAX_BYTES / 1e9:.1f} GB, too large"
            yield "", Skipped(f"{path.name}!{readable(member[0])}", reason)
            continue
        group.append(member)
    if group:
        yield key, group


def members(path: Path) -> Iterator[Member | Skipped]:
    """(name, bytes) of every file in the tar, without litter; Skipped for what cannot be read."""
    regular(path, pipes=True)  # a tar is read from its start to its end, once
    try:
        file = path.open("rb")
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e
    with file:
        stream = Unpacked(file)
        resync, zeros, first = 0, 0, True
        long: dict[str, str] = {}
        while True:
            block = stream.read(_BLOCK)
            if len(block) < _BLOCK:
                break
            try:
                head = _head(block)
            except tarfile.HeaderError:
                long = {}
                if block.count(0) == _BLOCK:
                    zeros += _BLOCK  # the end, unless something follows
                elif first:
                    raise _no_tar(path, stream.reason) from None
                elif resync or not zeros:  # else rubbish behind the end
                    resync, zeros = resync + zeros + _BLOCK, 0  # look for the next whole header
                continue
            if resync:
                yield Skipped(path.name, f"damaged: {resync + zeros:,} bytes lost before {quoted(head.name)}", True)
            elif zeros and not first:
                reason = f"{zeros:,} zeros before {quoted(head.name)}: two archives in one, or damage"
                yield Skipped(path.name, reason, True)
            resync, zeros, first = 0, 0, False
            padded = -(-head.size // _BLOCK) * _BLOCK
            if head.type in (b"L", b"x", b"g", b"K", b"X"):
                body = stream.read(padded)[: head.size] if head.size <= 1 << 20 else stream.skip(padded)
                long = long | _long(head.type, body)
                continue
            if long:
                head = head._replace(name=long.get("name", head.name), link=long.get("link", head.link))
                long = {}
            name = head.name.removeprefix("./")
            litter = any(map(ignored, name.split("/")))
            if litter or (reason := _unusable(head)):
                stream.skip(padded)
                if not litter and head.type not in _FOLDERS:
                    yield Skipped(f"{path.name}!{readable(name)}", reason)
                continue
            data = stream.read(padded)
            if len(data) < head.size:
                yield Skipped(f"{path.name}!{readable(name)}", f"truncated after {len(data):,} bytes", True)
                zeros = 0 if stream.reason else _BLOCK  # reported once is enough
                break
            yield name, data[: head.size]
        if first and zeros < 2 * _BLOCK and not stream.reason:
            raise _no_tar(path, stream.reason)
        yield from _end(path, stream, resync, ended=zeros > 0)


class _Head(NamedTuple):
    name: str
    size: int
    type: bytes
    link: str = ""  # where a link leads


def _head(block: bytes) -> _Head:
    """A member's header; the common kind without tarfile, which takes as long as all the rest."""
    try:
        plain = block[257:263] in (b"ustar\0", b"ustar ") and block[156:157] == b"0" and not block[345]
        checksum = sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if plain and block[124] != ord("-") and int(block[148:156].strip(b" \0"), 8) == checksum:
            name = block[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape")
            return _Head(name, int(block[124:136].strip(b" \0"), 8), b"0")
    except ValueError:
        pass
    info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    if info.size < 0:
        raise tarfile.HeaderError("negative size")
    size = 0 if info.type in _BODILESS else info.size
    return _Head(info.name, size, info.type, info.linkname)


def _unusable(head: _Head) -> str:
    """Why this member is no file to read; "" if it is one."""
    if head.type in tarfile.REGULAR_TYPES and head.type != tarfile.GNUTYPE_SPARSE:
        return f"{head.size / 1e9:.1f} GB, too large" if head.size > MAX_BYTES else ""
    if head.type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        return f"{_BODILESS[head.type]} to {quoted(head.link)}, not followed"
    if head.type == tarfile.GNUTYPE_SPARSE:
        return "sparse file"
    return _BODILESS.get(head.type) or f"member of unknown type {head.type.decode('latin-1')!a}"


def _end(path: Path, stream: Unpacked, resync: int, ended: bool) -> Iterator[Skipped]:
    """What to say about the end of the archive."""
    if resync:
        yield Skipped(path.name, f"damaged archive: its last {resync:,} bytes are lost", True)
    if stream.reason and not ended:
        yield Skipped(path.name, f"damaged archive: {stream.reason}; the rest is lost", True)
    elif not ended:
        yield Skipped(path.name, "archive without its end: it may be cut", True)


def _no_tar(path: Path, reason: str) -> BadInput:
    return BadInput(f"{path} is no tar archive{': ' + reason if reason else ''}.", f"file {path}")


def _long(kind: bytes, body: bytes) -> dict[str, str]:
    """The long "name" and "link" in a GNU or pax header, as far as it holds them."""
    if kind in (b"L", b"K"):
        return {"name" if kind == b"L" else "link": body.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    found: dict[str, str] = {}
    if kind not in (b"x", b"X"):
        return found
    at = 0
    while 0 <= at < len(body):
        length, _, _ = body[at : at + 20].partition(b" ")
        if not length.isdigit() or int(length) < 5:
            break
        key, _, value = body[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        if value and key in (b"path", b"linkpath"):
            found["name" if key == b"path" else "link"] = value.decode("utf-8", "surrogateescape")
        at += int(length)
    return found

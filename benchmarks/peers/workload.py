"""The work that all loaders do: which pictures, with which soft labels, in which amounts, cut and mirrored how.

    P  full-size photographs: a random resized crop of 224 and a mirror, batches of 64, soft labels of 1,000 classes
    C  32-px pictures: a crop out of 4 px of padding and a mirror, batches of 256, soft labels of 10 classes

The teacher is synthetic and seeded; about 70 % of its confidences are at least 0.3. Those are kept and balanced: the
most confident n of each pseudo-class, with repeats where it is short.

Legend: N pictures, n entries of an epoch (repeats included), K classes, B batch.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

SHAPES = {"P": (224, 64, 1000), "C": (32, 256, 10)}  # side in pixels, batch size, K
THRESHOLD = 0.3
_KEYS = np.random.default_rng(7).integers(1 << 63, size=1000, dtype=np.uint64) | np.uint64(1)


@dataclass(frozen=True)
class Workload:
    """A folder made by ``make``, opened by every child. Pictures are files/<pseudo-label>/<row>.jpg."""

    folder: Path
    name: str

    @property
    def size(self) -> int:
        """Side of a picture in a batch."""
        return SHAPES[self.name][0]

    @property
    def batch(self) -> int:
        """Pictures of a batch."""
        return SHAPES[self.name][1]

    @property
    def classes(self) -> int:
        """K."""
        return SHAPES[self.name][2]

    @property
    def photos(self) -> bool:
        """Whether pictures are cut and resized; else they are padded and cut."""
        return self.name == "P"

    @cached_property
    def soft(self) -> Array:
        """(N, K) float16, as every loader must deliver them."""
        return np.load(self.folder / "soft.npy").astype(np.float16)

    @cached_property
    def probabilities(self) -> Array:
        """(N, K) float32: what the teacher wrote."""
        return np.load(self.folder / "soft.npy")

    @cached_property
    def pseudo(self) -> Array:
        """(N,) int32: the class of the largest probability."""
        return np.load(self.folder / "pseudo.npy")

    @cached_property
    def colours(self) -> Array:
        """(N, 3) float32: the mean of each picture, to see that soft labels come with their pictures."""
        return np.load(self.folder / "colours.npy")

    @cached_property
    def entries(self) -> Array:
        """(n,) int64: the rows of one epoch, repeats included, not shuffled."""
        return np.load(self.folder / "entries.npy")

    @cached_property
    def per_class(self) -> int:
        """What the view is balanced to."""
        return int(json.loads((self.folder / "about.json").read_text())["per_class"])

    def path(self, row: int) -> Path:
        """Of a picture's file."""
        return self.folder / "files" / f"{self.pseudo[row]:04d}" / f"{row:06d}.jpg"

    @cached_property
    def paths(self) -> list[str]:
        """Of all pictures."""
        return [str(self.path(row)) for row in range(len(self.pseudo))]

    def blobs(self) -> list[bytes]:
        """The encoded bytes of all pictures, in memory."""
        return [self.path(row).read_bytes() for row in range(len(self.pseudo))]

    def order(self, epoch: int) -> Array:
        """(n,) int64: the entries of an epoch, globally shuffled."""
        return np.random.default_rng(epoch).permutation(self.entries)

    def batches(self, epoch: int) -> list[Array]:
        """The same, cut into batches."""
        order = self.order(epoch)
        return [order[at : at + self.batch] for at in range(0, len(order), self.batch)]

    def rows_of(self, soft: Array) -> Array:
        """(B,) int64: whose soft labels these are; -1 for nobody's."""
        known, rows = self._known
        sums = _sums(np.ascontiguousarray(soft, np.float16))
        at = np.minimum(np.searchsorted(known, sums), len(known) - 1)
        return np.where(known[at] == sums, rows[at], -1)

    @cached_property
    def _known(self) -> tuple[Array, Array]:
        sums = _sums(self.soft)
        order = np.argsort(sums)
        assert len(np.unique(sums)) == len(sums), "two pictures have the same soft label"
        return sums[order], order


def make(folder: Path, name: str, pictures: Iterable[tuple[str, bytes]], samples: int, seed: int = 0) -> Workload:
    """Write a workload whose epoch has about ``samples`` entries, without the pictures that nsdata would not import."""
    from nsdata.arithmetic.selection import balanced, confident
    from nsdata.errors import BadImage
    from nsdata.images.headers import header
    from nsdata.images.identity import content_id
    from nsdata.images.pillow import picture

    ids: dict[bytes, bytes] = {}
    colours: list[Array] = []
    left_out: list[str] = []
    for source, data in pictures:
        try:
            head = header(data)
            if head.format != "JPEG" or head.channels == 4:
                raise BadImage("no JPEG, or CMYK, which several decoders refuse")
            shown = picture(data)
            if (key := content_id(data)) not in ids:
                colours.append(np.asarray(shown.resize((1, 1), reducing_gap=1.0), np.float32).reshape(3))
                ids[key] = data
        except BadImage as error:
            left_out.append(f"{source}: {error}")
    classes = SHAPES[name][2]
    soft = _teacher(len(ids), classes, seed)
    pseudo, confidence = soft.argmax(1).astype(np.int32), soft.max(1)
    content = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16)
    kept = confident(confidence, THRESHOLD)
    per_class = max(1, round(samples / len(np.unique(pseudo[kept]))))
    chosen = kept[balanced(pseudo[kept], confidence[kept], content[kept], per_class, classes, seed=0)]
    work = Workload(folder, name)
    folder.mkdir(parents=True)
    for what, array in {"soft": soft, "pseudo": pseudo, "colours": np.stack(colours), "entries": chosen}.items():
        np.save(folder / f"{what}.npy", array)
    for row, data in enumerate(ids.values()):
        path = work.path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    about = {"pictures": len(ids), "entries": len(chosen), "kept": len(kept), "per_class": per_class,
             "mean_bytes": round(sum(map(len, ids.values())) / len(ids)), "left_out": left_out}  # fmt: skip
    (folder / "about.json").write_text(json.dumps(about))  # last: a folder with it is whole
    return work


def found(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the JPEG files in a folder or an archive, in the order of their names."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in (".jpg", ".jpeg"):
                yield str(path.relative_to(source)), path.read_bytes()
        return
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg")):
                file = archive.extractfile(member)
                assert file is not None
                yield member.name, file.read()


def replicated(pictures: Iterable[tuple[str, bytes]], count: int) -> Iterator[tuple[str, bytes]]:
    """So many distinct JPEG files of these, over and over, with the same pixels: each has a comment with its number."""
    every = [(name, data) for name, data in pictures if data[:2] == b"\xff\xd8"]
    for number in range(count):
        name, data = every[number % len(every)]
        comment = f"copy {number:09d}".encode()
        yield f"{number}-{name}", data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]


def enlarged(pictures: Iterable[bytes], count: int) -> Iterator[tuple[str, bytes]]:
    """So many JPEG files of 4000 × 3000 pixels, with about as much detail as a camera's: of 4 × 4 of these each."""
    from nsdata.images.pillow import picture

    every, draw = list(pictures), np.random.default_rng(0)
    for number in range(count):
        whole = Image.new("RGB", (4000, 3000))
        for at, which in enumerate(draw.choice(len(every), 16).tolist()):
            part = picture(every[which]).resize((1000, 750), Image.Resampling.BICUBIC)
            whole.paste(part, (1000 * (at % 4), 750 * (at // 4)))
        file = io.BytesIO()
        whole.save(file, "JPEG", quality=90)
        yield f"large-{number:06d}.jpg", file.getvalue()


def _teacher(rows: int, classes: int, seed: int) -> Array:
    """(rows, classes) float32: normal logits and a margin for one class, such that 0.3 keeps about 70 %."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, classes)).astype(np.float32)
    margin = draw.normal(np.log(1.65 * (classes - 1)) + np.log10(classes) - 2.2, 3, size=rows)  # tried: 70 % at both K
    logits[np.arange(rows), draw.integers(classes, size=rows)] += np.maximum(margin, 0).astype(np.float32)
    soft = np.exp(logits - logits.max(1, keepdims=True))
    return (soft / soft.sum(1, keepdims=True)).astype(np.float32)


def _sums(soft: Array) -> Array:
    """(B,) uint64: a number for each soft label, the same only for the same."""
    return soft.view(np.uint16).astype(np.uint64) @ _KEYS[: soft.shape[1]]

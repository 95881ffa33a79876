"""Leaks: images of val and test that look like others which a model learns from or is chosen by; near-duplicates.

What is compared, and with which figures it was chosen, is in images/fingerprint.py and near.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.near import LEAST, Near, by_pictures
from nsdata.analysis.near_vectors import by_embeddings
from nsdata.arguments import flag, number
from nsdata.arithmetic.ids import hexes, shortest
from nsdata.errors import BadInput, NotFound, StoreDamaged
from nsdata.progress import Progress, watched
from nsdata.schema import SPLITS
from nsdata.text import InLines

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.versions.table import Table

Array = NDArray[Any]

_TYPED = 5  # ids that are printed to be typed
_LISTED = 100_000  # pairs
_AT_ONCE = 1 << 18  # pairs that are looked at one by one


@dataclass(frozen=True, slots=True)
class Image:
    """One of a pair. label: None where no person labelled it."""

    id: str
    source: str
    split: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images that look the same: one, and another that is to go.

    one is of the later split (test, val, train); within a split it is labelled, or came in first. kind: "same pixels"
    in other bytes, "same picture" (recompressed, resized, brighter), "part" of it, or "alike" by embeddings. likeness:
    of contours or of vectors, up to 1.
    """

    one: Image
    other: Image
    kind: str
    mirrored: bool
    likeness: float

    @property
    def how(self) -> str:
        """The kind, and whether one is mirrored, in words."""
        return f"{self.kind}, mirrored" if self.mirrored else self.kind

    @property
    def agree(self) -> bool | None:
        """Whether their labels do; None where one has none."""
        known = self.one.label is not None and self.other.label is not None
        return self.one.label == self.other.label if known else None


@dataclass(frozen=True, slots=True)
class Count:
    """Of two splits: images of the first that have a near-duplicate in the second, pairs, and labels that differ."""

    split: str
    of: int
    other: str
    images: int
    pairs: int
    differ: int


@dataclass(frozen=True, repr=False)
class Leaks(InLines):
    """The answer of ``Store.leaks``. The best pairs come first.

    images: by split, that were compared. embeddings: by which; None by pictures. least: likeness that counted as the
    same, which was ``given`` or found from the data. found: pairs, up to 8 of a held-out image, 5 by embeddings, of
    which ``pairs`` has the first 100,000. counts, leaking, surplus: of all. leaking: by split, images that look like
    one of another split. surplus: whole ids of images without which no pair is left: of val and train rather than test.
    """

    images: dict[str, int]
    within: bool
    embeddings: str | None
    least: float
    given: bool
    found: int
    pairs: list[Pair]
    counts: list[Count]
    leaking: dict[str, int]
    surplus: list[str]
    typed: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = asdict(self)
        del plain["typed"]
        plain["pairs"] = [{**asdict(pair), "agree": pair.agree} for pair in self.pairs]
        return plain

    def lines(self) -> list[tuple[str, str]]:
        """The rows of ``nsdata leaks`` above its tables: (word, text)."""
        what = "their pictures" if self.embeddings is None else f"the embeddings '{self.embeddings}'"
        seen = ", ".join(f"{number:,} {split}" for split, number in self.images.items() if number)
        nearer = ", or much nearer than the fifth" if self.embeddings is not None and not self.given else ""
        where = "all with each other" if self.within else "each split with the others"
        out = [("compared", f"{seen or 'no'} images by {what}, {where}; the same from {self.least:.4g}{nearer}")]
        if not self.within and not any(self.images[split] for split in SPLITS[1:]):
            out.append(("nothing", "is held out, so nothing can leak; --within looks for near-duplicates in train"))
        elif not self.pairs:
            out.append(("none", "of them look the same"))
        if self.embeddings is None and self.least > LEAST and not self.given:
            out.append(("raised", f"from {LEAST:g}: pictures of this store look much alike (--likeness {LEAST:g})"))
        if self.pairs:
            pairs, images = (_counted(*one) for one in ((self.found, "pair"), (len(self.surplus), "image")))
            out.append(("found", f"{pairs}; without {images} none is left"))
            if self.found > len(self.pairs):
                out.append(("listed", f"the {len(self.pairs):,} pairs that are most alike"))
            few = len(self.typed) <= _TYPED
            more = "".join(
                f" {option}"
                for option in (
                    "--within" if self.within else "",
                    f"--embeddings {self.embeddings}" if self.embeddings is not None else "",
                    f"--likeness {self.least!r}" if self.given else "",
                )
                if option
            )
            how = f"nsdata remove {' '.join(self.typed)}" if few else f"nsdata leaks{more} --ids | xargs nsdata remove"
            out.append(("to drop them", how))
            to = {count.split for count in self.counts if count.split != count.other.partition(",")[0]}
            if len(to) == 1 and not self.within:
                (split,) = to
                move = how.replace("nsdata remove", "nsdata split") + f" --to {split}"
                out.append(("or to move them", move))
        return out


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def leaks(
    store: Handle,
    *,
    within: bool = False,
    embeddings: str | None = None,
    likeness: float | None = None,
    on_progress: Progress | None = None,
    most: int | None = None,
) -> Leaks:
    """See Store.leaks. most: as in ``near.by_pictures``."""
    within = flag("within", within)
    least = None if likeness is None else number("likeness", likeness, "store.leaks(likeness=0.9)")
    if least is not None and not 0 < least <= 1:
        raise BadInput(f"likeness is {least:g}; above 0, up to 1 was expected.", "store.leaks(likeness=0.9)")
    table = store.table
    rows = np.flatnonzero(table.visible & (table.width > 0))
    with watched(on_progress, "leaks") as report:
        if embeddings is None:
            found = by_pictures(table, _to_compare(table, rows, within), least, within=within, report=report, most=most)
        else:
            from nsdata.embeddings.embeddings import of_name

            vectors = of_name(store, embeddings)
            rows = np.intersect1d(rows, vectors.rows)
            found = by_embeddings(table, vectors, rows, least, within=within, report=report)
    return _summed_up(store, table, rows, found, within=within, embeddings=embeddings, given=likeness is not None)


def _to_compare(table: Table, rows: Array, within: bool) -> Array:
    """Rows whose pictures need be looked at: none where nothing is held out."""
    splits = np.unique(table.split[rows])
    return rows if within or len(splits) > 1 else rows[:0]


def _summed_up(
    store: Handle, table: Table, rows: Array, found: Near, *, within: bool, embeddings: str | None, given: bool
) -> Leaks:
    a, b = found.a, found.b
    order = 4 * table.split.astype(np.int64) + 2 * (table.label >= 0)  # higher stays
    turned = order[b] > order[a]
    one, other = np.where(turned, b, a), np.where(turned, a, b)
    surplus = table.ids[_surplus(one, other)]
    whole = hexes(surplus)
    images = Counter(SPLITS[code] for code in table.split[rows].tolist())
    apart = table.split[one] != table.split[other]
    leaking = table.split[np.unique(np.r_[one[apart], other[apart]])]
    return Leaks(
        images={split: images[split] for split in SPLITS},
        within=within,
        embeddings=embeddings,
        least=found.least,
        given=given,
        found=len(one),
        pairs=_pairs(store, table, one[:_LISTED], other[:_LISTED], found, embeddings is None),
        counts=_counts(table, one, other, images),
        leaking={split: int((leaking == code).sum()) for code, split in enumerate(SPLITS)},
        surplus=whole,
        typed=shortest(surplus, table.ids, 8) if len(surplus) <= _TYPED else whole,
    )


def _pairs(store: Handle, table: Table, one: Array, other: Array, found: Near, pictures: bool) -> list[Pair]:
    """The first ones, as they are listed."""
    kinds = _kinds(table, one, other, found) if pictures else ["alike"] * len(one)
    known = dict(zip(*_images(store, table, np.unique(np.r_[one, other])), strict=True))
    more = zip(found.mirrored[: len(one)].tolist(), found.likeness[: len(one)].tolist(), strict=True)
    return [
        Pair(known[i], known[j], kind, mirrored, likeness)
        for i, j, kind, (mirrored, likeness) in zip(one.tolist(), other.tolist(), kinds, more, strict=True)
    ]


def _images(store: Handle, table: Table, rows: Array) -> tuple[list[int], list[Image]]:
    names = zip(hexes(table.ids[rows]), table.sources(rows.tolist()), table.split[rows], table.label[rows], strict=True)
    return rows.tolist(), [
        Image(id_, source, SPLITS[split], store.classes[label] if label >= 0 else None)
        for id_, source, split, label in names
    ]


def _kinds(table: Table, one: Array, other: Array, found: Near) -> list[str]:
    """What each pair is; whether pixels are equal is looked up where pictures of one size lie on each other."""
    whole, likeness = found.whole[: len(one)], found.likeness[: len(one)]
    same_size = (table.width[one] == table.width[other]) & (table.height[one] == table.height[other])
    look = whole & same_size & (likeness > 0.98)
    kinds = np.where(whole, "same picture", "part").astype(object)
    for at in np.flatnonzero(look).tolist():
        if _equal(table, int(one[at]), int(other[at]), bool(found.mirrored[at])):
            kinds[at] = "same pixels"
    return kinds.tolist()


def _equal(table: Table, one: int, other: int, mirrored: bool) -> bool:
    from nsdata.images.pillow import pixels

    try:
        a, b = (pixels(blob) for blob in table.blobs(np.asarray([one, other])))
    except (BadInput, NotFound) as error:
        raise StoreDamaged(f"A picture cannot be read any more: {error}", "nsdata verify") from error
    return bool(np.array_equal(a, b[:, ::-1] if mirrored else b))


def _surplus(one: Array, other: Array) -> Array:
    """Rows without which no pair is left: of each pair the other, unless one of both is among them already."""
    order = np.lexsort((other, one))
    gone = bytearray(int(max(one.max(), other.max())) + 1 if len(one) else 0)
    for start in range(0, len(order), _AT_ONCE):
        some = order[start : start + _AT_ONCE]
        for a, b in zip(one[some].tolist(), other[some].tolist(), strict=True):
            if not gone[a]:
                gone[b] = 1
    return np.flatnonzero(np.frombuffer(gone, np.uint8))


def _counts(table: Table, one: Array, other: Array, images: Counter[str]) -> list[Count]:
    split, label = table.split, table.label
    of = np.where(split[other] == 0, np.where(label[other] >= 0, 0, 1), split[other] + 1)
    names = ["train, labelled", "train, unlabelled", *SPLITS[1:]]
    differ = (label[one] >= 0) & (label[other] >= 0) & (label[one] != label[other])
    found = []
    for kind in np.unique(split[one] * len(names) + of).tolist():
        which, name = SPLITS[kind // len(names)], names[kind % len(names)]
        here = split[one] * len(names) + of == kind
        whose = len(np.unique(one[here]))
        found.append(Count(which, images[which], name, whose, int(here.sum()), int(differ[here].sum())))
    return sorted(found, key=lambda count: (count.split, count.other))

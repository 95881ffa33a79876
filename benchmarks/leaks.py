"""How many copies ``nsdata leaks`` finds, what else it takes for copies, and what it costs: on pictures that differ.

    python benchmarks/leaks.py --data DATA [--images 400] [--sets photos imagenette flowers cifar fashion]
    python benchmarks/leaks.py --data DATA --cifair
    python benchmarks/leaks.py --data DATA --mixed 1000000 --store LAKE [--templates 3]
    python benchmarks/leaks.py --store LAKE [--within]
    python benchmarks/leaks.py --data DATA --embedded LAKE [--steps 1400]

Of each set some pictures come into test once more under each change: JPEG of quality 30, half the size, a random nine
tenths of both sides, mirrored, brightness ± 20 %; all originals, up to 5,000, are train. A pair of a copy with another
picture is a false alarm, or a near-duplicate that the set has: they are listed for people to look at. ``--cifair``:
CIFAR's known near-duplicates, as far as both pictures are here. ``--mixed``: a store of so many pictures of 32 px, each
made of parts of two CIFAR images, turned and blended, no two of the same; a twentieth is held out, 2,000 of it copies
under each change in turn. ``--templates``: of so few such pictures with a little noise instead, all but the same.
``--store`` alone looks for leaks there, with the processor time and the peak of memory. ``--embedded``: by pictures and
by the embeddings of a small network that learns from 10,000 CIFAR images; 5,000 of test, and 400 of train under each
change. Times are the process's own.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import resource
import tarfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from nsdata import Store
from nsdata.analysis.leaks import Leaks
from nsdata.importers.item import Item

SETS = {
    "photos": ("photos/photos.tar",),
    "imagenette": ("imagenette/train.tar", "imagenette/val.tar"),
    "flowers": ("flowers5/train.tar.gz", "flowers5/test.tar.gz"),
    "cifar": ("cifar10/test.tar.gz",),
}


def main() -> None:
    """One of the four."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--images", type=int, default=400, help="of each set, copied under every change")
    parser.add_argument("--sets", nargs="*", default=[*SETS, "fashion"])
    parser.add_argument("--cifair", action="store_true")
    parser.add_argument("--mixed", type=int, metavar="N")
    parser.add_argument("--templates", type=int, default=0)
    parser.add_argument("--store", metavar="LAKE")
    parser.add_argument("--within", action="store_true")
    parser.add_argument("--embedded", metavar="LAKE")
    parser.add_argument("--steps", type=int, default=1_400)
    options = parser.parse_args()
    if options.mixed:
        mixed(options.data, options.mixed, options.templates, options.store)
    elif options.embedded:
        embedded(options.data, options.embedded, options.steps)
    elif options.store:
        large(options.store, options.within)
    elif options.cifair:
        cifair(options.data)
    else:
        for name in options.sets:
            planted(name, options.data, options.images)


def pictures(name: str, data: Path) -> Iterator[tuple[str, bytes]]:
    """(name, encoded picture), in the order of the files."""
    if name == "fashion":
        raw = gzip.decompress((data / "fashion-mnist/t10k-images-idx3-ubyte.gz").read_bytes())
        for n, pixels in enumerate(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)):
            yield f"{n:05}", _saved(Image.fromarray(pixels), "png")
        return
    for path in SETS[name]:
        with tarfile.open(data / path) as tar:
            for member in tar:
                if member.isfile():
                    file = tar.extractfile(member)
                    assert file is not None
                    yield member.name, file.read()


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def changes(image: Image.Image, random: np.random.Generator) -> dict[str, bytes]:
    """The picture under each change."""
    width, height = image.size
    across, down = round(0.9 * width), round(0.9 * height)
    left, top = int(random.integers(0, width - across + 1)), int(random.integers(0, height - down + 1))
    changed = {
        "half the size": image.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BICUBIC),
        "nine tenths": image.crop((left, top, left + across, top + down)),
        "mirrored": ImageOps.mirror(image),
        "darker": ImageEnhance.Brightness(image).enhance(0.8),
        "brighter": ImageEnhance.Brightness(image).enhance(1.2),
    }
    return {"JPEG 30": _saved(image, "jpeg", quality=30)} | {
        name: _saved(made, "jpeg", quality=90) for name, made in changed.items()
    }


def planted(name: str, data: Path, most: int) -> None:
    """Copies of some pictures of a set in test, all pictures in train."""
    random, every = np.random.default_rng(0), list(pictures(name, data))[: max(5_000, most)]
    items = [Item(source, content, None, "train") for source, content in every]
    some = random.choice(len(every), min(most, len(every)), replace=False)
    kinds: dict[str, str] = {}
    for at in some.tolist():
        source, content = every[at]
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        for kind, copy in changes(picture, random).items():
            kinds[f"{kind}/{source}"] = kind
            items.append(Item(f"{kind}/{source}", copy, None, "test"))
    found, seconds = _leaks(items)
    _, hashing = _leaks(items[: len(every)], held=len(every) // 20)
    right: dict[str, int] = dict.fromkeys(kinds.values(), 0)
    wrong = set()
    for pair in found.pairs:
        kind, _, source = pair.one.source.partition("/")
        if source == pair.other.source:
            right[kind] += 1
        else:
            wrong.add((source, pair.other.source))
    print(f"{name}: {len(every):,} train, {len(kinds):,} test ({len(some):,} pictures), from {found.least:g}")
    print(
        f"  {1e6 * seconds / len(items):.0f} µs an image; {1e6 * hashing / len(every):.0f} without copies, 5 % held out"
    )
    for kind, count in right.items():
        print(f"  {kind:<14} {count:,} of {len(some):,} ({100 * count / len(some):.1f} %)")
    print(f"  with others    {len(wrong):,} pairs of pictures {sorted(wrong)[:20]}")


def _leaks(items: list[Item], held: int = 0, **options: bool) -> tuple[Leaks, float]:
    """What is found, and seconds. held: so many of the first are moved to test."""
    store = Store.create(f"mem://leaks-{uuid.uuid4().hex}", ["a", "b"])
    store.add_items(lambda: [replace(item, split="test") for item in items[:held]] + items[held:], source="pictures")
    began = time.process_time()
    return store.leaks(**options), time.process_time() - began


def cifair(data: Path) -> None:
    """The lists of near-duplicates of Barz and Denzler (2020) against what is found."""
    rows = list(csv.DictReader((data / "cifar10/manifest.csv").open()))
    index = {row["path"]: (row["source_split"], int(row["source_index"])) for row in rows}
    items = []
    for part in ("train", "extra", "test"):
        with tarfile.open(data / f"cifar10/{part}.tar.gz") as tar:
            for member in tar:
                if member.isfile():
                    split, number = index[member.name]
                    items.append(Item(f"{split}/{number}", tar.extractfile(member).read(), None, split))  # type: ignore[union-attr]
    sprites = [Image.open(data / f"cifar10/lossless/cifar10_batch_{n}.png").convert("RGB") for n in range(4)]
    lossless = np.concatenate([np.asarray(sprite).reshape(-1, 32, 32, 3) for sprite in sprites])
    have = {item.source for item in items}
    more = [n for n in range(len(lossless)) if f"train/{n}" not in have]
    items += [Item(f"train/{n}", _saved(Image.fromarray(lossless[n]), "png"), None, "train") for n in more]
    have |= {f"train/{n}" for n in more}
    found, seconds = _leaks(items, within=True)
    pairs = {frozenset((p.one.source, p.other.source)): p for p in found.pairs}
    held = {pair.one.id for pair in found.pairs if (pair.one.split, pair.other.split) == ("test", "train")}
    print(f"cifar: {found.images}, from {found.least:g}, {1e6 * seconds / len(items):.0f} µs an image")
    print(f"  {len(held)} test images have one in train")
    listed = set()
    for name, other in (("cifair_duplicates_cifar10", "train"), ("cifair_duplicates_cifar10_test", "test")):
        known: dict[str, list[frozenset[str]]] = {}
        for row in csv.reader((data / f"human-labels/{name}.csv").open()):
            if row[0].strip().isdigit():
                pair = frozenset((f"test/{int(row[0])}", f"{other}/{int(row[1])}"))
                if pair <= have:
                    known.setdefault(row[3].strip(), []).append(pair)
                    listed.add(pair)
        for judgment, some in sorted(known.items()):
            print(f"  test–{other}, judgment {judgment}: {sum(p in pairs for p in some)} of {len(some)}")
    for one, two in (("test", "train"), ("test", "test"), ("train", "train")):
        rest = [p for pair, p in pairs.items() if pair not in listed and (p.one.split, p.other.split) == (one, two)]
        print(f"  {one}–{two}, not listed: {len(rest)}")
        for p in rest[:10]:
            print(f"    {p.one.source} {p.other.source} {p.kind}{', mirrored' * p.mirrored} {p.likeness:.3f}")


def mixed(data: Path, images: int, templates: int, url: str) -> None:
    """A store of so many pictures, its copies named after their originals."""
    parts = [Image.open(io.BytesIO(content)).convert("RGB") for content in _cifar(data)]
    random = np.random.default_rng(0)
    held = images // 20
    copies = min(2_000, held // 2)
    planted: list[Item] = []

    def part() -> tuple[int, Image.Image]:
        side = random.uniform(18, 28)
        left, top = random.uniform(0, 32 - side, 2)
        which = int(random.integers(len(parts)))
        found = parts[which].resize((32, 32), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        turn = int(random.integers(8))
        return which, found if turn == 7 else found.transpose(Image.Transpose(turn))

    def blended() -> tuple[str, Image.Image]:
        (one, first), (other, second) = part(), part()
        return f"{one}+{other}", Image.blend(first, second, random.uniform(0.35, 0.65))

    def picture() -> tuple[str, Image.Image]:
        if not templates:
            return blended()
        name, pixels = few[random.integers(templates)]
        return name, Image.fromarray(np.clip(pixels + random.integers(-2, 3, (32, 32, 3)), 0, 255).astype(np.uint8))

    few = [(name, np.asarray(made).astype(np.int64)) for name, made in (blended() for _ in range(templates))]

    def items() -> Iterator[Item]:
        for n in range(images - copies):
            name, made = picture()
            source, content = f"{n}={name}", _saved(made, "jpeg", quality=90)
            split = "train" if n >= held - copies else ("val" if n < held // 2 else "test")
            if n >= images - 2 * copies:
                kind, copy = list(changes(made, random).items())[n % 6]
                planted.append(Item(f"{kind}/{source}", copy, n % 10, "test"))
            yield Item(source, content, n % 10, split)
        yield from planted

    began = time.process_time()
    Store.create(url, [str(n) for n in range(10)]).add_items(items, source="mixed")
    print(f"{images:,} pictures made and imported in {time.process_time() - began:.0f} s")


def _cifar(data: Path) -> Iterator[bytes]:
    for part in ("train", "extra", "test"):
        with tarfile.open(data / f"cifar10/{part}.tar.gz") as tar:
            for member in tar:
                if member.isfile() and (file := tar.extractfile(member)):
                    yield file.read()


def embedded(data: Path, url: str, steps: int) -> None:
    """The same copies by pictures and by embeddings."""
    from training import TrainConfig, embed, train

    known = {row["path"]: int(row["label"]) for row in csv.DictReader((data / "cifar10/manifest.csv").open())}
    items = []
    for part, most in (("train", 10_000), ("test", 5_000)):
        with tarfile.open(data / f"cifar10/{part}.tar.gz") as tar:
            files = [member for member in tar if member.isfile()][:most]
            items += [Item(m.name, tar.extractfile(m).read(), known[m.name], part) for m in files]  # type: ignore[union-attr]
    random = np.random.default_rng(0)
    for at in random.choice(10_000, 400, replace=False).tolist():
        made = changes(Image.open(io.BytesIO(items[at].data)).convert("RGB"), random)
        items += [Item(f"{kind}|{items[at].source}", copy, items[at].label, "test") for kind, copy in made.items()]
    store = Store.create(url, [str(n) for n in range(10)])
    store.add_items(lambda: items, source="cifar")
    config = TrainConfig(
        model="wrn_10_2", image_size=32, batch_size=64, steps=steps, lr=0.1, ema_decay=0.99, crop="pad", dropout=0.0,
        weight_decay=5e-4, label_smoothing=0.0, drop_path=0.0, threads=1, val_fraction=0.02,
    )  # fmt: skip
    print(train(store.refresh().view().split("train").labelled(), config=config, out=f"{url}-run"))
    embed(store.refresh(), f"{url}-run", name="own")
    for name in (None, "own"):
        found = store.refresh().leaks(embeddings=name)
        right: Counter[str] = Counter()
        others = set()
        for pair in found.pairs:
            kind, _, source = pair.one.source.rpartition("|")
            if not kind:
                others.add(pair.one.source)
            elif source == pair.other.source:
                right[kind] += 1
        print(f"{name or 'pictures'}, from {found.least:.4f}: {dict(right)}; of 5,000 others {len(others)}")


def large(url: str, within: bool) -> None:
    """Leaks of a store that ``mixed`` made: copies that are found, other pairs, time and memory."""
    store = Store.open(url)
    planted = Counter(source.partition("/")[0] for source in store.table.sources() if "/" in source)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = store.leaks(within=within)
    seconds, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    right: Counter[str] = Counter()
    others = []
    for pair in found.pairs:
        kind, _, source = pair.one.source.partition("/")
        if source == pair.other.source:
            right[kind] += 1
        else:
            others.append(pair)
    related = sum(bool(_parts(pair.one.source) & _parts(pair.other.source)) for pair in others)
    print(f"{found.images}, from {found.least:g}: {seconds:.0f} s, peak {peak >> 10} MB, {before >> 10} before")
    for kind, count in sorted(planted.items()):
        print(f"  {kind:<14} {right[kind]:,} of {count:,} ({100 * right[kind] / count:.1f} %)")
    images = len({pair.one.id for pair in others})
    print(f"  with others    {len(others):,} of {found.found:,} pairs, of {images:,} images")
    print(f"                 {related:,} have a CIFAR image in common")


def _parts(source: str) -> set[str]:
    return set(source.partition("=")[2].split("+"))


if __name__ == "__main__":
    main()

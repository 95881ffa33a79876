"""Stores for tests: the real engine, in memory or below tmp_path, with scikit-learn's real digits."""

from __future__ import annotations

import io
import itertools
import logging
import os
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsdata import Store
from nsdata.embeddings import embedding
from nsdata.labels import labelling
from nsdata.storage.space import free

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one thread each, set before torch is loaded
    os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
CLASSES = [str(digit) for digit in range(10)]
BUCKET = "lakes"  # of the server that stands in for S3
_numbers = itertools.count()
Mount = Callable[..., Path]  # see the fixture mount


def digits(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """(count, 8, 8) uint8 pictures, all different, and (count,) labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images[:count] * 255 / 16).round().astype(np.uint8), data.target[:count].astype(np.int32)


def pack(path: Path, members: dict[str, bytes], mode: str = "w", **options: object) -> Path:
    """A tar of these members, in their order."""
    with tarfile.open(path, mode, **options) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}
"""By hand: pixels (H, W, 3) as EXIF's orientations want them shown."""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images; a user's machine has none."""
    if not SHARED.is_dir():
        if os.environ.get("NSDATA_REQUIRE_IMAGES"):
            pytest.fail("NSDATA_REQUIRE_IMAGES is set, and the shared test images are not here")
        pytest.skip("the shared test images are not here")
    return SHARED


def jpeg(image: Image.Image, orientation: int = 0, **options: object) -> bytes:
    """A picture as a JPEG, with EXIF where an orientation is given."""
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "jpeg", exif=exif.tobytes(), **options)
    return file.getvalue()


@pytest.fixture(params=["memory", "disk"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address without a store: in memory, then on disk."""
    return f"mem://test-{next(_numbers)}" if request.param == "memory" else str(tmp_path / "lake")


@pytest.fixture
def store() -> Store:
    """In memory: 30 labelled and 100 unlabelled train digits, 20 labelled val and 50 labelled test digits."""
    return digits_store(f"mem://test-{next(_numbers)}")


def digits_store(url: str | Path) -> Store:
    """The store of ``store``, at an address of one's own."""
    made = Store.create(url, CLASSES)
    images, labels = digits(200)
    known = labels.copy()
    known[30:130] = -1
    made.add_arrays(images[:130], known[:130], source="train")
    made.add_arrays(images[130:150], labels[130:150], split="val", source="val")
    made.add_arrays(images[150:], labels[150:], split="test", source="test")
    return made


def soft_labels(rows: int, classes: int, seed: int) -> np.ndarray:
    """(rows, classes) float32 probabilities with all degrees of certainty."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, classes)) * draw.uniform(0.1, 6, size=(rows, 1))
    soft = np.exp(logits - logits.max(1, keepdims=True))
    return (soft / soft.sum(1, keepdims=True)).astype(np.float32)


def labelled_by_a_teacher(store: Store) -> Store:
    """The store with a sealed generation 1 of seeded soft labels, for stores that a whole module shares."""
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(part.rows, len(store.classes), part.start))
    run.seal({})
    return store.refresh()


def with_vectors(store: Store, vectors: np.ndarray, name: str = "pixels", sha256: str = "a" * 64) -> Store:
    """The store with these vectors (n, D) of its images, as if a network with these weights had made them."""
    identity = {"model": "wrn_10_1", "backbone_sha256": sha256, "preprocess": {}, "precision": "float32",
                "device": "cpu", "batch_size": 16}  # fmt: skip
    run = embedding.begin(store, name, vectors.shape[1], identity)
    for part in run.parts:
        with embedding.PartWriter(part) as writer:
            writer.write(vectors[part.start : part.start + part.rows].astype(np.float32))
    run.seal({"model_sha256": sha256})
    return store.refresh()


def pixels(images: np.ndarray) -> np.ndarray:
    """(n, D) float32: pictures as vectors of their pixels, 0 to 16."""
    return images.reshape(len(images), -1).astype(np.float32) / 16


@pytest.fixture
def seal() -> Callable[..., np.ndarray]:
    """Write and seal a generation of seeded soft labels; returns what was written, (rows, K) float32."""

    def write(store: Store, gen: int, seed: int = 0, *, replace: bool = False) -> np.ndarray:
        run = labelling.begin(store, gen, {"teacher_sha256": f"{seed}"}, replace=replace)
        soft = soft_labels(run.rows, len(store.classes), 100 * gen + seed)
        for part in run.parts:
            with labelling.PartWriter(part) as writer:
                for chunk in np.array_split(part.pending, max(1, len(part.pending) // 64)):
                    writer.write(soft[chunk])
        run.seal({})
        store.refresh()
        return soft

    return write


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The endpoint of a server that knows S3, with one bucket."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    endpoint = "http://{}:{}".format(*moto.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")).close()
    yield endpoint
    moto.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address in the bucket without a store, and the keys for it."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name == "NSDATA_OFFLINE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    return f"s3://{BUCKET}/lake-{next(_numbers)}"


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount a file system of its own: ``mount("tmpfs", "size=256k")``, or one in an image: ``mount("vfat")``."""
    mounted: list[Path] = []

    def mounts(kind: str, options: str = "rw", megabytes: int = 8) -> Path:
        if os.geteuid() != 0 or not shutil.which("mount"):
            pytest.skip("only root can mount a disk")
        source, here = "none", tmp_path / f"mounted-{len(mounted)}"
        if kind != "tmpfs":
            make = f"mkfs.{kind.removesuffix('-fuse')}"
            if not shutil.which(make):
                pytest.skip(f"{make} is not installed")
            image = tmp_path / f"image-{len(mounted)}"
            image.touch()
            os.truncate(image, megabytes << 20)
            subprocess.run([make, image], check=True, capture_output=True)
            source, options = str(image), f"loop,{options}"
        here.mkdir()
        done = subprocess.run(["mount", "-t", kind, "-o", options, source, here], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{kind} cannot be mounted here: {done.stderr.strip()}")
        mounted.append(here)
        return here

    yield mounts
    for here in mounted:
        subprocess.run(["umount", "-l", here], check=True)


def fill(folder: Path, leave: int = 0) -> None:
    """Take all room but some bytes."""
    with (folder / "filling").open("wb", buffering=0) as file:
        left = (free(folder) or 0) - leave
        while left > 0:
            try:
                left -= file.write(bytes(min(left, 4096)))
            except OSError:
                break

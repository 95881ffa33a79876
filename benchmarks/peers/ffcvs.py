"""FFCV: one file, a pipeline that numba compiles. Photographs keep their own JPEG bytes, which its stock field would
encode again; small pictures are stored as pixels, as its CIFAR example does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import Entry, Epochs
from benchmarks.peers.pictures import PAD, RATIO, SCALE
from benchmarks.peers.threads import THREADS
from benchmarks.peers.workload import Workload


def _field() -> Any:
    from ffcv.fields import RGBImageField
    from ffcv.fields.rgb_image import IMAGE_MODES

    class Original(RGBImageField):
        """JPEG bytes as they came; read by the stock field."""

        def encode(self, destination: Any, image: Any, malloc: Any) -> None:
            """image: the encoded bytes."""
            import simplejpeg

            destination["mode"] = IMAGE_MODES["jpg"]
            destination["height"], destination["width"], *_ = simplejpeg.decode_jpeg_header(image)
            destination["data_ptr"], storage = malloc(len(image))
            storage[:] = np.frombuffer(image, np.uint8)

    return Original


def _convert(work: Workload, folder: Path, raw: bool = False) -> None:
    from ffcv.fields import NDArrayField, RGBImageField
    from ffcv.writer import DatasetWriter

    class Pictures:
        """What the writer reads."""

        def __len__(self) -> int:
            return len(work.pseudo)

        def __getitem__(self, row: int) -> Any:
            import simplejpeg

            data = work.path(row).read_bytes()
            image = simplejpeg.decode_jpeg(data, "RGB") if raw else data
            return image, work.soft[row].view(np.uint16)  # numba has no float16

    image = RGBImageField(write_mode="raw") if raw else _field()(write_mode="jpg")
    fields = {"image": image, "soft": NDArrayField(np.dtype("uint16"), (work.classes,))}
    largest = max(32 * 32 * 3, *(Path(path).stat().st_size for path in work.paths))
    page = 1 << max(23, (2 * largest).bit_length())  # a picture must fit a page
    DatasetWriter(str(folder / "pictures.beton"), fields, num_workers=1, page_size=page).from_indexed_dataset(
        Pictures()
    )


def _convert_raw(work: Workload, folder: Path) -> None:
    _convert(work, folder, raw=True)


def _open(work: Workload, folder: Path) -> Epochs:
    from ffcv.fields import RGBImageField
    from ffcv.fields.decoders import NDArrayDecoder, RandomResizedCropRGBImageDecoder, SimpleRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, RandomTranslate, ToTensor

    class Ordered(RGBImageField):  # the writer does not know the type of our own field
        """The stock field."""

    images: list[Any] = [RandomResizedCropRGBImageDecoder((work.size, work.size), SCALE, RATIO)]
    if not work.photos:
        images = [SimpleRGBImageDecoder()]
    images.append(RandomHorizontalFlip())
    if not work.photos:
        images.append(RandomTranslate(PAD))
    loader = Loader(
        str(folder / "pictures.beton"), work.batch, num_workers=THREADS, os_cache=True, order=OrderOption.RANDOM,
        indices=work.entries.astype(np.uint64), seed=0, drop_last=False,
        custom_fields={"image": Ordered} if folder.name == "ffcv" else {},
        pipelines={"image": [*images, ToTensor()], "soft": [NDArrayDecoder(), ToTensor()]},
    )  # fmt: skip
    return lambda epoch: ((images, soft.numpy().view(np.float16)) for images, soft in loader)


ENTRIES = [
    Entry("FFCV, the JPEGs as they are", "best", ("ffcv", "simplejpeg"), _open, _convert, "ffcv", "PC"),
    Entry("FFCV, pixels", "best", ("ffcv", "simplejpeg"), _open, _convert_raw, "ffcv-raw", "C"),
]

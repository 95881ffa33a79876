"""What lies in a workspace beside the store: pictures to import, and soft labels that somebody else made."""

from __future__ import annotations

from pathlib import Path


def pictures(workspace: Path) -> None:
    """Digits as PNG files: 50 labelled, 20 for validation, 80 unlabelled, 40 more, answers for some, and some of each
    that are to be held out."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images * 255 / 16).round().astype(np.uint8)
    for place in range(190):
        name, label = f"{place}.png", str(data.target[place])
        if place < 10 or 60 <= place < 65 or 80 <= place < 90 or 150 <= place < 160:
            _save(Image.fromarray(images[place]), workspace / "held-out" / label / name)
        if place < 50:
            _save(Image.fromarray(images[place]), workspace / "train" / label / name)
        elif place < 70:
            _save(Image.fromarray(images[place]), workspace / "val" / label / name)
        elif place < 150:
            _save(Image.fromarray(images[place]), workspace / "pool" / name)
            if place < 100:
                _save(Image.fromarray(images[place]), workspace / "answers" / label / name)
        else:
            _save(Image.fromarray(images[place]), workspace / "more" / name)
            if place >= 170:
                _save(Image.fromarray(images[place]), workspace / "answers" / label / name)


def soft_labels(workspace: Path, images: list[dict[str, str]]) -> None:
    """What somebody else says of all images (.npz, by id), and of most of them (.parquet, by path)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = list("0123456789")
    soft = np.random.default_rng(0).dirichlet(np.ones(10), len(images)).astype(np.float32)
    ids = np.array([image["id"] for image in images])
    np.savez(workspace / "probs.npz", ids=ids, soft=soft, classes=np.array(classes))
    some = [place for place in range(len(images)) if place % 50 > 2]
    paths = [images[place]["source"] for place in some]
    columns = {name: soft[some, place] for place, name in enumerate(classes)}
    pq.write_table(pa.table({"path": paths, **columns}), workspace / "probs.parquet")


def _save(image: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)  # type: ignore[attr-defined]

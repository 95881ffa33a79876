"""How ``nsdata demo`` trains on 8 × 8 digits.

Chosen on the unlabelled pool, seeds 0 to 5; the test split was then scored once, with seeds 10 to 14: teacher
86.0 %, student 91.3 %, gains from 3.2 to 6.2 points. Without noise the student gains 1.4 points, without soft labels
1.8; with hard pseudo-labels, here, 6.6.
"""

from __future__ import annotations

from training.config import TrainConfig

_SHARED = TrainConfig(
    image_size=8,
    batch_size=32,
    ratio=4,
    steps=300,
    lr=0.05,
    ema_decay=0.99,
    weight_decay=1e-4,
    label_smoothing=0.0,
    randaugment_magnitude=9,
    crop="pad",
    flip=False,  # a mirrored 2 is no 2
    cutout=0.25,
    val_fraction=0.0,  # 30 labels are too few to give some away: the last averaged weights are kept
    threads=1,  # networks this small lose time to more
)


def teacher(seed: int) -> TrainConfig:
    """The small network, on the labelled images alone."""
    return _SHARED.replace(model="wrn_10_1", dropout=0.0, drop_path=0.0, seed=seed)


def student(seed: int) -> TrainConfig:
    """The larger network, with model noise as well."""
    return _SHARED.replace(model="wrn_10_2", dropout=0.1, drop_path=0.1, seed=seed)

"""The models of Noisy Student Training: train a teacher or student, label with it, evaluate it.

    from training import TrainConfig, evaluate, label, train

Names are loaded when they are first used, so that importing this package costs nothing: torch comes with
``train``, not before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.calibrated import Calibrated, calibrate
    from training.config import TrainConfig
    from training.device import to_device
    from training.embedding import Embedded, embed
    from training.evaluation import evaluate
    from training.loader import Loader
    from training.loop import Trained, train
    from training.models import LoadedModel, load
    from training.recipe_files import Recipe, recipe, recipes
    from training.repeating import Repeats, repeat
    from training.scores import Scores, score
    from training.teacher import label
    from training.view_dataset import ViewDataset

__all__ = [
    "Calibrated",
    "Embedded",
    "LoadedModel",
    "Loader",
    "Recipe",
    "Repeats",
    "Scores",
    "TrainConfig",
    "Trained",
    "ViewDataset",
    "calibrate",
    "embed",
    "evaluate",
    "label",
    "load",
    "recipe",
    "recipes",
    "repeat",
    "score",
    "to_device",
    "train",
]

_HOME = {
    "Calibrated": "calibrated",
    "calibrate": "calibrated",
    "LoadedModel": "models",
    "Loader": "loader",
    "Recipe": "recipe_files",
    "Repeats": "repeating",
    "Scores": "scores",
    "TrainConfig": "config",
    "Trained": "loop",
    "ViewDataset": "view_dataset",
    "Embedded": "embedding",
    "embed": "embedding",
    "evaluate": "evaluation",
    "label": "teacher",
    "load": "models",
    "recipe": "recipe_files",
    "recipes": "recipe_files",
    "repeat": "repeating",
    "score": "scores",
    "to_device": "device",
    "train": "loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'training' has no attribute '{name}'")
    return getattr(importlib.import_module(f"training.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

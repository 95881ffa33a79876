"""What callers give to training, checked at the public door; ``nsdata.arguments`` has the kinds of plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata import Store, View
from nsdata.arguments import array, number, whole_number, wrong
from nsdata.errors import BadInput
from training.config import TrainConfig


def view(what: str, value: Any) -> View:
    """A view; of a store, all its images may not be what was meant. Raises BadInput."""
    if not isinstance(value, View):
        raise wrong(what, value, "a view", "store.view().split('train').labelled()")
    return value


def store(value: Any) -> Store:
    """An open store. Raises BadInput for its address and anything else."""
    if not isinstance(value, Store):
        raise wrong("store", value, "an open store", "Store.open('lake')")
    return value


def config(value: Any) -> TrainConfig:
    """A configuration; None: the defaults. Raises BadInput."""
    if value is None:
        return TrainConfig()
    if not isinstance(value, TrainConfig):
        hint = "TrainConfig.from_dict(…)" if isinstance(value, Mapping) else "TrainConfig(model='resnet10t')"
        raise wrong("config", value, "a TrainConfig", hint)
    return value


def of_run(people: Any, pseudo: Any, gen: Any, teacher_parameters: Any) -> tuple[int | None, int | None]:
    """The generation that ``train`` trains, None where the views name none, and its teacher's size. Raises BadInput."""
    view("people", people)
    if pseudo is not None:
        view("pseudo", pseudo)
    if teacher_parameters is not None:
        teacher_parameters = whole_number("teacher_parameters", teacher_parameters)
    if gen is None:
        return (0 if pseudo is None else pseudo.gen), teacher_parameters
    if (asked := whole_number("gen", gen)) < 0:
        raise BadInput(f"gen is {asked}; 0 or more was expected.", "train(people, gen=0, …)")
    return asked, teacher_parameters


def temperature(value: Any) -> float:
    """Of a softmax. Raises BadInput."""
    found = number("temperature", value)
    if not 0 < found < math.inf:
        raise BadInput(f"The temperature is {found:g}; a number above 0 was expected.", "--temperature 1")
    return found


def clean_images(images: Any) -> NDArray[np.uint8]:
    """(B, S, S, 3) uint8. Raises BadInput; also for one picture."""
    found = array("images", images)
    if found.ndim != 4 or found.shape[3] != 3 or found.dtype != np.uint8:
        hint = "images[None]" if found.ndim == 3 else ""
        raise BadInput(
            f"Images have shape {found.shape} and dtype {found.dtype}; (B, S, S, 3) uint8 was expected.", hint
        )
    return found

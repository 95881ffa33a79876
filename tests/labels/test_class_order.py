"""Another order of classes is found where there is one, and never where a teacher is merely bad."""

from __future__ import annotations

import numpy as np
import pytest

from nsdata.labels.class_order import other


def _said(classes: int, images: int, right: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    people = draw.integers(0, classes, images)
    return people, np.where(draw.random(images) < right, people, draw.integers(0, classes, images))


@pytest.mark.parametrize(("classes", "images"), [(3, 30), (10, 64), (100, 64), (1000, 512)])
@pytest.mark.parametrize("right", [0.1, 0.5, 0.9])
def test_a_bad_teacher_in_the_right_order_is_none_in_another(classes: int, images: int, right: float) -> None:
    """Of 64 images of 100 classes an order fitted to them all would be right for nearly all."""
    assert not any(other(*_said(classes, images, right, seed), classes) for seed in range(20))


@pytest.mark.parametrize(("classes", "images"), [(3, 30), (10, 200), (100, 400)])
def test_another_order_is_found(classes: int, images: int) -> None:
    people, answers = _said(classes, images, 0.9, 0)
    found = other(people, (answers + 1) % classes, classes)
    assert found is not None and found.meant == (found.taken - 1) % classes
    assert found.better > 0.7 > 0.2 > found.right


def test_two_classes_that_are_mixed_up_are_found() -> None:
    people, answers = _said(10, 200, 0.95, 0)
    mixed = np.array([0, 1, 2, 7, 4, 5, 6, 3, 8, 9])
    found = other(people, mixed[answers], 10)
    assert found is not None and {found.taken, found.meant} == {3, 7}
    assert other(people[:19], mixed[answers[:19]], 10) is None  # too few to tell

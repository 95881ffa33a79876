"""Several teachers that label as one, as far as they are known without torch: which they are, and what is said of whom.

Their order does not matter: they are sorted by their SHA-256, so that the same ones come to the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nsdata.arguments import shown
from nsdata.errors import BadInput, ModelError
from training.foreign.given import NOTHING, Given
from training.foreign.kinds import kind_of

TTA = ("flip",)


def of(teacher: Any) -> tuple[Any, ...]:
    """The teachers that were given, one or more; None, the store's own, is one. Raises BadInput for none, and for the
    same twice."""
    teacher = getattr(teacher, "teachers", teacher)  # of ``Averaged``
    if not isinstance(teacher, list | tuple):
        return (teacher,)
    if not teacher:
        raise BadInput("The list of teachers is empty.", "label(store, [first, second], gen=2)")
    for at, one in enumerate(teacher):
        if any(one is other or (isinstance(one, str | Path) and one == other) for other in teacher[:at]):
            raise twice(one)
    return tuple(teacher)


def twice(teacher: object) -> BadInput:
    """The error for a teacher that is given twice: its mean with itself is itself."""
    return BadInput(f"The teacher {teacher} is given twice; different ones are averaged.", "--teacher A --teacher B")


def said_of(teachers: Sequence[Any], said: Given) -> list[Given]:
    """What was said of each: of several it is of those from elsewhere, as ours say all themselves."""
    if len(teachers) == 1 or not said:
        return [said] * len(teachers)
    found = [said if is_elsewhere(one) else NOTHING for one in teachers]
    return found if any(found) else [said] * len(teachers)  # whoever checks them says why not


def is_elsewhere(teacher: Any) -> bool:
    """Whether a path leads to a teacher that somebody else trained."""
    if not isinstance(teacher, str | Path):
        return False
    place = Path(teacher)
    try:
        return kind_of(place / "best.pt" if (place / "best.pt").exists() else place).name != "ours"
    except ModelError:
        return True


def sha256(found: Iterable[str]) -> str:
    """Of several teachers, by their own."""
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def check_options(teachers: Sequence[Any], tta: object, noised: object) -> None:
    """Raise BadInput for a ``tta`` that there is not, and for noise where teachers or mirror images are averaged."""
    if tta is not None and tta not in TTA:
        raise BadInput(f"tta is {shown(tta)}; {' or '.join(TTA)} was expected.", f"--tta {TTA[0]}")
    if noised is not None and (len(teachers) > 1 or tta is not None):
        raise BadInput("A noised teacher labels by itself and sees each picture once.", "label(…, noised_teacher=None)")

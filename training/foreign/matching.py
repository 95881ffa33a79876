"""Which of a teacher's outputs is which class of the store: by name, or as a person's map says. Needs no torch.

Legend: B images, L outputs of the teacher, K classes of the store.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput, BadLabels, ModelError
from nsdata.labels.same_class import likely, notice, recased
from nsdata.text import listed

REST = "*"
"""In a class map: every class of theirs that neither the map nor a name matches."""

Map = Mapping[str, str | None]
"""Their class -> ours; None: it is left out."""


@dataclass(frozen=True)
class Matched:
    """classes: the store's K. target (L,): for each output the class that its probability counts for, -1 for none.

    names: the outputs' own, None where nothing names them.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...] | None
    target: NDArray[np.int64] = field(repr=False)
    notices: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether output k is class k, and that is all."""
        return np.array_equal(self.target, np.arange(len(self.classes)))

    def described(self) -> dict[str, dict[str, str]] | None:
        """class -> {output: its name}, as it is recorded; None where output k is class k."""
        if self.plain and self.names in (None, self.classes):
            return None
        names = self.names or tuple(map(str, range(len(self.target))))
        return {
            name: {str(i): names[i] for i in np.flatnonzero(self.target == k).tolist()}
            for k, name in enumerate(self.classes)
        }

    def probabilities(self, answers: NDArray[np.float32], temperature: float, logits: bool) -> NDArray[np.float32]:
        """(B, L) logits or probabilities to (B, K) float32 that sum to 1: of the outputs that count, those of one class
        added up. A row of probabilities with nothing on any class that counts says nothing: 1/K each.

        Raises BadLabels for what is not finite, or no probabilities.
        """
        soft = answers.astype(np.float64)[:, self.target >= 0]
        if not np.isfinite(answers).all():
            raise BadLabels(
                "The teacher's answers are not all finite numbers: NaN or infinity is among them.",
                "other weights, if they hold NaN themselves; or computed in float32 in place of float16",
            )
        if not logits:
            sums = answers.sum(1, dtype=np.float64)
            if answers.min() < -1e-4 or np.abs(sums - 1).max() > 1e-2:
                raise BadLabels(
                    f"The teacher's answers are no probabilities: they lie between {answers.min():.3g} and "
                    f"{answers.max():.3g} and add up to {sums[np.abs(sums - 1).argmax()]:.3g} in a row.",
                    "--outputs logits",
                )
            with np.errstate(divide="ignore"):
                soft = np.log(np.maximum(soft, 0))
        top = soft.max(1, keepdims=True)
        silent = ~np.isfinite(top[:, 0])
        soft = np.exp((soft - np.where(silent[:, None], 0, top)) / temperature)
        soft[silent] = 1.0
        found = np.zeros((len(soft), len(self.classes)))
        for column, k in enumerate(self.target[self.target >= 0].tolist()):
            found[:, k] += soft[:, column]
        found[silent] = 1.0
        result: NDArray[np.float32] = (found / found.sum(1, keepdims=True)).astype(np.float32)
        return result


def look_like_probabilities(answers: NDArray[np.float32]) -> bool:
    """Whether what should be logits can only be probabilities: in 0 to 1 and adding up to 1, in every row."""
    inside = float(answers.min(initial=0)) >= 0 and float(answers.max(initial=0)) <= 1.0001
    return bool(inside and len(answers) and np.abs(answers.sum(1, dtype=np.float64) - 1).max() < 1e-3)


def no_logits(answers: NDArray[np.float32]) -> str:
    """What answers are that can hardly be logits, in words: percent, or of each class alone; "" where they may be."""
    if not len(answers) or float(answers.min()) < 0:
        return ""
    if np.abs(answers.sum(1, dtype=np.float64) - 100).max() < 0.5:
        return "percent: no number is below 0, and rows add up to 100"
    if float(answers.max()) <= 1:
        return "numbers from 0 to 1 that do not add up to 1, as a sigmoid gives them for each class alone"
    return ""


def plain_name(name: object) -> str:
    """As names are compared: NFC, without blanks at the ends."""
    return unicodedata.normalize("NFC", str(name)).strip()


def match(ours: Sequence[str], names: Sequence[str] | None, outputs: int, class_map: Map | None, who: str) -> Matched:
    """Match a teacher's outputs with the store's classes.

    names: of the outputs, in order. None: nothing names them; they are the store's classes in its order where there
           are as many, and with a class map their names are their numbers, "0" to "L-1".
    Raises ModelError for what cannot be matched: other numbers, a class of either side without one of the other's.
    """
    if names is not None and len(names) != outputs:
        raise ModelError(
            f"{who} has {outputs:,} outputs, and {len(names):,} class names are given for them.", "--classes-file FILE"
        )
    if names is None and class_map is None:
        if outputs != len(ours):
            raise ModelError(
                f"{who} has {outputs:,} outputs, the store {len(ours):,} classes, and nothing names its outputs.",
                "--classes-file FILE (a name a line, in order), and --class-map FILE for classes of other names",
            )
        return Matched(tuple(ours), None, np.arange(outputs))
    theirs = [plain_name(name) for name in (names if names is not None else range(outputs))]
    if double := sorted({name for name in theirs if theirs.count(name) > 1} if len(set(theirs)) < len(theirs) else ()):
        raise ModelError(f"{who} has several outputs of one name: {listed(double)}.", "--classes-file FILE")
    wanted = {plain_name(name): k for k, name in enumerate(ours)}
    given, notices = _checked(class_map or {}, theirs, wanted, ours, who, names is None)
    target = np.full(outputs, -1, np.int64)
    lost: list[str] = []
    same = recased(wanted, [name for name in theirs if name not in given]) if names is not None else {}
    for i, name in enumerate(theirs):
        if name in given:
            mine = given[name]
            target[i] = -1 if mine is None else wanted[plain_name(mine)]
        elif name in wanted and names is not None:
            target[i] = wanted[name]
        elif name in same:
            target[i] = wanted[same[name]]
        elif REST not in given:
            lost.append(name)
    _check_whole(ours, target, lost, who)
    return Matched(tuple(ours), None if names is None else tuple(theirs), target, (*notices, *notice(same)))


def _checked(
    class_map: Map, theirs: list[str], wanted: Mapping[str, int], ours: Sequence[str], who: str, numbered: bool
) -> tuple[dict[str, str | None], list[str]]:
    """The map with both sides' own names, and notices of those that it writes otherwise. Raises BadInput for names of
    neither side."""
    given = {plain_name(key): None if mine is None else plain_name(mine) for key, mine in class_map.items()}
    keys = recased(theirs, (key for key in given if key != REST))
    values = recased(wanted, {mine for mine in given.values() if mine is not None})
    given = {keys.get(key, key): None if mine is None else values.get(mine, mine) for key, mine in given.items()}
    known = set(theirs)
    for key, mine in given.items():
        if key != REST and key not in known:
            there = "outputs 0 to " + str(len(theirs) - 1) if numbered else "classes " + listed(theirs)
            raise BadInput(f"The class map names '{key}', which {who} has not; it has {there}.", "--class-map FILE")
        if mine is not None and mine not in wanted:
            raise BadInput(
                f"The class map names '{mine}', which is no class of the store; it has {listed(ours)}.",
                "--class-map FILE",
            )
        if key == REST and mine is not None:
            raise BadInput(f"The class map sends all other classes to '{mine}'; '*' can only be left out.", "*,")
    return given, [f"in the class map, {line}" for line in notice({**keys, **values})]


def _check_whole(ours: Sequence[str], target: NDArray[np.int64], lost: list[str], who: str) -> None:
    bare = [name for k, name in enumerate(ours) if not (target == k).any()]
    if not bare and not lost:
        return
    parts = [f"it has {_quoted(lost)}, which the store has not"] if lost else []
    parts += [f"it lacks {_quoted(bare)}"] if bare else []
    alike = [
        f"'{name}' is not '{mine}'" for name in lost for mine in bare if name.casefold() == plain_name(mine).casefold()
    ]
    close = f" ({listed(alike, 3)})" if alike else ""
    lines = [_line(theirs, mine) for theirs, mine in likely(map(plain_name, bare), lost).items()]
    if lines:
        shown = " · ".join(lines[:20])
        raise ModelError(
            f"{who} has other classes than the store: {', and '.join(parts)}.",
            f"--class-map FILE, with a line for each, if they are the same: {shown}",
        )
    raise ModelError(
        f"{who} has other classes than the store: {', and '.join(parts)}{close}.",
        "--classes-file FILE: plain text, a name a line"
        if any(name.startswith(("[", "{")) or name.count(",") >= len(ours) - 1 > 0 for name in lost)
        else "--class-map FILE: their name, ours a line; an empty second cell leaves one out, '*,' all others",
    )


def _line(*cells: str) -> str:
    """A line of a class map."""
    return ",".join(f'"{cell}"' if "," in cell or '"' in cell else cell for cell in cells)


def _quoted(names: list[str]) -> str:
    return listed([f"'{name}'" for name in names], 3)

"""What a report says of a store, found: each number by the function that answers it by itself.

Legend: N rows of the version, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.deep import stability
from nsdata.analysis.glance import glance
from nsdata.analysis.issues import Issues, issues
from nsdata.analysis.sides import diff, judged
from nsdata.errors import NotFound, NsdataError, StoreDamaged
from nsdata.labels.labels import of_generation
from nsdata.labels.sentences import stale_remark
from nsdata.log.state import Generation
from nsdata.report.doctor import calibrated, findings
from nsdata.report.found import Balance, Found, Score, Turn
from nsdata.text import listed
from nsdata.versions.pictures import distinct
from nsdata.views import moved
from nsdata.views.changed import words
from nsdata.views.per_class import per_class
from nsdata.views.precision import judges, test_judges
from nsdata.views.saved import load

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Array = NDArray[Any]
S = TypeVar("S")
T = TypeVar("T")

SHOWN = 8
"""Generations, and saved views, that are looked at: the newest."""

MOST_ISSUES = 50  # labels that are listed
SECONDS = 5.0
"""That comparing all images with each other may take."""

BINS = 20  # of a histogram of confidences


def look(store: Handle) -> Found:
    """All of it. What cannot be read is left out, and its reason is in ``wrong``, or in ``gone``."""
    wrong: list[NsdataError] = []
    gens = sorted(store.generations)
    turns = _each(gens[-SHOWN:], lambda gen: _turn(store, gen), wrong)
    change = stable = None
    if len(turns) > 1:
        a, b = (f"gen-{turn.gen}" for turn in turns[-2:])
        change = next(iter(_each([(a, b)], lambda sides: diff(store, *sides, deep=True), wrong)), None)
    if len(turns) > 2:
        visible = store.table.visible
        every = [np.where(visible, turn.labels.all_pseudo, np.int32(-1)) for turn in turns]
        stable = stability([turn.gen for turn in turns], every)
    names = list(store.views)
    table = store.table
    doubted, no_issues = _doubted(store)
    known = glance(store, SECONDS)
    if isinstance(known.error, StoreDamaged):
        wrong.append(known.error)
    return Found(
        store=store,
        images=int(table.visible.sum()),
        labelled=int((table.visible & (table.label >= 0)).sum()),
        turns=turns,
        earlier=max(0, len(gens) - SHOWN),
        change=change,
        stable=stable,
        balances=_each(names[-SHOWN:], lambda name: _balance(store, name), wrong),
        more_views=max(0, len(names) - SHOWN),
        findings=findings(store, {turn.gen: turn.calibration for turn in turns}),
        issues=doubted,
        without_issues=no_issues,
        leaks=known.leaks,
        without_leaks=f"{known.why[:1].upper()}{known.why[1:]}." if known.why else "",
        wrong=[error.message for error in wrong if not isinstance(error, NotFound)],
        gone=[error.message for error in wrong if isinstance(error, NotFound)],
    )


def _doubted(store: Handle) -> tuple[Issues | None, str]:
    """Labels that are probably wrong, the first of them; or why nothing judges them."""
    try:
        return issues(store, limit=MOST_ISSUES), ""
    except NsdataError as error:
        return None, error.message


def _each(of: Iterable[S], make: Callable[[S], T], wrong: list[NsdataError]) -> list[T]:
    """What could be made; why others could not goes to ``wrong``."""
    made = []
    for one in of:
        try:
            made.append(make(one))
        except NsdataError as error:  # of what is damaged, or whose data gc took
            wrong += [error] if error.message not in [known.message for known in wrong] else []
    return made


def _turn(store: Handle, gen: int) -> Turn:
    labels, generation = of_generation(store, gen), store.generations[gen]
    confidence = labels.confidence
    moves = words(moved.of_generation(store, generation))
    stale = [stale_remark(generation).removeprefix(" · stale: "), moves and f"taught by images of which {moves}"]
    return Turn(
        labels=labels,
        generation=generation,
        teacher=_teacher(generation),
        stale="; ".join(filter(None, stale)),
        histogram=np.histogram(confidence, BINS, (0, 1))[0].astype(np.int64),
        mean=float(confidence.mean(dtype=np.float64)) if len(confidence) else None,
        score=_score(store, gen),
        judged=judged(store, gen),
        calibration=calibrated(store, gen),
    )


def _teacher(generation: Generation) -> str:
    """Who wrote a generation, in a few words; whoever wrote the log wrote them."""
    facts = generation.provenance
    if generation.given:
        given = facts.get("given")
        who = given.get("teacher") if isinstance(given, dict) else None
        named = [str(value) for value in list(who.values())[:2]] if isinstance(who, dict) else []
        return f"from elsewhere: {listed(named, 2)}" if named else "from elsewhere"
    if several := facts.get("teachers"):
        return f"the mean of {len(several)} teachers"
    model = facts.get("model", "unknown")
    if facts.get("teacher_event") is None:
        return f"a model from elsewhere: {model}"
    return f"model {facts.get('teacher_generation')}: {model}"


def _score(store: Handle, gen: int) -> Score | None:
    """On test images, else on those that may choose thresholds."""
    known = test_judges(store, gen)
    known = known if len(known.rows) else judges(store, gen)
    return Score(known.what, len(known.rows), int(known.right.sum())) if len(known.rows) else None


def _balance(store: Handle, name: str) -> Balance:
    view = load(store, name)
    return Balance(view, *per_class(view), *distinct(view.rows))

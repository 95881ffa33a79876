"""What ``show`` and ``why`` print of one image, ``show`` of one generation, ``eval`` of scores, ``train`` of several
seeds."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cli import charts, render

if TYPE_CHECKING:
    from nsdata import Store
    from nsdata.analysis.why import Why
    from training import Repeats, Scores


def image(card: Any) -> None:
    """One image: where it came from, its splits, its labels by people and by every generation."""
    render.pairs(
        [
            ("image", card.id),
            ("source", card.source),
            ("split", card.split),
            *[(f"  version {m['version']}", f"{m['split']}, by {m['by']}") for m in card.moves],
            ("size", f"{card.width} × {card.height}, {card.bytes:,} bytes"),
            ("label", card.label or "none"),
            *[(f"  version {p['version']}", f"{p['label'] or 'no label'}, by {p['by']}") for p in card.people],
            *[
                (
                    f"generation {s.gen}",
                    f"{s.pseudo} {s.confidence:.3f}   " + "  ".join(f"{n} {p:.3f}" for n, p in s.top),
                )
                for s in card.generations
            ],
        ]
    )


def why(found: Why) -> None:
    """One image, what each view's steps did to it, and the labelled images nearest to it."""
    image(found.card)
    if not found.views:
        render.out("\nno view is saved")
    for title, lines in found.parts():
        render.out(f"\n{render.name(title)}")
        for line in lines:
            render.out(f"  {render.name(line)}")


def generation(opened: Store, gen: int, json: bool) -> None:
    """One generation: its lineage, and how it was written; what it lacks of the store as it is now."""
    from nsdata.analysis.classes import fewer
    from nsdata.labels.lineage import lineage, lines
    from nsdata.labels.sentences import generation_rows
    from nsdata.views import moved
    from nsdata.views.changed import words

    ancestors = lineage(opened, gen)
    counted = _counted(opened, gen) if json or sys.stdout.isatty() else None
    moves = moved.of_generation(opened, opened.generations[gen])
    if json:
        known = {"moved": moves, "classes": opened.state.classes_at(opened.generations[gen].version)}
        known |= {"lineage": [ancestor.to_dict() for ancestor in ancestors]}
        if counted is not None:
            confidence, counts = counted
            known |= {"per_class": counts.tolist(), "histogram": charts.histogram(confidence)[0]}
        render.emit({**asdict(opened.generations[gen]), **known})
        return
    for line in lines(ancestors):
        render.out(render.name(line))
    render.out()
    more = [("stale", f"taught by images of which {words(moves)}")] if moves else []
    if few := fewer(opened, opened.generations[gen].version).removeprefix(" · "):
        more.append(("classes", f"{few}: the others were added later"))
    render.pairs(generation_rows(opened.generations[gen], opened.url) + more)
    if counted is not None:
        confidence, counts = counted
        charts.confidences(confidence)
        charts.classes(opened.classes[: len(counts)], None, counts, ("", "images"))


def _counted(opened: Store, gen: int) -> tuple[Any, Any] | None:
    """(n,) confidences of a generation, and (K,) images of each class; None where they cannot be read any more."""
    import numpy as np

    from nsdata.errors import NsdataError

    try:
        labels = opened.labels(gen)
        return labels.confidence, np.bincount(labels.pseudo, minlength=labels.known)
    except NsdataError:  # what gc purged has a lineage all the same
        return None


def scores(found: Scores) -> None:
    """Scores: of all images, and class by class, with how sure each is."""
    from nsdata.text import listed

    render.pairs(found.lines())
    if found.beyond:
        later = zip(found.classes[found.known :], found.counts[found.known :], strict=True)
        names = listed([render.name(name) for name, count in later if count])
        render.out(f"{found.beyond:,} of them are of classes that were added later, and count as wrong: {names}")
    columns = (found.classes, found.counts, found.right, found.per_class, found.class_intervals)
    render.table(
        ["class", "images", "right", "accuracy", "95 %"],
        [
            [name, int(count), int(right), render.percent(float(share)), str(interval) if count else "–"]
            for name, count, right, share, interval in zip(*columns, strict=True)
        ],
    )


def repeats(found: Repeats) -> None:
    """What each seed's model has right, and the mean."""
    from nsdata.arithmetic.intervals import accuracy_text, gain_text, signed

    against = ["gain over the teacher"] if found.gains else []
    rows = []
    for at, (seed, right) in enumerate(zip(found.seeds, found.right, strict=True)):
        gain = [gain_text(found.fixed[at], found.broken[at], found.common)] if found.gains else []
        rows.append([str(seed), accuracy_text(right, found.images), *gain])
    render.table(["seed", f"right of {found.images:,} {found.what} images", *against], rows)
    n, mean, sd, interval = found.accuracy
    render.out(f"mean       {100 * mean:.1f} % of {n} seeds (sd {100 * sd:.1f}; 95 %: {interval})")
    if found.gain is not None and found.teacher is not None:
        _, mean, sd, interval = found.gain
        render.out(f"gain       {signed(100 * mean)} points (sd {100 * sd:.1f}; 95 %: {interval}) over the teacher")
        render.out(f"teacher    {accuracy_text(found.teacher, found.common)}, one and the same for all seeds")

"""The sections of the report, in their order, each in a function: what was found to what is shown.

A section without anything to show says so in its lead. ``SECTIONS`` is the one list of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nsdata.arithmetic.intervals import accuracy_text, gain_text
from nsdata.errors import NsdataError
from nsdata.labels.lineage import lineage
from nsdata.log.plan import planned_text
from nsdata.report import charts, confidence, doubts, galleries
from nsdata.report.found import FLOWS, Balance, Found, Turn, largest, spread
from nsdata.report.section import NO_MODEL, Chart, Charts, Facts, Lines, Section, Table
from nsdata.versions.pictures import cut
from nsdata.views.printed import merged_counts

DRAWN = 12  # classes of the heat map
LINKS, PLANS = 40, 4  # of a lineage, and plans, that are shown
WIDEST = 300  # letters of a line
SHOWS = 0.05  # of the flips, that a heat map must have


def generations(found: Found) -> Section:
    """Each with its teacher and its score."""
    turns = found.turns
    if not turns:
        return Section("generations", "Generations", "Generations", NO_MODEL)
    lead = "Each line is one turn of the loop: who labelled the images, how sure it was, and how often it was right."
    if found.earlier:
        lead += _left_out(found.earlier, "generation")
    head = ("generation", "right", "gain over the one before", "labelled by", "images", "mean confidence")
    rows, blocks = [_turn_row(turn) for turn in turns], list[Any]()
    table = Table(head, rows, frozenset({0, 4, 5}), kept=frozenset({1, 2}))
    scored = [turn for turn in turns if turn.score is not None]
    if len(scored) > 1:
        scores = [turn.score for turn in scored if turn.score is not None]
        svg = charts.accuracies([turn.gen for turn in scored], [s.share for s in scores], [s.interval for s in scores])
        whats = " and ".join(dict.fromkeys(score.what for score in scores))
        blocks.append(
            Charts([Chart("How often it is right", svg, f"{whats} images; bars are 95 % intervals")], beside=table)
        )
    else:
        blocks.append(table)
    blocks.append(Facts([(f"generation {turn.gen}", turn.stale) for turn in turns if turn.stale]))
    return Section("generations", "Generations", "Generations", lead, blocks, "nsdata show")


def _turn_row(turn: Turn) -> list[str]:
    score, judged = turn.score, turn.judged
    return [
        str(turn.gen),
        "nobody can tell" if score is None else accuracy_text(score.right, score.images).replace("; ", ";\n"),
        "–" if judged is None else gain_text(judged.fixed, judged.broken, judged.images).replace(" (", "\n("),
        cut(turn.teacher, 60),
        f"{len(turn.labels):,}",
        "–" if turn.mean is None else f"{turn.mean:.2f}",
    ]


def _left_out(count: int, what: str) -> str:
    return f" {count:,} earlier {what}s are left out." if count > 1 else f" 1 earlier {what} is left out."


def balance(found: Found) -> Section:
    """Each saved view: its classes before and after, its steps."""
    key = "views", "Class balance", "Class balance before and after each view"
    if not found.balances:
        newest = found.newest
        command = "" if newest is None else f"nsdata view student-{newest.gen} --gen {newest.gen} --per-class 1000"
        return Section(*key, "No view has been saved.", command=command)
    drawn = [_balanced(number, one, found) for number, one in enumerate(found.balances)]
    lead = "A view chooses what a student learns from. Grey: the images among which it chose. Blue: what it holds."
    if found.more_views:
        lead += _left_out(found.more_views, "view")
    keys = [("faint", "before"), ("first", "in the view, repeats counted")]
    steps = [
        (str(one.view.name), " → ".join(f"{cut(c.text, 60)}: {c.rows:,}" for c in merged_counts(one.view)))
        for one in found.balances
    ]
    return Section(*key, lead, [Charts(drawn, keys), Facts(steps)], "nsdata views")


def _balanced(number: int, one: Balance, found: Found) -> Chart:
    svg = charts.balance(str(number), found.store.classes, one.before, one.after)
    before, after = (_ends(spread(side)) for side in (one.before, one.after))
    of = "people's labels" if one.view.gen is None else f"generation {one.view.gen}"
    note = (
        f"{len(one.view):,} entries, {len(one.rows):,} images, {of} · {f'{before} → ' if before else ''}{after} a class"
    )
    return Chart(str(one.view.name), svg, note)


def _ends(ends: dict[str, Any] | None) -> str:
    if ends is None:
        return ""
    return f"{ends['least']:,}" if ends["least"] == ends["most"] else f"{ends['least']:,} to {ends['most']:,}"


def flips(found: Found) -> Section:
    """What changed between the newest two generations."""
    key, change = ("flips", "Changes", "What changed"), found.change
    if change is None:
        return Section(*key, "It takes two generations to see what changed.")
    if not change.compared:
        return Section(*key, "No image was labelled by both of the newest two generations.")
    blocks: list[Any] = [
        Facts([(word, cut(text, WIDEST).replace("   ", " · ")) for word, text in change.lines() if text])
    ]
    chosen, share = largest(change.flips, DRAWN)
    drawn = []
    if share >= SHOWS:
        names = [change.classes[k] for k in chosen]
        svg = charts.heat_map(names, change.flips[np.ix_(chosen, chosen)])
        left = len(change.classes) - len(chosen)
        note = f"{100 * share:.0f} % of the flips" + (f"; {left:,} classes with fewer are left out" if left else "")
        drawn.append(Chart("Flips: from which class to which", svg, note))
    if change.deep is not None and change.rose + change.fell:
        note = "right of 0: surer than before"
        drawn.append(Chart("How far confidences moved", charts.shift(change.deep.shift), note))
    flows = change.flipped.top(FLOWS)
    if flows:
        rows = [[f"{cut(flow.old, 30)} → {cut(flow.new, 30)}", f"{flow.count:,}"] for flow in flows]
        table = Table((), rows, frozenset({1}), [flow.count / flows[0].count for flow in flows])
        drawn.append(Chart("The largest flows", None, "images from one class to another", table))
    blocks.append(Charts(drawn))
    if found.stable is not None and found.stable.images:
        s = found.stable
        text = f"{100 * s.always / s.images:.1f} % of {s.images:,} images never flipped"
        text += f"; {s.returned:,} flipped and came back"
        blocks.append(Facts([(f"generations {s.gens[0]} to {s.gens[-1]}", text)]))
    lead = f"From {change.a} to {change.b}: images whose pseudo-label became another class have flipped."
    return Section(*key, lead, blocks, f"nsdata diff {change.a} {change.b} --deep")


def pictures(found: Found) -> Section:
    """Contact sheets."""
    makers = (galleries.flips, galleries.wrong, galleries.doubtful, galleries.repeated)
    made = [gallery for make in makers if (gallery := make(found)) is not None]
    lead = "Under each picture its label by a person, the class that the model gives it, and how sure it is."
    key = "pictures", "Pictures", "Pictures to look at"
    if found.newest is None or not made:
        return Section(*key, NO_MODEL)
    least_sure = f'--query "select id from images order by gen{found.newest.gen}_confidence"'
    which = least_sure if found.change is None else f"--diff {found.change.a} {found.change.b}"
    return Section(*key, lead, made, f"nsdata sheet {which} -o sheet.html")


def checks(found: Found) -> Section:
    """What the doctor found."""
    bad = sorted(found.findings, key=lambda finding: finding.good is not False)
    rows = [(cut(finding.what, 60), cut(finding.text, WIDEST)) for finding in bad][:30]
    commands = [finding.hint if finding.good is False else "" for finding in bad][:30]
    count = sum(finding.good is False for finding in bad)
    some = f"{count:,} thing{'s' if count != 1 else ''} to look at, each with the command that helps."
    return Section(
        "checks", "Checks", "Checks", some if count else "Nothing to look at.", [Facts(rows, commands)], "nsdata doctor"
    )


def provenance(found: Found) -> Section:
    """Where the newest generation comes from, and the plans that made it."""
    key, plans = ("provenance", "Provenance", "Where it comes from"), found.store.state.plans
    blocks: list[Any] = []
    if found.newest is not None:
        try:
            links = lineage(found.store, found.newest.gen)
        except NsdataError as error:
            blocks.append(Lines([(0, error.message)]))
        else:
            lines = [(min(link.depth, 12), cut(link.text, WIDEST)) for link in links[:LINKS]]
            more = [(0, f"and {len(links) - LINKS:,} more links")] if len(links) > LINKS else []
            blocks.append(Lines(lines + more))
    rows = []
    for plan in plans[-PLANS:]:
        became = f"carried out at version {plan.ran}" if plan.ran else "not carried out yet"
        scores = f": {planned_text(plan.steps)}" if plan.ran or plan.steps else ""
        rows.append((cut(f"plan {plan}", 80), f"begun at version {plan.event} · {became}{scores}"))
    blocks += [Facts(rows)] if rows else []
    lead = "Who labelled, what that teacher had learnt from, and so on back to people's labels."
    lead += "" if plans else " No plan was run."
    gen = "" if found.newest is None else f"nsdata show --gen {found.newest.gen}"
    return Section(*key, lead if found.newest or plans else NO_MODEL, blocks, gen)


SECTIONS: tuple[Callable[[Found], Section], ...] = (
    generations,
    confidence.reliability,
    confidence.advice,
    confidence.confidence,
    flips,
    balance,
    pictures,
    doubts.label_issues,
    doubts.leaks,
    checks,
    provenance,
)

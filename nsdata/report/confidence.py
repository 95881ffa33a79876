"""Sections of the report on confidence: how sure each generation is, whether that is to be believed, what threshold to
take."""

from __future__ import annotations

from collections.abc import Sequence

from nsdata.analysis.calibration import Measure
from nsdata.arithmetic.intervals import accuracy_text, signed
from nsdata.arithmetic.reliability import Bin
from nsdata.report import charts
from nsdata.report.found import Found, Turn
from nsdata.report.section import NO_MODEL, Chart, Charts, Facts, Section, Table

GAIN = 0.01  # of a calibration error, for which labelling again is worth it


def confidence(found: Found) -> Section:
    """The histograms of all generations, on one scale."""
    key = "confidence", "Confidence", "How sure each generation is"
    if not found.turns:
        return Section(*key, NO_MODEL)
    shares = [turn.histogram / max(1, int(turn.histogram.sum())) for turn in found.turns]
    most = max(float(one.max()) for one in shares)
    drawn = [
        Chart(f"Generation {turn.gen}", charts.confidences(turn.gen, share, most), _sureness(turn))
        for turn, share in zip(found.turns, shares, strict=True)
    ]
    lead = (
        "Confidence is the largest probability of a soft label: 1 is certainty. A higher bar is a larger share of the "
        "images; all charts have one scale."
    )
    return Section(*key, lead, [Charts(drawn)])


def _sureness(turn: Turn) -> str:
    sure, unsure = (turn.generation.summary.get(key) for key in ("at_least_0.9", "below_0.3"))
    parts = [] if turn.mean is None else [f"mean {turn.mean:.2f}"]
    parts += [f"{sure:,} ≥ 0.9"] if isinstance(sure, int) else []
    return " · ".join([*parts, *([f"{unsure:,} < 0.3"] if isinstance(unsure, int) else [])])


def reliability(found: Found) -> Section:
    """Diagrams and errors, of each generation that somebody can judge."""
    key = "reliability", "Reliability", "Whether confidence is to be believed"
    judged = [turn for turn in found.turns if turn.calibration is not None]
    if not judged:
        nobody = "Nobody can judge it: no image with a person's label was kept out of training."
        command = "nsdata import FOLDER --split val" if found.turns else ""
        return Section(*key, nobody if found.turns else NO_MODEL, command=command)
    drawn, rows = [], []
    for turn in judged:
        known = turn.calibration
        assert known is not None
        bins: Sequence[Bin] = known.bins
        note = f"calibration error {100 * known.ece.value:.1f} % · {known.images:,} {known.what} images"
        drawn.append(Chart(f"Generation {turn.gen}", charts.reliability(turn.gen, bins), note))
        rows.append(
            [
                str(turn.gen),
                f"{known.images:,} {known.what}",
                f"{100 * known.right / known.images:.1f} %",
                f"{signed(100 * known.overconfidence)} points",
                _error(known.ece),
                "–" if known.ece.chance is None else f"{100 * known.ece.chance:.1f} %",
                f"{known.brier.value:.3f}",
                f"{known.log_loss.value:.3f}",
            ]
        )
    head = ("generation", "judged by", "right", "surer than right by", "calibration error (95 %)", "by chance alone",
            "Brier score", "log loss (nats)")  # fmt: skip
    lead = (
        "On the dashed line, images with confidence 0.8 are right four times in five. Below it the model claims too "
        "much. Larger dots are more images; bars are 95 % intervals. An error is judged beside what chance alone gives."
    )
    command = f"nsdata calibration --gen {judged[-1].gen}"
    return Section(
        *key, lead, [Charts(drawn), Table(head, rows, frozenset({0, 2, 3, 5, 6, 7}), kept=frozenset({4}))], command
    )


def _error(measure: Measure) -> str:
    low, high = (f"{100 * end:.1f}" for end in measure.interval)
    return f"{100 * measure.value:.1f} % ({low} – {high})"


def advice(found: Found) -> Section:
    """Temperature and thresholds of the newest generation."""
    key, turn = ("advice", "Thresholds", "What threshold to take"), found.newest
    known = None if turn is None else turn.calibration
    if turn is None or known is None or known.what == "test":
        why = "Test images choose no threshold; labelled val images would." if known is not None else (
            "Without labelled images that were kept out of training nobody can tell what a threshold is worth."
        )  # fmt: skip
        command = "nsdata import FOLDER --split val" if found.turns else ""
        return Section(*key, why if found.turns else NO_MODEL, command=command)
    rows = [row for row in known.lines() if row[0].startswith("right for ") or row[0] == "temperature"]
    helps = known.after is not None and known.after < known.ece.value - GAIN and not turn.generation.given
    calibrate = f"nsdata label --gen {turn.gen} --replace --calibrate" if helps else ""
    commands = [calibrate if word == "temperature" else "" for word, _ in rows]
    head = ("confidence ≥", "keeps", "of the unlabelled", "right on judging images")
    table = [
        [
            f"{k.threshold:g}",
            f"{k.kept:,}",
            f"{100 * k.kept / k.pool:.1f} %" if k.pool else "–",
            accuracy_text(k.right, k.judged).replace("; ", ";\n"),
        ]
        for k in known.kept
    ]
    lead = (
        f"A higher threshold keeps fewer images, and more of them right. Judged by {known.images:,} {known.what} "
        f"images for generation {turn.gen}; it holds for the unlabelled ones as far as they are of the same kind."
    )
    bars = [k.kept / k.pool if k.pool else 0.0 for k in known.kept]
    shown = Table(head, table, frozenset({0, 1, 2}), bars, barred=2, kept=frozenset({3}))
    return Section(*key, lead, [Facts(rows, commands), shown])

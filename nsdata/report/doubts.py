"""Sections of the report on what to doubt: labels by people that are probably wrong, and images that leak."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from nsdata.analysis.issues import Issue
from nsdata.analysis.leaks import Image, Pair
from nsdata.arithmetic.ids import from_hex
from nsdata.errors import NsdataError
from nsdata.report.found import Found
from nsdata.report.galleries import BYTES, SHOWN, SIDE, WIDEST
from nsdata.report.section import Facts, Gallery, Picture, Section
from nsdata.text import visible
from nsdata.versions.pictures import cut, file_name, img, small


def label_issues(found: Found) -> Section:
    """The most doubtful labels by people, by what has not learnt them."""
    key, doubted = ("issues", "Label issues", "Labels by people that are probably wrong"), found.issues
    if doubted is None:
        return Section(*key, found.without_issues, command="nsdata embed --model NAME")
    lead = "A person said the first class; what has not learnt that label takes the second for more probable."
    blocks: list[object] = [Facts([(word, text) for word, text in doubted.lines()])]
    if doubted.issues:
        some = doubted.issues[:SHOWN]
        captions = [_doubt(issue) for issue in some]
        ids, files = [issue.id for issue in some], [issue.source for issue in some]
        note = f"{len(some):,} of {doubted.found:,}." if len(some) < doubted.found else ""
        blocks.append(Gallery("Most doubtful labels", note, _pictures(found, ids, files, captions)))
    return Section(*key, lead if doubted.issues else "No label is doubtful.", blocks, "nsdata issues")


def leaks(found: Found) -> Section:
    """Held-out images that look like others, in pairs."""
    key, known = ("leaks", "Leaks", "Held-out images that look like others"), found.leaks
    if known is None:
        return Section(*key, found.without_leaks, command="nsdata leaks")
    if not known.pairs:
        return Section(*key, "No image of val or test looks like another of another split.", command="nsdata leaks")
    pairs = known.pairs[: SHOWN // 2]
    images = [image for pair in pairs for image in (pair.one, pair.other)]
    captions = [_side(pair, image) for pair in pairs for image in (pair.one, pair.other)]
    ids, files = [image.id for image in images], [image.source for image in images]
    note = f"{len(pairs):,} of {known.found:,} pairs." if len(pairs) < known.found else ""
    shown = Gallery("Pairs, side by side", note, _pictures(found, ids, files, captions))
    lead = "A model that has learnt one of a pair is not judged fairly by the other."
    lines = known.lines()
    typed = [text if text.startswith("nsdata ") else "" for _, text in lines]
    facts = Facts([(word, "" if command else text) for (word, text), command in zip(lines, typed, strict=True)], typed)
    return Section(*key, lead, [facts, shown], "nsdata leaks")


def _doubt(issue: Issue) -> list[str]:
    said, other = cut(visible(issue.label), WIDEST), cut(visible(issue.suggested), WIDEST)
    return [f"{said} {issue.probability:.2f}", f"→ {other} {issue.suggested_probability:.2f}"]


def _side(pair: Pair, image: Image) -> list[str]:
    label = "no label" if image.label is None else cut(visible(image.label), WIDEST)
    return [f"{image.split}: {label}", f"{pair.how} {pair.likeness:.2f}"]


def _pictures(found: Found, ids: list[str], files: list[str], captions: list[list[str]]) -> list[Picture]:
    table = found.store.table
    try:
        drawn = list(small(table, np.asarray(table.rows_of(from_hex(ids)), np.int64), SIDE))
    except NsdataError:  # the files' damage is said elsewhere on the page
        drawn = [None] * len(ids)
    return [
        Picture(
            img=Markup(img(picture, SIDE, BYTES, " ".join(lines))),
            lines=lines,
            file=cut(visible(file_name(source)), WIDEST),
            title=visible(cut(f"{source} · {id_}", 300)),
        )
        for picture, id_, source, lines in zip(drawn, ids, files, captions, strict=True)
    ]

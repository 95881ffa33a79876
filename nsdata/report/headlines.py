"""The three most important things about a store, for somebody who has never seen one.

Each function below finds some; those with the highest rank are shown. Alarms come first, then whether the newest model
is better than the one before it, then whether its confidence is to be believed, then what is stale or missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nsdata.analysis.calibration import WRONG
from nsdata.analysis.near import LEAST
from nsdata.arithmetic.intervals import accuracy_text, gain_text
from nsdata.report.doctor import Finding, remedy
from nsdata.report.found import Found, Turn
from nsdata.schema import SPLITS
from nsdata.text import listed
from nsdata.versions.pictures import cut

SHOWN = 3
WIDEST = 24  # letters of a class's name
FEW = 200  # images: a calibration by fewer is a rough one
RARE = 0.01  # of the test images: fewer that leak move a score by less than one point


@dataclass(frozen=True)
class Headline:
    """A sentence, a second one with its numbers, what to type. good: None where there is nothing to judge."""

    rank: int
    good: bool | None
    text: str
    detail: str
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"good": self.good, "text": self.text, "detail": self.detail, "command": self.command}


def headlines(found: Found) -> list[Headline]:
    """The ``SHOWN`` most important, most important first."""
    every = [
        one
        for part in (_collapse, _student, _confidence, _leaks, _unread, _checks, _flips, _sizes)
        for one in part(found)
    ]
    return sorted(every, key=lambda one: -one.rank)[:SHOWN]


def _collapse(found: Found) -> Iterator[Headline]:
    change = found.change
    if change is None or change.deep is None or not change.deep.starving:
        return
    starving, command = _named(change.deep.starving, 3), f"nsdata diff {change.a} {change.b} --deep"
    judged = found.turns[-1].judged
    better = judged is not None and judged.interval[0] > 0  # than a generation that was the worse one
    if change.deep.collapsing and not better:
        detail = (
            f"Its labels became surer while {starving} lost more than half of their images: a student that believes "
            "its teacher's mistakes looks like this. Balance the view, or raise its threshold."
        )
        yield Headline(100, False, "Alarm: the newest student may be collapsing into few classes.", detail, command)
    else:
        detail = f"More than half of the images of {starving} have another class in generation {found.turns[-1].gen}."
        yield Headline(57 if better else 72, False, "Some classes are losing their images.", detail, command)


def _student(found: Found) -> Iterator[Headline]:
    """Whether the newest model is better than the one before it."""
    turn = found.newest
    if turn is None:
        yield from _no_generation(found)
    elif turn.judged is not None:
        yield _compared(found, turn)
    elif turn.score is None:
        detail = (
            "No image with a person's label was kept out of training, so that nobody knows how often the models are "
            "right. A hundred labelled test images are a beginning."
        )
        command = "nsdata import FOLDER --split test"
        yield Headline(92, False, f"Nobody can judge the labels of generation {turn.gen}.", detail, command)
    else:
        share, score = f"{100 * turn.score.share:.0f} %", turn.score
        detail = (
            f"Generation {turn.gen}, {turn.teacher}: {accuracy_text(score.right, score.images)} of {score.what} images "
            f"that did not teach it.{_flattered(score.what)}"
        )
        command = f"nsdata view student-{turn.gen} --gen {turn.gen} --min-confidence 0.3"
        yield Headline(85, None, f"The pseudo-labels are right for about {share} of the images.", detail, command)


def _compared(found: Found, turn: Turn) -> Headline:
    judged, given = turn.judged, turn.generation.given
    assert judged is not None
    later = max(found.store.models, default=0)
    newest = f"generation {turn.gen}" if given else "the newest student"
    newest += " that labelled" if later >= turn.gen and not given else ""
    older = f"generation {turn.gen - 1}" if given else "its teacher"
    low, high = judged.interval
    before, after = (f"{100 * right / judged.images:.1f} %" for right in (judged.before, judged.after))
    detail = (
        f"It is right for {after} of {judged.images:,} {judged.what} images that taught neither, {older} for {before}: "
        f"{gain_text(judged.fixed, judged.broken, judged.images)}.{_flattered(judged.what)}"
    )
    detail += f" Model {later} was trained since, and has labelled nothing yet." if later >= turn.gen else ""
    diff = f"nsdata diff gen-{turn.gen - 1} gen-{turn.gen}"
    if low > 0:
        return Headline(90, True, f"{_upper(newest)} is better than {older}.", detail, diff)
    if high < 0:
        return Headline(98, False, f"{_upper(newest)} is worse than {older}.", detail, f"{diff} --deep")
    detail += " The interval holds 0: more labelled test images would tell."
    text = f"It is open whether {newest} is better than {older}."
    return Headline(90, None, text, detail, "nsdata import FOLDER --split test")


def _no_generation(found: Found) -> Iterator[Headline]:
    if not found.images:
        detail = "Import a folder of images; the folders' names become people's labels."
        yield Headline(95, None, "The store is empty.", detail, "nsdata import FOLDER")
        detail = "They judge the models that learn from the others: a hundred or more, of all classes."
        text = "Keep some labelled images apart from the beginning."
        yield Headline(15, None, text, detail, "nsdata import FOLDER --split test")
        return
    if not found.judging["train"]["labelled"]:
        detail = (
            "A first teacher learns from people's labels of train images: a few of each class are a beginning. Or "
            "another model's soft labels begin the loop: nsdata label --gen 1 --from FILE."
        )
        text = "Nobody has labelled an image that a model could learn from."
        yield Headline(90, None, text, detail, "nsdata relabel IMAGE CLASS")
        return
    trained = 0 in found.store.models
    detail = "A first teacher is trained on people's labels; it then labels all images, each with probabilities."
    if trained:
        detail = "The first teacher is trained; it has not labelled the images yet."
    command = "nsdata label --gen 1" if trained else "nsdata train --gen 0"
    yield Headline(90, None, "No model has labelled these images yet.", detail, command)


def _confidence(found: Found) -> Iterator[Headline]:
    """Whether the newest generation is right as often as it is sure; bad as the doctor has it."""
    turn = found.newest
    if turn is None or turn.calibration is None:
        return
    known = turn.calibration
    error, chance = known.ece.value, known.ece.chance or 0.0
    right = known.right / known.images
    sure = right + known.overconfidence
    few = " A rough answer: they are few." if known.images < FEW else ""
    detail = (
        f"On average it is {100 * sure:.0f} % sure, and right for {100 * right:.0f} % of {known.images:,} {known.what} "
        f"images. Confidence and truth are {100 * error:.1f} points apart; by chance alone it would be "
        f"{100 * chance:.1f}.{few}"
    )
    if not known.believable:
        over = "less often than it claims" if known.overconfidence > 0 else "more often than it claims"
        command = remedy(turn.generation, known)
        yield Headline(88, False, f"Do not take its confidence at its word: it is right {over}.", detail, command)
    elif error > WRONG:  # which so few images may show by chance
        text = "Too few images tell whether its confidence can be believed."
        yield Headline(60, None, text, detail, f"nsdata calibration --gen {turn.gen}")
    else:
        command = f"nsdata calibration --gen {turn.gen}"
        yield Headline(60, True, "Its confidence can be believed, on the whole.", detail, command)


def _leaks(found: Found) -> Iterator[Headline]:
    """Whether the images that judge were seen in training."""
    if found.leaks is None:
        return
    pairs = [pair for pair in found.leaks.pairs if pair.one.split == "test" != pair.other.split]
    leaking, taught = ({p.one.id for p in pairs if p.other.split in splits} for splits in (SPLITS, ("train",)))
    if leaking:
        many, of = len(taught or leaking), found.leaks.images["test"]
        if found.leaks.found > len(found.leaks.pairs):  # not all are listed
            many = found.leaks.leaking["test"]
        few = many < RARE * of
        text = "Some test images look like images" if many > 1 else "One test image looks like an image"
        text += " that models learn from." if taught else " of val."
        where = "train" if taught else "val"
        flatters = "too few to move the score much" if few else "which flatters the score"
        detail = (
            f"{many:,} of {of:,} test images {'have' if many > 1 else 'has'} a near-duplicate in {where}, {flatters}."
        )
        if found.leaks.least > LEAST:  # pictures are too much alike to tell copies
            yield Headline(25, None, text, f"{detail} Pictures of this store look much alike.", "nsdata leaks")
        else:
            yield Headline(55 if few else 86, False, text, detail, "nsdata leaks")


def _unread(found: Found) -> Iterator[Headline]:
    if found.wrong:
        yield Headline(110, False, "Part of the store cannot be read.", found.wrong[0], "nsdata verify")
    if found.gone:  # as somebody wanted it
        yield Headline(
            5, False, "Something that is saved was chosen by data that gc took.", found.gone[0], "nsdata log"
        )


def _checks(found: Found) -> Iterator[Headline]:
    """What the doctor would name, in plain words."""
    if not found.images:  # all that is missing is said in one sentence
        return
    passed = ("confidence", "damage", *(() if found.judging["train"]["labelled"] else ("labels",)))  # said by others
    known: dict[str, list[Finding]] = {}
    for finding in found.findings:
        if finding.good is False and finding.what not in passed:
            known.setdefault(_kind(finding), []).append(finding)
    for kind, (first, *others) in known.items():  # of what is alike the first, as it must be done first
        rank, text = _plainly(kind, first, found)
        also = f" The same of {listed([cut(one.what, WIDEST) for one in others], 3)}." if others else ""
        yield Headline(rank, False, text, _sentence(first.text) + also, first.hint)


def _kind(finding: Finding) -> str:
    """What it is a finding of: stale, moved and late of generations, else its first word."""
    if not finding.what.startswith("gen-"):
        return finding.what.split(" ")[0]
    return "late" if finding.hint.endswith("--extend") else "stale" if "sealed again" in finding.text else "moved"


def _plainly(kind: str, finding: Finding, found: Found) -> tuple[int, str]:
    name = finding.what.partition("-" if finding.what.startswith("gen-") else " ")[2]
    nobody = not found.judging["test"]["labelled"]
    return {
        "stale": (82, f"Generation {name} comes from labels that were replaced since."),
        "moved": (82, f"Generation {name} was taught by images that moved to another split since."),
        "late": (82, f"Generation {name} lacks images that came in later."),
        "labels": (78, "Some classes have no labelled image to learn from."),
        "room": (75, "The disk is nearly full."),
        "view": (64, f"The view {name} needs a look."),
        "test": (66, "No test image has a label." if nobody else "Few test images have a label."),
        "val": (50, "Few images can choose a threshold."),
    }.get(kind, (45, f"Look at {finding.what}."))


def _flips(found: Found) -> Iterator[Headline]:
    change = found.change
    if change is None or not change.compared:
        return
    share = 100 * len(change.flipped) / change.compared
    most = [f"{cut(flow.old, WIDEST)} → {cut(flow.new, WIDEST)} ({flow.count:,})" for flow in change.flipped.top(3)]
    detail = f"{len(change.flipped):,} of {change.compared:,} images"
    detail += f", most of them {listed(most, 3)}." if most else "."
    text = f"The newest generation changed its mind about {share:.1f} % of the images."
    yield Headline(40, None, text, detail, f"nsdata sheet --diff {change.a} {change.b}")


def _sizes(found: Found) -> Iterator[Headline]:
    counts = [f"{name} {n['images']:,} ({n['labelled']:,})" for name, n in found.judging.items() if n["images"]]
    detail = f"Images of each split, and how many a person labelled: {', '.join(counts)}." if counts else ""
    percent = 100 * found.labelled / max(found.images, 1)
    share = "less than 1 %" if 0 < percent < 0.5 else "more than 99 %" if 99.5 <= percent < 100 else f"{percent:.0f} %"
    if found.images and found.labelled == found.images:
        text = "People labelled every image: there is none left for a model to label."
        yield Headline(20, None, text, detail, "nsdata import FOLDER --unlabelled")
    elif found.images:
        yield Headline(20, None, f"People labelled {share} of the images.", detail, "nsdata show")
    classes = _named(found.store.classes, 8)
    yield Headline(10, None, f"There are {len(found.store.classes):,} classes.", f"{classes}.", "nsdata classes")


def _named(classes: Sequence[str], most: int) -> str:
    return listed([cut(name, WIDEST) for name in classes], most)


def _flattered(what: str) -> str:
    """Of images that had a part in training."""
    return "" if what == "test" else " They helped to choose the weights, which flatters it a little."


def _sentence(text: str) -> str:
    return f"{_upper(text)}." if text else ""


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]

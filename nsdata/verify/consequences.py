"""What damage means, in words: which rows of what, what fails because of it, and the command that helps."""

from __future__ import annotations

from collections.abc import Iterable

from nsdata.log.events import path
from nsdata.log.history import checkpoint_path
from nsdata.log.state import Model, State
from nsdata.storage.child import Outcome
from nsdata.text import listed
from nsdata.verify.datasets import Thing
from nsdata.verify.files import BadFile, Files
from nsdata.verify.log import HEAD, Logbook
from nsdata.verify.report import AGAIN, Finding, count_rows, joined, printed_rows
from nsdata.views import command

_REPAIR = "nsdata verify --repair"
_COLUMNS = {
    "id": "the ids of {rows} are not those of their images: labels and people's words may miss them",
    "label": "the labels that came with {rows} are lost or may be wrong, and with them what looks at labels",
    "split": "whether {rows} are for training, validation or test is lost or may be wrong",
    "source": "where {rows} came from is lost or may be wrong",
    "width": "the widths of {rows} are lost or may be wrong",
    "height": "the heights of {rows} are lost or may be wrong",
}


def of_log(book: Logbook, opens: bool) -> list[Finding]:
    """The findings on events, HEAD and checkpoints."""
    found = []
    closed = "" if opens else "the store does not open, and "
    for first, last in joined((number, number) for number in book.bad):
        bad = [book.bad[number] for number in range(first, last + 1)]
        events = f"event {first}" if first == last else f"events {first} to {last}"
        what = listed(list(dict.fromkeys(b.what for b in bad)))
        if first != last:
            what = what.replace("is missing", "are missing").replace("was changed", "were changed")
        newest = "; the newest can" if opens else ""
        consequence = f"{closed}versions from {first} on cannot be shown"
        if opens:
            consequence = f"versions up to {last} cannot be shown{newest}"
        hint = AGAIN
        if not opens and first > 1:
            hint += f"; --drop-lost-events in place of --from COPY gives up events {min(book.bad)} to {book.last}"
        files = tuple(path(b.number) for b in bad)
        ends = " (the last of the log)" if last == book.last else ""
        found.append(Finding(path(first), "log", f"{events}{ends} {what}", consequence, hint, files=files))
    if book.head_problem:
        consequence = "the loss of the log's last event would not be noticed" if opens else "the store does not open"
        found.append(Finding(HEAD, "log", book.head_problem, consequence, "nsdata verify --repair", files=(HEAD,)))
    for number, what in sorted(book.checkpoint_problems.items()):
        consequence = "the store opens more slowly; nothing is lost"
        if what.startswith("is not what"):
            consequence = "the store shows what is in the checkpoint, not what was published"
        where = checkpoint_path(number)
        found.append(Finding(where, "checkpoint", what, consequence, "nsdata verify --repair", files=(where,)))
    return found


def of_thing(thing: Thing, files: Iterable[Files], outcome: Outcome, state: State) -> Finding | None:
    """The finding on one dataset, or on one part of a generation; None if all of it is as it was published."""
    bad = [file for found in files for file in found.bad]
    if not bad and outcome.clean:
        return None
    runs = joined((thing.first + a, thing.first + b) for a, b in outcome.runs)
    whole = ((thing.first, thing.first + thing.rows - 1),)
    losses = {
        "images": _images,
        "labels": _labels,
        "embeddings": _embeddings,
        "people": _people,
        "view": _view,
    }[thing.kind](thing, outcome, state)
    if not losses:
        what_now = "its contents still read as they were published: nothing is lost yet"
        return Finding(_dataset(thing, bad), thing.kind, _what(thing, bad), what_now, _REPAIR, files=_paths(bad))
    if outcome.differing and not runs:
        runs = whole
    hint = _hint(thing, state)
    return Finding(
        _dataset(thing, bad),
        thing.kind,
        _what(thing, bad),
        "; ".join(losses),
        hint,
        rows=runs or whole,
        images=count_rows(runs or whole),
        files=_paths(bad),
    )


def of_model(model: Model, what: str) -> Finding:
    """The finding on a model's checkpoint."""
    consequence = f"generation {model.gen + 1} cannot be labelled or extended with it; stored labels are as they were"
    hint = f"put it back, or nsdata train --gen {model.gen}"
    return Finding(f"model {model.gen}", "model", f"{model.path} {what}", consequence, hint, files=(model.path,))


def _hint(thing: Thing, state: State) -> str:
    if thing.generation is not None:
        number = thing.generation.number
        current = state.generations.get(number)
        names = {piece.name for piece in current.pieces} if current else set()
        if any(place.name in names for place in thing.places):
            return f"{AGAIN}, or nsdata label --gen {number} --replace"
    if thing.embedded is not None and state.embeddings.get(thing.embedded.name) is not None:
        return f"{AGAIN}, or nsdata embed --model NAME --name {thing.embedded.name} --replace"
    if thing.kind == "view" and thing.view is not None:
        return f"{_REPAIR}, or {command.again(thing.view.recipe, name=thing.view.name)}"
    if thing.kind == "people":
        again = "" if thing.hides else f"; nsdata {'split --to SPLIT' if thing.moves else 'relabel'} --from CSV"
        return f"{AGAIN}, or nsdata undo {thing.event}{again}"
    if thing.kind == "images":
        return f"{AGAIN}; nsdata remove hides images from later versions"
    return AGAIN


def _dataset(thing: Thing, bad: list[BadFile]) -> str:
    hit = [place.at for place in thing.places if any(file.path.startswith(f"{place.at}/") for file in bad)]
    return ", ".join(hit or [place.at for place in thing.places])


def _what(thing: Thing, bad: list[BadFile]) -> str:
    if not bad:
        return f"{thing.words}: the files are as they were published, and their contents are not"
    lines = []
    for file in bad:
        at = next((place.at for place in thing.places if file.path.startswith(f"{place.at}/")), "")
        lines.append(f"{file.path.removeprefix(f'{at}/')} {file.what}")
    return f"{thing.words}: {listed(lines, 3)}"


def _paths(bad: list[BadFile]) -> tuple[str, ...]:
    return tuple(file.path for file in bad)


def _runs(thing: Thing, found: list[tuple[str, int, int]], columns: set[str]) -> tuple[tuple[int, int], ...]:
    return joined((thing.first + a, thing.first + b - 1) for column, a, b in found if column in columns)


def _images(thing: Thing, outcome: Outcome, state: State) -> list[str]:
    losses = []
    if runs := _runs(thing, outcome.unreadable, {"", "image"}):
        losses.append(f"{_some(runs)} cannot be read; views and training that use them fail")
    if runs := _runs(thing, outcome.wrong, {"image"}):
        was = "is not the one" if count_rows(runs) == 1 else "are not those"
        losses.append(f"{_some(runs)} {was} that came in under {'its id' if count_rows(runs) == 1 else 'their ids'}")
    for column, words in _COLUMNS.items():
        runs = _runs(thing, outcome.unreadable, {column})
        if column in outcome.differing and not runs:
            runs = ((thing.first, thing.first + thing.rows - 1),)
        if runs:
            losses.append(words.format(rows=printed_rows(runs)))
    return losses


def _labels(thing: Thing, outcome: Outcome, state: State) -> list[str]:
    assert thing.generation is not None
    of = f"of generation {thing.generation.number}"
    losses = []
    if runs := joined((thing.first + a, thing.first + b - 1) for _, a, b in outcome.unreadable):
        losses.append(f"the soft labels {of} of {printed_rows(runs)} cannot be read; what uses them fails")
    if runs := joined((thing.first + a, thing.first + b - 1) for _, a, b in outcome.wrong):
        losses.append(f"the soft labels {of} of {printed_rows(runs)} break the invariants of soft labels")
    differing = [column for column in outcome.differing if column != "ids"]
    if differing:
        whole = printed_rows(((thing.first, thing.first + thing.rows - 1),))
        named = " and ".join(column.replace("_", " ") for column in differing)
        losses.append(f"{named}: not all {of} of {whole} are those that the teacher wrote")
    if "ids" in outcome.differing:
        losses.append(f"the soft labels {of} were written for other images than those of these rows")
    return losses


def _embeddings(thing: Thing, outcome: Outcome, state: State) -> list[str]:
    assert thing.embedded is not None
    of, whole = f"of the embeddings {thing.embedded.name!r}", ((thing.first, thing.first + thing.rows - 1),)
    losses = []
    if runs := joined((thing.first + a, thing.first + b - 1) for _, a, b in outcome.unreadable):
        losses.append(f"the vectors {of} of {printed_rows(runs)} cannot be read; what uses them fails")
    if runs := joined((thing.first + a, thing.first + b - 1) for _, a, b in outcome.wrong):
        losses.append(f"the vectors {of} of {printed_rows(runs)} hold what is no number")
    if "vector" in outcome.differing:
        losses.append(f"vectors {of}: not all of {printed_rows(whole)} are those that the model made")
    if "ids" in outcome.differing:
        losses.append(f"the vectors {of} were made of other images than those of these rows")
    return losses


def _people(thing: Thing, outcome: Outcome, state: State) -> list[str]:
    if outcome.clean:
        return []
    if thing.hides:
        return [f"which {thing.rows:,} images were removed by event {thing.event} is lost or may be wrong"]
    if thing.moves:
        return [f"to which split event {thing.event} moved {thing.rows:,} images is lost or may be wrong"]
    lost = f"people's labels of {thing.rows:,} images by event {thing.event} is lost or may be wrong"
    return [f"{lost}, and with it what looks at labels"]


def _view(thing: Thing, outcome: Outcome, state: State) -> list[str]:
    assert thing.view is not None
    if outcome.repeated == "other":
        return [f"view {thing.view.name!r} is not what its recipe gives at version {thing.view.recipe['version']}"]
    return [] if outcome.clean else [f"view {thing.view.name!r} does not load; its recipe is in the log"]


def _some(runs: tuple[tuple[int, int], ...]) -> str:
    number = count_rows(runs)
    return f"{number:,} image{'' if number == 1 else 's'} ({printed_rows(runs)})"

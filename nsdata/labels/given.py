"""A generation whose soft labels somebody else made: matched to the images, staged and sealed as any other.

No model of the store is its teacher; its provenance says that the labels were given, and by the SHA-256 of what.

Legend: N rows of the store, n rows of the table, K classes.
"""

from __future__ import annotations

import json
import platform
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from nsdata import untrusted
from nsdata.arguments import flag, number, whole_number, wrong
from nsdata.errors import BadInput, BadLabels, Conflict, GenerationError
from nsdata.labels import labelling, matching
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import check_as_asked, check_order, check_same_teacher
from nsdata.labels.matching import Matched
from nsdata.labels.soft_table import Prepared, SoftTable
from nsdata.log.events import now
from nsdata.log.state import Generation
from nsdata.progress import Note, Progress, unheard, watched

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


MISSING = ("leave", "uniform")
COMMAND = "nsdata label --gen {} --from FILE"


@dataclass(frozen=True, slots=True)
class Given:
    """What came of soft labels that were given.

    images: that the generation labels with them; resumed: written by a run that was interrupted. rows: of the table.
    unknown: rows that name no image, and missing: images without a row, 20 of each; filled: of the missing
    ones, those that were given every class alike. right: of ``checked`` images that people labelled, the share whose
    most probable class is theirs (None: no such images); guessed: it is no better than chance. assumed: nothing
    names the classes, and the store's order was taken; doubt: why the classes may be mixed up, "" if nothing shows it.
    already: it was sealed before, just so or with the same labels of another file; nothing was done.
    """

    gen: int
    version: int
    images: int
    rows: int
    resumed: int
    seconds: float
    summary: dict[str, Any]
    unknown_count: int = 0
    missing_count: int = 0
    filled: int = 0
    checked: int = 0
    right: float | None = None
    guessed: bool = False
    assumed: bool = False
    doubt: str = ""
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    already: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def add(
    store: Handle,
    gen: int,
    table: SoftTable,
    *,
    teacher: Mapping[str, Any] | None = None,
    logits: bool = False,
    temperature: float = 1.0,
    top: int | None = None,
    max_kl: float = 0.05,
    missing: str = "leave",
    replace: bool = False,
    extend: bool = False,
    on_progress: Progress | None = None,
    on_note: Note = unheard,
) -> Given:
    """Write generation ``gen`` from soft labels that were given; sealed and tagged as if a model had written them.

    See Store.add_soft_labels, and SoftTable for what is given.
    """
    gen, temperature, max_kl = whole_number("gen", gen), _positive(temperature), number("max_kl", max_kl)
    logits, replace, extend = flag("logits", logits), flag("replace", replace), flag("extend", extend)
    if missing not in MISSING:
        raise wrong("missing", missing, "'leave' or 'uniform'")
    if missing == "leave" and table.missing in MISSING:
        missing = table.missing
    if temperature != 1 and not logits:
        raise BadInput("A temperature is that of a softmax, and there are no logits.", "--logits --temperature 0.5")
    facts, began = _facts(teacher), time.monotonic()
    store.refresh()
    classes = list(store.classes) if replace else classes_of(store, gen, lambda: table.sha256)
    codec = Codec.parse(table.codec) if top is None and table.codec else Codec.of(top, len(classes))
    asked = identity(classes, table.sha256, codec.name, missing, logits=logits, temperature=temperature)
    sealed = None if replace else store.generations.get(gen)
    prepare = partial(Prepared, table, classes, logits, temperature)
    same = sealed is not None and otherwise(store, sealed, asked, prepare)
    if sealed is None or (extend and not sealed.given and not same):
        check_order(store, gen, replace, extend, COMMAND)
        store.writable()
    if sealed is not None and not same:
        check_same_teacher(sealed, asked) if extend else check_as_asked(sealed, asked)
    prepared = prepare()
    for note in prepared.notices:
        on_note(note)
    matched = matching.match(store.table, prepared)
    told = matching.told(store, prepared, matched, "leave" if same else missing)
    if sealed is not None and (same or not (new := matching.beyond(store, sealed, matched.rows, missing))):
        rows, summary = sealed.rows, sealed.summary
        return Given(gen, sealed.event, rows, len(table), rows, 0.0, summary, already=True, **told)
    if sealed is not None and not extend:
        raise GenerationError(
            f"Generation {gen} is sealed already, at version {sealed.event}, with these labels; {new:,} images "
            "that they are of came in later.",
            f"nsdata label --gen {gen} --from FILE {'--extend' if len(classes) == len(store.classes) else '--replace'}",
        )
    check_order(store, gen, replace, extend, COMMAND)
    ranges = matching.runs(store, sealed if extend else None, matched.rows, missing)
    run = labelling.begin(store, gen, asked, replace=replace, extend=extend, ranges=ranges, on_note=on_note)
    if run.store.version != store.version:  # an interrupted run: the images of its day
        matched = matching.match(run.store.table, prepared)
    resumed = run.done
    with watched(on_progress, f"writing generation {gen}") as show:
        _write(run, prepared, matched, missing, show)
    provenance = _provenance(store, table, facts, told)
    event = run.seal(provenance, before=lambda summary: _judge(summary, max_kl))
    found = next(g for g in store.refresh().state.sealed if g.event == event)
    took = time.monotonic() - began
    return Given(gen, event, run.rows, len(table), resumed, took, found.summary, **told)


def otherwise(store: Handle, sealed: Generation, asked: Mapping[str, Any], prepare: Callable[[], Prepared]) -> bool:
    """Whether a generation has these very labels, to the bit, though it was not sealed with what is asked for: they
    came in another file, or of a model."""
    try:
        check_as_asked(sealed, asked)
    except GenerationError:
        with suppress(BadLabels):
            return matching.are_sealed(store, sealed, prepare())
    return False


def classes_of(store: Handle, gen: int, sha256: Callable[[], str]) -> list[str]:
    """The classes that given soft labels are of: the store's, or those of a generation that was sealed with these very
    ones before more classes were added, which is nothing new. sha256: of what is given, asked where it matters."""
    sealed, names = store.generations.get(gen), list(store.classes)
    if sealed is None or not sealed.given or (known := store.state.classes_at(sealed.version)) == len(names):
        return names
    return names[:known] if sealed.provenance["given_sha256"] == sha256() else names


def _provenance(
    store: Handle, table: SoftTable, teacher: dict[str, Any] | None, told: Mapping[str, Any]
) -> dict[str, Any]:
    """What is recorded beside the identity."""
    given = {
        "rows": len(table),
        **table.facts,
        "unknown": told["unknown_count"],
        "missing": told["missing_count"],
        "filled": told["filled"],
        "classes": "by name" if table.classes is not None else "in the store's order",
    }
    return {
        "given": given if teacher is None else {**given, "teacher": teacher},
        "store": store.state.id,
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("nsdata", "deeplake", "numpy")},
        "labelled": now(),
    }


def _positive(temperature: object) -> float:
    found = number("temperature", temperature)
    if not 0 < found < float("inf"):
        raise BadInput(f"The temperature is {found:g}; a number above 0 was expected.", "--temperature 1")
    return found


def _facts(teacher: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the caller says of the teacher, if JSON can keep it. Raises BadInput."""
    if teacher is None:
        return None
    if not isinstance(teacher, Mapping) or not all(isinstance(key, str) for key in teacher):
        raise wrong("teacher", teacher, "a dict of facts with texts as keys", "teacher={'name': 'clip-vit-b32'}")
    try:
        text = json.dumps(dict(teacher), allow_nan=False)
        untrusted.shallow(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"teacher holds what JSON cannot keep: {str(error)[:100]}.") from error
    if len(text) > 65_536:
        raise BadInput(f"teacher takes {len(text):,} characters; 65,536 are kept.")
    found: dict[str, Any] = json.loads(text)
    return found


def identity(
    classes: Sequence[str],
    sha256: str,
    codec: str | None = None,
    missing: str | None = None,
    *,
    logits: bool = False,
    temperature: float = 1.0,
) -> dict[str, Any]:
    """All that decides the numbers. codec, missing: None as where nobody says otherwise."""
    return {
        "given_sha256": sha256,
        "given_as": "logits" if logits else "probabilities",
        "classes": list(classes),
        "temperature": temperature,
        "missing": missing or "leave",
        "codec": codec or Codec().name,
    }


def _write(run: labelling.Run, prepared: Prepared, matched: Matched, missing: str, show: Progress) -> None:
    step = max(1, matching.AT_ONCE // prepared.classes)
    show(run.done, run.rows)
    for part in run.open_parts():
        with labelling.PartWriter(part) as writer:
            pending = part.pending
            for start in range(0, len(pending), step):
                rows = pending[start : start + step]
                places = matched.places_of(rows)
                if missing == "leave" and (lost := rows[(places < 0) & (run.store.table.width[rows] > 0)]).size:
                    raise Conflict(f"The interrupted run labels row {int(lost[0]):,}, of which there is no row now.")
                writer.write_columns(prepared.encode(run.codec, places))
                show(run.done + start + len(rows), run.rows)


def _judge(summary: dict[str, Any], most: float) -> None:
    if summary.get("kl_mean", 0.0) > most:
        raise BadLabels(
            f"So few classes lose {summary['kl_mean']:.4f} nats of an average soft label (mean KL divergence); at most "
            f"{most:g} is allowed, so nothing was sealed.",
            "a larger --top, none at all, or --max-kl",
        )

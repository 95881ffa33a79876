"""Which images a generation may and should label now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nsdata.errors import Conflict, GenerationError
from nsdata.labels.codec import Codec
from nsdata.log.parts import Embedded
from nsdata.log.state import Generation, State

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


def unlabelled_rows(state: State, covered: Generation | Embedded) -> int:
    """Images of a version that a generation does not label, or that have none of these vectors."""
    return sum(stop - start for start, stop in to_label(state, covered))


def check_order(
    store: Handle, gen: int, replace: bool = False, extend: bool = False, command: str = "nsdata label --gen {}"
) -> None:
    """Raise GenerationError unless generation ``gen`` may be written now. command: of hints that label another."""
    have = store.state.generations
    if gen < 1:
        raise GenerationError(
            f"Generation {gen} cannot be labelled: generation 0 is people's labels, soft labels begin at 1.",
            command.format(1),
        )
    if gen > 1 and gen - 1 not in have:
        nearest = next(g for g in range(1, gen) if g not in have)
        raise GenerationError(
            f"Generation {gen} cannot be labelled before generation {gen - 1}; "
            + (f"this store has {', '.join(map(str, sorted(have)))}." if have else "this store has none yet."),
            command.format(nearest),
        )
    if gen not in have and extend:
        raise GenerationError(f"Generation {gen} has no labels to extend yet.", command.format(gen))
    if extend and not unlabelled_rows(store.state, have[gen]):
        raise GenerationError(f"Generation {gen} labels every image of the store already.", f"nsdata show --gen {gen}")
    if extend and (known := store.state.classes_at(have[gen].version)) < len(store.classes):
        raise GenerationError(
            f"Generation {gen} is of {known} classes, and the store has {len(store.classes)} now; it is not extended "
            "with other labels.",
            f"{command.format(gen)} --replace",
        )
    if gen in have and not replace and not extend:
        later = unlabelled_rows(store.state, have[gen])
        more = f"; {later:,} images {'are not in it' if have[gen].given else 'came in later'}" if later else ""
        raise GenerationError(
            f"Generation {gen} is sealed already, at version {have[gen].event}{more}.",
            f"nsdata label --gen {gen} --extend"
            if later
            else f"nsdata show --gen {gen}; the same command with --replace writes it again",
        )
    if not to_label(store.state):
        raise GenerationError("The store has no images to label.", "nsdata import FOLDER")


def as_asked(store: Handle, gen: int, asked: Mapping[str, Any]) -> Generation:
    """Generation ``gen``, which is sealed, if that is all that is asked for: it labels every image, and nothing that
    decides its numbers differs. Raises GenerationError saying what does, or that images came in later."""
    sealed = store.state.generations[gen]
    if unlabelled_rows(store.state, sealed):
        check_order(store, gen)
    check_as_asked(sealed, asked)
    return sealed


def check_as_asked(sealed: Generation, asked: Mapping[str, Any]) -> None:
    """Raise GenerationError saying what differs from what is asked for of that which decided a generation's numbers."""
    gen = sealed.number
    facts = {**_NOT_DONE, **sealed.provenance, "codec": Codec.recorded(sealed.provenance).name}
    for key, value in {**_NOT_DONE, **asked}.items():
        was = facts.get(key, None if key in _WRITERS else value)
        if was != value:
            raise GenerationError(
                f"Generation {gen} is sealed already, at version {sealed.event}, "
                f"{_otherwise(sealed, key, was, value)}.",
                f"nsdata show --gen {gen}; the same command with --replace writes it again",
            )


def to_label(state: State, covered: Generation | Embedded | None = None) -> list[tuple[int, int]]:
    """(start, stop) of the runs of rows that are to be labelled, or embedded: imports that count, without what is."""
    taken = [(part.start, part.start + part.rows) for part in covered.parts] if covered is not None else []
    ranges: list[tuple[int, int]] = []
    for segment in state.segments:
        if segment.event in state.undone:
            continue
        at, stop = segment.start, segment.start + segment.rows
        for low, high in [*(t for t in taken if t[0] < stop and t[1] > at), (stop, stop)]:
            if low > at:
                if ranges and ranges[-1][1] == at:
                    ranges[-1] = (ranges[-1][0], min(low, stop))
                else:
                    ranges.append((at, min(low, stop)))
            at = max(at, high)
    return ranges


def check_same_teacher(sealed: Generation, identity: dict[str, Any]) -> None:
    """Raise Conflict where a generation was written by another teacher, or otherwise, than would extend it."""
    facts = {**_NOT_DONE, **sealed.provenance}
    for key, value in {**_NOT_DONE, **identity}.items():
        was = facts.get(key, None if key in _WRITERS else value)
        if was != value and key not in ("batch_size", "embeddings"):  # vectors are the same network's answers
            raise Conflict(
                f"Generation {sealed.number} was written {_otherwise(sealed, key, was, value)}: it cannot be extended "
                "with other labels.",
                f"nsdata label --gen {sealed.number} {'--from FILE ' if 'given_sha256' in identity else ''}--replace",
            )


_NOT_DONE = {"noised_teacher": None, "tta": None}  # only recorded where it was done
_WRITERS = ("teacher_sha256", "given_sha256")  # a generation has one of them: who wrote it


def _otherwise(sealed: Generation, key: str, was: Any, value: Any) -> str:
    """How a sealed generation differs from what is asked for."""
    if key in _WRITERS and was is None:
        return "with labels given by a file or an array" if sealed.given else "by a teacher"
    what = "labels of sha256" if key == "given_sha256" else key.replace("_", " ")
    return f"with {what} {_short(was)}, not {_short(value)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def another_won(gen: int, sealed: Generation | None) -> Conflict:
    """The words for a run that came too late."""
    if sealed is None:
        return Conflict(f"Generation {gen} was undone while it was labelled; nothing was published.", "nsdata log")
    teacher = f"teacher {str(sealed.provenance.get('teacher_sha256', 'unknown'))[:8]}"
    if sealed.given:
        teacher = f"labels {str(sealed.provenance['given_sha256'])[:8]}"
    host = sealed.provenance.get("host")
    return Conflict(
        f"Generation {gen} was sealed meanwhile by another run, of {teacher}{f' on {host}' if host else ''} "
        f"(version {sealed.event}); these labels are not published.",
        f"nsdata show --gen {gen}; nsdata label --gen {gen} --replace",
    )

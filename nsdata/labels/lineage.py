"""The lineage of a generation: who wrote it, what that teacher learnt from, and so on back to people's labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nsdata.arithmetic.intervals import val_text
from nsdata.labels.labels import of_generation
from nsdata.labels.sentences import given_sentence
from nsdata.log.state import Generation, State

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

MOST, DEEPEST = 1000, 400  # links that are listed, and how deep: four and two to a generation


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One link. ``depth`` 0 is the generation itself, 1 its teacher, 2 what that learnt from, …

    kind: "generation", "model", "given" (soft labels that somebody else made), "labels" (people's) or "view"; version:
    the event that published it, None where no event names it (a teacher that came from elsewhere).
    """

    depth: int
    kind: str
    number: int | None
    version: int | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def lineage(store: Handle, gen: int) -> list[Ancestor]:
    """The lineage of a sealed generation, nearest first, ``MOST`` links of it. Raises GenerationError."""
    of_generation(store, gen)  # raises with the right words
    return _of_generation(store, store.generations[gen], 0)[:MOST]


def lines(ancestors: list[Ancestor]) -> list[str]:
    """As people read it, indented."""
    return ["  " * ancestor.depth + ancestor.text for ancestor in ancestors]


def _of_generation(store: Handle, generation: Generation, depth: int) -> list[Ancestor]:
    facts = generation.provenance
    now = store.state.generations.get(generation.number)
    replaced = " (sealed again since)" if now is not None and now.origin != generation.origin else ""
    teachers = facts.get("teachers") or [facts]
    mean = f" the mean of {len(teachers)} teachers" if len(teachers) > 1 else ""
    text = (
        f"generation {generation.number}, version {generation.event}{replaced}: {generation.rows:,} images, labelled by"
        f"{mean}"
    )
    own = Ancestor(depth, "generation", generation.number, generation.event, text)
    if generation.given:
        return [own, Ancestor(depth + 1, "given", None, None, f"no model of this store: {given_sentence(facts)}")]
    line = [own]
    for one in teachers[:MOST]:
        line += _of_teacher(store, one, depth + 1, generation.event)
    return line


def _of_teacher(store: Handle, facts: dict[str, Any], depth: int, before: int) -> list[Ancestor]:
    """One of a generation's teachers, and what it learnt from."""
    number, event = facts.get("teacher_generation"), facts.get("teacher_event")
    sha = str(facts.get("teacher_sha256", "unknown"))[:8]
    measured = val_text(facts.get("teacher_val_accuracy"), facts.get("teacher_val_images"))
    name = f"model {number}" if event is not None else "a model from elsewhere"
    at = f", version {event}" if event is not None else f", {facts.get('teacher', 'path unknown') or 'given in Python'}"
    views = facts.get("teacher_views")
    learnt = "trained on" if views else "whose training this store does not know"
    teacher = f"{name}{at}: {facts.get('model', 'unknown')}, {measured}, sha256 {sha}, {learnt}"
    line = [Ancestor(depth, "model", number, event, teacher)]
    for recipe in views or []:
        if len(line) >= MOST or depth > DEEPEST:  # a store may say that a hundred views of each taught the next
            break
        line += _of_view(store, recipe, depth + 1, before)
    return line


def _of_view(store: Handle, recipe: dict[str, Any], depth: int, before: int) -> list[Ancestor]:
    """What a view gave to training: people's labels, or soft labels of an earlier generation."""
    version, gen = int(recipe["version"]), recipe["gen"]
    steps = " · ".join(_step(step) for step in recipe["steps"]) or "all images"
    named = f"view {recipe['name']}, " if recipe.get("name") else ""
    rows = f"{recipe['rows']:,} rows" if "rows" in recipe else "rows"
    if not 1 <= version <= store.version or version >= before:  # nothing descends from itself
        text = f"{rows} of version {version} of another store"
        return [Ancestor(depth, "labels" if gen is None else "generation", gen, None, text)]
    then = store.at(version).state
    if gen is None:
        text = f"people's labels: {rows} ({steps}) at version {version}; {_people(then)}"
        return [Ancestor(depth, "labels", None, version, text)]
    if gen not in then.generations:
        return [Ancestor(depth, "view", gen, version, f"{rows} of generation {gen}, which version {version} has not")]
    text = f"soft labels: {rows} ({named}{steps}) of"
    own = Ancestor(depth, "view", gen, version, text)
    return [own, *_of_generation(store, then.generations[gen], depth + 1)]


def _people(then: State) -> str:
    """Where people's labels come from."""
    imports = [str(s.event) for s in then.segments if s.event not in then.undone]
    batches = [str(batch.event) for batch in then.people]
    text = f"imported by version {', '.join(imports[:6])}{' …' if len(imports) > 6 else ''}"
    if batches:
        text += f", relabelled by version {', '.join(batches[:6])}{' …' if len(batches) > 6 else ''}"
    return text


def _step(step: dict[str, Any]) -> str:
    """A step of a recipe in a few words: its kind and what it was given."""
    values = [", ".join(map(str, v)) if isinstance(v, list) else str(v) for k, v in step.items() if k != "kind" and v]
    return " ".join([step["kind"], *values])

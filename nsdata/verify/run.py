"""Is everything as it was published? Events, files, images, labels, views and models, each against its digest.

The log is read first, by a reader that expects damage (log.py); files are compared with their inventories (files.py);
what lies in them is read by a process of its own (storage/child.py, reader.py), as the engine may crash on damage.
"""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import replace
from pathlib import Path

from nsdata.arguments import flag, whole_number
from nsdata.errors import BadInput, NsdataError, StoreNotFound
from nsdata.log.events import path
from nsdata.log.history import History
from nsdata.log.state import Model, State
from nsdata.progress import Progress, watched
from nsdata.storage import engine
from nsdata.storage.address import canonical, checkpoint
from nsdata.storage.child import Examiner, Job, Outcome
from nsdata.storage.objects import Objects
from nsdata.text import listed
from nsdata.verify import repair
from nsdata.verify.consequences import of_model, of_thing
from nsdata.verify.datasets import Thing, things
from nsdata.verify.files import Files, look
from nsdata.verify.log import read
from nsdata.verify.report import Finding, Report
from nsdata.versions.handle import Handle

SECONDS, SUSPECT_SECONDS = 180.0, 10.0  # for a block of rows whose files are whole; for one of damaged files
SAMPLED_ROWS, _BLOCK_BYTES = 256, 64 << 20


def verify(
    url: str | Path,
    *,
    repair: bool = False,
    sample: bool = False,
    seed: int | None = None,
    copy: str | Path | None = None,
    drop_lost_events: bool = False,
    on_progress: Progress | None = None,
) -> Report:
    """Compare all that is published at an address with what it was when it was published.

    repair: repair what can be repaired. copy: another store's address, such as a backup, to take whole files from.
    drop_lost_events: where events are lost for good, set the log back to the last one before them.
    sample: sizes of all files, contents of a few files and rows of each dataset, drawn by ``seed`` (default: the day).

    Damage is reported, never raised. Raises StoreNotFound, StoreTooNew, BadInput; StorageFailed: a repair cannot write.
    """
    repair, sample, drop = flag("repair", repair), flag("sample", sample), flag("drop_lost_events", drop_lost_events)
    objects = Objects(canonical(url))
    if (copy is not None or drop) and not repair:
        raise BadInput("Nothing is repaired unless it is asked for.", "--repair")
    if seed is not None and not sample:
        raise BadInput("A seed draws the sample, and everything is read.", "nsdata verify --sample --seed 1")
    backup = None if copy is None else Objects(canonical(copy))
    if backup is not None and backup.get(path(1)) is None and backup.get("log/HEAD") is None:
        raise StoreNotFound(f"There is no store at {backup.url} to take anything from.", f"ls {backup.url}")
    if repair:
        read(objects)  # raises StoreNotFound before anything is written
        objects.writable()
    drawn = (int(time.time() // 86_400) if seed is None else whole_number("seed", seed)) if sample else None
    with Examiner(objects.url) as examiner, watched(on_progress, "verify", "datasets") as report:
        return _Verification(objects, backup, repair, drawn, examiner).run(drop, report)


class _Verification:
    """One look at one store."""

    def __init__(
        self, objects: Objects, copy: Objects | None, repair: bool, seed: int | None, examiner: Examiner
    ) -> None:
        self.objects, self.copy, self.repair, self.seed, self.examiner = objects, copy, repair, seed, examiner
        self.report = Report(objects.url, seed=seed)
        self.suspect: dict[str, Thing] = {}  # by dataset: what does not read as it was published
        self.not_run: dict[str, list[str]] = {}  # why -> views whose recipes were not run again
        self.blamed: list[tuple[Finding, Thing]] = []

    def run(self, drop: bool, on_progress: Progress) -> Report:
        """Log, datasets, recipes, models."""
        began = time.monotonic()
        if self.repair:
            book, found = repair.repair_log(self.objects, self.copy, drop)
        else:
            book = read(self.objects)
            found = repair.log_findings(self.objects, book)
        self.report.findings += found
        self.report.notes += book.notes
        self.report.events, self.report.bytes = len(book.raws), book.bytes
        if book.lagging:
            self.report.notes.append("log/HEAD is behind: a writer was killed after its event; --repair writes it")
        self.whole = not book.bad and repair.opens(self.objects)
        if not book.certain and book.state is not None:
            self.report.notes.append(
                "events are lost, and with them perhaps datasets: what the others name is verified"
            )
        if book.state is None:
            self.report.notes.append("no dataset was looked at: without its first event the log says too little")
        else:
            self._datasets(book.state, book.certain, on_progress)
            for model in book.state.models.values():
                self._model(model)
        for why, views in self.not_run.items():
            self.report.notes.append(
                f"not made again from its recipe: view {listed(views, 5)}: {why}; the rows are kept"
            )
        self._swept_meanwhile()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _datasets(self, state: State, certain: bool, on_progress: Progress) -> None:
        named = things(state)
        for done, thing in enumerate(named):
            on_progress(done, len(named), MB=round(self.report.bytes / 1e6))
            files, outcome = self._look(thing, state, certain)
            self.report.datasets += len(thing.places)
            self.report.files += sum(found.looked_at for found in files)
            self.report.bytes += sum(found.bytes for found in files)
            self.report.images += outcome.rows if thing.kind == "images" else 0
            for found in files:
                if found.longer:
                    self.report.notes.append(f"{found.longer} came after publication; its rows do not count")
            finding = of_thing(thing, files, outcome, state)
            if finding is None:
                continue
            if self.repair:
                finding.repaired = self._repaired(thing, files, state, certain)
            if not finding.repaired and not outcome.clean:
                self.suspect |= {place.name: thing for place in thing.places}
            self.report.findings.append(finding)
            self.blamed.append((finding, thing))
        on_progress(len(named), len(named), MB=round(self.report.bytes / 1e6))

    def _look(self, thing: Thing, state: State, certain: bool) -> tuple[list[Files], Outcome]:
        """A dataset's files, then what is in them."""
        files, began = [], time.monotonic()
        for place in thing.places:
            draw = None if self.seed is None else random.Random(f"{self.seed} {place.name}")
            files.append(look(self.objects, place.at, place.files, draw) if place.files else Files())
        self.report.hashing += time.monotonic() - began
        bad = any(found.bad for found in files)
        if all(found.opens for found in files):
            outcome = self._read(thing, state, certain, suspect=bad)
        else:
            outcome = Outcome(unreadable=[("", 0, thing.rows)])
        if thing.kind == "view" and outcome.clean and not bad:
            self._recipe(thing, state, outcome)
        return files, outcome

    def _read(self, thing: Thing, state: State, certain: bool, *, suspect: bool) -> Outcome:
        job = thing.job(self.objects.url, state)
        width = max(1, sum(size for _, size in self.objects.list(thing.places[0].at)) // max(1, thing.rows))
        job.block = max(1, min(65_536, _BLOCK_BYTES // width))
        if job.beside and certain:
            job.ids = self._ids(thing, state)
        if self.seed is not None and thing.rows > SAMPLED_ROWS:
            first = random.Random(f"{self.seed} rows of {thing.places[0].name}").randrange(thing.rows - SAMPLED_ROWS)
            job.sample = (first, first + SAMPLED_ROWS)
        elif self.seed is not None:
            job.sample = (0, thing.rows)
        if suspect:
            return self.examiner.examine(job, SUSPECT_SECONDS)
        return self.examiner.examine(job, SECONDS, patience=2)

    def _ids(self, thing: Thing, state: State) -> list[tuple[str, int, int]]:
        """Where the ids lie that a part was written for; nothing where they are damaged themselves."""
        found, stop = [], thing.first + thing.rows
        for other in things(state):
            if other.kind != "images" or other.first >= stop or other.first + other.rows <= thing.first:
                continue
            if other.places[0].name in self.suspect:
                return []
            low, high = max(thing.first, other.first), min(stop, other.first + other.rows)
            found.append((f"{self.objects.url}/{other.places[0].at}", low - other.first, high - other.first))
        return found if sum(high - low for _, low, high in found) == thing.rows else []

    def _recipe(self, thing: Thing, state: State, outcome: Outcome) -> None:
        """Run a view's recipe again, where all that it reads is whole."""
        assert thing.view is not None
        if self.seed is not None:
            return
        if not self.whole:
            self._not_run(thing, "the log is damaged")
            return
        if damaged := sorted(self._reads(thing) & self.suspect.keys()):
            self._not_run(thing, f"{damaged[0]}, which is read for it, is damaged")
            return
        job = Job("recipe", thing.rows, store=self.objects.url, event=thing.event)
        outcome.repeated = self.examiner.examine(job, max(SECONDS, state.rows / 5_000), patience=2).repeated
        match outcome.repeated:
            case "same":
                return
            case "damaged":
                outcome.wrong.append(("row", 0, thing.rows))
                return
            case "other":
                published = {segment.event: segment.digests for segment in state.segments}
                images = [t for t in things(state) if t.kind == "images" and t.event <= thing.view.recipe["version"]]
                if all(segment.digests == published[segment.event] for segment in images):
                    outcome.wrong.append(("row", 0, thing.rows))
                    return
                self._not_run(thing, "images that are read for it were purged since")
            case "gone":
                self._not_run(thing, "gc took what it was made of")
            case _:
                self._not_run(thing, outcome.repeated or "it could not be read in time")
        outcome.repeated = ""

    def _not_run(self, thing: Thing, why: str) -> None:
        assert thing.view is not None
        self.not_run.setdefault(why, []).append(thing.view.name)

    def _reads(self, thing: Thing) -> set[str]:
        """The datasets that a view's recipe reads."""
        assert thing.view is not None
        recipe = thing.view.recipe
        state = Handle.open(self.objects.url).at(recipe["version"]).state
        gens = {recipe["gen"], recipe["select_gen"]}
        for step in recipe["steps"]:
            gens |= set(step.get("gens", ())) if step["kind"] != "where" else set(state.generations)
        parts = [part for gen, g in state.generations.items() if gen in gens for part in g.parts]
        names = {piece.name for part in parts for piece in part.pieces} | {s.name for s in state.segments}
        return names | {batch.name for batch in (*state.people, *state.removed, *state.splits)} - {""}

    def _repaired(self, thing: Thing, files: list[Files], state: State, certain: bool) -> str:
        """Repair a dataset and look again. Returns what was done; empty if it is not whole."""
        done = 0
        for _ in range(2):  # the list of files first, then what it lists
            for place, found in zip(thing.places, files, strict=True):
                done += repair.repair_files(self.objects, self.copy, place, found)
            files, outcome = self._look(thing, state, certain)
            if outcome.clean and not any(found.bad for found in files):
                taken = f" from {self.copy.url}" if self.copy is not None else ""
                return f"{done:,} files put back{taken}" if done != 1 else f"1 file put back{taken}"
        if not self.whole:
            return ""
        return self._again(thing, files, outcome, state, certain)

    def _again(self, thing: Thing, files: list[Files], outcome: Outcome, state: State, certain: bool) -> str:
        """Write again what still reads right, or follows from a recipe, and let it take the damaged one's place."""
        store, names = Handle.open(self.objects.url), []
        remade = thing.kind == "view" and not outcome.clean
        if (remade and self._reads(thing) & self.suspect.keys()) or (not remade and not outcome.clean):
            return ""
        for place, found in zip(thing.places, files, strict=True):
            if not found.bad and not remade:
                continue
            try:
                name = repair.rebuilt_view(store, thing) if remade else repair.rewritten(store, thing, place)
            except NsdataError as error:
                self.report.notes.append(f"{place.at} could not be written again: {error.message}")
                return ""
            written = replace(place, at=name, files="")
            trial = replace(thing, places=tuple(written if p is place else p for p in thing.places))
            if not name or not self._read(trial, state, certain, suspect=False).clean:
                if name:
                    engine.delete(f"{store.url}/{name}")
                return ""
            repair.publish(store, place, name)
            names.append(name)
        return f"{'made again from its recipe' if remade else 'written again'}, as {', '.join(names)}"

    def _model(self, model: Model) -> None:
        """The checkpoint that will be the teacher of the next generation."""
        file = checkpoint(self.objects.url, model.path, model.sha256)
        began = time.monotonic()
        try:
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
            self.report.bytes += file.stat().st_size
            self.report.hashing += time.monotonic() - began
            self.report.files += 1
        except OSError as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            self._found_model(model, what)
            return
        if found != model.sha256:
            self._found_model(model, "is not the file that was published")

    def _found_model(self, model: Model, what: str) -> None:
        self.report.findings.append(of_model(model, what))

    def _swept_meanwhile(self) -> None:
        """What gc or a purge took away while we looked is no damage."""
        if not self.blamed or not self.whole:
            return
        now = History(Objects(self.objects.url)).newest()
        if now is None:
            return
        for finding, thing in self.blamed:
            gone = any(now.is_swept(place.at) or place.at in now.moved for place in thing.places)
            if gone and not finding.repaired:
                self.report.findings.remove(finding)
                self.report.notes.append(f"{finding.dataset} was taken away while it was looked at")

"""A store after any sequence of changes is what a few lines of plain Python say it is, at every version."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nsdata import Store
from nsdata.errors import Conflict, NsdataError
from nsdata.labels import labelling

PIXELS, TRUTH = digits(60)


@dataclass
class Change:
    """One event, as the model keeps it."""

    kind: str
    images: dict[str, tuple[int, str]] = field(default_factory=dict)  # id -> label, split
    said: dict[str, int] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)
    classes: int = 0
    gen: int = 0
    rows: list[tuple[int, str]] = field(default_factory=list)  # (import, id) that a generation labels, as it was sealed
    soft: dict[tuple[int, str], bytes] = field(default_factory=dict)
    extends: int | None = None
    target: int = 0


class Model:
    """The log as a list; every version is replayed from it."""

    def __init__(self) -> None:
        self.changes: list[Change] = [Change("created")]

    def undone(self, version: int) -> set[int]:
        out: set[int] = set()
        for number in range(version, 0, -1):
            change = self.changes[number - 1]
            if change.kind == "undone" and number not in out:
                out.add(change.target)
        return out

    def active(self, version: int) -> list[tuple[int, Change]]:
        out = self.undone(version)
        return [(n, c) for n, c in enumerate(self.changes[:version], 1) if n not in out]

    def rows(self, version: int) -> list[tuple[int, str]]:
        """(import, id) of every row, whether its import counts or not."""
        found = enumerate(self.changes[:version], 1)
        return [(n, id_) for n, c in found if c.kind == "imported" for id_ in c.images]

    def images(self, version: int, *, hidden: bool = False) -> dict[str, tuple[int, str, int]]:
        """Visible images, or also those that were removed: id -> label, split, import."""
        out: dict[str, tuple[int, str, int]] = {}
        active = self.active(version)
        for number, change in active:
            for id_, (label, split) in change.images.items():
                out[id_] = (label, split, number)
        for _, change in active:
            if change.kind in ("relabelled", "imported"):
                for id_, label in change.said.items():
                    if id_ in out:
                        out[id_] = (label, *out[id_][1:])
        for number, change in active:
            for id_, split in change.moves.items():
                if id_ in out and out[id_][2] <= number:
                    out[id_] = (out[id_][0], split, out[id_][2])
        for _, change in active:
            if change.kind == "removed" and not hidden:
                for id_ in change.said:
                    out.pop(id_, None)
        return out

    def classes(self, version: int) -> int:
        return len(CLASSES) + sum(change.classes for change in self.changes[:version])

    def past(self, version: int, id_: str) -> set[tuple[int, str]]:
        """The labels and splits that an image had together before it was moved; none where it never was."""
        here = self.images(version, hidden=True)[id_][2]
        label, split = self.changes[here - 1].images[id_]
        out, moved = set(), False
        for number, change in self.active(version):
            out |= {(label, split), (-1, split)}
            if change.kind in ("relabelled", "imported"):
                label = change.said.get(id_, label)
            if id_ in change.moves and here <= number:
                split, moved = change.moves[id_], True
        return out if moved else set()

    def imports(self, version: int, given: dict[str, int], split: str) -> Change:
        """What an import of these labels changes, in words of the documents."""
        here, done = self.images(version, hidden=True), Change("imported")
        for id_, label in given.items():
            if id_ not in here:
                done.images[id_] = (label, split)
                continue
            was, now, number = here[id_]
            came = self.changes[number - 1].images[id_][0]
            if split != now:
                if (label, split) == (-1, "train") or (label, split) in self.past(version, id_):
                    continue
                if (was, now) != (-1, "train") or self.past(version, id_):
                    continue  # a clash
                done.moves[id_] = split
            if label not in (-1, was, came) and was == -1:
                done.said[id_] = label
        return done

    def generations(self, version: int) -> dict[int, Change]:
        return {c.gen: c for _, c in self.active(version) if c.kind == "sealed"}

    def tags(self, version: int) -> int:
        return sum(c.kind == "tagged" for _, c in self.active(version))


class Machine(RuleBasedStateMachine):
    """Changes a real store on disk and the model alike."""

    @initialize()
    def create(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.store = Store.create(f"{self.folder}/lake", CLASSES)
        self.model = Model()
        self.runs = 0

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    @property
    def version(self) -> int:
        return len(self.model.changes)

    @rule(
        first=st.integers(0, 50),
        count=st.integers(1, 10),
        known=st.booleans(),
        split=st.sampled_from(["train", "val", "test"]),
    )
    def import_(self, first: int, count: int, known: bool, split: str) -> None:
        pixels, truth = PIXELS[first : first + count], TRUTH[first : first + count]
        labels = truth if known else np.full(len(truth), -1, np.int32)
        given = dict(zip(self._ordered_ids(pixels), labels.tolist(), strict=True))
        expected = self.model.imports(self.version, given, split)
        done = self.store.add_arrays(pixels, labels, split=split, source="s")  # type: ignore[arg-type]
        if done.version is None:
            assert not (expected.images or expected.said or expected.moves)
            return
        if done.revived:
            brought = (expected.images, expected.said, expected.moves)
            same = [n for n, c in self._undone("imported") if (c.images, c.said, c.moves) == brought]
            target = max(k for k, c in enumerate(self.model.changes, 1) if c.kind == "undone" and c.target == same[-1])
            self.model.changes.append(Change("undone", target=target))
            return
        assert (done.added, done.gained) == (len(expected.images), len(expected.said))
        assert sum(done.moved.values()) == len(expected.moves)
        self.model.changes.append(expected)

    def _ordered_ids(self, pixels: np.ndarray) -> list[str]:
        from nsdata.importers.formats.arrays import items

        return [item.id.hex() for item in items(pixels, None, split="train", source="s")]  # type: ignore[union-attr]

    def _undone(self, kind: str) -> list[tuple[int, Change]]:
        out = self.model.undone(self.version)
        return [(n, c) for n, c in enumerate(self.model.changes, 1) if n in out and c.kind == kind]

    def _some(self, data: st.DataObject, most: int) -> list[str]:
        here = sorted(self.model.images(self.version))
        assume(here)
        return data.draw(st.lists(st.sampled_from(here), min_size=1, max_size=most, unique=True))

    @rule(count=st.integers(1, 2))
    def add_classes(self, count: int) -> None:
        have = self.model.classes(self.version)
        assume(have < 14)
        self.store.add_classes([f"class {have + place}" for place in range(count)])
        self.model.changes.append(Change("classes", classes=count))

    @rule(data=st.data(), label=st.integers(-1, 13))
    def relabel(self, data: st.DataObject, label: int) -> None:
        assume(label < self.model.classes(self.version))
        said = dict.fromkeys(self._some(data, 25), label)
        here = self.model.images(self.version)
        self.store.relabel(dict.fromkeys(said, None if label < 0 else label))
        if any(here[id_][0] != label for id_ in said):  # else it is so already, and nothing is published
            self.model.changes.append(Change("relabelled", said=said))

    @rule(data=st.data(), split=st.sampled_from(["train", "val", "test"]))
    def move(self, data: st.DataObject, split: str) -> None:
        here, images = self.model.images(self.version), self._some(data, 25)
        self.store.move_split(images, split)  # type: ignore[arg-type]
        if moves := {id_: split for id_ in images if here[id_][1] != split}:
            self.model.changes.append(Change("split", moves=moves))

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        gone = self._some(data, 4)
        self.store.remove(gone)
        self.model.changes.append(Change("removed", said=dict.fromkeys(gone, -1)))

    @rule()
    def tag(self) -> None:
        self.store.tag(f"tag-{self.version}")
        self.model.changes.append(Change("tagged"))

    @precondition(lambda self: self.model.images(self.version))
    @rule(replace=st.booleans(), kills=st.integers(0, 3))
    def label(self, replace: bool, kills: int) -> None:
        have = self.model.generations(self.version)
        gen = max(have, default=0) + (0 if replace and have else 1)
        assume(gen <= 3)
        self.runs += 1
        self._seal(gen, {"teacher_sha256": str(self.runs), "batch_size": 4}, kills, replace=gen in have)

    @rule(kills=st.integers(0, 2))
    def extend(self, kills: int) -> None:
        have = self.model.generations(self.version)
        assume(have)
        gen = max(have)
        identity = {"teacher_sha256": self.store.labels(gen).provenance["teacher_sha256"], "batch_size": 4}
        covered = set(have[gen].soft)
        active = {n for n, _ in self.model.active(self.version)}
        assume(any(row not in covered and row[0] in active for row in self.model.rows(self.version)))
        assume(self.store.labels(gen).known == self.model.classes(self.version))
        self._seal(gen, identity, kills, extend=True)

    def _seal(self, gen: int, identity: dict[str, object], kills: int, **how: bool) -> None:
        every = self.model.rows(self.version)
        soft = soft_labels(len(every), self.model.classes(self.version), self.version)
        for kill in range(kills + 1):
            run = labelling.begin(Store.open(self.store.url), gen, dict(identity), **how)
            for part in run.open_parts():
                with labelling.PartWriter(part) as writer:
                    rows = part.pending
                    if kill < kills:  # some batches are committed, the last one is lost
                        writer.write(soft[rows[:4]])
                        writer.commit()
                    if kill < kills and len(rows) > 8:
                        writer.write(soft[rows[4:8]])
                        writer._uncommitted = 0
                        break
                    if kill == kills or len(rows) > 4:
                        writer.write(soft[rows[4 if kill < kills else 0 :]])
        run = labelling.begin(Store.open(self.store.url), gen, dict(identity), **how)
        assert run.done == run.rows
        run.seal({})
        kept = self.model.generations(self.version)[gen].soft if how.get("extend") else {}
        active = {n for n, _ in self.model.active(self.version)}
        fresh = {row: soft[i].astype(np.float16).tobytes() for i, row in enumerate(every) if row[0] in active}
        self.model.changes.append(Change("sealed", gen=gen, soft={**fresh, **kept}))
        self.store.refresh()

    @rule(back=st.integers(0, 6))
    def undo(self, back: int) -> None:
        target = max(2, self.version - back)
        assume(target <= self.version)
        before = self.store.version
        try:
            self.store.undo(target)
        except NsdataError as error:
            assert error.message
            assert Store.open(self.store.url).version == before
            change = self.model.changes[target - 1]
            allowed = target not in self.model.undone(self.version) and change.kind in (
                "relabelled",
                "removed",
                "split",
                "tagged",
            )
            assert not allowed, error.message
            return
        self.model.changes.append(Change("undone", target=target))

    @rule()
    def reopen(self) -> None:
        self.store = Store.open(self.store.url)

    @rule()
    def collect(self) -> None:
        version = self.store.version
        self.store.gc(older_than_hours=0)
        if self.store.refresh().version > version:
            self.model.changes.append(Change("swept"))

    @invariant()
    def the_newest_version_is_the_models(self) -> None:
        if hasattr(self, "store"):
            assert self.store.refresh().version == self.version
            self._compare(self.store, self.version)

    @rule(data=st.data())
    def a_past_version_is_as_it_was(self, data: st.DataObject) -> None:
        version = data.draw(st.integers(1, self.version))
        self._compare(self.store.at(version), version)

    def _compare(self, store: Store, version: int) -> None:
        table, expected = store.table, self.model.images(version)
        rows = np.flatnonzero(table.visible)
        ids = [bytes(row).hex() for row in table.ids[rows]]
        found = {
            id_: (int(label), ("train", "val", "test")[split])
            for id_, label, split in zip(ids, table.label[rows], table.split[rows], strict=True)
        }
        assert len(ids) == len(found)
        assert found == {id_: image[:2] for id_, image in expected.items()}
        generations = self.model.generations(version)
        assert set(store.generations) == set(generations)
        for gen, change in generations.items():
            labels = store.labels(gen)
            known = next((len(row) // 2 for row in change.soft.values()), labels.known)
            assert (labels.known, labels.soft.shape[1]) == (known, self.model.classes(version))
            assert not labels.soft[:, known:].any()
            stored = {str(id_): row[:known].tobytes() for id_, row in zip(labels.ids, labels.soft, strict=True)}
            said = {(image[2], id_): id_ for id_, image in expected.items()}
            assert stored == {said[row]: soft for row, soft in change.soft.items() if row in said}
        assert len(store.classes) == self.model.classes(version)
        assert sum(not name.startswith("gen-") for name in store.tags) == self.model.tags(version)


Machine.TestCase.settings = settings(
    max_examples=10,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestStore = Machine.TestCase


def test_two_writers_cannot_both_seal(store: Store) -> None:
    """What the machine, which has one hand, cannot do."""
    runs = [labelling.begin(store, 1, {"teacher_sha256": name}) for name in "ab"]
    for run in runs:
        for part in run.open_parts():
            with labelling.PartWriter(part) as writer:
                writer.write(soft_labels(len(part.pending), 10, 0))
    runs[0].seal({})
    with pytest.raises(Conflict):
        runs[1].seal({})

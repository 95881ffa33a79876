"""The short part of the campaign: the same every day. ``python -m tests.faults`` is the long one."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import disks, inputs
from .full import Filler
from .kills import Kill, Killer, Tally
from .plans import Plans
from .power import Cut, Cutter
from .processes import Server
from .races import race
from .stops import Rivalry
from .workshop import Workshop, scenarios


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Server() as server:
        yield Workshop(tmp_path_factory.mktemp("faults"), server)


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        ("import", [("commit", "after", 1, "kill")]),
        ("label", [("commit", "after", 9, "kill"), ("publish", "after", 1, "kill")]),
        ("train", [("write-tensors", "after", 6, "kill")]),
        ("label --from .npz", [("commit", "after", 9, "kill")]),
        ("import --move-splits", [("commit", "after", 2, "kill")]),
        ("import --with-soft-labels", [("publish", "after", 1, "kill")]),
    ],
)
def test_a_killed_command_leaves_all_or_nothing_and_goes_on_to_the_same_end(
    workshop: Workshop, name: str, kills: list[tuple[str, str, int, float | str]]
) -> None:
    tally = Tally()
    killer = Killer(workshop, tally, random.Random(1))
    scenario = next(s for s in scenarios(workshop) if s.name == name)
    for at in kills:
        killer.trial(scenario, Kill(at))
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.counts["kills"] == tally.counts["recoveries"] == len(kills)


def test_a_plan_killed_five_times_ends_in_the_same_bits(workshop: Workshop, tmp_path: Path) -> None:
    tally = Tally()
    plans = Plans(tmp_path, workshop.server, tally)
    ended = plans.trial(
        [
            ("write-tensors", "after", 5),  # within the teacher's training
            ("commit", "after", 3),  # within a labelling
            ("publish", "after", 2),  # the plan goes on behind an event
            ("rename", "before", 40),  # within a student's
            ("publish", "before", 2),
        ],
        [(("write-tensors", "before", 4), signal.SIGINT), (("write-tensors", "after", 3), signal.SIGTERM)],
    )
    assert not tally.wrong, "\n".join(tally.wrong)
    assert ended == 7 and plans.expected["events"]["judged"] == 4 and plans.expected["steps"][-1] == "score 3"


@pytest.mark.parametrize(
    ("name", "size"),  # the smallest that a disk can have free, or the next
    [("import", 1), ("label", 1), ("label --from .parquet", 1), ("split 40", 1), ("classes add", 0)],
)
def test_a_full_disk_is_said_and_the_command_goes_on_when_there_is_room(
    workshop: Workshop, name: str, size: int, tmp_path: Path
) -> None:
    tally = Tally()
    scenario = next(s for s in scenarios(workshop) if s.name == name)
    mountable = not disks.refusal(tmp_path, ["tmpfs"])  # else no file can grow beyond a size
    with disks.Disk("tmpfs", tmp_path) if mountable else contextlib.nullcontext() as disk:
        filler = Filler(workshop, tally, disk)
        filler.full(scenario, size, 6, random.Random(1))
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.counts["full refused"] == 1


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("import", [Cut(("publish", "before", 1), seed=1)]),
        ("label", [Cut(("commit", "after", 9)), Cut(seed=2)]),
        ("label --from .npz", [Cut(("publish", "before", 1))]),
        ("split 3", [Cut()]),
    ],
)
def test_what_was_published_outlives_a_power_cut(workshop: Workshop, name: str, cuts: list[Cut]) -> None:
    tally = Tally()
    cutter = Cutter(workshop, tally)
    scenario = next(s for s in scenarios(workshop) if s.name == name)
    for cut in cuts:
        cutter.trial(scenario, cut)
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.counts["power"] == len(cuts)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_of_two_sealers_exactly_one_wins(kind: str, tmp_path: Path) -> None:
    tally = Tally()
    race("mem://faults-short" if kind == "memory" else str(tmp_path / "lake"), 8, tally)
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.counts["race one winner"] == 8


@pytest.mark.parametrize(
    ("name", "rival"),
    [
        ("import --move-splits", ("split", "--from", "said.csv", "--to", "val")),
        ("classes add", ("classes", "add", "eleven", "twelve")),
        ("label --from .npz", ("label", "--gen", "1", "--from", "probs.npz")),
    ],
)
def test_two_at_once_end_as_one_after_the_other(workshop: Workshop, name: str, rival: tuple[str, ...]) -> None:
    tally = Tally()
    Rivalry(workshop, tally).at_once(next(s for s in scenarios(workshop) if s.name == name), rival)
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.counts["other races"] == 1


def test_rubbish_is_refused_and_changes_nothing(workshop: Workshop) -> None:
    tally = Tally()
    names = ["a truncated JPEG", "a manifest that leads out", "SQL that reads a file", "an id that is not hex"]
    inputs.run(workshop, tally, names, stage="images")
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.counts["inputs refused"] == len(names)

"""``python -m tests.faults --kills 500``: the long campaign. A table at the end; exit code 1 if anything is wrong."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import full, harm, hostile, inputs, plans, power, races, ranks, reads, stops
from .kills import Killer, Tally
from .processes import Server
from .workshop import Workshop, scenarios


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--plans", type=int, default=20, help="plans killed five times and more")
    parser.add_argument("--stops", type=int, default=40, help="processes stopped while another publishes")
    parser.add_argument("--damage", type=int, default=100, help="files damaged")
    parser.add_argument("--races", type=int, default=100, help="rounds of two racing sealers")
    parser.add_argument("--full", type=int, default=24, help="full disks for each command and kind of disk")
    parser.add_argument("--moments", type=int, default=20, help="disks full for a moment, for each command and kind")
    parser.add_argument("--power", type=int, default=200, help="power cuts")
    parser.add_argument("--reads", type=int, default=200, help="files damaged, and read without a verify first")
    parser.add_argument(
        "--hostile", action=argparse.BooleanOptionalAction, default=True, help="pipes, devices, links in place of files"
    )
    parser.add_argument("--no-ranks", action="store_true", help="without torchrun")
    parser.add_argument("--no-inputs", action="store_true", help="without bad inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="of each part, begin no new trial after so long")
    parser.add_argument("--only", default="", help="only commands, or trials, whose name has this in it")
    asked = parser.parse_args()
    tally, began = Tally(), time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is mounted is to be taken down
    folder = Path(tempfile.mkdtemp(prefix="nsdata-faults-"))
    with Server() as server:
        workshop = Workshop(folder, server)
        _kills(workshop, tally, asked)
        stops.run(workshop, tally, asked.stops, random.Random(asked.seed + 1), only=asked.only)
        harm.run(workshop, tally, asked.damage, random.Random(asked.seed + 2))
        plans.run(folder, server, tally, asked.plans, asked.seed + 7, asked.minutes or 0.0)
        if not asked.no_inputs:
            inputs.run(workshop, tally)
        within: Any = {"only": asked.only, "minutes": asked.minutes or 0.0}
        full.run(workshop, tally, asked.full, asked.moments, asked.seed + 3, **within)
        power.run(workshop, tally, asked.power, asked.seed + 4, **within)
        reads.run(workshop, tally, asked.reads, asked.seed + 5, **within)
        if asked.hostile:
            hostile.run(workshop, tally, asked.seed + 6, **within)
    races.run(folder, tally, asked.races)
    if not asked.no_ranks:
        ranks.run(workshop, tally)
    print(table(tally, time.monotonic() - began))
    for note in dict.fromkeys(tally.notes):
        print(f"\nNot tried: {note}.")
    for wrong in tally.wrong:
        print(f"WRONG {wrong}", file=sys.stderr)
    print(f"seed {asked.seed}; workspaces of what went wrong are in {folder}", file=sys.stderr)
    return 1 if tally.wrong else 0


def _kills(workshop: Workshop, tally: Tally, asked: argparse.Namespace) -> None:
    draw = random.Random(asked.seed)
    killer, began = Killer(workshop, tally, draw), time.monotonic()
    chosen = [s for s in scenarios(workshop) if not asked.only or asked.only in s.name]
    streams = {s.name: killer.kills(s) for s in chosen}
    while chosen and tally.counts["kills"] < asked.kills:
        for scenario in draw.sample(chosen, len(chosen)):
            late = asked.minutes and time.monotonic() - began > 60 * asked.minutes
            if late or tally.counts["kills"] >= asked.kills:
                return
            kill, before = next(streams[scenario.name]), len(tally.wrong)
            done = killer.trial(scenario, kill)
            for wrong in tally.wrong[before:]:
                print(f"WRONG {wrong}", flush=True)
            print(f"{tally.counts['kills']:4} {scenario.name}: {kill}{'' if done else ' (too late)'}", flush=True)


ROWS = [
    ("kills", "processes killed"), ("recoveries", "recovered: same result as uninterrupted"),
    ("rows lost", "committed rows lost"), ("rows labelled twice", "committed rows labelled twice"),
    ("neither before nor after", "states neither before nor after"), ("other result", "other results in the end"),
    ("history changed", "histories changed"), ("not resumed", "commands that did not go on"),
    ("crashed or hung", "crashes, tracebacks, hangs"), ("verify found damage", "verify found damage"),
    ("does not open", "stores that did not open"), ("gc left something", "rubbish that gc left"),
    ("plans", "whole plans, killed again and again"), ("plan kills", "… kills"),
    ("plan equal", "… same weights, labels, views, scores"), ("plan went wrong", "… that went wrong"),
    ("stops", "processes stopped while another published"), ("stop went wrong", "… that went wrong"),
    ("damaged", "files damaged"), ("damage found", "… found by verify, exit code 3"),
    ("damage silent", "… silent"), ("inputs", "bad inputs tried"), ("inputs refused", "… refused, store unchanged"),
    ("input went wrong", "… not refused as they should"), ("races", "races of two sealers"),
    ("race one winner", "… exactly one sealed"), ("other races", "races of imports, labels, relabels"),
    ("race went wrong", "… that went wrong"), ("rank runs", "runs under torchrun"),
    ("rank equal", "… with equal checksums"), ("ranks went wrong", "… that went wrong"),
    ("full", "commands with a full disk"), ("full refused", "… refused with a word of the disk"),
    ("full went wrong", "… that went wrong"), ("moments", "commands with a disk full for a moment"),
    ("moments refused", "… refused with a word of the disk"), ("moments went wrong", "… that went wrong"),
    ("wrong words", "errors that say something else"), ("power", "power cuts"), ("events lost", "… events lost"),
    ("power went wrong", "… that went wrong"),
    ("reads", "files damaged and read"), ("questions", "… questions asked"), ("read right", "… right answers"),
    ("read refused", "… errors in words"), ("read names verify", "… that name verify"),
    ("read one value", "… wrong by one value in its range"), ("read silently wrong", "… silently wrong"),
    ("read crashed", "… crashes"), ("read traceback", "… tracebacks"), ("read hung", "… hung"),
    ("hostile", "no files in place of files"), ("hostile answered", "… right answers"),
    ("hostile refused", "… refused in words"), ("hostile went wrong", "… that went wrong"),
]  # fmt: skip


def table(tally: Tally, seconds: float) -> str:
    """What was tried and what came of it, in Markdown."""
    lines = ["", "| | |", "|---|---|"]
    lines += [f"| {text} | {tally.counts[name]:,} |" for name, text in ROWS]
    return "\n".join([*lines, f"| minutes | {seconds / 60:.0f} |"])


if __name__ == "__main__":
    sys.exit(main())

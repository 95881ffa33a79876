"""Grow: run, the whole loop from one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import complete, hints, live, render
from cli.settings import JsonOption, StoreOption, a_path, open_store
from cli.train import Report

if TYPE_CHECKING:
    from nsdata import Store
    from training.plans.plan_file import PlanFile


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="One setting of every model, whatever the plan says; may repeat.",
        autocompletion=complete.fields,
    ),
]  # fmt: skip


def run(
    ctx: typer.Context,
    plan: Annotated[
        Path, typer.Argument(parser=a_path, metavar="[PLAN]", help="The plan, in TOML (default: plan.toml).")
    ] = Path("plan.toml"),
    init: Annotated[bool, typer.Option("--init", help="Write a plan for this store, with comments.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what was made by hand otherwise; with --init the file.")
    ] = False,
    set_: Set = None,
    report: Report = None,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Run a plan: a teacher, and generations of students.

    It trains, labels and judges, one after the other, what is not done already: also by hand. Interrupted, the same
    command goes on. Where the plan, or what it depends on, changed, what follows from it is done again, and nothing
    else; docs/plans.md.

    Example: nsdata run --init

    Example: nsdata run plan.toml --dry-run
    """
    opened = open_store(ctx, store)
    if init:
        if set_:
            raise typer.BadParameter("--init writes a plan, in which settings have their place; --set is for its run")
        _write(opened, plan, replace)
        return
    from training.plans.plan_file import read
    from training.reporting import reporters

    file, services = read(plan, set_ or []), reporters(report or [])
    if dry_run:
        _outline(opened, file, json)
        return
    from training.plans.running import run as carry_out

    with live.watching(file) as watcher:
        results = carry_out(opened, file, watcher, replace=replace, report=services)
    _print(file, results, json)


def _write(store: Store, path: Path, replace: bool) -> None:
    from nsdata.errors import Conflict
    from nsdata.storage.space import refused
    from training.plans.suggesting import suggested

    if path.exists() and not replace:
        raise Conflict(f"There is a file {path} already.", f"nsdata run {path}, or nsdata run --init --replace {path}")
    import torch

    text = suggested(store, gpu=torch.cuda.is_available() or torch.backends.mps.is_available())
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise refused(path.parent, error, what="the plan's folder") from error
    render.out(f"wrote  {path}")
    render.out(hints.with_store(f"next   nsdata run {path} --dry-run"))


def _outline(store: Store, plan: PlanFile, json: bool) -> None:
    from nsdata.progress import duration
    from training.plans.outline import measured
    from training.plans.running import prepared

    _, lines = prepared(store, plan, dry_run=True)
    if any(line.state != "done" for _, line in lines):
        render.note("measuring a few steps of each network …")
    measured(store, plan, lines)
    if json:
        render.emit({"plan": plan.name, "digest": plan.digest, "steps": [line.to_dict() for _, line in lines]})
        return
    rows, wide = [], max(len("bytes"), *(len(f"{line.bytes or 0:,}") for _, line in lines))
    for step, line in lines:
        network = step.turn.config.model if step.kind == "train" else ""
        took = "" if line.seconds is None else duration(line.seconds)
        written = "" if line.bytes is None else f"{line.bytes:>{wide},}"
        rows.append([line.step, network, line.state, line.images or None, took, written, line.why])
    render.table(["step", "network", "state", "images", "time", f"{'bytes':>{wide}}", "why"], rows)
    seconds, size = (sum(getattr(line, name) or 0 for _, line in lines) for name in ("seconds", "bytes"))
    render.out(f"about {duration(seconds)} in all, from a short probe; {size:,} bytes to be written")
    for _, line in lines:
        if line.replaces:
            render.warning(f"{line.step} may replace {line.replaces}, which no plan made: it takes --replace")


def _print(plan: PlanFile, results: list[dict[str, Any]], json: bool) -> None:
    from nsdata.arithmetic.intervals import paired, signed, wilson
    from training.plans.results import with_intervals

    if json:
        render.emit({"plan": plan.name, "digest": plan.digest, "steps": [with_intervals(each) for each in results]})
        return
    judged = {each["step"].removeprefix("score "): each for each in results if each.get("images")}
    rows: list[list[Any]] = []
    for each in (each for each in results if "path" in each):
        gen = each["step"].removeprefix("student ") if each["step"] != "teacher" else "0"
        facts = judged.get(gen, {})
        row = [gen, each["model"], "", "", "", "", each["path"]]
        if facts:
            n, common = facts["images"], facts.get("common")
            row[2:4] = [render.percent(facts["right"] / n), str(wilson(facts["right"], n))]
            if common:
                row[4] = signed(100 * (facts["fixed"] - facts["broken"]) / common)
                row[5] = str(paired(facts["fixed"], facts["broken"], common))
        rows.append(row)
    if judged:
        some = next(iter(judged.values()))
        render.out(
            f"right of {some['images']:,} labelled {some['split']} images; gain over its teacher in points, paired"
        )
    render.table(["gen", "network", "right", "95 %", "gain", "95 %", "model"], rows)
    done = sum(each["did"] == "done" for each in results)
    before = f", {len(results) - done} done before" if done < len(results) else ""
    render.out(f"{plan.name}: {done} steps done{before}" if done else
               f"nothing new: all {len(results)} steps of {plan.name} were done before")  # fmt: skip

"""What saves a view again: the command, with all that its recipe holds; Python where no option can say it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from nsdata.errors import NsdataError
from nsdata.views.step import from_recipe
from nsdata.views.steps import MOST_REPEATS, Only

_ORDER = ("split", "labelled", "unlabelled", "confident", "agreeing", "where", "top", "sample", "balanced")


def again(recipe: Mapping[str, Any], **changed: Any) -> str:
    """The words that save a recipe's view over one of its name. changed: what of the recipe shall be otherwise.

    A mask's step is left out, as no recipe can repeat it; of a recipe that a store has and nsdata did not write, the
    list of the views is all that can be named. A view without a name is made anew of the store as it is now, in Python.
    """
    recipe = {**recipe, **changed}
    if "gen" in changed:
        recipe["select_gen"] = None
    try:
        steps = [from_recipe(step).recipe() for step in recipe["steps"] if step["kind"] != Only.kind]
    except NsdataError:
        return "nsdata views"
    typed = None if recipe["name"] is None else _typed(recipe, steps)
    return typed or _called(recipe, steps)


def _typed(recipe: Mapping[str, Any], steps: list[Any]) -> str | None:
    """As ``nsdata view`` takes it: each kind once, in the order of its options. None where it cannot."""
    kinds = [step["kind"] for step in steps]
    rank = [_ORDER.index(kind) for kind in kinds if kind in _ORDER]
    who = kinds[1:2]
    whole = len(rank) == len(kinds) and rank == sorted(set(rank)) and kinds[:1] == ["split"]
    if not whole or who not in (["labelled"], ["unlabelled"]) or {*kinds} >= {"labelled", "unlabelled"}:
        return None
    of = {step["kind"]: step for step in steps}
    splits, seeds = list(of["split"]["names"]), {of[kind]["seed"] for kind in ("sample", "balanced") if kind in of}
    if len(splits) != 1 or len(seeds) > 1:
        return None
    words: list[object] = []
    words += ["--gen", recipe["gen"]] if recipe["gen"] is not None else []
    words += ["--select-gen", recipe["select_gen"]] if recipe["select_gen"] not in (None, recipe["gen"]) else []
    words += ["--split", splits[0]] if splits != ["train"] else []
    words += ["--labelled"] if who == ["labelled"] else []
    if step := of.get("confident"):
        words += ["--min-confidence", step["minimum"]]
        words += ["--max-confidence", step["maximum"]] if step.get("maximum") is not None else []
    words += ["--agree", ",".join(map(str, of["agreeing"]["gens"]))] if "agreeing" in of else []
    words += ["--where", of["where"]["sql"]] if "where" in of else []
    words += ["--top", of["top"]["n"]] if "top" in of else []
    words += ["--sample", of["sample"]["n"]] if "sample" in of else []
    if step := of.get("balanced"):
        words += ["--per-class", step["per_class"]]
        most = step.get("max_repeats", 0)
        words += ["--max-repeats", most] if most != MOST_REPEATS else []
    words += ["--seed", seed] if (seed := next(iter(seeds), 0)) else []
    if not words:  # which would show the saved one
        return None
    return shlex.join(["nsdata", "view", str(recipe["name"]), *map(str, words), "--replace"])


def _called(recipe: Mapping[str, Any], steps: list[Any]) -> str:
    """As a call in Python."""
    given = [] if recipe["gen"] is None else [f"gen={recipe['gen']}"]
    if recipe["select_gen"] not in (None, recipe["gen"]):
        given.append(f"select_gen={recipe['select_gen']}")
    calls = []
    for step in steps:
        values = {key: value for key, value in step.items() if key != "kind"}
        if step["kind"] == "split":
            words = ", ".join(map(repr, values["names"]))
        elif step["kind"] == "agreeing":
            words = repr(list(values["gens"]))
        else:
            if step["kind"] == "balanced":
                values.setdefault("max_repeats", None)
            named = ("seed", "max_repeats")
            words = ", ".join(f"{key}={value!r}" if key in named else repr(value) for key, value in values.items())
        calls.append(f".{step['kind']}({words})")
    store, save = "store", f".save({recipe['name']!r}, replace=True)"
    if recipe["name"] is None:
        store, save = "store.refresh()", ""
    return f"{store}.view({', '.join(given)}){''.join(calls)}{save}"

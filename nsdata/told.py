"""A view in a few lines: its version and generations, and numbered steps with what each left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsdata.recipe import Count

if TYPE_CHECKING:
    from nsdata.store import Store
    from nsdata.view import View

_PLAIN = ("split", "labelled", "unlabelled")  # steps that share a line


def view_text(view: View) -> str:
    """What ``print(view)`` and ``nsdata view`` show."""
    lines = [f"{view.name or 'view'} at {_version_name(view.store)}{_generations(view)}"]
    for number, count in enumerate(merged_counts(view), 1):
        change = f"   {count.change:+,}".replace("-", "−") if count.change and not count.remark else ""
        remark = f"   {count.remark}" if count.remark else ""
        lines.append(f"  {number}  {count.text:<26}  {count.rows:>10,}{change}{remark}")
    return "\n".join(lines)


def merged_counts(view: View) -> list[Count]:
    """``view.counts`` with split, labelled and unlabelled in one line, as they are printed."""
    merged: list[Count] = []
    together = False
    for step, count in zip(view.steps, view.counts, strict=True):
        if together and step.kind in _PLAIN:
            merged[-1] = Count(f"{merged[-1].text}, {count.text}", count.rows, None, "")
        else:
            first = not merged
            merged.append(Count(count.text, count.rows, None if first else count.change, count.remark))
        together = step.kind in _PLAIN
    return merged or [Count("all images", len(view), None, "")]


def _generations(view: View) -> str:
    """Which generations train and select, where the version's name does not say it."""
    if view.gen is None:
        return ""
    words = [] if _version_name(view.store) == f"gen-{view.gen}" else [f"generation {view.gen}"]
    if view.select_gen != view.gen:
        words = [f"generation {view.gen}", f"selected by generation {view.select_gen}"]
    return "".join(f" · {word}" for word in words)


def _version_name(store: Store) -> str:
    tags = [name for name, version in store.state.tags.items() if version == store.version]
    return tags[0] if tags else f"version {store.version}"

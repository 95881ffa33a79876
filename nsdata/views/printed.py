"""A view in a few lines: its version and generations, and numbered steps with what each left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsdata.errors import NsdataError
from nsdata.text import to_html, visible
from nsdata.views.rows import Count
from nsdata.views.step import one_line

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.views.view import View

_MOST, _WIDEST = 8, 80  # steps of a line, and letters of each


def view_text(view: View) -> str:
    """What ``print(view)`` and ``nsdata view`` show."""
    lines = [f"{view.name or 'view'} at {_version_name(view.store)}{_generations(view)}"]
    for number, count in enumerate(merged_counts(view), 1):
        change = f"   {count.change:+,}".replace("-", "−") if count.change and not count.remark else ""
        remark = f"   {count.remark}" if count.remark else ""
        lines.append(f"  {number}  {count.text:<26}  {count.rows:>10,}{change}{remark}")
    if view.changed:
        lines.append(f"  stale: {view.changed}")
    return "\n".join(lines)


def view_line(view: View) -> str:
    """What ``repr(view)`` shows: all in one line, which a store that cannot be read does not break."""
    named = f"View {view.name}" if view.name else "View"
    try:
        steps = [_step(count) for count in merged_counts(view)]
    except NsdataError:
        steps = [step.text() for step in view.steps] or ["all images"]
    cut = [one_line(text) if len(text) <= _WIDEST else f"{one_line(text)[: _WIDEST - 1]}…" for text in steps]
    more = ["…"] if len(cut) > _MOST else []
    return visible(f"<{named} at {_version_name(view.store)}{_generations(view)}: {' · '.join(cut[:_MOST] + more)}>")


def _step(count: Count) -> str:
    """A step, what it left, and how many fewer or more that is."""
    notes = [f"{count.change:+,}".replace("-", "−")] if count.change else []
    return f"{count.text} {count.rows:,}" + (f" ({', '.join(notes)})" if notes else "")


def view_html(view: View) -> str:
    """The steps as a table, and some images from all over the view, for notebooks."""
    from nsdata.versions.pictures import distinct, evenly, gallery
    from nsdata.views.entry import captions, entries

    rows = [(f"{i}", f"{c.text}: {c.rows:,} {c.remark}") for i, c in enumerate(merged_counts(view), 1)]
    held, times = distinct(view.rows)
    some = evenly(len(held))
    lines = captions(entries(view.store.table, held[some], view.soft_labels), times[some].tolist())
    pictures = gallery(view.store.table, held[some], lines)
    return to_html(rows + ([("stale", str(view.changed))] if view.changed else [])) + pictures


def why_empty(view: View) -> str:
    """Which step of a view without rows kept nothing."""
    named = f"View {view.name!r}" if view.name else "The view"
    before = len(view.store)
    for step, count in zip(view.steps, view.counts, strict=True):
        if not count.rows:
            remark = f" ({count.remark})" if count.remark else ""
            return f"{named} keeps no rows: 0 of {before:,} {step.verb} {count.text}{remark}."
        before = count.rows
    return f"{named} keeps no rows: the store has none at version {view.store.version}."


def merged_counts(view: View) -> list[Count]:
    """``view.counts`` with split, labelled and unlabelled in one line, as they are printed."""
    merged: list[Count] = []
    together = False
    for step, count in zip(view.steps, view.counts, strict=True):
        if together and step.beside:
            merged[-1] = Count(f"{merged[-1].text}, {count.text}", count.rows, None, "")
        else:
            first = not merged
            merged.append(Count(count.text, count.rows, None if first else count.change, count.remark))
        together = step.beside
    return merged or [Count("all images", len(view), None, "")]


def _generations(view: View) -> str:
    """Which generations train and select, where the version's name does not say it."""
    if view.gen is None:
        return ""
    words = [] if _version_name(view.store) == f"gen-{view.gen}" else [f"generation {view.gen}"]
    if view.select_gen != view.gen:
        words = [f"generation {view.gen}", f"selected by generation {view.select_gen}"]
    return "".join(f" · {word}" for word in words)


def _version_name(store: Handle) -> str:
    tags = [name for name, version in store.state.tags.items() if version == store.version]
    return tags[0] if tags else f"version {store.version}"

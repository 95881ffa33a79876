"""The store in a few lines, and as plain JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nsdata.analysis.classes import fewer, taught_at
from nsdata.arithmetic.intervals import val_text
from nsdata.labels.eligibility import unlabelled_rows
from nsdata.labels.sentences import stale_remark
from nsdata.log.plan import planned_text
from nsdata.schema import SPLITS
from nsdata.storage.address import checkpoint, near
from nsdata.text import Rows
from nsdata.views import moved
from nsdata.views.changed import Moves, words

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


def summary(store: Handle) -> Rows:
    """The store in a few lines: what ``nsdata show`` prints."""
    table = store.table
    visible = table.visible
    label, split = table.label[visible], table.split[visible]
    hidden = [f"{count:,} {why}" for why, count in _hidden(store).items() if count]
    rows: Rows = [
        ("store", f"{store.url} at version {store.version}"),
        ("classes", f"{len(store.classes)}: {', '.join(store.classes[:12])}{' …' if len(store.classes) > 12 else ''}"),
        ("images", f"{int(visible.sum()):,}" + (f" ({', '.join(hidden)})" if hidden else "")),
    ]
    for code, name in enumerate(SPLITS):
        inside = split == code
        if inside.any():
            known = int((label[inside] >= 0).sum())
            rows.append((f"  {name}", f"{int(inside.sum()):,} · {known:,} labelled, {int(inside.sum()) - known:,} not"))
    for gen, model in sorted(store.state.models.items()):
        accuracy = val_text(model.val_accuracy, model.val_images)
        where = near(checkpoint(store.url, model.path, model.sha256))
        text = f"{model.name} · {accuracy} · sha256 {model.sha256[:8]} · {where}{fewer(store, taught_at(model))}"
        rows.append((f"model {gen}", text + _stale(moved.of_model(store, model))))
    for gen, generation in sorted(store.state.generations.items()):
        s, few = generation.summary, fewer(store, generation.version)
        rows.append(
            (f"gen-{gen}", f"{generation.rows:,} images · confidence mean {s['confidence_mean'] or 0:.2f} · "
             f"{s['at_least_0.9']:,} ≥ 0.9 · {s['below_0.3']:,} < 0.3" + few + stale_remark(generation)
             + _stale(moved.of_generation(store, generation)))
        )  # fmt: skip
    for name, found in sorted(store.state.embeddings.items()):
        model, later = found.provenance["model"], unlabelled_rows(store.state, found)
        text = f"{found.rows:,} images · {found.width:,} numbers each · {model} · sha256 "
        text += found.provenance["model_sha256"][:8] + (f" · {later:,} images came in later" if later else "")
        rows.append((f"embeddings {name}", text))
    for view in store.state.views.values():
        gen = view.recipe["gen"]
        of = "people's labels" if gen is None else f"generation {gen}"
        changed = moved.of_view(store, view)
        stale = f" · stale: {changed}" if changed else ""
        rows.append((f"view {view.name}", f"{view.rows:,} rows of {of}{stale}"))
    for plan in store.state.plans[-1:]:
        scores = f": {planned_text(plan.steps)}" if plan.ran or plan.steps else ""
        became = f"carried out at version {plan.ran}{scores}" if plan.ran else f"not carried out yet{scores}"
        rows.append(("plan", f"{plan} · begun at version {plan.event} · {became}"))
    return rows


def facts(store: Handle) -> dict[str, Any]:
    """The store as plain JSON: what ``nsdata show --json`` prints."""
    table = store.table
    label, split = table.label[table.visible], table.split[table.visible]
    return {
        "store": store.url,
        "version": store.version,
        "classes": list(store.classes),
        "images": len(store),
        **_hidden(store),
        "splits": {
            name: {"images": int((split == code).sum()), "labelled": int(((split == code) & (label >= 0)).sum())}
            for code, name in enumerate(SPLITS)
        },
        "models": {
            gen: {
                **asdict(model),
                "moved": moved.of_model(store, model),
                "classes": store.state.classes_at(taught_at(model)),
            }
            for gen, model in store.models.items()
        },
        "generations": {
            gen: {
                "version": g.event,
                "images": g.rows,
                "stale": g.stale,
                "moved": moved.of_generation(store, g),
                "classes": store.state.classes_at(g.version),
                **g.summary,
            }
            for gen, g in store.generations.items()
        },
        "embeddings": {
            name: {
                "version": found.event,
                "images": found.rows,
                "width": found.width,
                "model": found.provenance["model"],
                "model_sha256": found.provenance["model_sha256"],
                "missing": unlabelled_rows(store.state, found),
            }
            for name, found in store.state.embeddings.items()
        },
        "views": {
            name: {"rows": view.rows, "recipe": view.recipe, **moved.of_view(store, view).to_dict()}
            for name, view in store.views.items()
        },
        "plans": [asdict(plan) for plan in store.state.plans],
        "tags": store.tags,
    }


def _stale(moves: Moves) -> str:
    """Behind the line of what used images that changed split since."""
    return f" · stale: {words(moves)}" if moves else ""


def _hidden(store: Handle) -> dict[str, int]:
    """Images that nobody sees: removed by a person, or undone with their import."""
    state = store.state
    undone = sum(segment.rows for segment in state.segments if segment.event in state.undone)
    return {"removed": len(store.table) - len(store) - undone, "undone": undone}

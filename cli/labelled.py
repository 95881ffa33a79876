"""What ``nsdata label`` prints: the teacher, what came of a run, what it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli import hints, render

if TYPE_CHECKING:
    from nsdata import Store
    from nsdata.log.state import Generation
    from training.teacher import Labelled


def print_sealed(sealed: Generation, json: bool) -> None:
    """The very same was labelled and sealed before."""
    if json:
        facts = sealed.provenance
        several = [one.get("teacher_sha256") for one in facts.get("teachers") or ()]
        render.emit(
            {"gen": sealed.number, "version": sealed.event, "seconds": 0.0, "resumed": sealed.rows,
             "teacher_sha256": facts.get("teacher_sha256"), **_teachers(several), **sealed.summary}
        )  # fmt: skip
    (render.note if json else render.out)(
        f"nothing new: generation {sealed.number}, {sealed.rows:,} images by the same teacher, is sealed already, at "
        f"version {sealed.event}"
    )


def print_done(done: Labelled, json: bool) -> None:
    """What was labelled, and by whom in JSON."""
    several = [one.sha256 for one in getattr(done.teacher, "teachers", ())]
    if json:
        render.emit(
            {"gen": done.gen, "version": done.version, "seconds": done.seconds, "resumed": done.resumed,
             "teacher_sha256": done.teacher.sha256, **_teachers(several), **done.summary}
        )  # fmt: skip
        return
    summary = done.summary
    speed = f" ({done.images_per_second:,.0f} img/s)" if done.images_per_second else ""
    resumed = f", {done.resumed:,} of them before" if done.resumed else ""
    render.out(f"labelled  {done.images:,} images in {done.seconds:.0f} s{speed}{resumed}")
    render.out(
        f"          confidence mean {summary['confidence_mean']:.2f} · {summary['at_least_0.9']:,} ≥ 0.9"
        f" · {summary['below_0.3']:,} < 0.3"
    )
    render.out(f"sealed    gen-{done.gen}")
    if done.later:
        render.warning(
            f"{done.later:,} images came in after this run had begun and have no labels in generation {done.gen}; "
            + hints.with_store(f"nsdata label --gen {done.gen} --extend labels them too.")
        )


def _teachers(sha256: list[Any]) -> dict[str, Any]:
    """Of JSON, where there were several."""
    return {"teachers": sha256} if sha256 else {}


def print_judged(opened: Store, gen: int, json: bool) -> None:
    """Whether this generation's teacher is better than the one before, where labelled images can tell."""
    from nsdata.analysis.sides import judged

    if (found := judged(opened.refresh(), gen)) is None:
        return
    if not json:
        render.out(f"held out  {found}")
    if found.broken > found.fixed:
        render.warning(
            f"generation {gen}'s teacher is behind generation {gen - 1}'s on {found.images:,} {found.what} images. "
            "What to try: more steps, other noise, a larger model, another view; docs/training.md."
        )


def print_losses(summary: dict[str, Any]) -> None:
    """Before anything is sealed: what was lost by keeping only the largest probabilities."""
    if "kl_mean" in summary:
        render.note(f"kept less mean KL {summary['kl_mean']:.4f} nats · p99 {summary['kl_p99']:.4f}")


def print_estimate(estimate: dict[str, Any], json: bool) -> None:
    """What it would take."""
    if json:
        render.emit(estimate)
        return
    render.pairs(
        [
            ("teacher", str(estimate["teacher"])),
            ("images", f"{estimate['images']:,}"),
            ("to write", f"{estimate['bytes']:,} bytes"),
            ("time", f"about {estimate['seconds']:,.0f} s, from a short probe"),
        ]
    )


def describe(model: Any) -> str:
    """One teacher, in a line."""
    from nsdata.arithmetic.intervals import val_text
    from nsdata.storage.address import near

    if hasattr(model, "matched"):
        return f"from elsewhere · {near(model.path)} · {model.name} · sha256 {model.sha256[:4]}…{model.sha256[-2:]}"
    accuracy = val_text(model.val_accuracy, model.val_images)
    short = f"{model.sha256[:4]}…{model.sha256[-2:]}"
    return f"model {model.generation} · {near(model.path)} · {model.name} · {accuracy} · sha256 {short}"

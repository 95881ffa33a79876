"""What a frozen backbone is worth with few labels: a probe of it, and a student taught by that, against from scratch.

    python benchmarks/probe.py --preset cifar --data DATA --out probe.jsonl
    python benchmarks/probe.py --preset imagenette --data DATA --seeds 5 --out probe.jsonl

The backbone is trained on half of the preset's classes, with all their labels; the store has only the other half, a few
labels of each. Each seed draws its labelled images; the backbone is one for all, made once in ``--work``.

Rows, each scored on the same judges, which no training has seen:
  probe                  logistic regression on the backbone's embeddings
  from scratch           the preset's teacher on the labels alone
  student of the probe   the default student on the probe's soft labels, from scratch
  tuned student          the same, begun with the backbone's weights
  tuned                  the backbone fine-tuned on the labels alone

What is done lies in ``--out`` as JSON lines, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import presets
from presets import Drawn, Preset

from nsdata import Store
from nsdata.arithmetic import intervals
from nsdata.importers.item import Item
from training import TrainConfig, embed, evaluate, label, recipe, train
from training.loop import Trained
from training.selection import default_view

ROWS = ("probe", "from scratch", "student of the probe", "tuned student", "tuned")


def main() -> None:
    """All rows of all seeds, as far as they are not done; then the table."""
    options = _options()
    whole = presets.PRESETS[options.preset]
    settings = {**whole.settings, **({"steps": options.steps} if options.steps else {})}
    whole = replace(whole, labelled=options.labelled or whole.labelled, settings=settings)
    pool, test = whole.read(options.data)
    kinds = sorted({kind for _, _, kind in pool})
    seen = set(kinds[::2])
    done = presets.done(options.out)
    backbone = _backbone(whole, pool, seen, options)
    half = replace(whole, read=lambda _: tuple([p for p in some if p[2] not in seen] for some in (pool, test)))
    if options.unlabelled is not None:
        half = replace(half, unlabelled=options.unlabelled)
    for seed in options.seeds:
        wanted = [row for row in options.rows if (seed, row) not in done]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            drawn = presets.drawn(half, options.data, Path(folder, "lake"), seed, options.dev)
            for outcome in _seed(half, drawn, Path(folder), seed, backbone, wanted):
                done[seed, outcome["row"]] = outcome
                print(json.dumps(outcome), flush=True)
                if options.out:
                    with options.out.open("a") as file:
                        file.write(json.dumps(outcome) + "\n")
    _print(done, list(options.seeds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=presets.PRESETS, required=True)
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seeds", type=presets.seeds, default=range(5), help="5: 0 to 4; or 0:5")
    parser.add_argument("--labelled", type=int, default=10, metavar="N", help="labels of each unseen class")
    parser.add_argument("--unlabelled", type=int, metavar="N", help="at most so many other images of them")
    parser.add_argument("--steps", type=int, metavar="N", help="of every training but the backbone's")
    parser.add_argument("--backbone-steps", type=int, default=3_000, metavar="N")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="only these")
    parser.add_argument("--work", type=Path, default=Path("probe-work"), help="where the backbone is kept")
    parser.add_argument("--out", type=Path, help="JSON lines; what is in it is not run again")
    parser.add_argument("--dev", action="store_true", help="judge on images of the pool, not on the test images")
    return parser.parse_args()


def _backbone(preset: Preset, pool: list[presets.Picture], seen: set[str], options: argparse.Namespace) -> Path:
    """The checkpoint of a network trained on the classes that the store will not have; made once."""
    folder = options.work / f"{options.preset}-{options.backbone_steps}"
    lake, kinds = folder / "lake", sorted(seen)
    if not (folder / "run" / "best.pt").exists():
        pictures = [picture for picture in pool if picture[2] in seen]
        if not lake.exists():
            items = [Item(name, content, kinds.index(kind), "train") for name, content, kind in pictures]
            Store.create(lake, kinds).add_items(lambda: items, source="seen classes")
        settings = {**preset.settings, "steps": options.backbone_steps, "batch_size": 128, "val_fraction": 0}
        config = TrainConfig(model=preset.teacher, **settings)
        train(Store.open(lake).view().labelled(), config=config, out=folder / "run", publish=False)
    return folder / "run" / "best.pt"


def _seed(
    preset: Preset, drawn: Drawn, folder: Path, seed: int, backbone: Path, wanted: list[str]
) -> Iterator[dict[str, Any]]:
    """The rows of one seed that are wanted, one after the other."""
    store, settings = drawn.store, {**preset.settings, "seed": seed, "val_fraction": 0}
    probing = {key: value for key, value in settings.items() if key != "steps"}
    config = recipe("probe").replace(**{**probing, "model": preset.teacher, "pretrained": str(backbone)})
    began = time.perf_counter()
    embed(store, backbone)
    embedding = time.perf_counter() - began
    probe = train(drawn.labelled, config=config, out=folder / "probe")
    common = {"seed": seed, "judges": len(drawn.judges), "labels": len(drawn.labelled)}

    def told(row: str, model: Trained, **more: Any) -> dict[str, Any]:
        right = evaluate(model, drawn.judges).top1
        return {"row": row, **common, "accuracy": right, "seconds": round(model.seconds, 2), **more}

    if "probe" in wanted:
        penalty = json.loads((folder / "probe" / "config.json").read_text())["probe"]["penalty"]
        yield told("probe", probe, embedding_seconds=round(embedding, 2), penalty=penalty)
    plain = TrainConfig(model=preset.teacher, **settings)
    if "from scratch" in wanted:
        yield told("from scratch", train(drawn.labelled, config=plain, out=folder / "scratch", publish=False))
    if "tuned" in wanted:
        tuned = plain.replace(pretrained=str(backbone))
        yield told("tuned", train(drawn.labelled, config=tuned, out=folder / "tuned", publish=False))
    students = {"student of the probe": False, "tuned student": str(backbone)}
    if not any(row in wanted for row in students):
        return
    label(store.refresh(), folder / "probe", gen=1, force=True)
    chosen = default_view(store, 1)
    for row, start in students.items():
        if row in wanted:
            student = TrainConfig(model=preset.student, **settings, pretrained=start)
            made = train(drawn.labelled, chosen, config=student, out=folder / row.replace(" ", "-"), publish=False)
            yield told(row, made, chosen=len(chosen))


def _print(done: dict[tuple[int, str], dict[str, Any]], seeds: list[int]) -> None:
    """Mean accuracy of each row, and how much more the probe has, paired by seed."""
    print(f"{'row':<22} {'accuracy':>9} {'probe − row':>28}   n")
    for row in ROWS:
        pairs = [(done[s, row]["accuracy"], done[s, "probe"]["accuracy"]) for s in seeds if (s, row) in done]
        if not pairs:
            continue
        own, probe = np.asarray(pairs).T
        gain = ""
        if row != "probe" and len(pairs) > 1:
            found = intervals.repeated([float(points) for points in 100 * (probe - own)])
            gain = f"{found.mean:+.1f} ({found.interval.low:+.1f} … {found.interval.high:+.1f})"
        print(f"{row:<22} {100 * own.mean():8.1f}% {gain:>28}   {len(pairs)}")


if __name__ == "__main__":
    main()

"""The bars of a streaming benchmark: ``python benchmarks/chart.py RESULTS.json PICTURE.png [--workload P|C|both]``.

One row per loader, its documented way in a lighter tone below its best. RESULTS.json is what streaming.py --json wrote.
``--processor`` draws images per second of processor time, which other work on a machine changes little.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # as in streaming.py

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from benchmarks.streaming import summary  # noqa: E402

COLOURS = {"ours": "#c2410c", "best": "#64748b", "documented": "#cbd5e1", "limit": "#111827"}
TITLES = {
    "P": "{pictures:,} photographs of {kb:,.0f} kB, crops of 224 px",
    "C": "{pictures:,} pictures of 32 px",
}
WIDTH, ROW, DPI = 10.0, 0.34, 100  # inches; 1,000 pixels wide


def main() -> None:
    """Draw one panel for each workload."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--workload", choices=["P", "C", "both"], default="both")
    parser.add_argument("--processor", action="store_true", help="of a second of processor time, not of the clock")
    asked = parser.parse_args()
    told = json.loads(asked.results.read_text())
    panels = [(name, told[name]) for name in "PC" if name in told and asked.workload in (name, "both")]
    bars = {name: summary(panel) for name, panel in panels}
    for row in (row for rows in bars.values() for row in rows if asked.processor):
        row["rate"] = 1e6 / row["cpu"]
    unit = "images/s of one core" if asked.processor else "images/s"
    heights = [len(_loaders(bars[name])) + 3 for name, _ in panels]
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10})
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(WIDTH, ROW * sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for (name, panel), axis in zip(panels, axes[:, 0], strict=True):
        about = panel["about"]
        title = TITLES[name].format(kb=about["mean_bytes"] / 1000, pictures=about["pictures"])
        _panel(axis, f"{title}: {unit}", bars[name])
    asked.picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(asked.picture, dpi=DPI, facecolor="white")


def _loaders(rows: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The ways of each loader under its name, the fastest loader first; ours each have a row. Without limits."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["way"] != "limit":
            groups.setdefault(row["name"] if row["way"] == "ours" else row["name"].partition(",")[0], []).append(row)
    ordered = sorted(groups.items(), key=lambda group: -max(row["rate"] for row in group[1]))
    return [(name, sorted(ways, key=lambda row: row["way"])) for name, ways in ordered]


def _panel(axis: Any, title: str, rows: list[dict[str, Any]]) -> None:
    loaders = _loaders(rows)
    limit = max((row for row in rows if row["way"] == "limit"), key=lambda row: row["rate"], default=None)
    most = max(row["rate"] for row in rows)
    for place, (_, ways) in enumerate(loaders):
        thick = 0.78 / len(ways)
        for number, row in enumerate(ways):
            middle = place + thick * (number - (len(ways) - 1) / 2)
            ours = row["way"] == "ours"
            axis.barh(middle, row["rate"], thick, color=COLOURS[row["way"]])
            axis.text(
                row["rate"] + most / 150, middle, f"{row['rate']:,.0f}", va="center", color="#111827",
                fontsize=10 if len(ways) == 1 else 8, fontweight="bold" if ours else "normal",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
    if limit is not None:
        axis.axvline(limit["rate"], color=COLOURS["limit"], lw=1, ls=(0, (4, 3)), ymax=1)
        label = f"limit: {limit['name']}, {limit['rate']:,.0f}"
        axis.text(limit["rate"], -0.75, label, ha="right", va="bottom", color=COLOURS["limit"], fontsize=9)
    axis.set_yticks(range(len(loaders)), [name for name, _ in loaders])
    for tick, (_, ways) in zip(axis.get_yticklabels(), loaders, strict=True):
        tick.set_fontweight("bold" if ways[0]["way"] == "ours" else "normal")
    axis.set_ylim(len(loaders) - 0.4, -1.5)
    axis.set_xlim(0, most * 1.08)
    axis.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axis.tick_params(length=0)
    axis.set_xticks([])
    axis.spines[:].set_visible(False)
    names = {"ours": "nsdata", "best": "at its best", "documented": "as documented"}
    names = {way: name for way, name in names.items() if any(row["way"] == way for row in rows)}
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLOURS[way]) for way in names]
    axis.legend(handles, list(names.values()), loc="lower right", fontsize=9, edgecolor="none", framealpha=1)


if __name__ == "__main__":
    main()

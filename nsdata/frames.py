"""A view as an Arrow table, for people who go on in pandas, polars or DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nsdata.ids import hexes
from nsdata.schema import SPLITS

if TYPE_CHECKING:
    import pyarrow as pa

    from nsdata.view import View


def of_view(view: View) -> pa.Table:
    """See View.to_arrow. soft_label is a fixed-size list of float16, null where the generation has none."""
    import pyarrow as pa

    table, rows = view.store.table, view.rows
    label = view.labels
    columns: dict[str, Any] = {
        "id": pa.array(hexes(view.ids), pa.string()),
        "source": pa.array(table.sources(rows.tolist()), pa.string()),
        "split": pa.array([SPLITS[code] for code in view.splits], pa.string()),
        "label": pa.array(label, mask=label < 0),
    }
    if (labels := view.soft_labels) is not None:
        pseudo, confidence = labels.all_pseudo[rows], labels.all_confidence[rows]
        missing = pseudo < 0
        soft = labels.take_known(rows)
        columns |= {
            "pseudo_label": pa.array(pseudo, mask=missing),
            "confidence": pa.array(confidence, mask=missing),
            "soft_label": pa.FixedSizeListArray.from_arrays(
                pa.array(soft.reshape(-1)), soft.shape[1], mask=pa.array(missing)
            ),
        }
    return pa.table(columns)

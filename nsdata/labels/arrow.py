"""Images and their labels as Arrow columns, for people who go on in pandas, polars or DuckDB.

Legend: m rows asked for, repeats allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ids import hexes
from nsdata.schema import SPLITS

if TYPE_CHECKING:
    import pyarrow as pa

    from nsdata.labels.labels import Labels
    from nsdata.versions.table import Table


def of_rows(table: Table, rows: NDArray[np.int64], labels: Labels | None) -> pa.Table:
    """(m rows) id, source, split, label (null = none); with ``labels`` also pseudo_label, confidence, soft_label.

    soft_label is a fixed-size list of float16. What a generation does not label is null.
    """
    import pyarrow as pa

    label = table.label[rows]
    columns: dict[str, Any] = {
        "id": pa.array(hexes(table.ids[rows]), pa.string()),
        "source": pa.array(table.sources(rows.tolist()), pa.string()),
        "split": pa.array([SPLITS[code] for code in table.split[rows]], pa.string()),
        "label": pa.array(label, mask=label < 0),
    }
    if labels is not None:
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

"""Images and their labels as Arrow columns, for people who continue in pandas, polars or DuckDB.

Legend: m rows asked for, repeats allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.schema import SPLITS

if TYPE_CHECKING:
    import pandas as pd
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


def to_pandas(
    table: pa.Table, classes: Sequence[str] | None, columns: Sequence[str] = ("label", "pseudo_label")
) -> pd.DataFrame:
    """A table as a data frame; with ``classes``, the class indices in these columns, where there are such, as names.

    A Categorical, and no text: it has every class, in the store's order, also those that no row has, groups and counts
    by them, takes a byte or two a row, and gives the index back (``.cat.codes``); null (-1) where there is no label.
    Raises BadInput for a column that is none of class indices.
    """
    import pyarrow as pa

    wanted = [name for name in columns if name in table.column_names] if classes is not None else []
    frame = table.drop_columns(wanted).to_pandas()
    for name in wanted:
        column = table[name].combine_chunks()
        if not pa.types.is_integer(column.type):
            raise BadInput(f"Column '{name}' holds {column.type}; class indices were expected.", "class_names=False")
        codes = column.fill_null(-1).to_numpy(zero_copy_only=False)
        if len(codes) and not -1 <= codes.min() <= codes.max() < len(classes or ()):
            last = len(classes or ()) - 1
            raise BadInput(
                f"Column '{name}' goes from {codes.min()} to {codes.max()}; classes from 0 to {last} were expected.",
                "class_names=False",
            )
        frame.insert(table.column_names.index(name), name, categorical(codes, classes or ()))
    return frame


def categorical(codes: NDArray[Any], classes: Sequence[str]) -> pd.Categorical[Any]:
    """The names of class indices, of which -1 is null."""
    import pandas as pd

    return pd.Categorical.from_codes(codes, pd.Index(list(classes)))

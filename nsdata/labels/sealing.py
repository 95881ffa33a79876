"""What a run has staged, read back as it will be read: whole, valid, and what its writers held."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ids import digest
from nsdata.errors import BadInput, BadLabels, StoreDamaged
from nsdata.labels.codec import Codec
from nsdata.labels.staging import StagedPart, StagedPiece
from nsdata.log.parts import Part, Piece
from nsdata.storage import engine, inventory

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Array = NDArray[Any]
Summary = dict[str, Any]


def verified(store: Handle, staged: StagedPart, command: str) -> tuple[Part, dict[str, Array]]:
    """A part as it is to be published, and its confidences and losses, of labels. Raises BadLabels where it is not
    whole. command: what is typed to resume the run.

    A piece that breaks an invariant is dropped, or no later run could ever seal: its rows are written again.
    """
    if staged.done != staged.rows:
        noun = staged.columns.noun
        what = "the generation is not sealed" if noun == "labels" else "nothing is published"
        raise BadLabels(f"{staged.name} holds {staged.done:,} of {staged.rows:,} {noun}; {what}.", command)
    sums = {name: hashlib.blake2b(digest_size=16) for name in staged.columns.schema}
    kept: dict[str, list[Array]] = {"confidence": [], "kl": []}
    pieces: list[Piece] = []
    for piece in staged.chain:
        try:
            columns = _read(staged, piece)
        except (BadInput, StoreDamaged) as error:
            staged.drop(piece)
            again = "labels" if staged.columns.noun == "labels" else "writes"
            raise BadLabels(error.message, f"{command}   ({again} these rows again)") from error
        for name, values in columns.items():
            sums[name].update(np.ascontiguousarray(values).data)
        for name, found in kept.items():
            found += [columns[name]] if name in columns else []
        pieces.append(Piece(piece.name, piece.taken, inventory.finish(store.objects, piece.name)))
    digests = {name: sum_.hexdigest() for name, sum_ in sums.items()}
    digests["ids"] = digest(store.table.ids[staged.start : staged.start + staged.rows])
    part = Part(staged.name, staged.start, staged.rows, digests, tuple(pieces))
    return part, {name: np.concatenate([np.empty(0, np.float32), *values]) for name, values in kept.items()}


def _read(staged: StagedPart, piece: StagedPiece) -> dict[str, Array]:
    """The columns of a piece that count. Raises BadInput, StoreDamaged."""
    schema = staged.columns.schema
    reader = engine.Reader(f"{staged.objects.url}/{piece.name}", schema)
    columns = {name: reader.read(name, 0, piece.rows) for name in schema}
    for name, values in columns.items():
        if digest(values) != piece.digests.get(name):
            noun = staged.columns.noun
            raise BadLabels(f"{piece.name} does not hold the {noun} that were written: column {name!r} differs.")
    columns = {name: values[: piece.taken] for name, values in columns.items()}
    staged.columns.check(columns)
    return columns


def confidences(store: Handle, codec: Codec, parts: list[Part]) -> list[NDArray[np.float32]]:
    """Of parts that were sealed before."""
    readers, schema = store.table.readers, codec.schema(len(store.classes))
    return [readers.column(piece.name, schema, "confidence", piece.rows) for part in parts for piece in part.pieces]


def summary(confidences: list[NDArray[np.float32]], losses: list[NDArray[np.float32]]) -> Summary:
    """The figures that ``label`` prints and ``show`` repeats."""
    confidence = np.concatenate([np.empty(0, np.float32), *confidences])
    found: Summary = {
        "images": len(confidence),
        "confidence_mean": float(confidence.mean(dtype=np.float64)) if len(confidence) else None,
        "at_least_0.9": int((confidence >= np.float32(0.9)).sum()),
        "below_0.3": int((confidence < np.float32(0.3)).sum()),
    }
    loss = np.concatenate([np.empty(0, np.float32), *losses])
    if len(loss):  # of this run's own rows, against the float32 probabilities, in nats
        found |= {"kl_mean": float(loss.mean(dtype=np.float64)), "kl_p99": float(np.quantile(loss, 0.99))}
    return found

"""A teacher whose features the store holds: it answers from them by its classifier, and looks at no image.

Legend: m rows, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from nsdata import Store
from nsdata.embeddings.embeddings import Embeddings, of_name
from nsdata.labels.staging import StagedPart
from nsdata.versions.handle import Handle
from training.backbone import Backbone, classifier, weights_sha256
from training.models import LoadedModel

_kept: dict[tuple[str, str], str] = {}  # by the SHA-256 of a checkpoint's file, and its architecture


class Stored:
    """A model, and the embeddings that its own backbone made of the images just as the model sees them.

    They are float16: answers differ from the network's by what that rounds.
    """

    def __init__(self, model: LoadedModel, embeddings: Embeddings) -> None:
        self.model, self.embeddings = model, embeddings

    @property
    def run(self) -> dict[str, Any]:
        """What of it decides the numbers of labels: which vectors."""
        return {"embeddings": f"{self.embeddings.name}, version {self.embeddings.event}"}

    def covers(self, part: StagedPart) -> bool:
        """Whether all images of a part have a vector; of the whole part, so that a resumed run decides alike."""
        return self.embeddings.covers(np.arange(part.start, part.start + part.rows))

    @torch.inference_mode()
    def probabilities(self, rows: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """(m, K) float32, rows sum to 1: soft labels of these rows."""
        layer = classifier(self.model.model)
        assert layer is not None
        vectors_mD = torch.from_numpy(self.embeddings.at(rows)).to(layer.weight.device).float()
        found: np.ndarray = (layer(vectors_mD).float() / temperature).softmax(1).cpu().numpy()
        return found

    def soft_labels(self, part: StagedPart, batch_size: int, temperature: float) -> Iterator[np.ndarray]:
        """Of the rows of a part that are still to be labelled, a (B, K) float32 array a batch; of a purged image, which
        nobody has a vector of, the uniform distribution."""
        rows = part.pending
        for start in range(0, len(rows), batch_size):
            some = rows[start : start + batch_size]
            soft = self.probabilities(some, temperature)
            soft[self.embeddings.purged(some)] = 1 / soft.shape[1]
            yield soft


def of_model(store: Store, model: Any) -> Stored | None:
    """The teacher with its features in a store; None where the store has none of this very backbone.

    Looked for by the digest of its weights: whichever checkpoint it lies in, and under whatever name.
    """
    if not isinstance(model, LoadedModel) or not store.state.embeddings or classifier(model.model) is None:
        return None
    key = (model.sha256, model.name)
    if key not in _kept:
        _kept[key] = weights_sha256(model.model, model.config)
    found = find(store, _kept[key], model.preprocess.to_dict())
    return None if found is None or not found.provenance.get("plain_classifier") else Stored(model, found)


def of_backbone(store: Handle, network: Backbone) -> Embeddings | None:
    """The embeddings of a store that a network made, of pictures seen just so; None where there are none."""
    return find(store, network.weights_sha256, network.preprocess.to_dict())


def find(store: Handle, weights: str, preprocess: dict[str, Any]) -> Embeddings | None:
    """The newest embeddings by these weights of pictures seen so."""
    same = [
        found
        for found in store.state.embeddings.values()
        if (found.provenance["backbone_sha256"], found.provenance["preprocess"]) == (weights, preprocess)
    ]
    return of_name(store, max(same, key=lambda found: found.event).name) if same else None

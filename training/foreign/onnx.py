"""An ONNX file as a teacher: computed by onnxruntime, where that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nsdata.errors import ModelError
from training.foreign.names import Said, said


class Session:
    """side: of the square pictures that it takes, None where it takes any. auto: not moved to a GPU unasked. said: what
    of its metadata may name its outputs (names.py)."""

    auto = False

    def __init__(self, file: Path) -> None:
        self.file = file
        self._open("CPUExecutionProvider")
        takes, gives = self.session.get_inputs(), self.session.get_outputs()
        shape = list(takes[0].shape) if takes else []
        if len(takes) != 1 or len(shape) != 4 or (shape[1] not in (3, "", None) and not isinstance(shape[1], str)):
            text = ", ".join(f"{one.name} {one.shape}" for one in takes) or "nothing"
            raise ModelError(f"The ONNX file {file} takes {text}; one input (B, 3, H, W) was expected.")
        if "float" not in takes[0].type or takes[0].type == "tensor(double)":
            raise ModelError(f"The ONNX file {file} takes {takes[0].type}; tensor(float) was expected.")
        self.half = takes[0].type == "tensor(float16)"
        self.batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        self.side = shape[2] if isinstance(shape[2], int) and shape[2] == shape[3] and shape[2] > 0 else None
        self.names = takes[0].name, gives[0].name
        self.said: Said = said(dict(self.session.get_modelmeta().custom_metadata_map))

    def _open(self, provider: str) -> None:
        import onnxruntime

        options: Any = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session: Any = onnxruntime.InferenceSession(str(self.file), options, providers=[provider])
        except Exception as error:
            text = str(error).splitlines()[0]
            raise ModelError(f"The ONNX file {self.file} cannot be loaded: {text}.") from error

    def __call__(self, images: Tensor) -> Any:
        """(B, L): in batches of the size that the file is of, the last filled up with blank images."""
        values = images.cpu().numpy().astype(np.float16 if self.half else np.float32)
        size = self.batch or len(values)
        found = []
        for start in range(0, len(values), size):
            piece = values[start : start + size]
            short = size - len(piece)
            padded = np.concatenate([piece, np.zeros((short, *piece.shape[1:]), piece.dtype)]) if short else piece
            found.append(self.session.run([self.names[1]], {self.names[0]: padded})[0][: len(piece)])
        return np.concatenate(found)

    def to(self, device: torch.device) -> None:
        """Raises ModelError for a GPU that this onnxruntime cannot use."""
        import onnxruntime

        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device.type, device.type)
        if provider not in onnxruntime.get_available_providers():
            raise ModelError(f"The installed onnxruntime does not compute on {device}.", "pip install onnxruntime-gpu")
        if provider not in self.session.get_providers()[:1]:
            self._open(provider)

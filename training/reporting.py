"""Services that are sent a run's history while it lasts, where they are asked for: ``--report wandb``.

metrics.csv and a file for TensorBoard are in every run's folder. A service is a class of three methods and a line in
``SERVICES``; what it fails at ends no run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from nsdata.arguments import listing
from nsdata.errors import BadInput
from nsdata.progress import Note, unheard

Row = Mapping[str, float | None]


class Reporter(Protocol):
    """Is told of one run after the other."""

    def begin(self, name: str, config: Mapping[str, Any]) -> None:
        """A run of this name, with these settings, begins or is resumed."""

    def row(self, row: Row) -> None:
        """A row of metrics.csv."""

    def end(self) -> None:
        """The run is over, or was interrupted."""


class WandB:
    """Weights & Biases; the project and everything else by its own environment variables."""

    def __init__(self) -> None:
        self._wandb: Any = _module("wandb", "wandb")
        self._run: Any = None

    def begin(self, name: str, config: Mapping[str, Any]) -> None:
        """A run in the project that WANDB_PROJECT names."""
        self._run = self._wandb.init(name=name, config=dict(config), reinit=True)

    def row(self, row: Row) -> None:
        """At the row's step."""
        self._run.log(_known(row), step=int(row["step"] or 0))

    def end(self) -> None:
        """Send what is left."""
        self._run.finish()


class MLflow:
    """MLflow; the server and the experiment by its own environment variables."""

    def __init__(self) -> None:
        self._mlflow: Any = _module("mlflow", "mlflow")

    def begin(self, name: str, config: Mapping[str, Any]) -> None:
        """A run in the experiment that MLFLOW_EXPERIMENT_NAME names."""
        self._mlflow.start_run(run_name=name)
        self._mlflow.log_params(dict(config))

    def row(self, row: Row) -> None:
        """At the row's step."""
        self._mlflow.log_metrics(_known(row), step=int(row["step"] or 0))

    def end(self) -> None:
        """Close it."""
        self._mlflow.end_run()


SERVICES: dict[str, Callable[[], Reporter]] = {"wandb": WandB, "mlflow": MLflow}


def reporters(names: Sequence[str]) -> list[Reporter]:
    """The services of these names. Raises BadInput for one that is not known, or not installed."""
    found = []
    for name in listing("report", names, "names", "report=['wandb']"):
        if name not in SERVICES:
            raise BadInput(f"There is no service '{name}' to report to; there are {', '.join(SERVICES)}.")
        found.append(SERVICES[name]())
    return found


@contextmanager
def reported(
    services: Sequence[Reporter], name: str, config: Mapping[str, Any], note: Note = unheard
) -> Iterator[Callable[[Row], None]]:
    """What is to be given each row of a run. note: is told of a service that fails, which hears no more of this run."""
    alive = list(services)

    def each(what: str, tell: Callable[[Reporter], None]) -> None:
        for service in list(alive):
            try:
                tell(service)
            except Exception as error:  # whatever a service of others raises: hours of training do not depend on it
                alive.remove(service)
                note(f"{type(service).__name__} failed to {what} and is told no more of {name}: {error}")

    each("begin", lambda service: service.begin(name, config))
    try:
        yield lambda row: each("take a row", lambda service: service.row(row))
    finally:
        each("end", lambda service: service.end())


def _known(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.items() if value is not None and name != "step"}


def _module(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BadInput(f"{name} is not installed.", f"pip install {package}") from error

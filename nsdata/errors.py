"""Every error a person can cause, with what to do about it.

NsdataError(message, hint)
├── StoreError              the store as a place
│   ├── StoreNotFound       no store there (also FileNotFoundError)
│   ├── StoreExists         one is there already (also FileExistsError)
│   ├── StoreDamaged        what is there cannot be read as a store
│   ├── StoreTooNew         written by a later nsdata
│   ├── StorageFailed       the disk or bucket refused: no permission, full, gone (also OSError)
│   └── ReadOnly            a change asked of a past version
├── NotFound                no such version, tag, view, image, column (also LookupError)
├── Conflict                somebody else's change won, or the same thing exists
├── BadInput                a value that cannot be right (also ValueError)
│   ├── BadImage            bytes that are not a whole picture
│   ├── BadLabels           soft labels with a wrong shape, sum or range
│   ├── BadQuery            SQL that DuckDB or nsdata refuses
│   └── EmptyView           a view that keeps no rows
├── GenerationError         a generation out of order, missing, or sealed already
└── ModelError              a checkpoint or model that does not fit the store

The message says what is wrong with the value and what is there instead; the hint is the command or call to
type next. Anything that is not an NsdataError is a defect of nsdata and keeps its traceback.
"""

from __future__ import annotations


class NsdataError(Exception):
    """Base of all errors of nsdata. ``str(error)`` is the message; ``error.hint`` may be empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class StoreError(NsdataError):
    """Something is wrong with the store as a place."""


class StoreNotFound(StoreError, FileNotFoundError):
    """There is no store at this address."""


class StoreExists(StoreError, FileExistsError):
    """There is a store at this address already."""


class StoreDamaged(StoreError):
    """The store's files contradict each other or cannot be read."""


class StoreTooNew(StoreError):
    """The store was written by a later nsdata, in a format that this one does not know."""


class StorageFailed(StoreError, OSError):
    """The disk or bucket refused: no permission, no space, gone."""


class ReadOnly(StoreError):
    """A change was asked of a store opened at a past version."""


class NotFound(NsdataError, LookupError):
    """No version, tag, view, image or column of this name."""


class Conflict(NsdataError):
    """Another writer's change won, or the thing exists already."""


class BadInput(NsdataError, ValueError):
    """A value that cannot be right."""


class BadImage(BadInput):
    """Bytes that do not decode to one whole picture."""


class BadLabels(BadInput):
    """Soft labels with a wrong shape, sum or range."""


class BadQuery(BadInput):
    """SQL that was refused."""


class EmptyView(BadInput):
    """A view that keeps no rows where some are needed."""


class GenerationError(NsdataError):
    """A generation that is out of order, missing, or sealed already."""


class ModelError(NsdataError):
    """A checkpoint or model that does not fit the store."""

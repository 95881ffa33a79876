"""Handle: a store at one version, and the way to the newest. The verbs take one; ``Store`` puts fronts on them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nsdata.arguments import checked_classes
from nsdata.errors import ReadOnly, StoreExists, StoreNotFound
from nsdata.log.events import Event
from nsdata.log.history import History
from nsdata.log.resolve import resolve
from nsdata.log.state import Generation, Model, SavedView, State, bounded
from nsdata.schema import FORMAT
from nsdata.storage.address import canonical
from nsdata.storage.objects import Objects
from nsdata.versions.readers import Readers

if TYPE_CHECKING:
    from nsdata.versions.table import Table


class Handle:
    """A store at one version.

    ``create`` and ``open`` give the newest version, on which methods that change the store work and move on with it;
    ``at(version)`` gives the store as it was, read-only.
    """

    def __init__(self, url: str, history: History, state: State, readers: Readers, *, pinned: bool) -> None:
        self.url = url
        self._history, self._readers, self._pinned = history, readers, pinned
        self.state: State = state
        if not pinned:
            self._arrive(state)

    # ---------------------------------------------------------------- places and versions

    @classmethod
    def create(cls, url: str | Path, classes: Sequence[str]) -> Self:
        """Make an empty store for these K class names, in this order, for ever.

        Raises StoreExists; BadInput for a bad address or class list; StorageFailed.
        """
        names = checked_classes(classes)
        address = canonical(url)
        history = History(Objects(address))

        def make(state: State | None) -> dict[str, Any]:
            if state is not None:
                raise StoreExists(f"There is a store at {address} already.", f"nsdata --store {address} show")
            return {"format": FORMAT, "id": uuid.uuid4().hex, "classes": names}

        history.publish("created", make)
        return cls.open(address)

    @classmethod
    def open(cls, url: str | Path) -> Self:
        """The store at this address, at its newest version. Raises StoreNotFound, StoreDamaged, StoreTooNew."""
        address = canonical(url)
        history = History(Objects(address))
        state = history.newest()
        if state is None:
            raise StoreNotFound(
                f"There is no store at {address}.", f"nsdata --store {address} init --classes cat,dog,fox"
            )
        return cls(address, history, state, Readers(address, history.newest), pinned=False)

    def at(self, version: int | str) -> Self:
        """The store as it was at an event number or a tag, read-only. Raises NotFound.

        ``at("gen-1")`` never shows a generation after 1, also where 1 was sealed again after them.
        """
        number = resolve(self.state, version)
        tagged = re.fullmatch(r"gen-(\d+)", str(version))
        state = bounded(self._history.at(number), int(tagged[1]) if tagged else self.state.up_to)
        return type(self)(self.url, self._history, state, self._readers, pinned=True)

    def pinned(self) -> Self:
        """This version, read-only: it does not move on when the store does."""
        return self if self._pinned else self.at(self.version)

    def head(self) -> Self:
        """The newest version, writable, with what other processes have published since."""
        return type(self)(self.url, self._history, self._newest(), self._readers, pinned=False)

    @property
    def version(self) -> int:
        """The number of the last event of this version."""
        return self.state.version

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names; position = label."""
        return self.state.classes

    @property
    def tags(self) -> dict[str, int]:
        """Names of versions."""
        return dict(self.state.tags)

    @property
    def generations(self) -> dict[int, Generation]:
        """Sealed generations by number."""
        return dict(self.state.generations)

    @property
    def models(self) -> dict[int, Model]:
        """Trained models by generation."""
        return dict(self.state.models)

    @property
    def views(self) -> dict[str, SavedView]:
        """Saved views by name."""
        return dict(self.state.views)

    @property
    def events(self) -> list[Event]:
        """The log up to this version, oldest first."""
        return self._history.events(1, self.version)

    def __len__(self) -> int:
        """Images that are visible: imported and not removed."""
        return int(self.table.visible.sum())

    def __repr__(self) -> str:
        gens = ", ".join(f"gen-{g}" for g in sorted(self.state.generations)) or "no generations"
        return f"<Store {self.url} at {self.version}: {len(self):,} images, {len(self.classes)} classes, {gens}>"

    @cached_property
    def table(self) -> Table:
        """The images of this version as aligned columns, by row number."""
        from nsdata.versions.table import Table  # with numpy; what needs the log alone does without

        return Table(self.state, self._readers)

    # ---------------------------------------------------------------- publishing

    def publish(self, kind: str, make: Callable[[State], dict[str, Any]]) -> Event:
        """Write one event, decided on the newest state, and move this handle to it. Raises ReadOnly.

        ``make`` may be called more than once: whenever another writer was first.
        """
        self.writable()

        def on_a_store(state: State | None) -> dict[str, Any]:
            if state is None:
                raise StoreNotFound(f"There is no store at {self.url} any more.")
            return make(state)

        event = self._history.publish(kind, on_a_store)
        self.refresh()
        return event

    def writable(self) -> None:
        """Raise ReadOnly for a past version, StorageFailed where this user may not write: before any work is done."""
        if self._pinned:
            raise ReadOnly(
                f"This is the store as it was at version {self.version}; it cannot be changed.",
                f"Store.open({self.url!r})",
            )
        self.objects.writable()

    def refresh(self) -> Self:
        """Move this handle to the newest version."""
        if not self._pinned:
            state = self._newest()
            if state is not self.state:
                self.state = state
                self.__dict__.pop("table", None)
                self._arrive(state)
        return self

    def _newest(self) -> State:
        state = self._history.newest()
        if state is None:
            raise StoreNotFound(f"There is no store at {self.url} any more.")
        return state

    def _arrive(self, state: State) -> None:
        """Past versions read what is there today, so all of them know what was moved or deleted."""
        self._readers.newest = state

    @property
    def objects(self) -> Objects:
        """The small files of this store."""
        return self._history.objects

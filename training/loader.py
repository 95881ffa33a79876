"""nsdata in a training loop of your own: a view as PyTorch batches, decoded in threads, that can be taken up anywhere.

For a sampler, a ``collate_fn`` and worker processes of your own see view_dataset.py.
Legend: B images in a batch, H x W pixels, K classes.
"""

from __future__ import annotations

import hashlib
import inspect
import numbers
from collections.abc import Generator, Mapping
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from nsdata import View
from nsdata.arguments import flag, whole_number
from nsdata.errors import BadInput
from nsdata.images.crops import Crop, named
from nsdata.streaming import stream
from nsdata.streaming.blocks import blocks_of
from nsdata.streaming.cache import DecodedCache
from nsdata.streaming.order import Order
from nsdata.views.changed import tell
from training import arguments, workers
from training.batch import Batch, as_tensors
from training.device import check_name, pinned, to_device

FORMAT = 1  # of a loader's state; a later one is refused


class Loader(IterableDataset[Batch]):
    """Batches of a view, epoch after epoch, each row exactly as often as the view says: over all ranks together.

    Iterating gives one epoch. The next ``iter()`` gives the next epoch, in another order, whether the one before was
    taken to its end or left; ``set_epoch`` chooses one. Epoch e is epoch e of ``view.stream(…, seed=seed)``. There is
    one iteration at a time: a new one ends the one before. Leaving an iterator ends its threads.

    view:        what to show; its store stays open.
    batch_size:  B, 1 or more, on each rank; the last batch of an epoch is smaller, or left out by ``drop_last``.
    size, crop, scale, flip, resample: as in ``View.batches``; or ``crop`` is an ``nsdata.images.crops.Crop`` without
                 the rest.
    shuffle, seed, order, threads: as in ``nsdata.streaming.stream.stream``.
    rank, world: this process and how many there are. None: as ``torch.distributed`` says if it is initialised, else
                 the environment's RANK and WORLD_SIZE, else 0 of 1; asked again at each iteration.
    cache_bytes: keep so many bytes of decoded pictures for the next epochs; not for random crops.
    pin_memory:  batches lie in page-locked memory, from which a GPU copies by itself. None: if there is a GPU.
    device:      where batches are; on a GPU they are copied one batch ahead (training.device.to_device).

    Works as it is, as ``DataLoader(loader, batch_size=None)``, in accelerate, and in Lightning, which saves and loads
    its state. See docs/loaders.md.
    Raises EmptyView; BadInput, also where images moved to val or test since the view's version; while it is iterated
    also StoreDamaged.
    """

    def __init__(
        self,
        view: View,
        batch_size: int,
        *,
        size: int | None = None,
        crop: str | Crop = "centre",
        scale: tuple[float, float] = (0.08, 1.0),
        flip: bool = False,
        resample: str = "bilinear",
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        rank: int | None = None,
        world: int | None = None,
        threads: int | None = None,
        cache_bytes: int = 0,
        order: str | None = None,
        pin_memory: bool | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.view, self.device = arguments.view("view", view).need_rows(), device
        tell(view)
        self.batch_size, self.seed = whole_number("batch_size", batch_size), whole_number("seed", seed)
        self.shuffle, self.drop_last = flag("shuffle", shuffle), flag("drop_last", drop_last)
        if (rank is None) != (world is None):
            raise BadInput("Of rank and world one is given.", "Loader(view, 256, rank=0, world=2), or neither")
        self._place = None if rank is None else (whole_number("rank", rank), whole_number("world", world))
        self.order = "exact" if blocks_of(view.store.table, view.rows, order) is None else "blocks"
        if isinstance(crop, Crop):
            if size is not None or flag("flip", flip):
                raise BadInput("A Crop says itself which size it gives and whether it mirrors.", "Leave out size, flip")
            chosen = crop
        else:
            chosen = named(crop, size, scale=scale, flip=flip, resample=resample) or stream.as_they_are(
                view.store.table, view.rows
            )
        cache = DecodedCache(cache_bytes) if whole_number("cache_bytes", cache_bytes) else None
        if cache is not None:
            cache.check(chosen)
        pin = torch.cuda.is_available() if pin_memory is None else flag("pin_memory", pin_memory)
        check_name(device)
        if threads is not None and whole_number("threads", threads) < 1:
            raise BadInput(f"{threads} threads cannot decode; at least 1 is needed.")
        self._options: dict[str, Any] = {
            "decode": chosen, "shuffle": self.shuffle, "seed": self.seed, "drop_last": self.drop_last,
            "order": self.order, "cache": cache, "threads": threads, "allocate": pinned if pin else None,
        }  # fmt: skip
        self._epoch = self._batches = 0  # where the next batch lies
        self._begun = False  # whether the iteration under way, or the last one, gave a batch
        self._turn = 0  # which iteration may continue
        self._running: Generator[Any, None, None] | None = None
        self._ordered()  # refuses a bad batch size or rank

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        return self._ordered().batches(len(self.view))

    def __iter__(self) -> Generator[Batch, None, None]:
        if get_worker_info() is not None:
            raise BadInput(
                "A Loader decodes in threads of its own; in a worker process of a DataLoader it cannot run.",
                "DataLoader(loader, batch_size=None, num_workers=0), or training.ViewDataset",
            )
        if _this_process()[1] > 1 and _is_dispatched():
            raise BadInput(
                "accelerate would read this Loader in one process, which has one rank's share, and deal it out to all.",
                "accelerator.prepare(loader), without a DataLoader around it",
            )
        if self._begun and self._batches:
            self._epoch, self._batches = self._epoch + 1, 0
        self.close()
        return self._one_epoch(self._turn)

    def set_epoch(self, epoch: int) -> None:
        """The next iteration gives this epoch, 0 or later, from its beginning.

        Of the epoch of a state that was just loaded it gives the rest: so a loop that calls ``set_epoch`` each time
        continues where it was. Raises BadInput.
        """
        if whole_number("epoch", epoch) < 0:
            raise BadInput(f"The epoch is {epoch}; 0 or a later one was expected.", "loader.set_epoch(0)")
        if self._begun or epoch != self._epoch:
            self._move(epoch, 0)

    @property
    def sampler(self) -> Loader:
        """Itself: Lightning calls ``set_epoch`` of a loader's sampler before each epoch, and looks for both names."""
        return self

    batch_sampler = sampler

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch lies, as plain numbers and texts: for ``load_state_dict``, of any rank."""
        return {
            "format": FORMAT,
            "epoch": self._epoch,
            "batches": self._batches,
            "seed": self.seed,
            "view": self._digest,
            "rows": len(self.view),
            **self._cut(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there: the next iteration gives what would have come next, to the end of that epoch.

        Raises BadInput for the state of another view, seed or, in the middle of an epoch, way to cut it into batches.
        """
        mine = self.state_dict()
        kinds = (str, numbers.Integral)  # plain values, as they were given out
        if not isinstance(state, Mapping) or not all(isinstance(state.get(name), kinds) for name in mine):
            raise BadInput("This is not the state of a Loader.", "loader.load_state_dict(other_loader.state_dict())")
        if whole_number("The state's format", state["format"]) > FORMAT:
            text = f"The loader's state has format {state['format']}; this nsdata reads up to {FORMAT}."
            raise BadInput(text, "pip install --upgrade nsdata")
        if state["view"] != mine["view"]:
            theirs, ours = whole_number("The state's rows", state["rows"]), len(self.view)
            raise BadInput(
                f"The state belongs to another view, of {theirs:,} rows; this loader's has {ours:,}, not the same.",
                "view.save('NAME') when the run begins, store.load_view('NAME') when it is resumed",
            )
        names = ["seed", *(self._cut() if state["batches"] else ())]
        if others := [name for name in names if state[name] != mine[name]]:
            was = ", ".join(f"{name}={state[name]!r}" for name in others)
            now = ", ".join(f"{name}={mine[name]!r}" for name in others)
            where = f"in the middle of epoch {state['epoch']}" if state["batches"] else f"before epoch {state['epoch']}"
            raise BadInput(f"The state was taken {where} with {was}; this loader has {now}.", f"Loader(…, {was})")
        epoch, batches = whole_number("epoch", state["epoch"]), whole_number("batches", state["batches"])
        if min(epoch, batches) < 0:
            raise BadInput(f"The state stands at epoch {epoch}, batch {batches}; neither can be negative.")
        self._move(epoch, batches)

    def close(self) -> None:
        """End the iteration under way and its threads."""
        self._turn += 1
        self._begun = False
        if self._running is not None:
            self._running.close()

    def __getstate__(self) -> NoReturn:
        raise BadInput(
            "A Loader cannot be sent to another process: it reads and decodes in threads of this one.",
            "DataLoader(loader, batch_size=None, num_workers=0), or training.ViewDataset",
        )

    def _one_epoch(self, turn: int) -> Generator[Batch, None, None]:
        """What is left of an epoch. The state moves on before a batch is given out, so that it counts those given."""
        self._check_turn(turn)
        epoch = self._epoch
        batches, each = self._stream(epoch, self._batches)
        self._running = batches
        try:
            for number in range(self._batches + 1, each + 1):
                self._check_turn(turn)
                taken = [as_tensors(next(batches))]
                self._begun = True
                self._epoch, self._batches = (epoch, number) if number < each else (epoch + 1, 0)
                if number == each:
                    batches.close()  # many a loop counts batches, and never asks for the one after the last
                yield taken.pop()  # the consumer alone decides how long it lives
            if not self._begun:  # another rank's state stood before its last batch, which this rank has not
                self._epoch, self._batches = epoch + 1, 0
        finally:
            batches.close()

    def _stream(self, epoch: int, first: int) -> tuple[Generator[Any, None, None], int]:
        """An epoch from its batch number ``first`` on, where they are wanted; and how many batches it has in all."""
        ordered = self._ordered()
        each = ordered.batches(len(self.view))
        if not each and self.drop_last:
            raise BadInput(
                f"The view's {len(self.view):,} rows are fewer than a batch of {self.batch_size:,} on each of "
                f"{ordered.world} ranks, and drop_last leaves them out.",
                "A smaller batch_size, or drop_last=False",
            )
        batches = self.view.stream(
            self.batch_size, epochs=epoch + 1, start=epoch * each + first,
            rank=ordered.rank, world=ordered.world, **self._options,
        )  # fmt: skip
        return to_device(batches, self.device), each

    def _check_turn(self, turn: int) -> None:
        if self._turn != turn:
            raise BadInput(
                "This iteration ended when its loader was iterated again, set to another place or closed.",
                "A second Loader over the same view",
            )

    def _move(self, epoch: int, batches: int) -> None:
        """The next batch lies there. An iteration that has given one ends; one that has not, begins there."""
        if self._begun:
            self.close()
        self._epoch, self._batches = epoch, batches

    def _ordered(self) -> Order:
        rank, world = self._place or _this_process()
        return Order(self.batch_size, self.seed, self.shuffle, self.drop_last, None, rank, world)

    def _cut(self) -> dict[str, Any]:
        """What decides, besides the view and the seed, which rows the n-th batch of an epoch holds."""
        names = ("batch_size", "shuffle", "order", "drop_last")
        return {**{name: getattr(self, name) for name in names}, "world": self._ordered().world}

    @cached_property
    def _digest(self) -> str:
        """Of the view's rows, of which store, with which generation's soft labels."""
        about = hashlib.blake2b(f"{self.view.store.state.id} {self.view.gen}\n".encode(), digest_size=16)
        about.update(np.ascontiguousarray(self.view.rows).tobytes())
        return about.hexdigest()


def _this_process() -> tuple[int, int]:
    """(rank, world) of this process. Raises BadInput for nonsense in the environment."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    worker = workers.here()
    return worker.rank, worker.world


def _is_dispatched() -> bool:
    """Whether accelerate's dispatcher is iterating. Nothing else shows it, and rows would be missing without a word."""
    frame = inspect.currentframe()
    while frame is not None:
        if type(frame.f_locals.get("self")).__name__ == "DataLoaderDispatcher":
            return True
        frame = frame.f_back
    return False

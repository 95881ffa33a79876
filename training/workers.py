"""Which worker this process is, as PyTorch's launcher says: ``torchrun --no-python nsdata label --gen 2``.

Nothing is launched, elected or counted here. Rank 0 names, in the launcher's key-value store, the run that the others
join; from then on workers meet in the dataset store alone (see nsdata.labels.runs), so no process group is
needed and a rank that dies leaves nothing hanging: torchrun ends the others.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from nsdata.errors import BadInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Worker:
    """Rank 0 … world-1; ``local`` numbers the ranks of one machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    def broadcast(self, run: str) -> None:
        """Rank 0: which run the others should join."""
        if self.world > 1:
            self._meeting().set(_KEY, run)

    def receive(self, instead: Callable[[], T | None]) -> str | T:
        """The others: which run rank 0 began. Waits for it; should rank 0 fail, the launcher ends this process.

        instead: asked now and then; what it has is returned, as rank 0 may have found it too, and begun nothing.
        """
        meeting, asked = self._meeting(), time.monotonic()
        try:
            while not meeting.check([_KEY]):
                time.sleep(0.1)
                if time.monotonic() - asked > 2:
                    asked = time.monotonic()
                    if (found := instead()) is not None:
                        return found
            return str(meeting.get(_KEY).decode())
        except RuntimeError as error:
            raise BadInput(f"Worker {self.rank} lost the others: {error}.", _launch(self.world)) from error

    def _meeting(self) -> Any:
        """The launcher's key-value store; fresh for each launch."""
        from torch.distributed.rendezvous import rendezvous

        try:
            store, _, _ = next(iter(rendezvous("env://", rank=self.rank, world_size=self.world)))
        except (ValueError, RuntimeError) as error:
            raise BadInput(
                f"WORLD_SIZE is {self.world}, and the workers cannot meet: {str(error).splitlines()[0]}",
                _launch(self.world),
            ) from error
        return store

    def device(self, asked: str) -> str:
        """The device of this rank: the machine's GPUs one each, where "auto" or "cuda" is asked."""
        import torch

        if self.world > 1 and asked in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local % torch.cuda.device_count()}"
        return asked


def here() -> Worker:
    """This process; the only worker where no launcher set RANK and WORLD_SIZE. Raises BadInput for nonsense in them."""
    try:
        rank, world, local = (int(os.environ.get(name) or one) for name, one in _VARIABLES)
    except ValueError:
        raise BadInput("RANK, WORLD_SIZE and LOCAL_RANK are set, and not all of them to numbers.", _UNSET) from None
    if not 0 <= rank < world:
        raise BadInput(f"RANK is {rank} and WORLD_SIZE {world}; a rank from 0 to {world - 1} was expected.", _UNSET)
    return Worker(rank, world, local)


def _launch(world: int) -> str:
    """What starts this command again, in so many workers on one machine."""
    program = sys.argv[0] or "script.py"
    first = ["--no-python", "nsdata"] if os.path.basename(program) == "nsdata" else [program]
    return shlex.join(["torchrun", "--nproc-per-node", str(world), *first, *sys.argv[1:]])


_KEY = "nsdata/run"
_UNSET = "unset RANK WORLD_SIZE LOCAL_RANK, which torchrun sets for its own"
_VARIABLES = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))

"""Several processes that train one model: each has some rows of every batch.

They are begun by ``accelerate launch``, which also says how they find each other. Gradients are
added up, so the weights are those of one process with all rows, up to the order of the sums; each
process draws its own dropout.
"""

from __future__ import annotations

import atexit
import functools
import gc
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from recurra.batch import Batch
from recurra.errors import RunError

__all__ = ["Processes", "processes"]

# How long one that is done waits for the others.
_LEAVE = timedelta(seconds=10)


class Processes:
    """The processes of this training; one, unless it was launched as several.

    Args:
        rank: number of this one.
        world_size: number of all.
        device: through which they talk.
    """

    def __init__(
        self, rank: int = 0, world_size: int = 1, device: torch.device | str = "cpu"
    ) -> None:
        self.rank, self.world_size, self.device = rank, world_size, device

    @property
    def main(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """Which of so many rows belong to this process; there may be none."""
        return slice(
            batch * self.rank // self.world_size, batch * (self.rank + 1) // self.world_size
        )

    def part(self, batch: Batch) -> Batch:
        """The rows of a batch that belong to this process."""
        return batch if self.world_size == 1 else batch.part(self.rows)

    def all_reduce(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their sums over all processes; accelerate's own would copy each."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def total(self, *numbers: float) -> list[float]:
        """Sums of numbers over all processes."""
        if self.world_size == 1:
            return list(numbers)
        from accelerate.utils import reduce  # type: ignore[import-untyped]

        told = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        total: list[float] = reduce(told, "sum").tolist()
        return total

    def gather(self, value: Any) -> list[Any]:
        """What every process has, in their order."""
        if self.world_size == 1:
            return [value]
        from accelerate.utils import gather_object

        found: list[Any] = gather_object([value])
        return found

    def broadcast(self, value: Any) -> Any:
        """What the main process has."""
        if self.world_size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]


@functools.cache
def processes() -> Processes:
    """The processes of this training; they find each other at the first call.

    Raises:
        RunError: this is one of several, and the library accelerate is missing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    try:
        from accelerate import PartialState  # type: ignore[import-untyped]
    except ImportError as problem:
        raise RunError(
            "training: several processes need the library accelerate, which cannot be imported "
            f"({problem}); pip install 'recurra[distributed]' brings it."
        ) from None
    alone = not dist.is_initialized()
    asked = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    state = PartialState(cpu=asked or not torch.cuda.is_available())
    if state.num_processes == 1:
        raise RunError("training: launched as several processes, which did not find each other")
    if alone:  # who opens the connections closes them: left to the exit, a process may abort there
        atexit.register(_leave)
    return Processes(state.process_index, state.num_processes, state.device)


def _leave() -> None:
    """Close the connections, together: one that ends while others still talk to it may abort."""
    if not dist.is_initialized():
        return
    if dist.get_backend() == "gloo":
        with suppress(RuntimeError):  # one that failed does not come
            dist.monitored_barrier(timeout=_LEAVE)
    dist.destroy_process_group()
    gc.collect()  # what still holds a connection goes while threads can be joined

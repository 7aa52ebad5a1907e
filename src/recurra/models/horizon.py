"""What is known of the steps that are forecast, and densities of these."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.heads.densities import map_density

__all__ = ["KnownAhead", "PatchesAhead", "check_targets", "next_of", "picked"]


class PatchesAhead(nn.Module):
    """What is read at a step for each patch of the horizon: its number, and what is known of it."""

    def __init__(self, horizon: int, patch: int, future_size: int, output_size: int) -> None:
        super().__init__()
        self.patch, self.patches = patch, -(-horizon // patch)
        self.numbers = nn.Parameter(torch.empty(self.patches, output_size))
        nn.init.normal_(self.numbers, std=0.3)
        self.known = nn.Linear(patch * future_size, output_size) if future_size else None

    def forward(self, future: Tensor) -> Tensor:
        """``[batch, horizon, future_size]`` to ``[batch, patches, output_size]``."""
        rows = future.shape[0]
        if self.known is None:
            return self.numbers.expand(rows, -1, -1)
        more = self.patches * self.patch - future.shape[1]
        whole = nn.functional.pad(future, (0, 0, 0, more)) if more else future
        found: Tensor = self.numbers + self.known(whole.reshape(rows, self.patches, -1))
        return found


class KnownAhead(nn.Module):
    """What is known of each step of the horizon, beside the outputs, to numbers of that step.

    It begins with 0.
    """

    def __init__(
        self, input_size: int, future_size: int, output_size: int, width: int = 32
    ) -> None:
        super().__init__()
        self.state = nn.Linear(input_size, width)
        self.known = nn.Linear(future_size, width, bias=False)
        self.out = nn.Linear(width, output_size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, outputs: Tensor, future: Tensor) -> Tensor:
        """``[k, batch, input_size]`` and ``[k, batch, steps, future_size]``."""
        joined = self.state(outputs).unsqueeze(2) + self.known(future)
        found: Tensor = self.out(joined.relu())
        return found


def check_targets(density: Any, targets: Tensor) -> None:
    """Refuse targets of another shape than what is said of them.

    Raises:
        ShapeError: they are.
    """
    said = next(part for part in density if isinstance(part, Tensor))
    if said.shape[: targets.dim()] != targets.shape:  # they would broadcast
        raise ShapeError(
            f"targets: expected {list(said.shape[: targets.dim()])}, [origins, batch, steps, "
            f"channels] as they are said, got {list(targets.shape)}."
        )


def next_of(density: Any) -> Any:
    """Of ``[time, batch, steps, channels]`` the first step."""
    return map_density(lambda part: part[:, :, 0], density)


def picked(density: Any, place: int) -> Any:
    """One of those along the first axis."""
    return map_density(lambda part: part[place], density)

"""Several inputs of one example, any of which may be missing: a row of no steps is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from recurra.encoders.base import Encoder
from recurra.encoders.frames import Stem, together
from recurra.errors import SettingError, ShapeError
from recurra.layers import Layer, LayerOutput, Pool, Pooling
from recurra.sequences import PaddedSequence
from recurra.settings import check_rate
from recurra.states import Tree

__all__ = ["AlignedEncoder", "InputsEncoder", "SeveralEncoder", "pooled"]


class InputsEncoder(Encoder):
    """Base of those that read several inputs.

    ``names`` are those of the inputs in order, ``missing`` is the rate at which they are left out
    in training.
    """

    missing: float

    def given(self, inputs: Any) -> list[PaddedSequence]:
        """Inputs of a call; in training some as rows of no steps.

        A row that would have nothing keeps what it has.

        Raises:
            ShapeError: more or fewer than there are names, or something that is no PaddedSequence.
        """
        kinds = [type(one).__name__ for one in inputs] if isinstance(inputs, tuple) else []
        if kinds != ["PaddedSequence"] * len(self.names):
            got = kinds or type(inputs).__name__
            raise ShapeError(
                f"inputs: expected a tuple of {len(self.names)} PaddedSequences "
                f"({', '.join(self.names)}), got {got}."
            )
        if not self.training or not self.missing or len(inputs) < 2:
            return list(inputs)
        lengths = torch.stack([one.lengths for one in inputs])
        kept = lengths * (torch.rand(lengths.shape, device=lengths.device) >= self.missing)
        kept = torch.where((kept == 0).all(0), lengths, kept)
        return [PaddedSequence(one.values, some) for one, some in zip(inputs, kept, strict=True)]


class SeveralEncoder(InputsEncoder):
    r"""Each input by an encoder of its own; what these say of a row stands side by side.

    .. math:: v = [p_1; m_1; \dots; p_k; m_k]

    p is what each encoder's outputs are pooled to, of a missing input zero; m is 1 where it is
    missing and 0 elsewhere. What it returns has one step.

    Args:
        encoders: by name, in the order in which inputs are given.
        pool: how outputs become p, see :class:`recurra.Pooling`.
        missing: rate at which inputs are left out in training, so that the model learns to do
            without any of them; a row is never left without all that it has.

    Raises:
        SettingError: no encoders, an unknown pool, or a rate out of range.
    """

    causal = False

    def __init__(
        self, encoders: Mapping[str, Encoder], pool: Pool = "last", *, missing: float = 0.0
    ) -> None:
        super().__init__()
        if not encoders:
            raise SettingError("SeveralEncoder: expected at least one encoder, got none")
        self.encoders, self.names = nn.ModuleDict(encoders), tuple(encoders)
        self.pools = nn.ModuleDict(
            {name: Pooling(each.output_size, pool) for name, each in encoders.items()}
        )
        self.missing = check_rate("missing", missing)
        self.output_size = sum(each.output_size + 1 for each in encoders.values())

    def initial_state(self, batch: int) -> Tree:
        """None is carried."""
        return ()

    def forward(
        self, inputs: Any, state: Tree = None, context: Tree = None, resets: Tensor | None = None
    ) -> LayerOutput:
        """A PaddedSequence of each input to one step, ``[1, batch, output_size]``.

        Raises:
            ShapeError: more or fewer inputs than encoders, or a state to go on from.
        """
        if state is not None:
            raise ShapeError("state: several inputs are read whole; leave it out.")
        joined = torch.cat(
            [
                pooled(one, self.encoders[name](one, None, context), self.pools[name])
                for name, one in zip(self.names, self.given(inputs), strict=True)
            ],
            -1,
        )
        return LayerOutput(joined.unsqueeze(0), joined, ())


class AlignedEncoder(InputsEncoder):
    """Inputs of like steps beside each other at every step, read by one layer.

    Of an input that is missing the vectors are zero, and its mark, a number beside them, is 1.

    Args:
        stems: by name, in the order in which inputs are given; each makes vectors of an input.
        layer: reads all of these side by side.
        missing: as of :class:`SeveralEncoder`.

    Raises:
        SettingError: the layer reads vectors of another width.
    """

    def __init__(self, stems: Mapping[str, Stem], layer: Layer, *, missing: float = 0.0) -> None:
        super().__init__()
        self.stems = nn.ModuleDict(cast(Mapping[str, nn.Module], stems))
        self.names = tuple(stems)
        self.layer, self.missing = layer, check_rate("missing", missing)
        width = sum(stem.output_size + 1 for stem in stems.values())
        if layer.input_size not in (None, width):
            raise SettingError(
                f"AlignedEncoder: the stems give {width} numbers with the marks of what is "
                f"missing, the layer reads {layer.input_size}"
            )
        self.output_size = layer.output_size
        self.causal = layer.causal and not any(map(together, stems.values()))

    def initial_state(self, batch: int) -> Tree:
        """The layer's."""
        return self.layer.initial_state(batch)

    def forward(
        self, inputs: Any, state: Tree = None, context: Tree = None, resets: Tensor | None = None
    ) -> LayerOutput:
        """A PaddedSequence of each input to the layer's result.

        Raises:
            ShapeError: inputs of one row that differ in length.
        """
        given = self.given(inputs)
        found = [self.stems[name](one) for name, one in zip(self.names, given, strict=True)]
        lengths = torch.stack([one.lengths for one in found]).amax(0)
        time = max(one.time for one in found)
        parts = []
        for name, one in zip(self.names, found, strict=True):
            gone = one.lengths == 0
            if not bool((gone | (one.lengths == lengths)).all()):
                raise ShapeError(
                    f"inputs: expected as many steps of every input of a row, or none, got "
                    f"{one.lengths.tolist()} of {name!r} beside {lengths.tolist()}. Inputs that "
                    "are not aligned are fused late."
                )
            values = one.to_padded(time)
            parts += [values, gone.to(values.dtype).view(1, -1, 1).expand(time, -1, -1)]
        joined = PaddedSequence(torch.cat(parts, -1), lengths)
        result: LayerOutput = self.layer(joined, state, context, resets=resets)
        return result


def pooled(given: PaddedSequence, read: LayerOutput, pool: nn.Module) -> Tensor:
    """What is said of an input ``[batch, size + 1]``: zero, and behind it a 1, where it is missing.

    Args:
        given: the input.
        read: what an encoder returned of it.
        pool: makes vectors of that.
    """
    gone = (given.lengths == 0).unsqueeze(1)
    vector = pool(read).masked_fill(gone, 0)
    return torch.cat([vector, gone.to(vector.dtype)], -1)

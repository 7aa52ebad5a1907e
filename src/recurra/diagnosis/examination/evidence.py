"""What was measured of a model at work, by which it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from recurra.diagnosis.examination.flow import Flow
from recurra.diagnosis.examination.gates import Gates
from recurra.diagnosis.examination.horizon import Ignored, Response
from recurra.diagnosis.examination.inputs import OfInput
from recurra.diagnosis.examination.needs import Needs, gained
from recurra.diagnosis.examination.reached import Unreached

__all__ = ["Evidence"]


class Evidence(NamedTuple):
    """All that was measured.

    Args:
        flow: of the gradient of the loss.
        response: of the outputs to changes of the inputs.
        ignored: inputs that change nothing.
        gates: and units.
        loss: mean of a prediction on this batch.
        reference: that of one that knows nothing, or None.
        needs: how many steps must be read, or None where nothing is known of it.
        steps: of the longest row.
        window: steps that a gradient of training crosses; None if all.
        noise: the standard error of the loss, by parts of the batch.
        unreached: layers that learn nothing at all.
        by_input: what each of several inputs is by itself; empty where there is one.
    """

    flow: Flow
    response: Response
    ignored: Ignored
    gates: Gates
    loss: float
    reference: float | None
    needs: Needs | None
    steps: int
    window: int | None = None
    noise: float = 0.0
    unreached: tuple[Unreached, ...] = ()
    by_input: Mapping[str, OfInput] = MappingProxyType({})

    @property
    def learned(self) -> bool | None:
        """Whether it predicts better than one that knows nothing; None if nobody knows."""
        return gained(self.loss, self.reference, self.noise)

"""A training that is stopped as Ctrl-C does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recurra.training import Report


def stopped_at(step: int) -> Callable[[Report], None]:
    """A report that asks to stop at a step."""

    def report(told: Report) -> None:
        if told.progress is not None and told.progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report

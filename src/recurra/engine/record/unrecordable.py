"""Why a step cannot be a program."""

__all__ = ["StepFailed", "Unrecordable"]


class Unrecordable(Exception):
    """Why a step cannot be recorded; the message names the operation and the line."""


class StepFailed(Unrecordable):
    """The step itself does not work: no other way to run it does either."""

"""Why a backend cannot run a call, and why a step cannot be a program."""

__all__ = ["Refused", "StepFailed", "Unrecordable"]


class Refused(Exception):
    """Why a backend cannot run a call."""


class Unrecordable(Refused):
    """Why a step cannot be recorded; the message names the operation and the line."""


class StepFailed(Unrecordable):
    """The step itself does not work: no other way to run it does either."""

"""The report of a run: data, model and diagnosis together, on one page."""

from recurra.inspection.report import Report, inspect

__all__ = ["Report", "inspect"]

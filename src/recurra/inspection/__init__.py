"""The report of a run: data, model and diagnosis together, on one page."""

from recurra.inspection.report import Picture, Report, inspect, save_pictures

__all__ = ["Picture", "Report", "inspect", "save_pictures"]

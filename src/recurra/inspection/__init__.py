"""The report of a run: data, model and diagnosis together, on one page."""

from recurra.inspection.pictures import Picture, save_pictures
from recurra.inspection.report import Report, inspect

__all__ = ["Picture", "Report", "inspect", "save_pictures"]

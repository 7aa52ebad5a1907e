"""From a recipe and data to a run."""

from recurra.training.carded import card_for, card_of, is_recipe
from recurra.training.loop import Progress, Training
from recurra.training.recipe import (
    Recipe,
    TrainingSettings,
    load_recipe,
    recipe_names,
    recipe_text,
    setting_names,
    short_changes,
)
from recurra.training.run import RunFolder
from recurra.training.runs import data_of, evaluate, place_of, run_source
from recurra.training.session import Report, Trained, resume, train
from recurra.training.shelf import About, HeldOut, RunRow, about, list_runs

__all__ = [
    "About",
    "HeldOut",
    "Progress",
    "Recipe",
    "Report",
    "RunFolder",
    "RunRow",
    "Trained",
    "Training",
    "TrainingSettings",
    "about",
    "card_for",
    "card_of",
    "data_of",
    "evaluate",
    "is_recipe",
    "list_runs",
    "load_recipe",
    "place_of",
    "recipe_names",
    "recipe_text",
    "resume",
    "run_source",
    "setting_names",
    "short_changes",
    "train",
]

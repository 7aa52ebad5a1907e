"""The card of a run, or of a recipe that nobody has trained yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from recurra import artifact
from recurra.diagnosis import Card, card
from recurra.errors import SettingError
from recurra.tasks.base import task_names
from recurra.training.recipe import Recipe, TrainingSettings, load_recipe, recipe_names
from recurra.training.runs import recipe_of

__all__ = ["card_for", "card_of", "is_recipe"]


def is_recipe(name: str | Path) -> bool:
    """Whether it names a recipe, of the package or in a file, rather than a run."""
    path = Path(name)
    return not path.is_dir() and (path.suffix == ".toml" or str(name) in _known())


def _known() -> set[str]:
    return {*recipe_names(), *task_names()}


def card_of(
    name: str | Path,
    changes: Iterable[str] = (),
    *,
    which: str = "best",
    steps: int | None = None,
    rows: int | None = None,
) -> Card:
    """The card of a model: its layers and costs, how they grow, and what is checked.

    Args:
        name: a run, one of its checkpoints, or a recipe. Of a recipe the model is made over the
            smallest fronts, as no data are known: four symbols, say.
        changes: of a recipe, like ``"model.hidden_size=64"``.
        which: of a run, ``"best"`` or ``"last"``.
        steps: of a window; those of its training if None.
        rows: beside each other; those of its training if None.

    Raises:
        ArtifactError: the run cannot be loaded.
        SettingError: no such recipe or setting, changes of a run, or a task that makes no model
            without data.
    """
    changes = list(changes)
    notes: tuple[str, ...] = ()
    recipe: Recipe | None
    if is_recipe(name):
        recipe = load_recipe(str(name), changes)
        with torch.random.fork_rng(devices=[]):
            model = recipe.of_task.trial(recipe)
        if model is None:
            raise SettingError(
                f"describe: the task {recipe.task} makes no model without data; train it, and "
                "describe the run"
            )
        notes = ("what the data decide: the model is that of the smallest vocabularies.",)
    else:
        if changes:
            raise SettingError(
                f"describe: --set changes a recipe, and {name} is none ({', '.join(_known())}, or "
                "a TOML file)"
            )
        loaded = artifact.load(name, which=which)
        model, recipe = loaded.model, recipe_of(name)
    made = card_for(model, recipe, steps=steps, rows=rows)
    return dataclasses.replace(made, notes=(*made.notes, *notes))


def card_for(
    model: nn.Module,
    recipe: Recipe | None,
    *,
    steps: int | None = None,
    rows: int | None = None,
    measure: bool = True,
) -> Card:
    """The card of a model that is there, as its recipe trains it.

    Args:
        model: what is described.
        recipe: of its training; None where nobody knows.
        steps: as of :func:`card_of`, like ``rows``.
        rows: as there.
        measure: as of :func:`recurra.diagnosis.card`.
    """
    told = TrainingSettings() if recipe is None else recipe.training
    windows = recipe is not None and recipe.of_task.reads_windows(recipe.data)
    return card(
        model,
        told.window if steps is None else steps,
        told.batch_size if rows is None else rows,
        carried=None if windows or recipe is None else False,
        measure=measure,
    )

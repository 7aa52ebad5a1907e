"""From a recipe and data to a run."""

from recurra.training.corpus import Corpus, CorpusPart, Source, open_source, prepare
from recurra.training.evaluation import Evaluation, evaluate
from recurra.training.language import (
    Report,
    Trained,
    data_settings,
    resume_language_model,
    run_source,
    train_language_model,
)
from recurra.training.loop import Progress, Training
from recurra.training.recipe import (
    DataSettings,
    Recipe,
    TrainingSettings,
    load_recipe,
    recipe_names,
    recipe_text,
    setting_names,
)
from recurra.training.run import RunFolder

__all__ = [
    "Corpus",
    "CorpusPart",
    "DataSettings",
    "Evaluation",
    "Progress",
    "Recipe",
    "Report",
    "RunFolder",
    "Source",
    "Trained",
    "Training",
    "TrainingSettings",
    "data_settings",
    "evaluate",
    "load_recipe",
    "open_source",
    "prepare",
    "recipe_names",
    "recipe_text",
    "resume_language_model",
    "run_source",
    "setting_names",
    "train_language_model",
]

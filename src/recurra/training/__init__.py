"""From a recipe and data to a run."""

from recurra.training.corpus import Corpus, CorpusPart, Source, open_source, prepare
from recurra.training.evaluation import Evaluation, compare, evaluate
from recurra.training.language import (
    Report,
    Trained,
    data_settings,
    resume_language_model,
    run_source,
    train_language_model,
)
from recurra.training.loop import Progress, Training, fit
from recurra.training.recipe import (
    DataSettings,
    Recipe,
    TrainingSettings,
    load_recipe,
    recipe_names,
    recipe_text,
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
    "compare",
    "data_settings",
    "evaluate",
    "fit",
    "load_recipe",
    "open_source",
    "prepare",
    "recipe_names",
    "recipe_text",
    "resume_language_model",
    "run_source",
    "train_language_model",
]

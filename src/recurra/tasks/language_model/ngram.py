"""The task ``ngram``: a language model without a network, counted in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pydantic

from recurra import models
from recurra.errors import SettingError
from recurra.models import NGram, NGramConfig, NGramModel, NGramSettings
from recurra.sections import Section, contradiction, default
from recurra.tasks.base import register_task
from recurra.tasks.language_model.corpus import Corpus, CorpusPart, Held
from recurra.tasks.language_model.evaluation import Evaluation
from recurra.tasks.language_model.settings import DataSettings
from recurra.tasks.language_model.task import LanguageModelTask
from recurra_runtime.vocabulary import Vocabulary

__all__ = ["NGramData", "NGramTask"]


class NGramData(DataSettings):
    """The section ``[data]``: as of a language model, but nothing stands beside it unless told.

    Args:
        ngram_orders: of the n-grams that stand beside the model; none if empty.
        ngram_symbols: on how many symbols those are counted at most; the model is on all.
    """

    ngram_orders: list[Annotated[int, pydantic.Field(ge=1, le=64)]] = pydantic.Field(
        default_factory=list
    )


@register_task("ngram")
class NGramTask(LanguageModelTask):
    """The next symbol of a text by the n - 1 before it."""

    Data = NGramData
    Model: ClassVar[type[Section]] = NGramSettings
    by_steps = False

    def settled(self, loaded: Any) -> dict[str, Any]:
        """Refused: counts do not go on.

        Raises:
            SettingError: always.
        """
        raise SettingError(
            "from: an n-gram begins with no other one; count both texts: --data ONE --data OTHER"
        )

    def make(self, settings: Any, prepared: Corpus, report: Callable[[str], None]) -> NGramModel:
        """Count all of the training text."""
        report(f"counting grams of up to {settings.order} symbols")
        documents = prepared.parts["training"].documents()
        found = NGramModel.fit(documents, settings, len(prepared.vocabulary))
        report(f"{sum(found.config.grams):,} grams are kept")
        return found

    def restore(self, config: Any, fronts: Mapping[str, Vocabulary]) -> models.Model:
        """The model of a configuration that tells its sizes itself."""
        known = NGramConfig.model_validate(config)
        if known.vocabulary_size != len(fronts["text"]):
            raise ValueError(
                f"expected a vocabulary 'text' of {known.vocabulary_size} symbols beside this "
                f"model, got {len(fronts['text'])}. It belongs to another model"
            )
        return NGramModel(known)

    def trial(self, recipe: Any) -> None:
        """Nothing is built before the text is read."""

    def evaluate(self, compared: Mapping[str, Any], part: CorpusPart | Held) -> list[Evaluation]:
        """Each document from its start symbol to its end symbol."""
        return super().evaluate(
            {name: getattr(model, "ngram", model) for name, model in compared.items()}, part
        )

    def joined(
        self,
        model: models.Model,
        rivals: Mapping[str, NGram],
        prepared: Corpus,
        report: Callable[[str], None],
    ) -> dict[str, Any]:
        """None: there is no network."""
        return {}

    def read_joined(self, folder: Path, model: models.Model) -> dict[str, Any]:
        """None."""
        return {}

    def check(self, recipe: Any) -> None:
        """Conditions, which it has no place for; another one of its own name."""
        if recipe.data.conditions:
            raise contradiction(
                recipe.data, "conditions", "an n-gram reads symbols alone", section="data."
            )
        if recipe.model.order in recipe.data.ngram_orders:
            raise contradiction(
                recipe.data,
                "ngram_orders",
                f"the model is the one of order {recipe.model.order} (model.order)",
                "others than the model",
                section="data.",
            )

    def idle(self, recipe: Any) -> list[tuple[str, str]]:
        """All that is said of steps; how few are enough is told with how many passes."""
        training = recipe.training
        return [
            (f"training.{name}", "an n-gram is counted in one pass")
            for name in type(training).model_fields
            if name != "minimum_steps" and getattr(training, name) != default(training, name)
        ]

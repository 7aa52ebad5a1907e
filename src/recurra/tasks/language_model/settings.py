"""The section ``[data]`` of a language model's recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from recurra.data import SplitKind, Unit
from recurra.sections import contradiction, default
from recurra.tasks.texts import TextSection

__all__ = ["DataSettings"]

# Units of a text, and the breaks that none of them holds.
_NO_BREAKS = {("line", "lines"), ("line", "paragraphs"), ("paragraph", "paragraphs")}


class DataSettings(TextSection):
    """What is read, how it falls into symbols, and how it is divided.

    Args:
        unit: what of a text is a document: the ``"file"``, each ``"paragraph"`` or each ``"line"``.
        column: of JSON lines, CSV and Parquet, the field with the text; ``"text"`` if not given. Of
            tables without a header its number, from 0 on.
        header: of CSV, whether the first row has the names of the columns.
        gutenberg: whether header and license of Project Gutenberg are cut off.
        conditions: what is given beside every symbol: a column, the ``"file"`` or ``"folder"`` a
            text comes from, or its ``"first_letter"``.
        breaks: of words, whether ends of ``"lines"`` or ``"paragraphs"`` are a word, or ``"none"``.
        split: ``"tail"`` tests on the last tenth, ``"tails"`` on the last tenth of each document,
            ``"blocks"`` on every tenth block, ``"hash"`` on documents chosen by what they hold.
        block: characters in a block.
        distinct: whether a document that came before is left out.
        batches: ``"windows"`` read on from batch to batch, ``"documents"`` are whole, those of like
            length beside each other; if None, documents where the unit is a line.
        maximum_length: longest document in symbols; longer ones are truncated.
        truncate: on which side, ``"right"`` or ``"left"``.
        scored: how many symbols of the validation text, and of the test, are scored at most.
        ngram_orders: of the n-grams that stand beside the model, 2 a bigram; none if empty.
        ngram_symbols: on how many symbols of the training text n-grams are counted at most.
    """

    column: str | int | None = None  # type: ignore[assignment]
    header: bool = True
    unit: Unit = "file"
    gutenberg: bool = False
    conditions: list[str] = pydantic.Field(default_factory=list)
    breaks: Literal["none", "lines", "paragraphs"] = "none"
    split: SplitKind = "tail"
    block: int = pydantic.Field(10_000, ge=1)
    distinct: bool = False
    batches: Literal["windows", "documents"] | None = None
    maximum_length: int | None = pydantic.Field(None, ge=1)
    truncate: Literal["left", "right"] = "right"
    scored: int = pydantic.Field(1_000_000, ge=1)
    ngram_orders: list[Annotated[int, pydantic.Field(ge=1, le=64)]] = pydantic.Field(
        default_factory=lambda: [2, 5]
    )
    ngram_symbols: int = pydantic.Field(5_000_000, ge=1)

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        """Settings that contradict each other are refused, not ignored."""
        if (self.unit, self.breaks) in _NO_BREAKS:
            raise contradiction(self, "breaks", f"a {self.unit} has none of them inside")
        if self.maximum_length is not None and self.reading == "windows":
            raise contradiction(
                self, "maximum_length", "windows read on, whatever the length; batches=documents"
            )
        if self.split != "blocks" and self.block != default(self, "block"):
            raise contradiction(self, "block", f"data.split is {self.split!r}, not in blocks")
        if self.maximum_length is None and self.truncate != default(self, "truncate"):
            raise contradiction(self, "truncate", "there is no maximum_length to truncate to")
        if len(set(self.ngram_orders)) < len(self.ngram_orders):
            raise contradiction(self, "ngram_orders", "one of them stands twice", "each once")
        if len(set(self.conditions)) < len(self.conditions):
            raise contradiction(self, "conditions", "one of them stands twice", "each once")
        for name in self.conditions:
            if not name or "=" in name:
                raise contradiction(
                    self,
                    "conditions",
                    f"--given name=label cannot say {name!r}; rename that column",
                    "names that are not empty and have no '=' in them",
                )
        return self

    @property
    def reading(self) -> Literal["windows", "documents"]:
        """How batches are made."""
        return self.batches or ("documents" if self.unit == "line" else "windows")

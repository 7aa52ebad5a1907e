"""A recipe: every setting of a run, checked, with the nearest known name where one is wrong."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import pydantic
from pydantic_core import PydanticCustomError

from recurra.data.splits import SplitKind
from recurra.data.texts import Unit
from recurra.errors import SettingError, nearest
from recurra.models import LanguageModelSettings

__all__ = [
    "DataSettings",
    "Recipe",
    "TrainingSettings",
    "load_recipe",
    "recipe_names",
    "recipe_text",
    "setting_names",
]


OptimizerName = Literal[
    "adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "nadam", "radam", "rmsprop", "sgd"
]
"""Optimizers of torch that need nothing but gradients."""


class _Settings(pydantic.BaseModel):
    """Unknown names and wrong types are refused, and nothing changes after the check."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


def _contradiction(
    settings: pydantic.BaseModel,
    name: str,
    why: str,
    expected: str = "it to be left out",
    section: str = "",
) -> PydanticCustomError:
    """A setting that others leave no room for; :func:`_message` says it of the setting alone."""
    told = {"place": section + name, "got": getattr(settings, name), "expected": expected}
    return PydanticCustomError("contradiction", "{why}", told | {"why": why})


def _default(settings: pydantic.BaseModel, name: str) -> Any:
    """What a setting is where nobody chose; a run's recipe has all of them."""
    return type(settings).model_fields[name].default


# Units of a text, and the breaks that none of them holds.
_NO_BREAKS = {("line", "lines"), ("line", "paragraphs"), ("paragraph", "paragraphs")}


class DataSettings(_Settings):
    """What is read, how it falls into symbols, and how it is divided.

    Args:
        pattern: which files of a folder are read.
        encoding: how their characters are stored.
        unit: what of a text is a document: the ``"file"``, each ``"paragraph"`` or each ``"line"``.
        column: of JSON lines, CSV and Parquet, the field with the text; ``"text"`` if not given.
        separator: of tables in text, what stands between cells; a tab in ``.tsv``, a comma in
            ``.csv`` if not given.
        gutenberg: whether header and license of Project Gutenberg are cut off.
        conditions: what is given beside every symbol: a column, the ``"file"`` or ``"folder"`` a
            text comes from, or its ``"first_letter"``.
        vocabulary: ``"characters"`` (those of the training text), ``"bytes"``, ``"words"`` or
            ``"byte-pairs"``.
        vocabulary_size: of words, how many ids at most, the most frequent words first; of byte
            pairs, how many ids (8,000 if not given); of characters, at most so many are expected.
        minimum_count: words seen less often in the training text become ``<unk>``.
        lower: of words, whether all letters become lower case.
        punctuation: of words, whether punctuation marks are words of their own.
        breaks: of words, whether ends of ``"lines"`` or ``"paragraphs"`` are a word, or ``"none"``.
        split: ``"tail"`` tests on the last tenth, ``"tails"`` on the last tenth of each document,
            ``"blocks"`` on every tenth block, ``"hash"`` on documents chosen by what they hold.
        block: characters in a block.
        validation: whether a tenth is set apart to choose the best checkpoint.
        distinct: whether a document that came before is left out.
        batches: ``"windows"`` read on from batch to batch, ``"documents"`` are whole, those of like
            length beside each other; if None, documents where the unit is a line.
        maximum_length: longest document in symbols; longer ones are truncated.
        truncate: on which side, ``"right"`` or ``"left"``.
        scored: how many symbols of the validation text, and of the test, are scored at most.
        ngram_symbols: on how many symbols of the training text n-grams are counted at most.
    """

    pattern: str = "*.txt"
    encoding: str = "utf-8"
    unit: Unit = "file"
    column: str | None = None
    separator: str | None = pydantic.Field(None, min_length=1, max_length=1)
    gutenberg: bool = False
    conditions: list[str] = []
    vocabulary: Literal["characters", "bytes", "words", "byte-pairs"] = "characters"
    vocabulary_size: int | None = pydantic.Field(None, ge=4, le=10**8)
    minimum_count: int = pydantic.Field(1, ge=1)
    lower: bool = False
    punctuation: bool = True
    breaks: Literal["none", "lines", "paragraphs"] = "none"
    split: SplitKind = "tail"
    block: int = pydantic.Field(10_000, ge=1)
    validation: bool = True
    distinct: bool = False
    batches: Literal["windows", "documents"] | None = None
    maximum_length: int | None = pydantic.Field(None, ge=1)
    truncate: Literal["left", "right"] = "right"
    scored: int = pydantic.Field(1_000_000, ge=1)
    ngram_symbols: int = pydantic.Field(5_000_000, ge=1)

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        """Settings that contradict each other are refused, not ignored."""
        if self.vocabulary != "words":
            for name in ("lower", "punctuation", "breaks", "minimum_count"):
                if getattr(self, name) != _default(self, name):
                    raise _contradiction(
                        self, name, f"the vocabulary is of {self.vocabulary}, not of words"
                    )
        if (self.unit, self.breaks) in _NO_BREAKS:
            raise _contradiction(self, "breaks", f"a {self.unit} has none of them inside")
        if self.vocabulary == "bytes" and self.vocabulary_size is not None:
            raise _contradiction(
                self, "vocabulary_size", "a vocabulary of bytes always has 259 ids"
            )
        if self.maximum_length is not None and self.reading == "windows":
            raise _contradiction(
                self, "maximum_length", "windows read on, whatever the length; batches=documents"
            )
        if self.split != "blocks" and self.block != _default(self, "block"):
            raise _contradiction(self, "block", f"data.split is {self.split!r}, not in blocks")
        if self.maximum_length is None and self.truncate != _default(self, "truncate"):
            raise _contradiction(self, "truncate", "there is no maximum_length to truncate to")
        if len(set(self.conditions)) < len(self.conditions):
            raise _contradiction(self, "conditions", "one of them stands twice", "each once")
        for name in self.conditions:
            if not name or "=" in name:
                raise _contradiction(
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


class TrainingSettings(_Settings):
    """How weights are fitted.

    Args:
        symbols: how many symbols to train on in all; if None, ``epochs`` decides.
        epochs: passes over the training text.
        batch_size: rows read beside each other.
        window: steps of truncated backpropagation, where windows are read; the state is carried
            on.
        accumulate: batches whose gradients are added up before a step of the optimizer.
        optimizer: one of torch's, by name; Adam and AdamW with betas (0.9, 0.99).
        optimizer_settings: further arguments of it, such as ``{momentum = 0.9}``.
        learning_rate: at its highest.
        warmup: share of the steps in which it rises from 0.
        schedule: how it falls after that: along a ``"cosine"`` or in a straight line (``"linear"``)
            to 0, or not at all (``"constant"``).
        weight_decay: on matrices.
        clip: largest norm of all gradients together; larger ones are scaled down to it.
        clip_value: largest absolute value of an element of a gradient, or None.
        precision: ``"float32"``, or ``"bfloat16"``: products and what the layers say are in
            bfloat16 (torch's autocast); weights, their gradients, the optimizer's memory, carried
            states and losses stay float32.
        average: what is validated and kept is an exponential moving average of the weights, which
            after t steps goes 1 - min(average, (1 + t) / (10 + t)) of the way to them; 0:
            themselves.
        evaluations: how often in all the validation text is scored and a checkpoint kept.
        early_stop: after how many evaluations without a better one to stop, or None.
        tensorboard: whether the log is written for TensorBoard too.
        seed: of every draw.
        device: where the training runs, as torch names it: cpu, cuda, cuda:1.
    """

    symbols: int | None = pydantic.Field(None, ge=1, le=10**15)
    epochs: float = pydantic.Field(10, le=1e6, gt=0, allow_inf_nan=False)
    batch_size: int = pydantic.Field(32, ge=1)
    window: int = pydantic.Field(64, ge=1)
    accumulate: int = pydantic.Field(1, ge=1)
    optimizer: OptimizerName = "adamw"
    optimizer_settings: dict[str, Any] = {}
    learning_rate: float = pydantic.Field(0.004, gt=0, allow_inf_nan=False)
    warmup: float = pydantic.Field(0.02, ge=0, le=1)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = pydantic.Field(0.01, ge=0, allow_inf_nan=False)
    clip: float = pydantic.Field(1.0, gt=0)
    clip_value: float | None = pydantic.Field(None, gt=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    average: float = pydantic.Field(0.0, ge=0, lt=1)
    evaluations: int = pydantic.Field(10, ge=1)
    early_stop: int | None = pydantic.Field(None, ge=1)
    tensorboard: bool = False
    seed: int = pydantic.Field(0, ge=0, lt=2**63)
    device: str = "cpu"


class Recipe(_Settings):
    """Every setting of a run."""

    task: Literal["language-model"] = "language-model"
    data: DataSettings = DataSettings()
    model: LanguageModelSettings = LanguageModelSettings()
    training: TrainingSettings = TrainingSettings()

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        """Settings of two sections that contradict each other."""
        if self.training.early_stop is not None and not self.data.validation:
            raise _contradiction(
                self.training,
                "early_stop",
                "without a validation text (data.validation=false) there is nothing to stop by",
                section="training.",
            )
        if self.training.symbols is not None and self.training.epochs != _default(
            self.training, "epochs"
        ):
            raise _contradiction(
                self.training, "epochs", "training.symbols says how long", section="training."
            )
        if not self.data.conditions and self.model.condition_size != _default(
            self.model, "condition_size"
        ):
            raise _contradiction(
                self.model, "condition_size", "data.conditions names none", section="model."
            )
        return self


def without_effect(recipe: Recipe) -> list[str]:
    """Settings that somebody chose and that change nothing beside the others, each with why."""
    data, model, training = recipe.data, recipe.model, recipe.training
    own = (model.dropout_input, model.dropout_between, model.dropout_output)
    rates = [model.dropout if rate is None else rate for rate in own]
    if model.layers == 1:
        rates[1] = 0.0
    window = data.reading == "documents" and training.window != _default(training, "window")
    places = "at the embedding, between layers and before the projection"
    found = (
        ("model.residual", model.residual and model.layers == 1, "there is one layer"),
        ("model.dropout_between", bool(own[1]) and model.layers == 1, "there is one layer"),
        ("model.dropout", model.dropout and None not in own, "each place has a rate of its own"),
        ("model.held", model.held and not any(rates), f"nothing is dropped {places}"),
        ("training.window", window, "documents are read whole"),
    )
    return [f"{name} has no effect: {why}" for name, idle, why in found if idle]


def recipe_names() -> list[str]:
    """Recipes that come with the package."""
    folder = resources.files("recurra") / "recipes"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """A recipe of the package as it is written, with its comments.

    Raises:
        SettingError: no such recipe.
    """
    if name not in recipe_names():
        raise SettingError(f"recipe: none is called {name!r}; {nearest(name, recipe_names())}")
    return (resources.files("recurra") / "recipes" / f"{name}.toml").read_text("utf-8")


def load_recipe(name: str, changes: Iterable[str] = ()) -> Recipe:
    """Read a recipe and change single settings.

    Args:
        name: a recipe of the package (``language-model``) or a TOML file.
        changes: like ``model.cell=gru``; a value is TOML, and text may stand without quotes.

    Raises:
        SettingError: no such recipe, not TOML, an unknown setting (the nearest is named), or a
            value of a wrong type.
    """
    return _changed(_read(name), changes, name)


def changed(recipe: Recipe, changes: Iterable[str], name: str) -> Recipe:
    """A recipe with single settings changed.

    Raises:
        SettingError: as :func:`load_recipe`.
    """
    return _changed(recipe.model_dump(), changes, name)


def _changed(data: dict[str, Any], changes: Iterable[str], name: str) -> Recipe:
    changes = list(changes)
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals or not path.strip():
            raise SettingError(f"--set {change!r}: expected name=value, for example model.cell=gru")
        place = data
        *sections, last = path.strip().split(".")
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise SettingError(f"--set {change!r}: {section} is a setting, not a section")
        place[last] = _value(value.strip())
    # How long it trains is said in one of two ways; the one that is changed is meant.
    given = {change.partition("=")[0].strip() for change in changes}
    for one, other in (("symbols", "epochs"), ("epochs", "symbols")):
        if f"training.{one}" in given and f"training.{other}" not in given:
            data["training"].pop(other, None)
    return checked(data, name)


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    try:
        if name in recipe_names():
            text = recipe_text(name)
        elif path.is_file():
            text = path.read_text("utf-8-sig")
        else:
            raise SettingError(
                f"recipe: no file and no recipe {name!r}; {nearest(name, recipe_names())}"
            )
        return tomllib.loads(text)
    except SettingError:  # no such recipe: a ValueError too, and already a sentence
        raise
    except (ValueError, RecursionError) as problem:  # not TOML, not UTF-8, or a number too long
        raise SettingError(
            f"recipe {name}: not TOML ({problem}). A text to train on is given with --data."
        ) from None
    except OSError as problem:
        raise SettingError(f"recipe {name}: cannot be read ({problem.strerror})") from None


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def checked(data: Any, name: str) -> Recipe:
    """A recipe of its settings.

    Raises:
        SettingError: one of them cannot be; the message begins with the name of the recipe.
    """
    try:
        return Recipe.model_validate(data)
    except pydantic.ValidationError as problem:
        raise SettingError(_message(problem.errors()[0], name)) from None


def _message(error: Any, name: str) -> str:
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        known = setting_names()
        if isinstance(error["input"], dict):  # who wrote a table meant a table
            known = sorted({table for each in known if (table := each.rpartition(".")[0])})
        return f"recipe {name}: no setting {place!r}; {nearest(place, known)}"
    if error["type"] == "contradiction":
        told = error["ctx"]
        place = ".".join(part for part in (place, told["place"]) if part)
        got = _short(told["got"])
        return f"recipe {name}: {place}: expected {told['expected']}, got {got}: {told['why']}"
    if error["type"] == "list_type" and isinstance(error["input"], str):
        if _quoted(error["input"]):
            return f"recipe {name}: {place}: expected a list; {_hint('list_type', error['input'])}"
        example = json.dumps([error["input"]])
        return f"recipe {name}: {place}: expected a list, for example {example}"
    expected, _, _ = error["msg"].removeprefix("Input should be ").partition(" or instance of ")
    got = _short(error["input"])
    guess = ""
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        known = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        guess = nearest(error["input"], known).rpartition("Known:")[0].rstrip()
    guess = guess or _hint(error["type"], error["input"])
    guess = f"; {guess}" if guess else ""
    return f"recipe {name}: {place + ': ' if place else ''}expected {expected}, got {got}{guess}"


_FLAGS = {"false": "false", "no": "false", "off": "false"}
_FLAGS |= {"true": "true", "yes": "true", "on": "true"}


def _hint(kind: str, value: Any) -> str:
    """How a value is written in TOML, where it is plain what was meant; empty elsewhere."""
    if isinstance(value, str):
        if kind == "bool_type" and value.lower() in _FLAGS:
            return f"write {_FLAGS[value.lower()]}"
        if value.lower() in ("none", "null", "nil"):
            return "TOML has no such value; leave the setting out"
        if kind in ("dict_type", "list_type") and (quoted := _quoted(value)):
            return f"text inside it is quoted: {quoted}"
        if kind == "float_type" and re.fullmatch(r"\.\d+", value):
            return f"write 0{value}"
    elif kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    return ""


def _quoted(text: str) -> str:
    """A table or list in TOML with quotes around its bare words; empty if it still is none."""
    bare = r"(?<=[=,\[:])(\s*)(?!true\b|false\b)([A-Za-z_][\w./-]*)(?=\s*[,}\]])"
    quoted = re.sub(bare, r'\1"\2"', text)
    return quoted if isinstance(_value(quoted), dict | list) else ""


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def setting_names(settings: type[pydantic.BaseModel] = Recipe, prefix: str = "") -> list[str]:
    """Names of all settings, as ``--set`` takes them."""
    names: list[str] = []
    for field, info in settings.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
            names += setting_names(inner, f"{prefix}{field}.")
        else:
            names.append(prefix + field)
    return names

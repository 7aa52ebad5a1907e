"""A recipe: every setting of a run, checked, with the nearest known name where one is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import pydantic

from recurra.data.splits import SplitKind
from recurra.errors import SettingError, nearest
from recurra.models import LanguageModelSettings

__all__ = ["DataSettings", "Recipe", "TrainingSettings", "load_recipe", "recipe_names"]


class _Settings(pydantic.BaseModel):
    """Unknown names and wrong types are refused, and nothing changes after the check."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class DataSettings(_Settings):
    """What is read, and how it is divided.

    Args:
        pattern: which files of a folder are read.
        encoding: how their characters are stored.
        vocabulary: ``"characters"`` (those of the training text) or ``"bytes"``.
        split: ``"tail"`` tests on the last tenth, ``"blocks"`` on every tenth block.
        block: characters in a block.
        validation: whether the tenth before the test is set apart to choose the best epoch.
    """

    pattern: str = "*.txt"
    encoding: str = "utf-8"
    vocabulary: Literal["characters", "bytes"] = "characters"
    split: SplitKind = "tail"
    block: int = pydantic.Field(10_000, ge=1)
    validation: bool = True


class TrainingSettings(_Settings):
    """How weights are fitted.

    Args:
        symbols: how many symbols to train on in all; if None, ``epochs`` decides.
        epochs: passes over the training text.
        batch_size: rows read beside each other.
        window: steps of truncated backpropagation; the state is carried on.
        learning_rate: of AdamW, at its highest.
        warmup: share of the steps in which it rises from 0; then it falls to 0 along a cosine.
        weight_decay: of AdamW, on matrices.
        clip: largest norm of all gradients together; larger ones are scaled down to it.
        evaluations: how often in all the validation text is scored and a checkpoint kept.
        seed: of every draw.
        device: where the training runs, as torch names it: cpu, cuda, cuda:1.
    """

    symbols: int | None = pydantic.Field(None, ge=1, le=10**15)
    epochs: float = pydantic.Field(10, le=1e6, gt=0, allow_inf_nan=False)
    batch_size: int = pydantic.Field(32, ge=1)
    window: int = pydantic.Field(64, ge=1)
    learning_rate: float = pydantic.Field(0.004, gt=0, allow_inf_nan=False)
    warmup: float = pydantic.Field(0.02, ge=0, le=1)
    weight_decay: float = pydantic.Field(0.01, ge=0, allow_inf_nan=False)
    clip: float = pydantic.Field(1.0, gt=0)
    evaluations: int = pydantic.Field(10, ge=1)
    seed: int = pydantic.Field(0, ge=0, lt=2**63)
    device: str = "cpu"


class Recipe(_Settings):
    """Every setting of a run."""

    task: Literal["language-model"] = "language-model"
    data: DataSettings = DataSettings()
    model: LanguageModelSettings = LanguageModelSettings()
    training: TrainingSettings = TrainingSettings()


def recipe_names() -> list[str]:
    """Recipes that come with the package."""
    folder = resources.files("recurra") / "recipes"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


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
    return _check(data, name)


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    try:
        if name in recipe_names():
            text = (resources.files("recurra") / "recipes" / f"{name}.toml").read_text("utf-8")
        elif path.is_file():
            text = path.read_text("utf-8")
        else:
            raise SettingError(
                f"recipe: no file and no recipe {name!r}; {nearest(name, recipe_names())}"
            )
        return tomllib.loads(text)
    except (ValueError, RecursionError) as problem:  # not TOML, not UTF-8, or a number too long
        raise SettingError(f"recipe {name}: not TOML ({problem})") from None
    except OSError as problem:
        raise SettingError(f"recipe {name}: cannot be read ({problem.strerror})") from None


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _check(data: Mapping[str, Any], name: str) -> Recipe:
    try:
        return Recipe.model_validate(data)
    except pydantic.ValidationError as problem:
        raise SettingError(_message(problem.errors()[0], name)) from None


def _message(error: Any, name: str) -> str:
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"recipe {name}: no setting {place!r}; {nearest(place, _known(Recipe))}"
    expected = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"recipe {name}: {place}: expected {expected}, got {error['input']!r}"


def _known(settings: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    names: list[str] = []
    for field, info in settings.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
            names += _known(inner, f"{prefix}{field}.")
        else:
            names.append(prefix + field)
    return names

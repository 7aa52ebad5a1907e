"""What is compared: every combination of the values of some settings, checked before any begins."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recurra.errors import RecurraError, SettingError
from recurra.training.recipe import Recipe, changed, value_of
from recurra.training.session import try_settings

__all__ = [
    "BODY",
    "Variant",
    "check_variant",
    "parsed_vary",
    "parts_of",
    "short_names",
    "shown",
    "told",
    "variants_of",
]

BODY = "model.body"
"""The setting of which a rival has another value: what reads, where the rest stays as it is."""

_SEED = "training.seed"
_LONGEST = 40  # characters of a value in the name of a folder


@dataclasses.dataclass(frozen=True)
class Variant:
    """One combination.

    Args:
        name: of the folder of its runs; the same whatever else is compared.
        settings: those in which variants differ, by name.
        recipe: with these settings.
    """

    name: str
    settings: Mapping[str, Any]
    recipe: Recipe

    def seeded(self, seed: int) -> Recipe:
        """The recipe with another seed."""
        return changed(self.recipe, {_SEED: seed}, self.name)


def parsed_vary(given: Iterable[str]) -> dict[str, list[Any]]:
    """Values by setting, of texts like ``model.cell=elman,lstm``; each value is TOML.

    Raises:
        SettingError: no name, no value, or a setting that is there twice.
    """
    found: dict[str, list[Any]] = {}
    for each in given:
        name, equals, values = each.partition("=")
        name = name.strip()
        parts = parts_of(values)
        if not equals or not name or not all(parts):
            raise SettingError(
                f"--vary {each!r}: expected name=value,value, for example model.cell=lstm,gru"
            )
        if name in found:
            raise SettingError(f"--vary {name}: is there twice; write all of its values in one")
        found[name] = [value_of(part) for part in parts]
    return found


def parts_of(text: str) -> list[str]:
    """Split at commas that stand neither in quotes nor in brackets."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts]


def variants_of(
    recipe: Recipe, vary: Mapping[str, Sequence[Any]], rivals: Sequence[str], name: str
) -> list[Variant]:
    """Every combination of values, then a variant for each rival.

    Args:
        recipe: what all have in common.
        vary: values by setting.
        rivals: values of :data:`BODY`, each beside the recipe's own other settings.
        name: what errors call the recipe.

    Raises:
        SettingError: a value that a recipe or a model does not take, two variants that are the
            same, or a setting without values.
    """
    for setting, values in vary.items():
        if isinstance(values, str | bytes) or not isinstance(values, Sequence) or not values:
            raise SettingError(f"vary {setting}: expected a list of values, got {values!r}")
        if setting == BODY and rivals:
            raise SettingError(f"rival: {BODY} is varied already; give that value there")
        if setting == _SEED:
            raise SettingError(f"vary {_SEED}: how many there are is said with seeds")
    own = getattr(recipe.model, "body", None)
    shared = {BODY: own} if rivals and own is not None else {}
    chosen = [
        {**shared, **dict(zip(vary, values, strict=True))}
        for values in itertools.product(*vary.values())
    ]
    chosen += [{BODY: rival} for rival in rivals]
    names = short_names([*vary, *([BODY] if rivals else [])])
    found: list[Variant] = []
    for settings in chosen:
        variant = Variant(_folder(settings, names), settings, changed(recipe, settings, name))
        if same := next((one for one in found if one.recipe == variant.recipe), None):
            one, other = shown(settings), shown(same.settings)
            also = f", it is also {other}" if other != one else ""
            raise SettingError(f"compare: {one} is there twice{also}; leave one out")
        found.append(variant)
    for variant in found:
        check_variant(variant.settings, variant.recipe)
    return found


def check_variant(settings: Mapping[str, Any], recipe: Recipe) -> None:
    """Build its model without memory.

    Raises:
        SettingError: it cannot be; the message says of which settings.
    """
    try:
        try_settings(recipe)
    except RecurraError as problem:
        raise SettingError(f"compare: with {shown(settings) or 'the recipe'}: {problem}") from None


def shown(settings: Mapping[str, Any]) -> str:
    """Settings in a line, as ``model.cell=gru model.layers=2``."""
    return " ".join(f"{name}={told(value)}" for name, value in settings.items())


def told(value: Any) -> str:
    """A value as a person writes it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Settings by their last part, where that is of one alone."""
    every = list(dict.fromkeys(names))
    last = [name.rpartition(".")[2] for name in every]
    return {
        name: end if last.count(end) == 1 else name for name, end in zip(every, last, strict=True)
    }


def _folder(settings: Mapping[str, Any], names: Mapping[str, str]) -> str:
    return "_".join(f"{names[name]}-{_plain(value)}" for name, value in settings.items())


def _plain(value: Any) -> str:
    """A value in letters that every file system takes; what is lost of it comes back as a hash."""
    text = told(value)
    plain = re.sub(r"[^A-Za-z0-9.+-]+", "-", text)[:_LONGEST].strip("-.")
    if plain == text:
        return plain
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()
    return f"{plain}-{digest}" if plain else digest

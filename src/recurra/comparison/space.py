"""Where a search looks: ranges and choices of settings, checked before it begins."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recurra.comparison.variants import check_variant, parts_of
from recurra.errors import SettingError
from recurra.training.recipe import Recipe, changed, value_of

__all__ = ["Space", "checked_space", "default_space", "parsed_space"]

_RANGE = re.compile(r"(?P<low>[^,]+?)\.\.(?P<high>[^,]+?)(?P<log>:log)?")


@dataclasses.dataclass(frozen=True)
class Space:
    """What a setting may become: one of ``choices``, or a number from ``low`` to ``high``.

    Args:
        choices: values.
        low: the smallest.
        high: the largest.
        log: whether equal ratios are equally likely.
        whole: whether it is a whole number.
    """

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def corners(self) -> Sequence[Any]:
        """Values that all must be taken, so that those between are."""
        if self.choices:
            return self.choices
        return [int(end) if self.whole else float(end) for end in (self.low, self.high)]

    @property
    def size(self) -> float:
        """How many values there are."""
        if self.choices:
            return len(self.choices)
        return self.high - self.low + 1 if self.whole else math.inf

    def __str__(self) -> str:
        if self.choices:
            return ",".join(map(str, self.choices))
        low, high = self.corners
        return f"{low}..{high}{':log' if self.log else ''}"


def parsed_space(given: Iterable[str]) -> dict[str, Any]:
    """What ``name=low..high``, ``name=low..high:log`` and ``name=a,b`` say, by setting.

    Returns:
        a tuple for a range, a list for choices, as :func:`checked_space` takes them.

    Raises:
        SettingError: another form, or a setting that is there twice.
    """
    found: dict[str, Any] = {}
    for each in given:
        name, equals, text = map(str.strip, each.partition("="))
        if not equals or not name or not text:
            raise _no_space(each)
        if name in found:
            raise SettingError(f"--space {name}: is there twice")
        if match := _RANGE.fullmatch(text):
            ends = [value_of(match[end]) for end in ("low", "high")]
            found[name] = (*ends, "log") if match["log"] else tuple(ends)
        else:
            found[name] = [value_of(part) for part in parts_of(text)]
    return found


def _no_space(given: str) -> SettingError:
    return SettingError(
        f"--space {given!r}: expected a range or choices, for example "
        "model.hidden_size=32..512:log or model.cell=lstm,gru"
    )


def default_space(recipe: Recipe) -> dict[str, Any]:
    """Where a search looks if nobody says: widths and learning rates around those of the recipe."""
    rate = recipe.training.learning_rate
    found: dict[str, Any] = {"training.learning_rate": (rate / 8, min(rate * 8, 1.0), "log")}
    if (size := getattr(recipe.model, "hidden_size", None)) is not None:
        found["model.hidden_size"] = (max(size // 4, 1), size * 2, "log")
    return found


def checked_space(recipe: Recipe, given: Mapping[str, Any], name: str) -> dict[str, Space]:
    """Spaces by setting: a list is of choices, a tuple of two numbers, and "log", a range.

    Args:
        recipe: what is not searched.
        given: by setting.
        name: what errors call the recipe.

    Raises:
        SettingError: no such setting, an end or a choice that it does not take, or no space at all.
    """
    if not given:
        raise SettingError("search: expected a setting to search, got none")
    return {setting: _space(recipe, setting, value, name) for setting, value in given.items()}


def _space(recipe: Recipe, setting: str, given: Any, name: str) -> Space:
    if isinstance(given, list):
        found = Space(choices=tuple(given))
        plain = all(value is None or isinstance(value, str | int | float) for value in given)
        if not given or not plain or len({repr(value) for value in given}) < len(given):
            raise SettingError(f"space {setting}: expected different plain values, got {given!r}")
    else:
        found = _range(recipe, setting, given, name)
    for value in found.corners:
        check_variant({setting: value}, changed(recipe, {setting: value}, name))
    return found


def _range(recipe: Recipe, setting: str, given: Any, name: str) -> Space:
    ends = given[:2] if isinstance(given, tuple) else ()
    log = given[2:] if isinstance(given, tuple) else ()
    numbers = [e for e in ends if isinstance(e, int | float) and not isinstance(e, bool)]
    if len(numbers) < 2 or log not in ((), ("log",)):
        raise SettingError(
            f"space {setting}: expected a list of choices, or (low, high) or (low, high, 'log') of "
            f"numbers, got {given!r}"
        )
    low, high = numbers
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log)):
        above = "0 < low < high" if log else "low < high"
        raise SettingError(f"space {setting}: expected {above}, got {low} and {high}")
    whole = all(isinstance(end, int) for end in ends) and not _takes_parts(recipe, setting, ends)
    return Space(low=low, high=high, log=bool(log), whole=whole)


def _takes_parts(recipe: Recipe, setting: str, ends: Sequence[int]) -> bool:
    """Whether a number between two whole ones would do: 0..1 of a rate is no choice of two."""
    try:
        changed(recipe, {setting: ends[0] + 0.5}, setting)
    except SettingError:
        return False
    return True

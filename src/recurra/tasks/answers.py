"""What a trained model answers, whatever its task."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from recurra import models
from recurra.errors import SettingError
from recurra.files import check_ending, write_file
from recurra.surprises import Quantiles, Surprise

__all__ = ["Answer"]


class Answer:
    """A trained model that answers; a task's own adds what it can do.

    Args:
        model: in evaluation mode.
        fronts: of what it reads and says, by field.
        path: the folder it was loaded from.
        kind: name of its task.
    """

    goes_on = False
    """Whether :meth:`predict` of None goes on from what the model was trained on."""
    takes: tuple[str, ...] = ()
    """What :meth:`predict` takes beside its inputs that the command line has an option for."""
    beside = ""
    """Of alternatives that are told, what :meth:`show` sets behind each, in words; empty where that
    is a probability."""

    def __init__(
        self, model: models.Model, fronts: Mapping[str, Any], path: Path, kind: str
    ) -> None:
        self.model, self.fronts, self.path, self.kind = model, fronts, path, kind

    def predict(self, inputs: Iterable[Any]) -> Iterator[Any]:
        """An answer for each input, in their order.

        Raises:
            SettingError: this task has none.
        """
        raise SettingError(f"predict: the task {self.kind} has no answer of this kind")

    def surprise(self, inputs: Any, false_alarms: float = 0.01, **how: Any) -> Iterator[Surprise]:
        """How surprising each step of each input is, and which steps are flagged.

        Args:
            inputs: as of :meth:`predict`.
            false_alarms: share of the steps of what the model was chosen by that would be flagged.
            how: as the task's :meth:`surprises` takes it.

        Raises:
            SettingError: the task has no surprises, or a share that cannot be told.
            ArtifactError: the checkpoint does not keep how surprising usual data are.
        """
        found = self.surprises(inputs, **how)
        threshold = Quantiles.read(self.path).threshold(false_alarms)
        return (dataclasses.replace(each, threshold=threshold) for each in found)

    def surprises(self, inputs: Any) -> Iterator[Surprise]:
        """The surprises of each input, without a threshold.

        Raises:
            SettingError: this task has none.
        """
        raise SettingError(
            f"surprise: a {self.kind} model gives no probability of what it reads, step by step; "
            "a language-model and a forecasting model do"
        )

    def opened(self, file: Path, encoding: str | None) -> Iterable[Any] | None:
        """What :meth:`predict` takes, from a whole file; None where each of its lines is one.

        Args:
            file: names it.
            encoding: how characters are stored; as the run's own if None.
        """
        return None

    def of_line(self, line: str) -> Any:
        """What :meth:`predict` takes, from a line of text as the command line reads it.

        Raises:
            SettingError: no line says it.
        """
        return line

    def show(self, answer: Any, top: int | None = None) -> str:
        """An answer in one line of text.

        Args:
            answer: what :meth:`predict` gave.
            top: how many alternatives are told, the best first; one if None.

        Raises:
            SettingError: ``top``, where an answer has no alternatives.
        """
        self._no_top(top)
        return str(answer)

    def to_json(self, answer: Any, top: int | None = None) -> dict[str, Any]:
        """An answer as a JSON object; arguments as of :meth:`show`, all alternatives if None."""
        self._no_top(top)
        if hasattr(answer, "to_json"):
            found: dict[str, Any] = answer.to_json()
            return found
        plain = _plain(answer)
        return plain if isinstance(plain, dict) else {"answer": plain}

    def write(
        self, found: Iterable[Any], path: Path, inputs: Any = None, top: int | None = None
    ) -> None:
        """Answers in a file, whole or not at all: a line each, as they are shown or as JSON.

        Args:
            found: what :meth:`predict` gave.
            path: ends in ``.txt``, ``.tsv`` or ``.jsonl``.
            inputs: what was answered.
            top: as of :meth:`show`.

        Raises:
            SettingError: another ending.
            RunError: it cannot be written.
        """
        ending = check_ending(path, (".txt", ".tsv", ".jsonl"))
        if ending == ".jsonl":
            told = [json.dumps(self.to_json(each, top), ensure_ascii=False) for each in found]
        else:
            told = [self.show(each, top) for each in found]
        text = "".join(f"{line}\n" for line in told)
        write_file(path, text.encode("utf-8", "backslashreplace"))

    def _no_top(self, top: int | None) -> None:
        if top is not None:
            raise SettingError(
                f"predict: a {self.kind} model ranks no alternatives; leave --top out"
            )


def _plain(value: Any) -> Any:
    """Named tuples, data classes, arrays and tensors as JSON has them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    elif hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value

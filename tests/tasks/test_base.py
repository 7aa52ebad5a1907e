"""What a task is: names, and that nothing outside knows any of them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from typer.main import get_command

import recurra
from recurra import artifact
from recurra.cli import app
from recurra.data import CharacterVocabulary
from recurra.errors import ArtifactError, SettingError
from recurra.families import SHIPPED
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks import Metric, Task, base, task_by_name, task_names
from recurra.training import load_recipe

SOURCE = Path(recurra.__file__).parent


@dataclasses.dataclass
class Told:
    """An answer."""

    name: str
    found: Any


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Task]:
    """Tasks that a test registers are gone after it."""
    registered = dict(base._known)
    monkeypatch.setattr(base, "_known", registered)
    return registered


def make(name: str = "Own", module: str = "mine") -> Any:
    """A class of a task."""
    nothing = {part: lambda self, *args: None for part in ("prepare", "build", "evaluate", "table")}
    return type(name, (Task,), {**nothing, "__module__": module, "Model": recurra.tasks.Task})


def test_a_task_has_a_name() -> None:
    cls = recurra.register_task("own")(make())
    assert cls.name == "own"
    assert isinstance(task_by_name("own"), cls)
    assert "own" in task_names()


def test_a_name_is_taken_once() -> None:
    recurra.register_task("own")(make())
    for other in (make("Other"), make(module="theirs")):
        with pytest.raises(SettingError, match="'own' is another task already"):
            recurra.register_task("own")(other)
    again = recurra.register_task("own")(make())  # its module was loaded again, and changed perhaps
    assert type(task_by_name("own")) is again


def test_what_it_is_chosen_by_is_its_loss_or_another() -> None:
    class Mixin:
        """Of no task."""

    plain = make()
    own = type("Own", (Mixin, plain), {"loss": Metric("surprise", "surprises")})
    other = type("Other", (own,), {"metric": Metric("right", "share", less=False)})
    assert plain.metric is Task.loss
    assert own.metric is own.loss
    assert (other.metric.name, other.loss.name) == ("right", "surprise")
    assert type("Last", (other,), {}).metric is other.metric


class Pair(NamedTuple):
    """An answer."""

    label: str
    chances: Any


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_unit_of_a_loss_says_no_count(name: str) -> None:
    """The verdict and the charts add what is counted: "nats a symbol"."""
    assert "/" not in task_by_name(name).loss.unit


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([0.5, 1.5], {"answer": [0.5, 1.5]}),
        ("a text", {"answer": "a text"}),
        (np.float32(0.5), {"answer": 0.5}),
        (Pair("yes", np.array([0.25, 0.75])), {"label": "yes", "chances": [0.25, 0.75]}),
        ({"a": torch.tensor([1, 2])}, {"a": [1, 2]}),
        (Told("x", (Pair("y", 1),)), {"name": "x", "found": [{"label": "y", "chances": 1}]}),
    ],
)
def test_an_answer_as_json(answer: Any, told: dict[str, Any]) -> None:
    say = base.Answer(None, {}, Path(), "own").to_json
    assert json.loads(json.dumps(say(answer))) == told
    with pytest.raises(SettingError, match="leave --top out"):
        say(answer, top=2)


def test_every_command_with_a_run_takes_modules_of_ones_own() -> None:
    for command in get_command(app).commands.values():  # type: ignore[attr-defined]
        names = {parameter.name for parameter in command.params}
        of_a_log = command.name == "chart"  # knows no model
        assert of_a_log or "import_" in names or "run" not in names, command.name


@pytest.mark.parametrize("loaded", [True, False])
def test_no_task_of_the_package_is_replaced(loaded: bool, known: dict[str, Task]) -> None:
    if loaded:
        task_by_name("language-model")
    else:
        known.pop("language-model", None)
    with pytest.raises(SettingError, match="'language-model' is another task already"):
        recurra.register_task("language-model")(make())


@pytest.mark.parametrize("name", ["", " own", "own ", "own.toml", 3, None])
def test_what_is_no_name(name: Any) -> None:
    with pytest.raises(SettingError, match=r"register_task: expected a name such as"):
        recurra.register_task(name)


def test_what_is_no_task() -> None:
    not_one: Any = type("Own", (), {"__module__": "mine"})
    with pytest.raises(SettingError, match=r"expected a recurra\.tasks\.Task, got Own"):
        recurra.register_task("own")(not_one)
    assert "own" not in task_names()


def test_the_nearest_name_is_told() -> None:
    recurra.register_task("brackets")(make())
    with pytest.raises(SettingError, match=r"none is called 'brackts'; did you mean 'brackets'"):
        task_by_name("brackts")
    with pytest.raises(SettingError, match=r"'langage-model'; did you mean 'language-model'"):
        load_recipe("langage-model")


def test_a_model_whose_task_is_unknown_says_what_to_import(
    tmp_path: Path, known: dict[str, Task]
) -> None:
    cls = recurra.register_task("own")(make())
    vocabulary = CharacterVocabulary("ab")
    settings = {"hidden_size": 4, "layers": 1, "vocabulary_size": len(vocabulary)}
    model = LanguageModel(LanguageModelConfig(**settings))  # type: ignore[arg-type]
    artifact.save(tmp_path / "model", model, {"text": vocabulary}, "own")
    cls.restore = lambda self, config, fronts: LanguageModel(LanguageModelConfig(**config))
    assert artifact.load(tmp_path / "model").kind == "own"
    assert artifact.task_of(tmp_path / "model") is task_by_name("own")
    del known["own"]
    for read in (artifact.load, artifact.task_of, recurra.load):
        with pytest.raises(ArtifactError, match=r"'own' was made as mine:Own: import that module"):
            read(tmp_path / "model")


def test_a_task_has_no_other_data_and_no_answer_unless_it_says_so() -> None:
    recurra.register_task("own")(make())
    with pytest.raises(SettingError, match="the task own scores no other data"):
        task_by_name("own").read([], {}, None, print)
    answer = recurra.tasks.Answer(None, {}, Path(), "own")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="predict: the task own has no answer"):
        answer.predict([])


@pytest.mark.parametrize("less", [True, False])
def test_what_is_better(less: bool) -> None:
    metric, nan = Metric("any", "any", less), float("nan")
    assert metric.better(1.0, 2.0) is less
    assert metric.better(2.0, 1.0) is not less
    assert not metric.better(1.0, 1.0)
    assert metric.better(1.0, nan)
    assert not metric.better(nan, 1.0)
    assert not metric.better(nan, nan)


PATHS = [*sorted((SOURCE / "training").rglob("*.py")), SOURCE / "artifact.py", SOURCE / "cli.py"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_trains_and_keeps_knows_no_task(path: Path) -> None:
    """One line that does would be the first of many."""
    assert re.findall(r"(?i).*language.?model.*|.*classif.*", path.read_text("utf-8")) == []

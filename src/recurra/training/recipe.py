"""A recipe: every setting of a run, checked, with the nearest known name where one is wrong."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Literal, Self

import pydantic

from recurra.artifact import Artifact
from recurra.errors import SettingError, nearest
from recurra.families import DEFAULT
from recurra.given import path_of
from recurra.sections import Section, contradiction, default
from recurra.synonyms import SYNONYMS
from recurra.tasks.base import Task, task_by_name, task_names
from recurra.training.distil import DistilSettings, load_teachers
from recurra.training.origin import with_settled

__all__ = [
    "Recipe",
    "TrainingSettings",
    "load_recipe",
    "recipe_names",
    "recipe_text",
    "setting_names",
    "short_changes",
]


OptimizerName = Literal[
    "adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "nadam", "radam", "rmsprop", "sgd"
]
"""Optimizers of torch that need nothing but gradients."""


class TrainingSettings(Section):
    """How weights are fitted.

    Args:
        symbols: how many symbols (of other tasks than texts: predictions) to train on in all; if
            None, ``epochs`` decides.
        epochs: passes over what is trained on.
        minimum_steps: of few examples further passes are made until there are so many steps, where
            ``epochs`` is not given (0 where it is) and ``symbols`` neither.
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
        evaluations: how often in all the validation part is scored and a checkpoint kept.
        early_stop: after how many evaluations without a better one to stop, or None.
        monitors: whether gradients, updates, gates and the border of the window are watched, and
            told of in ``monitors.csv``.
        tensorboard: whether the log is written for TensorBoard too.
        seed: of every draw.
        device: where the training runs, as torch names it: cpu, cuda, cuda:1.
    """

    symbols: int | None = pydantic.Field(None, ge=1, le=10**15)
    epochs: float = pydantic.Field(10, le=1e6, gt=0, allow_inf_nan=False)
    minimum_steps: int = pydantic.Field(300, ge=0, le=10**9)
    batch_size: int = pydantic.Field(32, ge=1)
    window: int = pydantic.Field(64, ge=1)
    accumulate: int = pydantic.Field(1, ge=1)
    optimizer: OptimizerName = "adamw"
    optimizer_settings: dict[str, Any] = pydantic.Field(default_factory=dict)
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
    monitors: bool = True
    tensorboard: bool = False
    seed: int = pydantic.Field(0, ge=0, lt=2**63)
    device: str = "cpu"

    @pydantic.model_validator(mode="before")
    @classmethod
    def _as_asked(cls, given: Any) -> Any:
        """Who says how many passes means so many."""
        if isinstance(given, dict) and "epochs" in given:
            return {"minimum_steps": 0, **given}
        return given


class Recipe(Section):
    """Every setting of a run; the sections ``data`` and ``model`` are those of its task."""

    task: str = DEFAULT
    data: Any = None
    model: Any = None
    training: TrainingSettings = TrainingSettings()
    distil: DistilSettings = DistilSettings()

    @property
    def of_task(self) -> Task:
        """The task."""
        return task_by_name(self.task)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _filled(cls, given: Any) -> Any:
        """``Recipe()`` itself has the sections of its task too."""
        if cls is not Recipe:
            return given
        task = task_by_name(given.get("task", DEFAULT))
        kinds: dict[str, type[Section]] = {"data": task.Data, "model": task.Model}
        return given | {
            name: kind.model_validate(given.get(name, {})) for name, kind in kinds.items()
        }

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        """Settings of two sections that contradict each other."""
        if self.training.early_stop is not None and self.data.validation is False:
            raise contradiction(
                self.training,
                "early_stop",
                "without a validation part (data.validation=false) there is nothing to stop by",
                section="training.",
            )
        if self.training.symbols is not None and self.training.epochs != default(
            self.training, "epochs"
        ):
            raise contradiction(
                self.training, "epochs", "training.symbols says how long", section="training."
            )
        if self.distil.teachers and not self.of_task.by_steps:
            why = (
                f"the task {self.task} makes its model at once, without steps that could be taught"
            )
            raise contradiction(self.distil, "teacher", why, section="distil.")
        self.of_task.check(self)
        return self


@functools.lru_cache(maxsize=64)
def _recipe_of(task: Task) -> type[Recipe]:
    """The recipe of a task, with its own sections."""
    sections: dict[str, Any] = {
        "data": (task.Data, pydantic.Field(default_factory=task.Data)),
        "model": (task.Model, pydantic.Field(default_factory=task.Model)),
    }
    return pydantic.create_model("Recipe", __base__=Recipe, **sections)


def without_effect(recipe: Recipe) -> list[str]:
    """Settings that somebody chose and that change nothing beside the others, each with why."""
    return [f"{name} has no effect: {why}" for name, why in recipe.of_task.idle(recipe)]


def unread(recipe: Recipe, prepared: Any) -> list[str]:
    """Settings that somebody chose and that data of this kind leave without effect, with why."""
    own = recipe.task
    packaged = load_recipe(own) if own in recipe_names() else Recipe(task=own)
    found = []
    for name, why in recipe.of_task.unread(recipe, prepared):
        section, _, rest = name.partition(".")
        if getattr(getattr(recipe, section), rest) != getattr(getattr(packaged, section), rest):
            found.append(f"{name} has no effect: {why}")
    return found


def recipe_names() -> list[str]:
    """Recipes that come with the package."""
    folder = resources.files("recurra") / "recipes"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """A recipe of the package, with its comments; of a task of one's own all of its settings.

    Raises:
        SettingError: no such recipe.
    """
    if name not in recipe_names() and name in task_names():
        return as_toml(checked({"task": name}, name).model_dump())
    if name not in recipe_names():
        raise SettingError(f"recipe: none is called {name!r}; {nearest(name, recipe_names())}")
    return (resources.files("recurra") / "recipes" / f"{name}.toml").read_text("utf-8")


def as_toml(settings: Mapping[str, Any]) -> str:
    """Settings as a recipe; TOML has no word for nothing, so those that are None are comments."""
    lines = [f"task = {json.dumps(settings['task'])}"]
    for section, values in settings.items():
        if isinstance(values, Mapping):
            lines += ["", f"[{section}]"]
            for name, value in values.items():
                written = _toml(value)
                lines.append(f"# {name} = ..." if written is None else f"{name} = {written}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str | None:
    """A value; None where there is nothing to write."""
    if value is None or value == {}:
        return None
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(filter(None, map(_toml, value)))}]"
    return json.dumps(value)


def load_recipe(
    name: str,
    changes: Iterable[str] | Mapping[str, Any] = (),
    *,
    origin: Artifact | None = None,
) -> Recipe:
    """Read a recipe and change single settings.

    Args:
        name: a recipe of the package, a task, or a TOML file.
        changes: like ``model.cell=gru``; a value is TOML, and text may stand without quotes. Or
            values by name.
        origin: the model that a run begins with; what it has settled stands where nobody chose,
            and so does how the data of teachers are read (``distil.teacher``).

    Raises:
        SettingError: no such recipe, not TOML, an unknown setting (the nearest is named), a value
            of a wrong type, or a model of another task.
        ArtifactError: a teacher is not there or damaged.
    """
    data, given = _read(name), _given(changes)
    task, shipped = data.get("task", DEFAULT), name in recipe_names() or name in task_names()
    if origin is not None:
        with_settled(data, origin, task, shipped=shipped)
    learns = task not in task_names() or task_by_name(task).by_steps  # what cannot is told later
    for teacher in load_teachers(_teachers(data, given)) if learns else ():
        with_settled(data, teacher, task, shipped=shipped, role="distil.teacher")
    return _changed(data, given, name)


def _given(changes: Iterable[str] | Mapping[str, Any]) -> Mapping[str, Any]:
    return changes if isinstance(changes, Mapping) else dict(map(_parsed, changes))


def _teachers(data: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Those of settings that were not checked yet; what is no name of a run is refused later."""
    section = data.get("distil")
    own = section.get("teacher") if isinstance(section, dict) else None
    found = given.get("distil.teacher", own)
    every = found if isinstance(found, list) else [found]
    return [place for place in every if isinstance(place, str)]


def changed(recipe: Recipe, changes: Iterable[str] | Mapping[str, Any], name: str) -> Recipe:
    """A recipe with single settings changed.

    Args:
        recipe: is not changed itself.
        changes: like ``model.cell=gru``, or values by name.
        name: what errors call it.

    Raises:
        SettingError: as :func:`load_recipe`.
    """
    return _changed(recipe.model_dump(), changes, name)


def _changed(data: dict[str, Any], changes: Iterable[str] | Mapping[str, Any], name: str) -> Recipe:
    given = _given(changes)
    for path, value in given.items():
        place = data
        *sections, last = path.split(".")
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise SettingError(f"--set {path}: {section} is a setting, not a section")
        place[last] = value
    # How long it trains is said in one of several ways; the one that is changed is meant.
    for one, others in (("symbols", ["epochs"]), ("epochs", ["symbols", "minimum_steps"])):
        for other in others if f"training.{one}" in given else ():
            if f"training.{other}" not in given:
                data["training"].pop(other, None)
    return checked(data, name)


def short_changes(options: Mapping[str, Any], changes: Iterable[str] = ()) -> list[str]:
    """Options that are settings, as changes that a recipe takes.

    Args:
        options: by their short name, one of the words of ``synonyms.py``: ``{"lr": 0.01}``; None
            stands for one that is not given.
        changes: others, like ``model.cell=gru``.

    Returns:
        all of them.

    Raises:
        SettingError: an option and a change set the same.
    """
    told = list(changes)
    named = {change.partition("=")[0].strip() for change in told}
    for option, value in options.items():
        if value is None:
            continue
        name, *_ = SYNONYMS.get(option, (option,))
        section = "training" if name in TrainingSettings.model_fields else "model"
        section = "distil" if name in DistilSettings.model_fields else section
        path = f"{section}.{name}"
        if path in named:
            raise SettingError(f"--{option} and --set {path} are the same setting; leave one out")
        told.append(f"{path}={json.dumps(value)}")
    return told


def _parsed(change: str) -> tuple[str, Any]:
    path, equals, value = change.partition("=")
    if not equals or not path.strip():
        raise SettingError(f"--set {change!r}: expected name=value, for example model.cell=gru")
    return path.strip(), value_of(value.strip())


def _read(name: str) -> dict[str, Any]:
    path = path_of("recipe", name)
    try:
        if name in recipe_names():
            text = recipe_text(name)
        elif name in task_names():  # of a user's own, which has no file
            return {"task": name}
        elif path.is_file():
            text = path.read_text("utf-8-sig")
        else:
            known = sorted({*recipe_names(), *task_names()})
            raise SettingError(f"recipe: no file and no recipe {name!r}; {nearest(name, known)}")
        return tomllib.loads(text)
    except SettingError:  # no such recipe: a ValueError too, and already a sentence
        raise
    except (ValueError, RecursionError) as problem:  # not TOML, not UTF-8, or a number too long
        raise SettingError(
            f"recipe {name}: not TOML ({problem}). What to train on is given with --data."
        ) from None
    except OSError as problem:
        raise SettingError(f"recipe {name}: cannot be read ({problem.strerror})") from None


def value_of(text: str) -> Any:
    """The value of a text in TOML; the text itself where it is none, so that it needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def checked(data: Any, name: str) -> Recipe:
    """A recipe of its settings.

    Raises:
        SettingError: one of them cannot be; the message begins with the name of the recipe.
    """
    named = data.get("task", DEFAULT) if isinstance(data, dict) else None
    if not isinstance(named, str):
        raise SettingError(
            f"recipe {name}: task: expected the name of one ({', '.join(task_names())}), got "
            f"{'nothing' if named is None else _short(named)}"
        )
    try:
        kind = _recipe_of(task_by_name(named))
    except SettingError as problem:
        raise SettingError(f"recipe {name}: {problem}") from None
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError as problem:
        raise SettingError(_message(problem.errors(), name, kind)) from None


_KINDS = re.compile(r"(constrained-)?(bool|int|float|str)|literal\[.*\]")
"""What pydantic puts behind the name of a setting that may be of several kinds."""


def _message(errors: Sequence[Any], name: str, kind: type[Recipe]) -> str:
    error = errors[0]
    places = [
        ".".join(str(part) for part in each["loc"] if not _KINDS.fullmatch(str(part)))
        for each in errors
    ]
    place = places[0]
    if error["type"] == "extra_forbidden":
        known = _known(kind)
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
    same = [each for each, where in zip(errors, places, strict=True) if where == place]
    told = [each["msg"].removeprefix("Input should be ") for each in same]
    expected = " or ".join(dict.fromkeys(each.partition(" or instance of ")[0] for each in told))
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
    return quoted if isinstance(value_of(quoted), dict | list) else ""


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def setting_names(task: str = DEFAULT) -> list[str]:
    """Names of all settings of a task's recipe, as ``--set`` takes them."""
    return _known(_recipe_of(task_by_name(task)))


def _known(settings: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    names: list[str] = []
    for field, info in settings.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
            names += _known(inner, f"{prefix}{field}.")
        else:
            names.append(prefix + field)
    return names

"""Every door of diagnosis, called with every wrong thing: the project's error names the argument.

One table: a door, how it is called rightly, and by argument what it must refuse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

import recurra
from recurra import Batch, Change, GRUCell, LSTMCell, PaddedSequence, Recurrent, diagnosis
from recurra.diagnosis.examination.flow import gradient_flow
from recurra.diagnosis.examination.gates import gates
from recurra.diagnosis.examination.horizon import ignored, response
from recurra.diagnosis.examination.needs import needs
from recurra.diagnosis.subject import subject_of
from recurra.errors import RecurraError
from recurra.models import Classifier, ClassifierConfig

NAN, INF, HUGE = math.nan, math.inf, 10**30
AXIS = diagnosis.Axis("steps", 0.0, 1.0)
FAN = {"name": "a", "steps": ["1", "2"], "seen": [1.0], "mean": [2.0], "bands": {}, "rivals": {}}


class Attending(GRUCell):
    """A cell that reads a context."""

    takes_context = True

    def step(self, x, state, context=None, noise=None):
        y, state = super().step(x, state)
        return y + context.topic, state


class Topic(recurra.HiddenState):
    """Stands in a test for any named tuple."""


def topics(*shape: int) -> Any:
    from typing import NamedTuple as Named

    class Given(Named):
        topic: torch.Tensor

    return Given(torch.zeros(*shape))


def steps(time: int = 5, rows: int = 3, width: int = 4) -> torch.Tensor:
    return torch.linspace(-1, 1, time * rows * width).reshape(time, rows, width)


def with_one(value: float) -> torch.Tensor:
    x = steps()
    x[1, 1, 1] = value
    return x


def model() -> Classifier:
    told = {"vocabulary_size": 9, "classes": 3, "hidden_size": 6, "bidirectional": False}
    return Classifier(ClassifierConfig(**told))


def rows_of(*given: list[int]) -> PaddedSequence:
    return PaddedSequence.from_list([torch.tensor(row, dtype=torch.int64) for row in given])


def read(**other: Any) -> Batch:
    told = {"inputs": rows_of([1, 2, 3], [4, 5]), "targets": torch.tensor([0, 1])}
    return Batch(**(told | {"target_axis": 0} | other))


class Plain(nn.Module):
    """A module of torch that nobody has converted."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.LSTM(4, 5)

    def forward(self, x: Any, lengths: Any = None) -> torch.Tensor:
        return self.inside(x)[0]


class Door(NamedTuple):
    """One way in.

    Args:
        call: takes everything by name.
        right: arguments with which it works.
        wrong: by argument, what it refuses.
    """

    call: Callable[..., Any]
    right: Callable[[], Mapping[str, Any]]
    wrong: Mapping[str, Callable[[], list[Any]]]


def of_kind(*more: Any) -> Callable[[], list[Any]]:
    """What is no whole number of at least 1, and what else is refused."""
    return lambda: [True, 0, -3, 1.5, "4", None, NAN, *more]


def counts(*more: Any) -> Callable[[], list[Any]]:
    """What is no whole number of at least 0."""
    return lambda: [True, -1, 1.5, "4", None, NAN, *more]


def sizes(*more: Any) -> Callable[[], list[Any]]:
    """What is no number of at least 0."""
    return lambda: [True, -1.0, "1", NAN, INF, [1.0], *more]


def NOT_MODULES() -> list[Any]:
    return [None, 3, "model", GRUCell, {"cell": 1}, torch.zeros(3)]


def NOT_RECURRENT() -> list[Any]:
    return [nn.Linear(4, 4), Plain(), nn.LSTM(4, 5), recurra.LSTM(4, 5, bidirectional=True)]


def NOT_INPUTS() -> list[Any]:
    return [
        None, 3, "text", [1.0, 2.0], steps()[0], steps(width=7), with_one(NAN), with_one(INF),
        torch.zeros(5, 3, 4, dtype=torch.int64), torch.zeros(5, 3, 4, dtype=torch.bool),
    ]  # fmt: skip


def NOT_STATES() -> list[Any]:
    one = recurra.HiddenState(torch.zeros(3, 5))
    return [
        3, "state", torch.zeros(3, 5), recurra.HiddenState(torch.zeros(2, 5)),
        recurra.HiddenState(torch.full((3, 5), NAN)), recurra.HiddenState([0.0]), (one, one),
    ]  # fmt: skip


def NOT_LENGTHS() -> list[Any]:
    return [
        3, True, "555", [5, 5], [5, 5, 6], [5, 5, -1], [5.0, 5.0, 5.0], [True, True, True],
        torch.tensor([[5, 5, 5]]), {0: 5},
    ]  # fmt: skip


def NOT_CONTEXTS() -> list[Any]:
    return [3, "context", topics(2, 5), [1.0]]


def NOT_DTYPES() -> list[Any]:
    return ["float32", float, torch.int64, torch.float16, 3, True]


MEMORY = of_kind(8)
PATHS: dict[str, Callable[[], list[Any]]] = {
    "cell": lambda: [*NOT_MODULES(), *NOT_RECURRENT()],
    "inputs": NOT_INPUTS,
    "state": NOT_STATES,
    "lengths": NOT_LENGTHS,
    "dtype": NOT_DTYPES,
}


def path(**more: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    return {"cell": GRUCell(4, 5), "inputs": steps(), **more}


def NOT_BATCHES() -> list[Any]:
    none = rows_of([], [])
    empty = PaddedSequence(torch.zeros(3, 0).long(), torch.zeros(0).long())
    return [
        None, 3, "text", steps(), {"inputs": 1}, read(inputs=None), read(inputs=torch.tensor(3)),
        read(inputs="text"), read(inputs=empty, targets=torch.zeros(0, dtype=torch.int64)),
        read(inputs=none),
    ]  # fmt: skip


def NOT_EXAMINED() -> list[Any]:
    return [*NOT_BATCHES(), read(inputs=rows_of([1, 99], [2]))]


def of_layer(**more: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    return {"model": Recurrent(GRUCell(4, 5)), "batch": Batch(steps(), None), **more}


def squared(outputs: torch.Tensor, targets: Any) -> torch.Tensor:
    return outputs[-1].square().mean()


def each_row(answer: Any, rows: torch.Tensor) -> torch.Tensor:
    return answer.outputs[-1].sum(1)


def attribution() -> Any:
    return diagnosis.attribute(**of_layer(), output=lambda answer: answer.outputs[-1].sum(1))


def flown(name: str, call: Callable[..., Any], **right: Any) -> Door:
    """A look of examine by itself."""

    def looked(**given: Any) -> Any:
        subject = subject_of(Recurrent(GRUCell(4, 5)), Batch(steps(), None), squared)
        return call(given.pop("subject", subject), **given)

    wrong = {each: (counts() if each == "seed" else of_kind()) for each in right}
    return Door(looked, lambda: right, {**wrong, "subject": lambda: [None, 3, nn.Linear(2, 2)]})


def found_points() -> Any:
    made = diagnosis.visited_states(**path())
    return diagnosis.fixed_points(path()["cell"], torch.zeros(4), made, starts=4, steps=3)


DOORS: dict[str, Door] = {
    "attribute": Door(
        diagnosis.attribute,
        lambda: of_layer(output=lambda answer: answer.outputs[-1].sum(1), lengths=None),
        {
            "model": lambda: [None, 3, "model"],
            "batch": lambda: [
                None,
                3,
                "text",
                [1.0],
                {},
                torch.tensor(1.0),
                with_one(NAN),
                with_one(INF),
                torch.zeros(5, 3, 4, dtype=torch.bool),
                Batch(None, None),
                Batch("text", None),
                Batch(steps()[0, 0], None),
            ],
            "method": lambda: ["shap", None, 3, ["occlusion"]],
            "output": lambda: [3, "losses", lambda a: a, lambda a: None, lambda a: torch.zeros(7)],
            "label": lambda: [5, -1, True, 1.5, "a", [0, 0], torch.tensor([0.0] * 3), [0, 0, 9]],
            "step": lambda: [1, "last", 1.5, True],
            "baseline": lambda: [
                "median",
                NAN,
                INF,
                None,
                [],
                torch.zeros(7),
                {"nothing": 0.0},
                torch.full((4,), NAN),
            ],
            "at": lambda: [["nothing"], "cell", 3, [3], []],
            "lengths": NOT_LENGTHS,
            "batch_first": lambda: [1, "yes", None],
            "window": of_kind(),
            "alphas": of_kind(),
            "most": of_kind(),
            "steps_at_once": of_kind(),
        },
    ),
    "attribute a model": Door(
        diagnosis.attribute,
        lambda: {"model": model(), "batch": read()},
        {
            "batch": lambda: NOT_EXAMINED()[:7],  # of no rows and no steps there is an answer
            "label": lambda: [3, -1, True, 0.5, "a", [0], [0, 3]],
            "step": lambda: [0, -1, "last", 1.5],
            "lengths": lambda: [[3, 2]],
            "batch_first": lambda: [True],
        },
    ),
    "intervene": Door(
        diagnosis.intervene,
        lambda: of_layer(changes={"state.h": Change(scale=0)}, loss=each_row),
        {
            "model": lambda: [None, 3, "model"],
            "batch": lambda: [None, 3, "text", {}, torch.tensor(1.0), with_one(NAN)],
            "changes": lambda: [
                None,
                3,
                [Change()],
                {"state.h": 0.0},
                {"stat.h": Change()},
                {3: Change()},
                {"state.h": Change(units=9)},
                {"state.h": Change(rows=[True])},
            ],
            "of": lambda: [3, "cell", GRUCell, nn.LSTM(4, 5), Recurrent(GRUCell(4, 5))],
            "loss": lambda: [3, "mean", lambda a, r: 1.0, lambda a, r: torch.zeros(7)],
            "lengths": NOT_LENGTHS,
            "batch_first": lambda: [1, "yes", None],
        },
    ),
    "ablations": Door(
        diagnosis.ablations,
        lambda: of_layer(value="state.h", loss=each_row),
        {
            "model": lambda: [None, 3, "model"],
            "batch": lambda: [None, 3, "text", {}, torch.tensor(1.0), with_one(NAN)],
            "value": lambda: [None, 3, "stat.h", ["state.h"]],
            "to": lambda: ["median", NAN, INF, True, None, [0.0], torch.zeros(2)],
            "against": lambda: [
                3,
                "labels",
                [0.0],
                torch.zeros(7),
                torch.tensor([NAN, 0, 0]),
                torch.tensor(1.0),
            ],
            "of": lambda: [3, "cell", GRUCell, nn.LSTM(4, 5), Recurrent(GRUCell(4, 5))],
            "loss": lambda: [None, 3, "mean", lambda a, r: 1.0, lambda a, r: torch.zeros(7)],
            "lengths": NOT_LENGTHS,
            "batch_first": lambda: [1, "yes", None],
            "steps_at_once": of_kind(),
        },
    ),
    "a unit of ablations": Door(
        lambda **given: diagnosis.ablations(**of_layer(loss=each_row)).of(**given),
        lambda: {"unit": 1, "key": None},
        {"unit": lambda: [9, -1, True, 1.0, "1", None], "key": lambda: ["stat.h", 3]},
    ),
    "clamp": Door(
        lambda **given: diagnosis.intervene(
            **of_layer(changes={"state.h": diagnosis.clamp(**given)}, loss=each_row)
        ),
        lambda: {"value": 0.5},
        {
            "value": lambda: ["a", None, NAN, True, [NAN]],
            "units": lambda: [5, True, 1.5, "a", [True], slice("a")],
            "rows": lambda: [3, True, 1.5, "a"],
            "since": lambda: [True, 1.5, "a", None],
            "until": lambda: [True, 1.5, "a"],
            "steps": lambda: [5, True, 1.5, "a"],
        },
    ),
    "patch": Door(
        diagnosis.patch, lambda: {"values": steps()}, {"values": lambda: [None, 3, [1.0], "a"]}
    ),
    "jacobians": Door(diagnosis.jacobians, path, {**PATHS, "memory": MEMORY}),
    "jacobians with a context": Door(
        diagnosis.jacobians,
        lambda: {"cell": Attending(4, 5), "inputs": steps(), "context": topics(3, 5)},
        {"context": NOT_CONTEXTS},
    ),
    "jacobians without a context": Door(diagnosis.jacobians, path, {"context": NOT_CONTEXTS}),
    "visited_states": Door(diagnosis.visited_states, path, PATHS),
    "lyapunov": Door(
        diagnosis.lyapunov,
        path,
        {
            **PATHS,
            "leading": lambda: [0, -1, 6, 1.5, True, "2", HUGE],
            "transient": counts(5, HUGE),
            "seed": counts(HUGE),
            "memory": MEMORY,
        },
    ),
    "products": Door(
        lambda **given: diagnosis.jacobians(**path()).products(**given),
        lambda: {"steps": 2},
        {"steps": of_kind()},
    ),
    "log_norms": Door(
        lambda **given: diagnosis.jacobians(**path()).log_norms(**given),
        lambda: {"furthest": 2},
        {"furthest": of_kind()},
    ),
    "fixed_points": Door(
        diagnosis.fixed_points,
        lambda: {
            "cell": path()["cell"],
            "x": torch.zeros(4),
            "visited": diagnosis.visited_states(**path()),
            "starts": 4,
            "steps": 3,
        },
        {
            "cell": PATHS["cell"],
            "x": lambda: [
                None,
                3,
                "x",
                [0.0],
                torch.zeros(3),
                torch.zeros(2, 4),
                torch.full((4,), NAN),
                torch.zeros(4, dtype=torch.bool),
                torch.zeros(4, dtype=torch.int64),
            ],
            "visited": lambda: [
                None,
                3,
                torch.zeros(2, 5),
                recurra.HiddenState(torch.zeros(0, 5)),
                recurra.HiddenState(torch.zeros(2, 6)),
                recurra.HiddenState(torch.full((1, 5), NAN)),
                diagnosis.visited_states(LSTMCell(4, 5), steps()),
                recurra.HiddenState(3),
            ],
            "context": NOT_CONTEXTS,
            "starts": of_kind(HUGE),
            "steps": of_kind(),
            "seed": counts(HUGE),
            "noise": sizes(None),
            "apart": sizes(None),
            "reach": sizes(None),
            "tolerance": sizes(),
            "dtype": NOT_DTYPES,
            "memory": MEMORY,
        },
    ),
    "fixed points of a kind": Door(
        lambda **given: found_points().of(**given),
        lambda: {"kind": "stable"},
        {"kind": lambda: ["fixed", None, 3, ["stable"]]},
    ),
    "phase_plane": Door(
        diagnosis.phase_plane,
        lambda: {"found": found_points(), "visited": diagnosis.visited_states(**path())},
        {
            "found": lambda: [None, 3, diagnosis.visited_states(**path())],
            "visited": lambda: [
                None,
                3,
                torch.zeros(2, 5),
                diagnosis.visited_states(LSTMCell(4, 5), steps()),
                diagnosis.visited_states(GRUCell(4, 5), steps(time=0)),
                diagnosis.visited_states(**path())._replace(states=torch.full((5, 3, 5), NAN)),
            ],
            "rows": of_kind(),
            "title": lambda: [3, None],
            "about": lambda: [3, None],
        },
    ),
    "card": Door(
        diagnosis.card,
        lambda: {"model": Recurrent(GRUCell(4, 5)), "measure": False},
        {
            "model": NOT_MODULES,
            "steps": of_kind(),
            "rows": of_kind(),
            "carried": lambda: [1, "yes"],
            "measure": lambda: [1, "yes", None],
            "remake": lambda: [3, "cell"],
        },
    ),
    "examine": Door(
        diagnosis.examine,
        lambda: {"model": model(), "batch": read()},
        {
            "model": NOT_MODULES,
            "batch": NOT_EXAMINED,
            "reference": lambda: [NAN, INF, True, "1", torch.zeros(2)],
            "window": lambda: [True, 0, -3, 1.5, "4", NAN],
            "anchors": of_kind(),
        },
    ),
    "examine a layer": Door(
        diagnosis.examine,
        lambda: of_layer(loss=squared),
        {
            "model": lambda: [Plain(), nn.LSTM(4, 5), nn.Linear(4, 4)],
            "batch": lambda: [
                Batch(steps(rows=0), None),
                Batch(steps(time=0), None),
                Batch(steps()[0, 0], None),
                Batch(with_one(NAN), None),
                Batch(with_one(INF), None),
                Batch(steps(width=7), None),
            ],
            "loss": lambda: [None, 3, "mse", lambda o, t: 1.0, lambda o, t: o],
        },
    ),
    "border_share": Door(
        diagnosis.border_share,
        lambda: {
            "model": language(),
            "batch": Batch(torch.zeros(4, 2, dtype=torch.int64), torch.zeros(4, 2).long()),
            "state": language().start(2).carried,
        },
        {
            "model": lambda: [*NOT_MODULES(), Plain()],
            "batch": lambda: [None, 3, torch.zeros(4, 2)],
            "state": lambda: [3, torch.zeros(1), language().start(3).carried],
        },
    ),
    "flow": flown("flow", gradient_flow, anchors=2),
    "gates": flown("gates", gates),
    "response": flown("horizon", response, number=3, seed=0),
    "ignored": flown("horizon", ignored, most=3, seed=0),
    "needs": Door(
        lambda **given: needs(
            **(
                {"subject": subject_of(Recurrent(GRUCell(4, 5)), Batch(steps(), None), squared)}
                | given
            )
        ),
        lambda: {"loss": 0.5, "noise": 0.0, "number": 3},
        {
            "subject": lambda: [None, 3],
            "loss": lambda: ["1", None, True],
            "noise": lambda: [NAN, -1.0, "1", None, True],
            "number": of_kind(),
        },
    ),
    "attributed": Door(
        diagnosis.attributed,
        lambda: {"found": attribution(), "row": 0, "symbols": None},
        {
            "found": lambda: [None, 3, torch.zeros(3)],
            "row": lambda: [3, -4, True, 1.0, "0", None, HUGE],
            "place": lambda: ["nothing", 3, ["input"]],
            "symbols": lambda: [["a"], 3, "abcde", [1, 2, 3, 4, 5]],
            "title": lambda: [3, None],
        },
    ),
    "attributed_html": Door(
        diagnosis.attributed_html,
        lambda: {"found": attribution(), "symbols": list("abcde")},
        {
            "found": lambda: [None, 3, torch.zeros(3)],
            "row": lambda: [3, -4, True, 1.0, "0", None, HUGE],
            "place": lambda: ["nothing", 3, ["input"]],
            "symbols": lambda: [["a"], 3, None, "abcde", [1, 2, 3, 4, 5]],
            "title": lambda: [3, None],
        },
    ),
    "steps of an attribution": Door(
        lambda **given: attribution().steps(**given),
        lambda: {"name": None},
        {"name": lambda: ["nothing", 3, ["input"]]},
    ),
    "lines": Door(
        diagnosis.lines,
        lambda: {"series": {"a": {0.0: 1.0}}, "title": "", "x": AXIS, "y": AXIS},
        {
            "series": lambda: [
                None,
                3,
                {"a": 3},
                {"a": {"x": 1.0}},
                {"a": {0: "y"}},
                {3: {0.0: 1.0}},
            ],
            "title": lambda: [None, 3],
            "about": lambda: [None, 3],
            "x": lambda: [None, 3, "steps"],
            "y": lambda: [None, 3, "nats"],
            "levels": lambda: [3, {"a": "b"}, {"a": True}],
        },
    ),
    "confusion": Door(
        diagnosis.confusion,
        lambda: {"counts": [[1, 2], [3, 4]], "names": ["a", "b"]},
        {
            "counts": lambda: [
                None,
                3,
                "ab",
                [1, 2],
                [[1, -2], [3, 4]],
                [[1, NAN], [3, 4]],
                [["a", "b"]] * 2,
            ],
            "names": lambda: [None, 3, "ab", [1, 2]],
        },
    ),
    "fan": Door(
        diagnosis.fan,
        lambda: {"found": [diagnosis.Fan(**FAN)]},
        {"found": lambda: [None, 3, [3], "fan"]},
    ),
    "attention": Door(
        diagnosis.attention,
        lambda: {"looked": [diagnosis.Looked("", torch.ones(1, 1), ["a"], ["b"])]},
        {"looked": lambda: [None, 3, [3], "text"]},
    ),
    "named_values": Door(
        recurra.named_values,
        lambda: {"call": lambda: Recurrent(GRUCell(4, 5))(steps())},
        {"call": lambda: [None, 3, "model"]},
    ),
}


def language() -> recurra.LanguageModel:
    torch.manual_seed(0)
    return recurra.LanguageModel(recurra.LanguageModelConfig(vocabulary_size=9, hidden_size=4))


def names(argument: str, message: str) -> bool:
    """Whether a message says of which argument it is: ``steps: ``, ``x of GRUCell: ``, ``of=``.

    Of a batch its inputs, as a layer calls them, will do.
    """
    called = "(?:batch|inputs|ids)" if argument == "batch" else re.escape(argument)
    more = r"(?:, \w+)*(?: of [\w ]+(?:\.\w+|\[\d+\])*)?"
    return re.search(rf"(?<![\w.]){called}{more}(?::|=)", message) is not None


def test_what_names_an_argument() -> None:
    assert names("at", "at: no 'x'")
    assert names("label", "step, label: expected none")
    assert names("state", "state of Stack[0].h: expected [3]")
    assert not names("at", "what it is: nothing")
    assert not names("step", "steps: expected")
    assert not names("x", "inputs: expected an x")


def cases() -> Iterator[Any]:
    for name, door in DOORS.items():
        for argument, wrong in door.wrong.items():
            yield pytest.param(door, argument, wrong, id=f"{name}: {argument}")


def test_a_module_that_was_not_converted_is_told_what_converts_it() -> None:
    made, batch = Plain(), Batch(steps(), None)

    def total(answer: Any, rows: torch.Tensor) -> torch.Tensor:
        return answer[-1].sum(1)

    for call in (
        lambda: diagnosis.ablations(made, batch, loss=total),
        lambda: diagnosis.intervene(made, batch, {"state.h": Change()}, loss=total),
        lambda: diagnosis.examine(made, batch, loss=squared),
        lambda: diagnosis.jacobians(made, steps()),
    ):
        with pytest.raises(RecurraError, match=r"recurra\.convert"):
            call()


def test_what_is_missing_may_be_read() -> None:
    """NaN in what is read is no error where the answer is a number, nor in padding."""

    class Filled(GRUCell):
        def step(self, x, state, context=None, noise=None):
            return super().step(torch.nan_to_num(x), state)

    torch.manual_seed(0)
    told = {"output": lambda answer: answer.outputs[-1].sum(1)}
    found = diagnosis.attribute(Recurrent(Filled(4, 5)), with_one(NAN), **told)
    assert bool(found.output.isfinite().all())
    seen = diagnosis.examine(Recurrent(Filled(4, 5)), Batch(with_one(NAN), None), loss=squared)
    assert "exploding" not in [each.name for each in seen.verdicts]
    assert diagnosis.jacobians(Filled(4, 5), with_one(NAN)).matrices.isfinite().all()
    padded = torch.where(torch.arange(5)[:, None, None] < 3, steps(), INF)
    layer = Recurrent(GRUCell(4, 5))
    assert diagnosis.jacobians(layer, padded, lengths=[3, 3, 3]).valid.sum() == 9
    rows = PaddedSequence(padded, torch.tensor([3, 3, 3]))
    assert diagnosis.attribute(layer, rows, output=lambda a: a.last.sum(1)).output.isfinite().all()


@pytest.mark.parametrize("name", DOORS)
def test_each_door_opens(name: str) -> None:
    """With what is right: else it would refuse anything."""
    door = DOORS[name]
    door.call(**door.right())


@pytest.mark.parametrize(("door", "argument", "wrong"), list(cases()))
def test_what_is_wrong_is_named(door: Door, argument: str, wrong: Callable[[], list[Any]]) -> None:
    """By the project's error, whose message has the argument's name."""
    told = []
    for value in wrong():
        shown = f"{argument}={str(value)[:60]!r}"
        try:
            door.call(**{**door.right(), argument: value})
        except RecurraError as error:
            if not names(argument, str(error)):
                told.append(f"{shown}: does not name it: {error}")
        except Exception as error:
            told.append(f"{shown}: {type(error).__name__}: {str(error)[:120]}")
        else:
            told.append(f"{shown}: was taken")
    assert not told, "\n" + "\n".join(told)

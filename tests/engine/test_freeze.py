"""``frozen()``: a layer or model as a stream without PyTorch gives what the layer gives."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import recurra
from recurra import states
from recurra.cells.base import cell_by_name, cell_names
from recurra.errors import BackendError, SettingError
from recurra.models.language import LanguageModel, LanguageModelConfig
from recurra_runtime import Session, native_available
from recurra_runtime.instructions import TABLE

TIME, BATCH = 6, 3
NATIVE = [True, False] if native_available() else [False]


@pytest.fixture(params=NATIVE, ids=lambda native: "native" if native else "numpy", autouse=True)
def _core(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every session runs on the machine, and on NumPy."""
    if not request.param:
        monkeypatch.setattr("recurra_runtime.session.core", lambda: None)


def random(tree: Any, *lead: int) -> Any:
    return states.map_tree(lambda leaf: torch.rand(*lead, *leaf.shape[1:]).to(leaf.dtype), tree)


def steps(session: Any, x: Any) -> np.ndarray:
    rows = [[leaf[t].numpy() for leaf in states.leaves(x)] for t in range(TIME)]
    return np.stack([session.step(*row) for row in rows])


@pytest.mark.parametrize("name", cell_names())
def test_every_cell(name: str) -> None:
    torch.manual_seed(0)
    cell = cell_by_name(name, 5, 7)
    layer = recurra.Recurrent(cell)
    x = random(cell.example_input(1), TIME, BATCH)
    with torch.no_grad():
        wanted = layer.eval()(x)
    session = layer.train().frozen(BATCH)
    assert layer.training, "freezing leaves the layer as it is"
    np.testing.assert_allclose(steps(session, x), wanted.outputs, rtol=2e-5, atol=2e-6)
    for got, leaf in zip(session.state, states.leaves(wanted.state), strict=True):
        np.testing.assert_allclose(got, leaf, rtol=2e-5, atol=2e-6)


class Rarer(recurra.Cell):
    """A step of operations that no cell here is made of."""

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = torch.atan2(x, state.h + 0.5)[:, [3, 0, 1, 2]] + x.cumsum(1).round() + x.flip(1)
        h = torch.nn.functional.group_norm(h, 2) + torch.hypot(x, state.h).log2()
        return h + x.max(1, keepdim=True).values.erfc(), recurra.HiddenState(h.sin())


def test_rarer_operations() -> None:
    layer = recurra.Recurrent(Rarer(4, 4))
    x = random(layer.cell.example_input(1), TIME, BATCH)
    session = layer.frozen(BATCH)
    np.testing.assert_allclose(steps(session, x), layer(x).outputs, rtol=2e-5, atol=2e-6)


def deep() -> recurra.Stack:
    wrapped = recurra.Zoneout(recurra.HeldDropout(recurra.GRUCell(6, 6, norm="layer"), 0.3), 0.2)
    layers = [recurra.Recurrent(recurra.LSTMCell(4, 6)), recurra.Recurrent(wrapped)]
    return recurra.Stack(layers, dropout=0.5, residual=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_stack_with_what_is_left_out_in_training(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = deep().to(dtype)
    x = torch.randn(TIME, BATCH, 4, dtype=dtype)
    got = steps(layer.frozen(BATCH), x)
    tolerance = 1e-5 if dtype is torch.float32 else 1e-11
    assert got.dtype == np.dtype(str(dtype).removeprefix("torch."))
    with torch.no_grad():
        wanted = layer.eval()(x).outputs
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


def test_weights_that_change_later_are_not_seen() -> None:
    layer = recurra.Recurrent(recurra.GRUCell(4, 4))
    x = np.ones((1, 4), np.float32)
    session = layer.frozen()
    first = session.step(x)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    session.reset()
    np.testing.assert_array_equal(session.step(x), first)
    assert not layer.frozen().step(x).any()


def test_state_is_kept_set_and_reset() -> None:
    torch.manual_seed(0)
    session = deep().frozen(2)
    xs = np.random.default_rng(0).normal(size=(4, 2, 4)).astype(np.float32)
    first = [session.step(x) for x in xs[:2]]
    kept = session.state
    rest = [session.step(x) for x in xs[2:]]
    session.state = kept
    np.testing.assert_array_equal([session.step(x) for x in xs[2:]], rest)
    session.reset()
    np.testing.assert_array_equal([session.step(x) for x in xs[:2]], first)
    session.reset(1)
    assert any(array[0].any() for array in session.state)
    assert not any(array[1].any() for array in session.state)


def test_a_state_that_does_not_fit_is_refused_by_name() -> None:
    session = recurra.Recurrent(recurra.LSTMCell(3, 4)).frozen(2)
    zeros = np.zeros((2, 4), np.float32)
    session.state = [zeros + 1, zeros + 2]
    for state, told in (
        (None, r"2 arrays \(state.h, state.c\), got NoneType"),
        (3, "2 arrays .* got int"),
        ([zeros], "got 1"),
        ([zeros, zeros[:, :3]], r"state.c: expected an array \[2, 4\], got \[2, 3\]"),
        ([zeros, [[1, 2, 3, 4], [1]]], "state.c: .* lines of several lengths"),
        ([zeros, [[None] * 4] * 2], "state.c: expected real numbers, got object"),
    ):
        with pytest.raises(ValueError, match=told):
            session.state = state
    for carried in (None, 3, "no", zeros, np.zeros((2, 8), complex)):
        with pytest.raises(ValueError, match="carried: expected"):
            session.carried = carried
    np.testing.assert_array_equal(session.carried, [[1] * 4 + [2] * 4] * 2)
    session.carried = [[5] * 8] * 2
    np.testing.assert_array_equal(session.state[1], zeros + 5)


def test_rows_step_alone_as_they_do_together() -> None:
    torch.manual_seed(0)
    layer = deep()
    xs = np.random.default_rng(0).normal(size=(5, BATCH, 4)).astype(np.float32)
    together = steps_of(layer.frozen(BATCH), xs)
    for row in range(BATCH):
        alone = steps_of(layer.frozen(1), xs[:, row : row + 1])
        np.testing.assert_allclose(alone, together[:, row : row + 1], rtol=1e-6)


def steps_of(session: Any, xs: np.ndarray) -> np.ndarray:
    return np.stack([session.step(x) for x in xs])


class Topic(NamedTuple):
    vector: Tensor


class Reads(recurra.GRUCell):
    takes_context = True

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        return super().step(x * torch.sigmoid(context.vector), state)


def test_what_belongs_to_a_row() -> None:
    torch.manual_seed(0)
    layer, topic = recurra.Recurrent(Reads(4, 5)), Topic(torch.randn(BATCH, 4))
    x = torch.randn(TIME, BATCH, 4)
    with torch.no_grad():
        wanted = layer(x, context=topic).outputs
    got = steps(layer.frozen(BATCH, topic), x)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tied": True, "residual": True, "embedding_size": 5},
        {"cell": "gru", "conditions": {"topic": 4, "author": 2}},
    ],
)
def test_a_whole_language_model(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = LanguageModelConfig(vocabulary_size=11, hidden_size=8, dropout=0.3, **settings)
    model = LanguageModel(config).eval()
    given = torch.tensor([[3, 1], [0, 0], [2, 1]]) if "conditions" in settings else None
    session, state = model.frozen(BATCH, given), model.start(BATCH, given)
    for ids in torch.randint(0, 11, (TIME, BATCH)):
        with torch.no_grad():
            wanted, state = model.step(ids, state)
        np.testing.assert_allclose(session.step(ids.numpy()), wanted, rtol=1e-5, atol=2e-6)
    before = session.state
    for wrong in ([0, 11, 3], [-1, 0, 0]):
        with pytest.raises(ValueError, match="whole numbers from 0 to 10, got"):
            session.step(wrong)
    for a, b in itertools.zip_longest(session.state, before):
        np.testing.assert_array_equal(a, b)


def test_what_does_not_fit_is_named() -> None:
    session = recurra.Recurrent(recurra.GRUCell(4, 5)).frozen(2)
    for given, words in (
        ([np.zeros((3, 4))], r"x: expected an array \[2, 4\], got \[3, 4\]"),
        ([np.zeros((2, 4)), np.zeros(1)], r"expected 1 arrays \(x\), got 2"),
        ([], r"expected 1 arrays \(x\), got 0"),
        ([np.full((2, 4), 1j)], "x: expected real numbers, got complex128"),
        ([np.full((2, 4), "1.5")], "x: expected real numbers, got <U3"),
    ):
        with pytest.raises(ValueError, match=words):
            session.step(*given)
    with pytest.raises(ValueError, match=r"state\.h: expected an array \[2, 5\]"):
        session.state = (np.zeros((2, 6)),)
    with pytest.raises(ValueError, match=r"state\.h: expected real numbers, got complex64"):
        session.state = (np.zeros((2, 5), "complex64"),)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        recurra.Recurrent(recurra.GRUCell(4, 5)).frozen(0)


def test_other_numbers_and_tensors_are_converted() -> None:
    session = recurra.Recurrent(recurra.GRUCell(2, 3)).frozen()
    x = np.array([[0.5, -1.0]], np.float32)
    wanted = session.step(x)
    for given in (
        x.astype(np.float64),
        x[0],
        x.tolist(),
        torch.tensor(x),
        np.repeat(x, 2, 1)[:, ::2],
    ):
        session.reset()
        np.testing.assert_array_equal(session.step(given), wanted)


def test_a_layer_that_reads_from_the_end_is_refused() -> None:
    with pytest.raises(SettingError, match="not causal"):
        recurra.Bidirectional(recurra.GRUCell(2, 3), recurra.GRUCell(2, 3)).frozen()


def test_a_step_that_looks_at_numbers_is_refused() -> None:
    class Looks(recurra.GRUCell):
        def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
            if x.sum() > 1000:
                x = -x
            return super().step(x, state)

    with pytest.raises(
        BackendError, match="Recurrent cannot be frozen: the step looks at the numbers"
    ):
        recurra.Recurrent(Looks(2, 3)).frozen()


@pytest.mark.parametrize("kind", [recurra.RNN, recurra.LSTM, recurra.GRU])
@pytest.mark.parametrize("batch_first", [False, True])
def test_drop_ins(kind: Any, batch_first: bool) -> None:
    torch.manual_seed(0)
    layer = kind(4, 5, num_layers=2, dropout=0.4, batch_first=batch_first)
    x = torch.randn(TIME, BATCH, 4)
    got = steps(layer.frozen(BATCH), x)
    with torch.no_grad():
        wanted = layer.eval()(x.transpose(0, 1) if batch_first else x)[0]
    wanted = wanted.transpose(0, 1) if batch_first else wanted
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(SettingError, match="bidirectional"):
        kind(4, 5, bidirectional=True).frozen()


def test_a_projection() -> None:
    torch.manual_seed(0)
    layer, x = recurra.LSTM(4, 6, proj_size=3).eval(), torch.randn(TIME, BATCH, 4)
    with torch.no_grad():
        wanted = layer(x)[0]
    np.testing.assert_allclose(steps(layer.frozen(BATCH), x), wanted, rtol=1e-5, atol=1e-6)


def test_threads_share_a_large_matrix_and_change_nothing() -> None:
    torch.manual_seed(0)
    layer = recurra.Recurrent(recurra.GRUCell(150, 300))
    program = layer.frozen().program
    xs = np.random.default_rng(0).normal(size=(4, 2, 150)).astype(np.float32)
    one = steps_of(Session(program, 2, threads=1), xs)
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(steps_of(Session(program, 2, threads=threads), xs), one)
    for threads in (0, -1, 65, 10**6, 1.5, "2", True):
        with pytest.raises(ValueError, match="threads: expected 1 to 64, got"):
            Session(program, threads=threads)
    for rows in (0, 1.0, True, "1"):
        with pytest.raises(ValueError, match="batch: expected at least one row"):
            Session(program, rows)
    with pytest.raises(ValueError, match="program: expected a Program, got int"):
        Session(3)


def test_shapes_and_numbers_are_looked_at_however_they_come() -> None:
    session = recurra.Recurrent(recurra.GRUCell(8, 5)).frozen(2)
    for given in (np.zeros((8, 2), np.float32), np.zeros(16, np.float32)):
        with pytest.raises(ValueError, match=r"expected an array \[2, 8\]"):
            session.step(given)
    model = LanguageModel(LanguageModelConfig(vocabulary_size=5, hidden_size=4)).frozen()
    for wrong in (np.array([7.0], np.float32), np.array([2.5]), np.array([np.nan], np.float32)):
        with pytest.raises(ValueError, match="whole numbers from 0 to 4"):
            model.step(wrong)
    assert not any(array.any() for array in model.state)
    with pytest.raises(ValueError, match="rows: expected an index or a mask of 2 rows, got 7"):
        session.reset(7)


def test_a_context_that_is_not_given_is_asked_for() -> None:
    layer = recurra.Recurrent(Reads(3, 4))
    with pytest.raises(SettingError, match="Reads reads a context: pass context="):
        layer.frozen()


def test_a_program_travels_a_session_does_not() -> None:
    layer = recurra.Recurrent(recurra.GRUCell(3, 4))
    session = layer.frozen()
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"keep session\.program"):
            refused(session)
    again = Session(pickle.loads(pickle.dumps(session.program)))
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(again.step(x), session.step(x))


@pytest.mark.skipif(not native_available(), reason="there is no native module")
def test_a_cell_in_a_layer_is_explained_with_the_context_that_is_offered() -> None:
    layer, topic = recurra.Recurrent(Reads(4, 5)), Topic(torch.randn(BATCH, 4))
    (told,) = recurra.explain(layer, context=topic).choices
    assert told.backend == "native"
    (told,) = recurra.explain(layer).choices
    assert "Reads reads a context, and none is given" in told.reason


class Fading(recurra.Cell):
    """h is half of what it was: it fades to nothing."""

    def __init__(self) -> None:
        super().__init__(4, 4)

    def initial_state(self, batch: int) -> recurra.HiddenState:
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x: Any, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = 0.5 * state.h + x
        return h, recurra.HiddenState(h)


@pytest.mark.skipif(not native_available(), reason="there is no native module")
def test_what_fades_is_zero_as_in_a_whole_run(request: Any) -> None:
    """Below the normal numbers a step takes many times as long; NumPy steps as the process does."""
    if "numpy" in request.node.name:
        pytest.skip("nothing is flushed in NumPy")
    layer = recurra.Recurrent(Fading())
    x = torch.zeros(140, 1, 4)
    x[0] = 1.0
    session = layer.frozen()
    said = np.stack([session.step(step) for step in x.numpy()])
    whole = recurra.run(layer.cell, x, backend="native").outputs
    assert np.array_equal(said, whole.numpy())
    assert said[said != 0].min() >= np.finfo(np.float32).tiny
    assert session.state[0].max() == 0


TOPICS = torch.tensor([[1, 2], [0, 3], [4, 1]])


def with_topics(rows: Any = slice(None)) -> Session:
    """A session of these rows of a model with conditions, after two symbols of its own."""
    torch.manual_seed(0)
    sizes = LanguageModelConfig(
        vocabulary_size=9, hidden_size=6, layers=2, conditions={"topic": 5, "author": 4}
    )
    given = TOPICS[rows]
    session = LanguageModel(sizes).eval().frozen(len(given), given)
    for ids in (np.array([3, 5, 7]), np.array([2, 8, 4])):
        session.step(ids[rows])
    return session


@pytest.mark.parametrize(
    "rows",
    [[2, 0], [1], [2, 0, 0, 1, 1], [2, 0, 1], [True, False, True], slice(1, None), [-1]],
    ids=str,
)
def test_rows_are_selected(rows: Any) -> None:
    session, wanted = with_topics(), with_topics(np.arange(3)[rows])
    session.select(rows)
    assert session.batch == wanted.batch == len(session.state[0])
    for ids in (np.arange(wanted.batch), np.arange(wanted.batch) + 2):
        np.testing.assert_array_equal(session.step(ids), wanted.step(ids))
    for got, other in zip(session.state, wanted.state, strict=True):
        np.testing.assert_array_equal(got, other)
    for each in (session, wanted):
        each.reset()
    np.testing.assert_array_equal(session.step(ids), wanted.step(ids))


@pytest.mark.parametrize("rows", [[], [3], [-4], [[0, 1]], 1, [True, False], slice(3, None)])
def test_rows_that_cannot_be_selected(rows: Any) -> None:
    session, same = with_topics(), with_topics()
    with pytest.raises(ValueError, match="rows: expected"):
        session.select(rows)
    ids = np.array([1, 2, 3])
    np.testing.assert_array_equal(session.step(ids), same.step(ids))


def test_another_context() -> None:
    session, other = with_topics(), with_topics()
    given = TOPICS.flip(0).numpy().astype(np.float32)
    (before,) = session.context
    session.context = [given]
    other.select([2, 1, 0])
    other.state = session.state
    ids = np.array([1, 2, 3])
    np.testing.assert_array_equal(session.step(ids), other.step(ids))
    np.testing.assert_array_equal(before, TOPICS)
    kept = given.copy()
    session.context = [before]
    np.testing.assert_array_equal(given, kept)  # the caller's own
    with pytest.raises(ValueError, match="expected an array"):
        session.context = [given[:2]]


def test_a_context_that_was_given_is_copied() -> None:
    torch.manual_seed(0)
    program = with_topics().program
    given = TOPICS.numpy().astype(np.float32)
    session = Session(program, 3, [given])
    session.context = [given[::-1].copy()]
    np.testing.assert_array_equal(given, TOPICS)


def test_all_that_is_carried_in_one_line() -> None:
    session, other = with_topics(), with_topics()
    carried = session.carried
    assert carried.shape == (3, 4 * 6)
    np.testing.assert_array_equal(carried, np.concatenate(session.state, 1))
    other.reset()
    other.carried = carried
    ids = np.array([1, 2, 3])
    np.testing.assert_array_equal(session.step(ids), other.step(ids))
    assert (carried != session.carried).any()
    with pytest.raises(ValueError, match=r"carried: expected an array \[3, 24\], got \[2, 24\]"):
        session.carried = carried[:2]


def reader(**how: Any) -> LanguageModel:
    torch.manual_seed(0)
    config = LanguageModelConfig(vocabulary_size=11, layers=2, hidden_size=24, **how)
    return LanguageModel(config)


def products(program: Any) -> int:
    return sum(TABLE[line[0]].name == "linear" for part in program.parts[1] for line in part)


HOWS: list[dict[str, Any]] = [
    {},
    {"cell": "gru"},
    {"cell": "lstm_multiplicative"},
    {"tied": True},
    {"residual": True, "embedding_size": 24},
    {"conditions": {"topic": 5}},
]


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_what_hangs_on_a_symbol_alone_is_looked_up(
    how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = reader(**how)
    given = torch.zeros(BATCH, 1, dtype=torch.int64) if "conditions" in how else None
    session = model.frozen(BATCH, given)
    monkeypatch.setattr("recurra.engine.freeze._LARGEST_TABLES", 0)
    without = model.frozen(BATCH, given)
    ids = np.random.default_rng(0).integers(0, 11, (TIME, BATCH))
    got, wanted = (np.stack([s.step(row) for row in ids]) for s in (session, without))
    if how != {"conditions": {"topic": 5}}:
        assert products(session.program) < products(without.program)
    if session._stepper.__class__.__name__ == "NumpyStepper":
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
    else:
        np.testing.assert_array_equal(got, wanted)
    with pytest.raises(ValueError, match="whole numbers from 0 to 10, got 11"):
        session.step(np.full(BATCH, 11))


class TwoTables(recurra.Cell):
    """Looks the same number up in tables of two sizes."""

    def __init__(self) -> None:
        super().__init__(1, 4)
        self.large, self.small = torch.nn.Embedding(9, 4), torch.nn.Embedding(7, 4)

    def initial_state(self, batch: int) -> Any:
        return recurra.HiddenState(self.zeros(batch))

    def example_input(self, batch: int) -> Any:
        return torch.zeros(batch, 1, dtype=torch.int64)

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        both = torch.tanh(self.large(x[:, 0]) + self.small(x[:, 0]))
        h = torch.tanh(both + state.h)
        return h, recurra.HiddenState(h)


def test_symbols_that_a_smaller_table_lacks() -> None:
    layer = recurra.Recurrent(TwoTables())
    session = layer.frozen(1)
    x = torch.tensor([[[6]], [[0]], [[3]]])
    got = np.stack([session.step(row.numpy()) for row in x])
    np.testing.assert_allclose(got, layer(x).outputs.detach(), rtol=1e-5)
    with pytest.raises(IndexError, match="out of range"):
        session.step(np.array([[8]]))


class Halved(TwoTables):
    """Looks half of the number up: of more numbers than there are rows."""

    def step(self, x: Tensor, state: Any, context: Any = None, noise: Any = None) -> Any:
        h = torch.tanh(torch.tanh(self.small(x[:, 0] // 2)) + state.h)
        return h, recurra.HiddenState(h)


def test_symbols_that_are_computed_are_not_those_of_a_table() -> None:
    layer = recurra.Recurrent(Halved())
    session = layer.frozen(1)
    x = torch.tensor([[[13]], [[0]], [[8]]])
    got = np.stack([session.step(row.numpy()) for row in x])
    np.testing.assert_allclose(got, layer(x).outputs.detach(), rtol=1e-5)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"weights": "int4"}, "frozen: weights: expected None, 'bfloat16' or 'int8', got 'int4'"),
        ({"batch": 0}, "batch: expected a whole number of at least 1, got 0"),
        ({"batch": True}, "batch: expected a whole number of at least 1, got True"),
        ({"batch": "2"}, "batch: expected a whole number of at least 1, got '2'"),
    ],
)
def test_how_it_cannot_run(how, said):
    for layer in (recurra.Recurrent(recurra.GRUCell(3, 4)), recurra.GRU(3, 4)):
        with pytest.raises(SettingError, match=said):
            layer.frozen(**how)

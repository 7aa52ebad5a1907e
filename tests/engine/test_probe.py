"""Named values: labels are the identity, and one call reads all of them."""

import threading

import pytest
import torch

import recurra
from recurra import Bidirectional, ElmanCell, GRUCell, LSTMCell, Recurrent, Stack, named_values
from recurra import named as name_it
from recurra.cells import GappedInput, cell_by_name, cell_names
from recurra.cells.base import _REGISTERED
from recurra.engine import probe, run
from recurra.errors import SettingError, ShapeError
from recurra.labels import _COLLECTING, collecting

TIME, BATCH = 6, 3
LENGTHS = [6, 0, 3]
GATES = ("forget gate", "input gate", "output gate")
OURS = tuple(n for n in cell_names() if _REGISTERED[n].__module__.startswith("recurra."))


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    torch.manual_seed(0)
    yield
    assert not _COLLECTING
    assert not probe.looking()


def rows(width=4, time=TIME, batch=BATCH):
    return torch.randn(time, batch, width, dtype=torch.float64)


def made(kind, *sizes, **settings):
    """A cell in float64 with biases that are not 0."""
    cell = kind(*sizes, **settings).double()
    with torch.no_grad():
        for value in cell.parameters():
            value.add_(0.3 * torch.randn_like(value))
    return cell


def padded(lengths=LENGTHS):
    return torch.arange(TIME).unsqueeze(1) >= torch.tensor(lengths)


class Labeled(ElmanCell):
    """Names what a test wants it to."""

    def __init__(self, names, **settings):
        super().__init__(4, 5, **settings)
        self.names = names

    def step(self, x, state, context=None, noise=None):
        self.names(x, state)
        return super().step(x, state, context, noise)


# ---- a label ------------------------------------------------------------------------------------


def test_a_name_is_the_identity():
    value = torch.randn(2, 3, requires_grad=True)
    assert name_it("it", value) is value
    with collecting() as found:
        assert name_it("it", value) is value
    assert found == {"it": value}
    assert name_it("later", value) is value
    assert len(found) == 1


def test_what_is_collected_inside_is_not_collected_outside():
    value = torch.zeros(1)
    with collecting() as outer:
        name_it("a", value)
        with collecting() as inner:
            name_it("b", value)
        name_it("c", value)
    assert list(outer) == ["a", "c"]
    assert list(inner) == ["b"]


def test_a_label_used_twice_gets_a_number():
    value = torch.zeros(2, 1)
    with collecting() as found:
        for label, more in (("a", 0), ("b", 0), ("a", 1), ("a", 2)):
            name_it(label, value + more)
    assert list(found) == ["a", "b", "a (2)", "a (3)"]
    assert [float(found[label][0]) for label in found] == [0, 0, 1, 2]

    def twice(x, state):
        name_it("half", x / 2)
        name_it("half", x / 4)

    cell = Labeled(twice).double()
    x = rows()
    seen = named_values(run, cell, x)
    assert torch.equal(seen["half"], x / 2)
    assert torch.equal(seen["half (2)"], x / 4)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (lambda x, h: name_it("mean", x.mean()), r"named 'mean': .*\[batch=3, ...\], got \[\]"),
        (lambda x, h: name_it("whole", x.sum(0)), r"named 'whole': .*batch=3.*got \[4\]"),
        (lambda x, h: name_it("number", 1.5), r"named 'number': .*batch=3.*got float"),
    ],
)
def test_a_value_without_the_batch_is_refused(names, words):
    cell = Labeled(names).double()
    with pytest.raises(ShapeError, match=words):
        named_values(run, cell, rows())
    run(cell, rows())  # nobody looks


def test_a_label_of_some_steps_is_refused():
    """At one step of a stretch, or in one stretch of rows and not in another.

    Where each step is called; a recording has what its steps named.
    """
    steps = []

    def sometimes(x, state):
        steps.append(1)
        if len(steps) == 4:
            name_it("odd", x)

    with pytest.raises(ShapeError, match="named 'odd': expected at every step or at none"):
        named_values(run, Labeled(sometimes).double(), rows(), backend="loop")
    steps.clear()
    with pytest.raises(ShapeError, match="named 'odd'"):
        named_values(run, Labeled(sometimes).double(), rows(), lengths=[6, 3, 3], backend="loop")

    def in_full_stretches(x, state):
        if x.shape[0] == 3:
            name_it("odd", x)

    with pytest.raises(ShapeError, match="named 'odd'"):
        named_values(
            run, Labeled(in_full_stretches).double(), rows(), lengths=[6, 3, 3], backend="loop"
        )


# ---- where a cell stands ------------------------------------------------------------------------


def places(seen):
    """What stands before each label, in order."""
    return list(dict.fromkeys(key.rpartition(": ")[0] for key in seen))


def test_keys_of_a_function():
    seen = named_values(run, LSTMCell(4, 5), rows().float())
    assert places(seen) == ["LSTMCell"]
    assert torch.equal(seen["forget gate"], seen["LSTMCell: forget gate"])


def test_keys_of_a_method_of_a_cell():
    class Running(GRUCell):
        def all(self, x):
            return run(self, x)

    seen = named_values(Running(4, 5).all, rows().float())
    assert "update gate" in list(seen)
    assert places(seen) == [""]


def test_keys_of_a_cell_called():
    seen = named_values(GRUCell(4, 5), rows().float()[0])
    assert "update gate" in list(seen)


def test_keys_of_layers():
    x = rows().float()
    layer = Recurrent(GRUCell(4, 5))
    assert places(named_values(layer, x)) == ["cell"]
    stack = Stack([layer, Recurrent(LSTMCell(5, 3))])
    assert places(named_values(stack, x)) == ["layers.0.cell", "layers.1.cell"]
    both = Bidirectional(GRUCell(4, 5), LSTMCell(4, 5))
    assert places(named_values(both, x)) == ["forward_layer.cell", "backward_layer.cell"]
    wrapped = Recurrent(recurra.Zoneout(GRUCell(4, 5)))
    assert places(named_values(wrapped, x)) == ["cell"]
    assert places(named_values(lambda: layer(x))) == ["GRUCell"]
    assert places(named_values(layer.forward, x)) == ["cell"]


def test_keys_of_a_model():
    config = recurra.LanguageModelConfig(vocabulary_size=9, hidden_size=8, layers=2, cell="gru")
    model = recurra.LanguageModel(config).eval()
    ids = torch.randint(9, (TIME, BATCH))
    state = model.start(BATCH)
    seen = named_values(model.step, ids[0], state)
    cells = [n for n, part in model.named_modules() if isinstance(part, recurra.Cell)]
    assert places(seen) == cells
    assert len(cells) == 2
    wanted, _ = model.step(ids[0], state)
    assert torch.allclose(seen.result[0], wanted, atol=1e-6)
    assert seen[f"{cells[0]}: update gate"].shape == (1, BATCH, 8)


def test_a_label_that_one_cell_has_is_enough():
    stack = Stack([Recurrent(GRUCell(4, 5)), Recurrent(LSTMCell(5, 3))])
    seen = named_values(stack, rows().float())
    assert torch.equal(seen["update gate"], seen["layers.0.cell: update gate"])
    assert torch.equal(seen["forget gate"], seen["layers.1.cell: forget gate"])
    assert "update gate" in seen
    assert "layers.0.cell: candidate" in seen
    with pytest.raises(SettingError, match=r"'candidate' is in several .*layers\.0.*layers\.1"):
        seen["candidate"]
    assert "candidate" not in seen
    with pytest.raises(SettingError, match=r"no 'updat gate'; did you mean '.*update gate'"):
        seen["updat gate"]
    assert "updat gate" not in seen
    assert "gate" not in seen, "a part of a label is none"


def test_get_gives_its_default():
    seen = named_values(run, GRUCell(4, 5), rows().float())
    assert seen.get("no such value", 7) == 7


def test_a_cell_that_runs_twice_is_told_apart():
    layer = Recurrent(GRUCell(4, 5))
    x = rows().float()

    def both():
        return layer(x), layer(-x), layer(2 * x)

    seen = named_values(both)
    assert places(seen) == ["GRUCell", "GRUCell (2)", "GRUCell (3)"]
    alone = named_values(layer, -x)
    assert torch.equal(seen["GRUCell (2): candidate"], alone["candidate"])
    tied = Stack([Recurrent(cell := GRUCell(4, 4)), Recurrent(cell)])
    assert places(named_values(tied, x)) == ["layers.0.cell", "layers.0.cell (2)"]


# ---- what the values are ------------------------------------------------------------------------


def test_values_stand_at_their_steps():
    """With empty rows, with resets, and in reverse."""
    cell = made(LSTMCell, 4, 5)
    x = rows()
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    resets[2, 0] = resets[1, 2] = resets[4, 0] = True
    for reverse in (False, True):
        seen = named_values(run, cell, x, lengths=LENGTHS, resets=resets, reverse=reverse)
        plain = run(cell, x, lengths=LENGTHS, resets=resets, reverse=reverse)
        assert torch.allclose(seen.result.outputs, plain.outputs, rtol=0, atol=1e-12)
        for value in seen.values():
            assert value.shape == (TIME, BATCH, 5)
            assert not value[padded()].any()
            assert value[~padded()].all()
        for row, length in enumerate(LENGTHS):
            state = cell.initial_state(1)
            for t in reversed(range(length)) if reverse else range(length):
                if resets[t, row] and not reverse:
                    state = cell.initial_state(1)
                before = cell.input_product(x[t, row : row + 1]) + cell.recurrent_product(state.h)
                found = seen["forget gate pre-activation"][t, row]
                assert torch.allclose(found, before[0, 5:10], rtol=0, atol=1e-12)
                _, state = cell.step(x[t, row : row + 1], state)
                if resets[t, row] and reverse:
                    state = cell.initial_state(1)


def test_a_forced_backend_is_set_aside():
    cell = GRUCell(4, 5)
    x = rows().float()
    layer = Recurrent(cell, backend="aten")
    assert recurra.engine.explain(layer).choices[0].backend == "aten"
    seen = named_values(layer, x)
    assert torch.equal(seen["update gate"], named_values(run, cell, x)["update gate"])
    assert torch.allclose(seen.result.outputs, layer(x).outputs, atol=1e-6)
    assert named_values(run, cell, x, backend="aten")["update gate"].shape == (TIME, BATCH, 5)


def test_the_result_is_what_the_call_returns():
    layer = Recurrent(made(GRUCell, 4, 5))
    x = rows()
    seen = named_values(layer, x, lengths=LENGTHS)
    assert type(seen.result) is recurra.LayerOutput
    assert torch.equal(seen.result.last[1], torch.zeros(5))
    assert torch.allclose(seen.result.outputs, layer(x, lengths=LENGTHS).outputs, atol=1e-12)


def test_values_belong_to_the_graph():
    cell = made(GRUCell, 4, 5)
    x = rows().requires_grad_()
    seen = named_values(run, cell, x, lengths=LENGTHS)
    seen["candidate"].sum().backward()
    assert cell.input_weight.grad[10:].all(), "of the candidate itself"
    assert cell.input_weight.grad[:10].all(), "of the gates, through the state before"
    assert cell.recurrent_weight.grad.any()
    assert x.grad[~padded()].all()
    assert not x.grad[padded()].any()
    with torch.no_grad():
        assert not named_values(run, cell, x)["candidate"].requires_grad


def test_named_values_of_replaced_parameters():
    """A run of tensors in place of the cell's own is still one of the cell that stands there."""
    layer = Recurrent(made(GRUCell, 4, 5))
    other = {name: 2 * p.detach() for name, p in layer.cell.named_parameters()}
    x = rows()

    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = layer.cell

        def forward(self):
            return run(self.inside, x, parameters=other)

    seen = named_values(Holder())
    assert places(seen) == ["inside"]
    before = x[0] @ other["input_weight"].T + other["bias"]
    found = seen["reset gate pre-activation"][0]
    assert torch.allclose(found, before[:, :5], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_nothing_to_run(shape):
    time, batch = shape
    seen = named_values(Recurrent(LSTMCell(4, 5)), torch.randn(time, batch, 4))
    assert len(seen) == 10, "eight that the step names, and the two of its state"
    assert all(value.shape == (time, batch, 5) for value in seen.values())
    assert "cell: forget gate" in str(seen)


def test_only_empty_rows():
    seen = named_values(Recurrent(LSTMCell(4, 5)), rows().float(), lengths=[0, 0, 0])
    assert all(value.shape == (TIME, BATCH, 5) for value in seen.values())
    assert not any(value.any() for value in seen.values())


def test_a_cell_that_names_nothing():
    class Quiet(recurra.Cell):
        def initial_state(self, batch):
            return recurra.HiddenState(self.zeros(batch))

        def step(self, x, state, context=None, noise=None):
            return state.h + x, recurra.HiddenState(state.h + x)

    seen = named_values(run, Quiet(4, 4), rows(), lengths=LENGTHS)
    assert [key.rpartition(": ")[2] for key in seen] == ["state.h"]
    with pytest.raises(SettingError, match="no 'gate'"):
        seen["gate"]


def test_a_table():
    """One line a value: its name, its shape, and its least, mean and most."""
    half = torch.tensor([[0.25], [0.75], [-0.5]])
    cell = Labeled(lambda x, state: (name_it("flag", half > 0), name_it("half", half)))
    seen = named_values(Recurrent(cell), rows().float())
    lines = [line.split() for line in str(seen).splitlines()]
    assert lines[0] == ["value", "shape", "least", "mean", "most"]
    assert ["cell:", "flag", "6x3x1", "0", "0.6667", "1"] in lines
    assert ["cell:", "half", "6x3x1", "-0.5", "0.1667", "0.75"] in lines
    assert len(lines) == 1 + len(seen)
    starts = {line.index("6x3") for line in str(seen).splitlines()[1:]}
    assert len(starts) == 1, "columns stand under each other"


# ---- who looks ----------------------------------------------------------------------------------


def test_a_watch_inside_a_watch():
    """The inner one takes what runs inside it; the outer one goes on after it."""
    layer = Recurrent(GRUCell(4, 5))
    x = rows().float()
    inside = []

    def call():
        layer(x)
        inside.append(named_values(layer, -x))
        return layer(2 * x)

    seen = named_values(call)
    assert places(seen) == ["GRUCell", "GRUCell (2)"]
    alone = named_values(layer, 2 * x)
    assert torch.equal(seen["GRUCell (2): candidate"], alone["candidate"])
    assert places(inside[0]) == ["cell"]


def test_a_run_inside_a_step_is_a_run_of_its_own():
    class Outer(ElmanCell):
        def __init__(self):
            super().__init__(4, 5)
            self.inner = GRUCell(4, 5)

        def step(self, x, state, context=None, noise=None):
            name_it("before", x)
            run(self.inner, x.unsqueeze(0))
            return super().step(x, state, context, noise)

    seen = named_values(Recurrent(Outer()), rows().float()[:2])
    assert places(seen) == ["cell.inner", "cell.inner (2)", "cell"]
    labels = {key.rpartition(": ")[2] for key in seen if key.startswith("cell: ")}
    assert labels == {"before", "pre-activation", "state.h"}


def test_other_threads_are_not_watched():
    """They run meanwhile and leave nothing here; and one that looks sees its own runs alone."""
    x = rows().float()
    theirs = []

    def call():
        result = run(GRUCell(4, 5), x)

        def plain():
            theirs.append(run(LSTMCell(4, 5), x).outputs.shape)

        def looks():
            theirs.append(places(named_values(run, ElmanCell(4, 5), x)))

        for target in (plain, looks):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        return result

    seen = named_values(call)
    assert places(seen) == ["GRUCell"]
    assert theirs == [(TIME, BATCH, 5), ["ElmanCell"]]


def test_threads_that_look_at_once():
    """Each of them in the middle of a run while the other one is."""
    meet = threading.Barrier(2, timeout=20)
    found = {}

    def look(mark):
        cell = Labeled(lambda x, state: (meet.wait(), name_it(f"seen by {mark}", x))).double()
        found[mark] = named_values(run, cell, rows())

    threads = [threading.Thread(target=look, args=(mark,)) for mark in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mark, other in (("a", "b"), ("b", "a")):
        assert found[mark][f"seen by {mark}"].shape == (TIME, BATCH, 4)
        assert f"seen by {other}" not in found[mark]


def test_an_error_leaves_nothing_behind():
    steps = []

    def breaks(x, state):
        steps.append(1)
        if len(steps) >= 3:
            raise KeyError("in a step")

    with pytest.raises(KeyError, match="in a step"):
        named_values(run, Labeled(breaks).double(), rows())
    assert not _COLLECTING
    assert not probe.looking()

    def fails():
        with pytest.raises(KeyError):
            named_values(lambda: {}["inner"])
        return run(GRUCell(4, 5), rows().float())

    assert places(named_values(fails)) == ["GRUCell"]


# ---- what our cells name ------------------------------------------------------------------------


def read_by(cell):
    example = cell.example_input(1)
    if isinstance(example, torch.Tensor):
        return rows(example.shape[1])
    return GappedInput(rows(4), torch.rand(TIME, BATCH, 4) < 0.6, rows(1).abs())


@pytest.mark.parametrize("name", OURS)
def test_gates_are_between_0_and_1(name):
    """And a gate is the sigmoid of its pre-activation, as a candidate is the tanh of its own."""
    cell = made(lambda: cell_by_name(name, 4, 5))
    seen = named_values(run, cell, read_by(cell), lengths=LENGTHS)
    assert len(seen) > 0
    valid = ~padded()
    labels = [key.removeprefix(f"{type(cell).__name__}: ") for key in seen]
    for label in labels:
        if label.endswith(" gate"):
            assert (seen[label][valid] > 0).all()
            assert (seen[label][valid] < 1).all()
            assert not seen[label][~valid].any()
        before = f"{label} pre-activation"
        if before in labels and name != "minlstm":
            squash = torch.tanh if label == "candidate" else torch.sigmoid
            wanted = squash(seen[before][valid])
            assert torch.allclose(seen[label][valid], wanted, rtol=0, atol=1e-14)
    stated = {
        "elman": ["pre-activation"],
        "gru": ["update gate", "reset gate", "candidate"],
        "gru_reset_before": ["update gate", "reset gate", "candidate"],
        "grud": ["update gate", "reset gate", "candidate", "time unseen", "filled input"],
        "indrnn": ["pre-activation"],
        "lstm": [*GATES, "candidate"],
        "lstm_coupled": ["forget gate", "output gate", "candidate"],
        "lstm_peephole": [*GATES, "candidate"],
        "lstm_projected": [*GATES, "candidate"],
        "mgu": ["forget gate", "candidate"],
        "mingru": ["update gate", "candidate"],
        "minlstm": ["forget gate", "input gate", "candidate"],
        "lstm_multiplicative": [*GATES, "candidate"],
    }
    assert set(stated.get(name, ())) <= set(labels)


def test_gates_of_minlstm_share_1():
    """Named are the shares that act, each gate's own sigmoid divided by the sum of both."""
    cell = made(recurra.MinLSTMCell, 4, 5)
    seen = named_values(run, cell, rows())
    f, i = (torch.sigmoid(seen[f"{gate} gate pre-activation"]) for gate in ("forget", "input"))
    assert torch.allclose(seen["forget gate"], f / (f + i), rtol=0, atol=1e-12)
    assert torch.allclose(seen["forget gate"] + seen["input gate"], torch.ones(1).double())


def test_named_values_make_the_outputs_of_an_lstm():
    cell = made(LSTMCell, 4, 5)
    start = recurra.LSTMState(*torch.randn(2, BATCH, 5, dtype=torch.float64))
    seen = named_values(run, cell, rows(), start, return_states=True)
    c = start.c
    for t in range(TIME):
        c = seen["forget gate"][t] * c + seen["input gate"][t] * seen["candidate"][t]
        h = seen["output gate"][t] * torch.tanh(c)
        assert torch.allclose(seen.result.states.c[t], c, rtol=0, atol=1e-15)
        assert torch.equal(seen["state.c"][t], seen.result.states.c[t])
        assert torch.allclose(seen.result.outputs[t], h, rtol=0, atol=1e-15)


def test_named_values_make_the_outputs_of_a_gru():
    cell = made(GRUCell, 4, 5)
    seen = named_values(run, cell, rows())
    h = torch.zeros(BATCH, 5, dtype=torch.float64)
    for t in range(TIME):
        h = (1 - seen["update gate"][t]) * seen["candidate"][t] + seen["update gate"][t] * h
        assert torch.allclose(seen.result.outputs[t], h, rtol=0, atol=1e-15)


def test_named_values_of_a_drop_in():
    layer = recurra.LSTM(4, 5, num_layers=2)
    seen = named_values(layer, rows().float())
    gates = [key for key in seen if key.endswith(": forget gate")]
    assert len(gates) == 2
    assert all(seen[key].shape == (TIME, BATCH, 5) for key in gates)


def test_layers_of_torch_name_nothing():
    with pytest.raises(recurra.SettingError, match=r"no cell of the LSTM ran.*recurra\.convert"):
        recurra.named_values(torch.nn.LSTM(3, 8), torch.randn(5, 2, 3))
    assert not recurra.named_values(torch.nn.Linear(3, 2), torch.randn(5, 3))

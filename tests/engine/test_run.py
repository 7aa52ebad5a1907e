"""The door to time: backends, errors, explanations. The laws hold the rest."""

import sys

import pytest
import torch

import recurra
from recurra import ElmanCell, GRUCell, HiddenState, LSTMCell, Zoneout
from recurra.cells import Noise
from recurra.engine import explain, run
from recurra.engine.backends.segments import Segment, segments
from recurra.engine.call import Call
from recurra.errors import BackendError, ShapeError

KINDS = [
    lambda: ElmanCell(3, 4),
    lambda: ElmanCell.irnn(3, 4),
    lambda: LSTMCell(3, 4),
    lambda: GRUCell(3, 4),
]
LENGTHS = torch.tensor([9, 2, 0, 9, 5])


TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def agree(ours, theirs, tolerance):
    """Every tensor within ``tolerance`` of its largest number."""
    pairs = zip(ours, theirs, strict=True)
    return all((a - b).abs().max() <= tolerance * max(1e-3, b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_aten_equals_loop(kind, reset, lengths, reverse, dtype):
    """Outputs and gradients, also in float32, where LSTM goes through oneDNN."""
    torch.manual_seed(1)
    cell = kind().to(dtype)
    resets = torch.rand(9, 5) < 0.2 if reset else None
    start = [0.3 * torch.randn(5, 4, dtype=dtype) for _ in cell.initial_state(1)]
    found = []
    for backend in ("loop", "aten"):
        x = torch.randn(9, 5, 3, dtype=dtype, generator=torch.Generator().manual_seed(2))
        x.requires_grad_()
        state = type(cell.initial_state(1))(*(s.clone().requires_grad_() for s in start))
        got = run(cell, x, state, lengths=lengths, resets=resets, reverse=reverse, backend=backend)
        values = [got.outputs, *got.state]
        total = sum((v * torch.sin(torch.arange(v.numel()).view_as(v) + 1.0)).sum() for v in values)
        wanted = [x, *state, *cell.parameters()]
        gradients = torch.autograd.grad(total, wanted, allow_unused=True)
        gradients = [torch.zeros(1) if g is None else g for g in gradients]
        found.append([v.detach() for v in values] + gradients)
    tolerance = TOLERANCE[dtype]
    assert agree(*found, tolerance)
    found[0][0] = found[0][0] + 5 * tolerance * found[0][0].abs().max()
    assert not agree(*found, tolerance), "the tolerance must tell a broken twin"


def test_choice_of_backend():
    for module in (LSTMCell(3, 4), Zoneout(LSTMCell(3, 4)), recurra.GRUResetBeforeCell(3, 4)):
        assert explain(module).choices[0].backend == "native"


def test_choice_without_the_machine(monkeypatch):
    monkeypatch.setattr("recurra_runtime.native_reason", lambda: "It was not built.")
    choice = explain(LSTMCell(3, 4)).choices[0]
    assert choice.backend == "aten"
    assert "no native module. It was not built." in choice.reason
    for module, words in [
        (Zoneout(LSTMCell(3, 4)), "Zoneout.step has no torch_form"),
        (ElmanCell(3, 4, activation=None), "torch_form"),
        (recurra.GRUResetBeforeCell(3, 4), "no native module. It was not built."),
    ]:
        choice = explain(module).choices[0]
        assert choice.backend == "loop"
        assert words in choice.reason
    with_states = explain(LSTMCell(3, 4), return_states=True).choices[0]
    assert "keeps only the last c" in with_states.reason
    assert explain(GRUCell(3, 4), return_states=True).choices[0].backend == "aten"
    noisy = explain(GRUCell(3, 4), noise=Noise(torch.zeros(1, 1)))
    assert "noise" in noisy.choices[0].reason
    with pytest.raises(ShapeError, match=r"expected \[time, batch, 3\]"):
        explain(GRUCell(3, 4), torch.randn(2, 2))


def test_explain_is_what_happens():
    """A choice that is explained is the one taken."""

    class Seen(GRUCell):
        def step(self, x, state, context=None, noise=None):
            return super().step(x, state)

        def torch_form(self):
            return super().torch_form()

    def called(backend=None):
        """Which of its methods a run calls; they cannot say so themselves and be recorded."""
        found = set()
        names = {Seen.step.__code__: "loop", Seen.torch_form.__code__: "aten"}
        sys.setprofile(lambda frame, event, arg: found.add(names.get(frame.f_code)))
        try:
            run(cell, torch.randn(2, 1, 3), backend=backend)
        finally:
            sys.setprofile(None)
        return found - {None}

    cell = Seen(3, 4)
    assert explain(cell).choices[0].backend == "native"
    run(cell, torch.randn(2, 1, 3))
    assert called() == set(), "the recorded step runs"
    assert called("aten") == {"aten"}
    assert called("loop") == {"loop"}


def test_explain_a_layer():
    stack = recurra.Stack(
        [recurra.Recurrent(LSTMCell(3, 4)), recurra.Recurrent(Zoneout(GRUCell(4, 4)))]
    )
    text = str(explain(stack))
    assert "layers.0.cell: LSTMCell runs on 'native'" in text
    assert "layers.1.cell: Zoneout runs on 'native'" in text
    with pytest.raises(ShapeError, match=r"no recurra\.Cell"):
        explain(torch.nn.Linear(2, 2))


def test_an_inherited_form_is_not_trusted():
    """A subclass with a step of its own does not run on the kernel of its parent's step."""

    class Doubled(LSTMCell):
        def step(self, x, state, context=None, noise=None):
            y, state = super().step(x, state)
            return 2 * y, state

    class Deeper(Doubled):
        pass

    x = torch.randn(3, 2, 3)
    for kind in (Doubled, Deeper):
        cell = kind(3, 4)
        plain = LSTMCell(3, 4)
        plain.load_state_dict(cell.state_dict())
        assert torch.allclose(run(cell, x).outputs, 2 * run(plain, x).outputs, atol=1e-6)
        with pytest.raises(BackendError, match=r"Doubled.step has no torch_form"):
            run(cell, x, backend="aten")


def test_a_step_set_on_the_instance_is_used():
    cell = GRUCell(3, 4)
    cell.step = lambda x, state, context=None, noise=None: (state.h + 1, HiddenState(state.h + 1))
    assert run(cell, torch.randn(3, 2, 3)).outputs[:, 0, 0].tolist() == [1, 2, 3]


def test_gradient_in_evaluation():
    cell = LSTMCell(3, 4).eval()
    x = torch.randn(3, 2, 3, requires_grad=True)
    run(cell, x, backend="aten").outputs.sum().backward()
    assert x.grad.any()


def test_named_inputs_and_wide_elements():
    from typing import NamedTuple

    class Pair(NamedTuple):
        picture: torch.Tensor
        gap: torch.Tensor

    class Map(NamedTuple):
        kept: torch.Tensor

    class Camera(recurra.Cell):
        def initial_state(self, batch):
            return Map(self.zeros(batch, 2, 5))

        def step(self, x, state, context=None, noise=None):
            kept = state.kept * torch.exp(-x.gap).unsqueeze(2) + x.picture
            return kept.flatten(1), Map(kept)

    cell = Camera(10, 10)
    inputs = Pair(torch.randn(4, 3, 2, 5), torch.rand(4, 3, 1))
    got = run(cell, inputs, lengths=[4, 0, 2])
    assert got.outputs.shape == (4, 3, 10)
    assert got.state.kept.shape == (3, 2, 5)
    by_hand = inputs.picture[0, 2] * torch.exp(-inputs.gap[1, 2]) + inputs.picture[1, 2]
    assert torch.allclose(got.state.kept[2], by_hand)
    layered = recurra.Recurrent(cell)(inputs, lengths=[4, 0, 2])
    assert torch.allclose(layered.last[2], by_hand.flatten())


def test_a_plain_tuple_is_taken_as_a_state():
    cell = LSTMCell(3, 4)
    h, c = torch.randn(2, 5, 4)
    wanted = run(cell, torch.zeros(2, 5, 3), recurra.LSTMState(h, c))
    for backend in ("loop", "aten"):
        got = run(cell, torch.zeros(2, 5, 3), (h, c), backend=backend)
        assert type(got.state) is recurra.LSTMState
        assert torch.allclose(got.state.c, wanted.state.c, atol=1e-6)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda h: h, r"expected \(y, state\)"),
        (lambda h: (None, HiddenState(h)), "expected y"),
        (lambda h: (h[:, :2], HiddenState(h)), r"expected y \[batch, 4\]"),
        (lambda h: (h[:1], HiddenState(h)), r"expected y \[batch=2"),
        (lambda h: (h, (h,)), "type HiddenState, got tuple"),
        (lambda h: (h, HiddenState(h[:, :3])), r"new state\.h: expected \[2, 4\], got \[2, 3\]"),
    ],
)
def test_a_wrong_step_is_named(result, words):
    class Wrong(GRUCell):
        def step(self, x, state, context=None, noise=None):
            return result(state.h)

    with pytest.raises(ShapeError, match=words):
        run(Wrong(3, 4), X)


def test_a_missing_context_is_named():
    from laws.subjects import ContextCell

    with pytest.raises(ShapeError, match="reads a context, got none"):
        run(ContextCell(3, 4), X)


def test_a_wrong_form_is_refused():
    """OneDNN reads foreign memory where a weight is smaller than it should be."""

    class Small(LSTMCell):
        def torch_form(self):
            form = super().torch_form()
            return form._replace(recurrent_weight=form.recurrent_weight[:, :2])

    with pytest.raises(ShapeError, match="recurrent_weight"):
        run(Small(3, 4), X, backend="aten")


def test_one_step_runs_the_step():
    """A kernel for whole sequences costs more than one call of the step."""
    cell = LSTMCell(3, 4)
    cell.step = None
    with pytest.raises(TypeError):
        run(cell, X[:1])
    plain = LSTMCell(3, 4)
    assert torch.allclose(
        run(plain, X[:1]).outputs, run(plain, X[:1], backend="aten").outputs, atol=1e-6
    )


def test_parametrizations_are_evaluated_once_a_run():
    from torch.nn.utils import parametrize

    calls = []

    class Counted(torch.nn.Module):
        def forward(self, weight):
            calls.append(1)
            return weight

    for backend in ("loop", "aten"):
        cell = GRUCell(3, 4)
        parametrize.register_parametrization(cell, "recurrent_weight", Counted())
        calls.clear()
        run(cell, X, backend=backend)
        assert len(calls) == 1


def test_a_parameterless_cell_with_tensors_of_the_caller():
    """A cell made on the device meta has names and shapes, and no memory."""
    with torch.device("meta"):
        held = LSTMCell(3, 4)
    own = LSTMCell(3, 4)
    given = {name: p.detach().clone().requires_grad_() for name, p in own.named_parameters()}
    for backend in ("loop", "aten"):
        got = run(held, X, parameters=given, backend=backend, lengths=[6, 2])
        assert torch.equal(got.outputs, run(own, X, lengths=[6, 2], backend=backend).outputs)
        got.outputs.sum().backward()
    assert given["recurrent_weight"].grad.any()


def test_a_cell_without_weights_follows_its_inputs():
    class Sum(recurra.Cell):
        def initial_state(self, batch):
            return HiddenState(self.zeros(batch))

        def step(self, x, state, context=None, noise=None):
            return state.h + x, HiddenState(state.h + x)

    x = X.double()
    torch.testing.assert_close(run(Sum(3, 3), x).state.h, x.sum(0))


def test_the_state_keeps_its_type_under_autocast():
    """Whole, ragged and empty calls alike, so that it can be carried out of autocast."""
    for cell in (LSTMCell(3, 4), GRUCell(3, 4), Zoneout(GRUCell(3, 4))):
        for lengths in (None, [6, 2], [0, 0]):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                got = run(cell, X, lengths=lengths)
            assert all(leaf.dtype == torch.float32 for leaf in got.state)
            assert run(cell, X, got.state).outputs.dtype == torch.float32


def test_explain_moves_no_random_numbers():
    cell = Zoneout(GRUCell(3, 4))
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    explain(cell)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (lambda h: h, r"Own.step: expected \(y, state\), got Tensor"),
        (
            lambda h: (h[:, :2], HiddenState(h)),
            r"expected y \[batch, 4\], its output_size, got \[2, 2\]",
        ),
        (lambda h: (h, h), "expected a new state of type HiddenState, got Tensor"),
        (lambda h: (h, HiddenState(h[:, :3])), r"new state.h: expected \[2, 4\], got \[2, 3\]"),
        (lambda h: (None, HiddenState(h)), r"expected y \[batch=2, ...\], got NoneType"),
    ],
)
def test_a_step_that_gives_the_wrong_thing_is_told_by_all(returned, told):
    class Own(GRUCell):
        def step(self, x, state, context=None, noise=None):
            return returned(super().step(x, state)[0])

    for ask in (run, explain):
        with pytest.raises(ShapeError, match=told):
            ask(Own(3, 4), torch.randn(5, 2, 3))
    with pytest.raises(BackendError, match="cannot be frozen: the step fails") as raised:
        recurra.Recurrent(Own(3, 4)).frozen()
    assert "as it is" not in str(raised.value)


def test_a_step_that_fails_is_not_explained_as_a_slow_one():
    class Own(GRUCell):
        def step(self, x, state, context=None, noise=None):
            return super().step(x @ torch.zeros(4, 4), state)

    for inputs in (torch.randn(5, 2, 3), torch.randn(5, 2, 3).double()):
        with pytest.raises((RuntimeError, ShapeError), match=r"cannot be multiplied|float64"):
            explain(Own(3, 4), inputs)


def test_explain_refuses_what_run_refuses():
    hooked, x = GRUCell(3, 4), torch.randn(5, 2, 3)
    hooked.register_forward_hook(lambda *given: None)
    for ask in (run, explain):
        with pytest.raises(BackendError, match="forward hooks"):
            ask(hooked, x)
        with pytest.raises(ShapeError, match="has no 'weight'"):
            ask(GRUCell(3, 4), x, parameters={"weight": x})
    computed = torch.nn.utils.parametrizations.weight_norm(GRUCell(3, 4), "recurrent_weight")
    assert explain(computed, x, checkpoint_every=2).choices[0].backend == "native"


def test_explain_knows_what_is_forced():
    layer = recurra.Recurrent(GRUCell(3, 4), backend="loop")
    assert explain(layer).choices[0] == recurra.Choice("cell", "GRUCell", "loop", "it is forced")
    with pytest.raises(BackendError, match="cannot run"):
        explain(Zoneout(GRUCell(3, 4)), backend="aten")
    with pytest.raises(recurra.SettingError, match="did you mean 'lengths'"):
        explain(GRUCell(3, 4), length=[1])


def test_the_gradient_of_long_inputs_costs_no_square():
    """A step's slice must not have a gradient as long as the whole sequence."""
    x = torch.randn(300, 2, 3, requires_grad=True)
    outputs = run(GRUCell(3, 4), x, backend="loop", lengths=[300, 100]).outputs
    seen, todo = set(), [outputs.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        todo += [parent for parent, _ in node.next_functions]
    names = [type(node).__name__ for node in seen]
    assert sum("Select" in name or "Slice" in name for name in names) < 20


def test_segments_of_a_call():
    x = torch.zeros(6, 4, 1)
    resets = torch.zeros(6, 4, dtype=torch.bool)
    resets[2, 1] = resets[5, 0] = True
    lengths = torch.tensor([6, 4, 4, 0])
    call = Call(x, lengths=lengths, resets=resets, time=6, batch=4)
    assert list(segments(call)) == [
        Segment(0, 2, 3),
        Segment(2, 4, 3),
        Segment(4, 5, 1),
        Segment(5, 6, 1),
    ]


def test_finished_rows_are_not_run():
    """The work is the number of valid steps, not of padded ones."""
    stepped = []

    class Counted(GRUCell):
        def step(self, x, state, context=None, noise=None):
            stepped.append(x.shape[0])
            return super().step(x, state)

    run(Counted(3, 4), torch.randn(9, 5, 3), lengths=LENGTHS, backend="loop")
    assert sum(stepped) == int(LENGTHS.sum())


X = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"inputs": torch.randn(6, 2, 4)}, r"expected \[time, batch, 3\], got \[6, 2, 4\]"),
        ({"inputs": torch.randn(6)}, "time, batch"),
        ({"inputs": None}, "got nothing"),
        ({"lengths": [1, 2, 3]}, "one for each of 2 rows"),
        ({"lengths": [1, 2, 3, 4, 5, 6]}, "first axis .* which is time"),
        ({"lengths": [7, 1]}, "got 7 in row 0"),
        ({"lengths": [1, -1]}, "got -1 in row 1"),
        ({"lengths": [1.0, 2.0]}, "whole numbers"),
        ({"state": HiddenState(torch.zeros(2, 4))}, "state of LSTMCell"),
        ({"state": recurra.LSTMState(torch.zeros(2, 4), torch.zeros(2, 5))}, r"LSTMCell\.c"),
        ({"state": recurra.LSTMState(torch.zeros(3, 4), torch.zeros(3, 4))}, r"LSTMCell\.h"),
        ({"resets": torch.zeros(6, 2)}, "expected bool"),
        ({"resets": torch.zeros(2, 6, dtype=torch.bool)}, r"got bool \[2, 6\]"),
        (
            {"context": HiddenState(torch.zeros(3, 1))},
            r"context of LSTMCell: expected tensors \[batch=2",
        ),
        ({"noise": Noise(torch.zeros(5, 2))}, "step tensors"),
        ({"noise": Noise(None, torch.zeros(5))}, "held"),
        ({"parameters": {"input_wight": torch.zeros(1)}}, "did you mean 'input_weight'"),
        ({"backend": "natve"}, "no 'natve'"),
        ({"inputs": X.double()}, "expected torch.float32, as its weights, got torch.float64"),
        ({"inputs": X.long()}, "got torch.int64"),
        ({"inputs": X.to("meta")}, "got on meta"),
        ({"resets": [[1, 0]] * 6}, "expected bool"),
        ({"noise": torch.zeros(6, 2)}, "expected recurra.Noise, got Tensor"),
        ({"context": [1, 2]}, "expected tensors"),
        ({"state": torch.zeros(2, 4)}, "state of LSTMCell"),
        ({"lengths": [[1], [2, 3]]}, "lengths"),
        ({"parameters": {"input_weight": torch.zeros(3, 3)}}, r"of shape \[16, 3\]"),
    ],
)
def test_what_does_not_fit_is_named(arguments, words):
    with pytest.raises((ShapeError, BackendError), match=words):
        run(LSTMCell(3, 4), **({"inputs": X} | arguments))


def test_forward_hooks_are_refused():
    """They would not run, and weights that they make would be stale."""
    import torch.nn.utils.prune as prune

    cell = GRUCell(3, 4)
    prune.random_unstructured(cell, "recurrent_weight", 0.5)
    with pytest.raises(BackendError, match="GRUCell has forward hooks"):
        run(cell, X)
    with pytest.raises(BackendError, match=r"GRUCell \(cell\) has forward hooks"):
        run(Zoneout(cell), X)


def test_states_are_not_the_memory_of_outputs():
    for backend in ("loop", "aten"):
        got = run(GRUCell(3, 4), X, return_states=True, backend=backend)
        with torch.no_grad():
            got.outputs.zero_()
        assert got.states.h.any()


# Torch's own jvp still scripts its formulas.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_transforms_of_torch_func(kind):
    """They have no rule for the machine, so they run on the loop; alone, the machine runs."""
    from torch.func import jvp, vmap

    torch.manual_seed(0)
    cell = kind()
    many = torch.randn(3, 6, 2, 3)
    together = vmap(lambda x: run(cell, x).outputs)(many)
    for x, outputs in zip(many, together, strict=True):
        assert torch.allclose(run(cell, x).outputs, outputs, atol=1e-6)
    assert explain(cell).choices[0].backend == "native"
    # In double precision the two are close enough to have no kink of ReLU between them.
    cell, x, step = cell.double(), X.double(), 1e-6
    _, change = jvp(lambda x: run(cell, x).outputs, (x,), (torch.ones_like(x),))
    near = [run(cell, x + sign * step, backend="loop").outputs for sign in (1, -1)]
    assert torch.allclose(change, (near[0] - near[1]) / (2 * step), atol=1e-7)


def test_a_transform_is_found_or_the_question_is_gone(monkeypatch):
    from torch.func import vmap

    assert explain(recurra.GRUCell(3, 4)).choices[0].backend == "native"
    monkeypatch.delattr(torch._C._functorch, "peek_interpreter_stack")
    cell, many = recurra.GRUCell(3, 4), torch.randn(2, 5, 2, 3)
    assert explain(cell).choices[0].backend == "loop"
    wanted = torch.stack([run(cell, x).outputs for x in many])
    assert torch.allclose(vmap(lambda x: run(cell, x).outputs)(many), wanted, atol=1e-6)


def test_a_cell_without_a_state():
    class Nothing(recurra.Cell):
        def initial_state(self, batch):
            return ()

        def step(self, x, state, context=None, noise=None):
            return 2 * x, ()

    got = run(Nothing(3, 3), X, lengths=[6, 2])
    assert torch.equal(got.outputs[:2], 2 * X[:2])
    assert got.state == ()

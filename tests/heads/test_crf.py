"""The conditional random field against all paths written out, and against another library."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra import engine
from recurra.errors import SettingError, ShapeError
from recurra.heads import CRFHead
from recurra.heads.crf import _Best, _Forward
from recurra.layers import LayerOutput
from recurra.sequences import PaddedSequence

LABELS, WIDTH, TIME = 3, 4, 5
LENGTHS = [4, 0, 1, 3, 2]
FORBIDDEN = [(0, 2), (None, 2), (1, None)]


def head(forbidden: Any = (), seed: int = 0) -> CRFHead:
    torch.manual_seed(seed)
    made = CRFHead(WIDTH, LABELS, forbidden=forbidden).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def read(fill: float = math.nan, seed: int = 1) -> LayerOutput:
    torch.manual_seed(seed)
    values = torch.randn(TIME, len(LENGTHS), WIDTH, dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        values[length:, row] = fill
    values.requires_grad_()
    return LayerOutput(PaddedSequence(values, torch.tensor(LENGTHS)), torch.tensor(0.0), None)


def targets(seed: int = 2) -> PaddedSequence:
    torch.manual_seed(seed)
    return PaddedSequence(torch.randint(0, LABELS, (TIME, len(LENGTHS))), torch.tensor(LENGTHS))


def allowed(path: tuple[int, ...], forbidden: Any) -> bool:
    moves = list(itertools.pairwise([None, *path, None]))
    return not path or not any(move in forbidden for move in moves)


def written_out(
    made: CRFHead, emissions: Tensor, length: int, forbidden: Any
) -> dict[tuple[int, ...], Tensor]:
    """The score of every path that may be."""
    scores = {}
    for path in itertools.product(range(LABELS), repeat=length):
        if not allowed(path, forbidden):
            continue
        score = sum((emissions[t, label] for t, label in enumerate(path)), torch.zeros(()).double())
        for one, other in itertools.pairwise(path):
            score = score + made.transitions[one, other]
        if path:
            score = score + made.start[path[0]] + made.end[path[-1]]
        scores[path] = score
    return scores


def check_likelihood(made: CRFHead, wanted: PaddedSequence, forbidden: Any = ()) -> None:
    """Likelihood and gradient are those of all paths written out."""
    given = read()
    emissions = made(given)
    total, count = made.loss(given, wanted)
    assert count == sum(LENGTHS)
    tensors = [given.outputs.values, *made.parameters()]
    slopes = torch.autograd.grad(total, tensors)
    by_hand = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        scores = written_out(made, emissions.values[:, row], length, forbidden)
        path = tuple(wanted.values[:length, row].tolist())
        by_hand = by_hand + torch.stack([*scores.values()]).logsumexp(0) - scores[path]
    assert float(total.detach()) == pytest.approx(float(by_hand.detach()), abs=1e-10)
    for ours, theirs in zip(slopes, torch.autograd.grad(by_hand, tensors), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize("forbidden", [[], FORBIDDEN], ids=["free", "forbidden"])
def test_likelihood_and_gradient_are_those_of_all_paths(forbidden: Any) -> None:
    values = targets().values.clone()
    for row, length in enumerate(LENGTHS) if forbidden else ():
        paths = itertools.product(range(LABELS), repeat=length)
        path = next(path for path in paths if allowed(path, forbidden))
        values[:length, row] = torch.tensor(path, dtype=torch.int64)
    check_likelihood(head(forbidden), targets()._with(values), forbidden)


class Unending(CRFHead):
    """Broken: rows end wherever the longest of them does."""

    def log_partition(self, emissions: PaddedSequence) -> Tensor:
        whole = PaddedSequence.from_padded(emissions.masked().values)
        return super().log_partition(whole)


class OneWay(CRFHead):
    """Broken: transitions are read from now to before."""

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        transitions, start, end = super()._scores()
        return transitions.t(), start, end


@pytest.mark.parametrize("broken", [Unending, OneWay])
def test_broken_twins_are_caught(broken: type[CRFHead]) -> None:
    made = broken(WIDTH, LABELS).double()
    made.load_state_dict(head().state_dict())
    with pytest.raises(AssertionError):
        check_likelihood(made, targets())


@pytest.mark.parametrize("forbidden", [[], FORBIDDEN], ids=["free", "forbidden"])
@pytest.mark.parametrize("seed", range(5))
def test_the_best_path_and_the_marginals_are_those_of_all_paths(forbidden: Any, seed: int) -> None:
    made, given = head(forbidden, seed), read(seed=seed + 10)
    emissions, said = made(given), made.predict(given)
    for row, length in enumerate(LENGTHS):
        scores = written_out(made, emissions.values[:, row], length, forbidden)
        best = max(scores, key=lambda path, of=scores: float(of[path].detach()))
        every = torch.stack([*scores.values()]).detach().logsumexp(0)
        assert tuple(said.labels.values[:length, row].tolist()) == best
        assert not said.labels.values[length:, row].any()
        assert float(said.score[row]) == pytest.approx(float(scores[best].detach()), abs=1e-10)
        shares = {path: float((score.detach() - every).exp()) for path, score in scores.items()}
        assert math.exp(float(said.log_probability[row])) == pytest.approx(shares[best], abs=1e-10)
        for step, label in itertools.product(range(length), range(LABELS)):
            share = sum(p for path, p in shares.items() if path[step] == label)
            found = float(said.marginals.values[step, row, label])
            assert found == pytest.approx(share, abs=1e-10)
        assert not said.marginals.values[length:, row].any()


def test_of_equally_good_paths_the_last_step_that_differs_has_the_lowest_label() -> None:
    made = head()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    assert not made.predict(read()).labels.values.any()
    with torch.no_grad():
        made.transitions[0, 1] = made.transitions[1, 0] = 1  # 0 1 0 1 and 1 0 1 0 alike
    said = made.predict(read())
    assert said.labels.values[:4, 0].tolist() == [1, 0, 1, 0]
    assert float(said.score[0]) == 3


def test_a_forbidden_label_is_never_said() -> None:
    made, given = head([(0, 1), (None, 0)]), read()
    with torch.no_grad():  # as wanted as can be
        made.transitions[0, 1] = made.start[0] = 100
    for row, length in zip(made.predict(given).labels.to_list(), LENGTHS, strict=True):
        assert len(row) == length
        assert not length or row[0] != 0
        assert all((a, b) != (0, 1) for a, b in itertools.pairwise(row.tolist()))
    slopes = torch.autograd.grad(made.loss(given, targets())[0], made.transitions)[0]
    assert slopes[0, 1] == 0  # nobody pays for it


@pytest.mark.parametrize("time", [0, 3])
def test_rows_without_steps(time: int) -> None:
    made = head()
    nothing = PaddedSequence(torch.zeros(time, 2, WIDTH).double(), torch.tensor([0, 0]))
    given = LayerOutput(nothing, torch.tensor(0.0), None)
    no_targets = PaddedSequence(torch.zeros(time, 2, dtype=torch.int64), torch.tensor([0, 0]))
    total, count = made.loss(given, no_targets)
    assert (float(total.detach()), count) == (0, 0)
    said = made.predict(given)
    assert [len(row) for row in said.labels.to_list()] == [0, 0]
    assert said.score.tolist() == said.log_probability.tolist() == [0, 0]


def test_what_stands_behind_scores_is_never_read() -> None:
    made, results = head(), []
    for fill in (0.0, math.nan):
        values = read(fill).outputs.values.detach()[..., :LABELS].clone().requires_grad_()
        total, _ = made.score(PaddedSequence(values, torch.tensor(LENGTHS)), targets())
        tensors = [values, made.transitions, made.start, made.end]
        results.append([total, *torch.autograd.grad(total, tensors)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_whole_tensors_are_rows_of_one_length() -> None:
    made = head()
    values = torch.randn(TIME, 2, WIDTH, dtype=torch.float64)
    given = LayerOutput(values, values[-1], None)
    wanted = torch.randint(0, LABELS, (TIME, 2))
    lengths = torch.tensor([TIME, TIME])
    padded = given._replace(outputs=PaddedSequence(values, lengths))
    assert made.loss(given, wanted)[1] == 2 * TIME
    assert made.loss(given, wanted)[0].equal(made.loss(padded, PaddedSequence(wanted, lengths))[0])


@pytest.mark.parametrize("kind", [_Forward, _Best])
def test_the_recursions_are_fast(kind: type[_Forward]) -> None:
    """As any cell is; where a torch brings another operation, this says which."""
    made = kind(LABELS)
    told = engine.explain(made, torch.zeros(TIME, 2, LABELS))
    assert "native" in str(told) or "no native module" in str(told)


def test_it_begins_with_frequencies() -> None:
    made = CRFHead(WIDTH, LABELS).double()
    with torch.no_grad():
        made.projection.weight.zero_()  # type: ignore[union-attr]
    assert made.reference == math.log(LABELS)
    made.starts_at([7, 0, 90])
    shares = made.predict(read()).marginals.valid()
    torch.testing.assert_close(shares[0] * 100, torch.tensor([8.0, 1, 91]).double())
    assert shares.allclose(shares[0])


def test_what_is_wrong_is_told() -> None:
    made, given = head(), read()
    wrong = targets()
    wrong.values[0, 0] = LABELS
    with pytest.raises(ShapeError, match="CRFHead: expected targets 0 to 2, got 3"):
        made.loss(given, wrong)
    shorter = PaddedSequence(targets().values, torch.tensor([4, 0, 1, 3, 1]))
    with pytest.raises(ShapeError, match="expected a label for each of"):
        made.loss(given, shorter)
    for pair in [(0, 3), (-1, 0), (0, 1, 2)]:
        with pytest.raises(SettingError, match="forbidden: expected pairs of labels 0 to 2"):
            CRFHead(WIDTH, LABELS, forbidden=[pair])  # type: ignore[list-item]


def test_half_precision_is_summed_in_full() -> None:
    made = CRFHead(WIDTH, LABELS)
    emissions = PaddedSequence(torch.randn(300, 1, LABELS).bfloat16(), torch.tensor([300]))
    wanted = PaddedSequence(torch.zeros(300, 1, dtype=torch.int64), torch.tensor([300]))
    total, _ = made.score(emissions, wanted)
    assert total.dtype == torch.float32
    exact, _ = made.double().score(emissions.to(torch.float64), wanted)
    assert float(total.detach()) == pytest.approx(float(exact.detach()), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_as_pytorch_crf(seed: int) -> None:
    torchcrf = pytest.importorskip("torchcrf", reason="pytorch-crf is not installed")
    made, given = head(seed=seed), read(fill=0.0)
    rows = [row for row, length in enumerate(LENGTHS) if length]  # it takes no empty ones
    emissions = made(given).select_rows(torch.tensor(rows))
    wanted = targets().select_rows(torch.tensor(rows))
    theirs = torchcrf.CRF(LABELS).double()
    theirs.load_state_dict(
        {
            "start_transitions": made.start,
            "end_transitions": made.end,
            "transitions": made.transitions,
        }
    )
    total, _ = made.score(emissions, wanted)
    other = -theirs(emissions.values, wanted.masked().values, emissions.mask, reduction="sum")
    torch.testing.assert_close(total, other, atol=1e-10, rtol=0)
    ours, others = torch.autograd.grad(total, made.transitions, retain_graph=True), None
    others = torch.autograd.grad(other, theirs.transitions)
    torch.testing.assert_close(ours, others, atol=1e-10, rtol=0)
    best, _ = made.best(emissions)
    paths = [row.tolist() for row in best.to_list()]
    assert paths == theirs.decode(emissions.values, emissions.mask)

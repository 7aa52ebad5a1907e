"""Writing: sequences from any model that gives the next symbol's probabilities step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from recurra.errors import RunError, SettingError
from recurra.modules import evaluating
from recurra.states import Tree, leaves

__all__ = ["Steps", "generate"]


class Steps(Protocol):
    """What can be decoded: a recurrent model, an n-gram, or anything with these two methods."""

    def start(self, batch: int) -> Tree:
        """The state before the first symbol."""

    def step(self, token: Tensor, state: Tree) -> tuple[Tensor, Tree]:
        """Read ``token`` ``[batch]``; give the next symbol's log-probabilities ``[batch, v]``."""


def generate(
    model: Steps,
    prompt: Sequence[int],
    *,
    end: int | None = None,
    never: Sequence[int] = (),
    limit: int = 1000,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> Iterator[int]:
    r"""Write on from a prompt, one symbol at a time.

    .. math:: p_\tau(s) \propto p(s)^{1/\tau}

    Args:
        model: what gives the probabilities; a module is asked in evaluation mode.
        prompt: ids to read first, the start symbol included; at least one.
        end: the id that ends the text; it is not given out.
        never: ids that are never written, such as the unknown symbol.
        limit: number of symbols after which to stop.
        temperature: :math:`\tau`; 0 takes the most probable symbol every time.
        top_k: draw among the k most probable symbols only; all if None.
        seed: of the draws; the same seed gives the same text. None takes torch's own generator.

    Yields:
        ids, as soon as each is drawn.

    Raises:
        SettingError: an empty prompt, a temperature below 0, a top_k or limit out of range, or,
            while writing, no symbol left that is possible and not in ``never``.
        RunError: the model gives NaN.
    """
    _check(prompt, limit, temperature, top_k, seed)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return _generate(model, list(prompt), end, list(never), limit, temperature, top_k, generator)


@torch.no_grad()
def _generate(
    model: Steps,
    prompt: list[int],
    end: int | None,
    never: list[int],
    limit: int,
    temperature: float,
    top_k: int | None,
    generator: torch.Generator | None,
) -> Iterator[int]:
    state = model.start(1)
    place = next(leaves(state)).device

    def read(symbol: int, state: Tree) -> tuple[Tensor, Tree]:
        with evaluating(model):  # dropout would draw numbers that no seed here decides
            return model.step(torch.tensor([symbol], device=place), state)

    for symbol in prompt[:-1]:
        _, state = read(symbol, state)
    symbol, forbidden = prompt[-1], torch.tensor(never, dtype=torch.int64)
    for _ in range(limit):
        log_probs, state = read(symbol, state)
        scores = log_probs[0].float().cpu().index_fill(0, forbidden, -torch.inf)
        if scores.isnan().any():
            raise RunError("generate: the model gives NaN; its training went wrong, train it again")
        if scores.max() == -torch.inf:
            raise SettingError("generate: no symbol is left to write; all others are in `never`")
        symbol = _draw(scores, temperature, top_k, generator)
        if symbol == end:
            return
        yield symbol


def _draw(
    scores: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None
) -> int:
    if temperature == 0:
        return int(scores.argmax())
    if top_k is not None and top_k < scores.numel():
        best = scores.topk(top_k)
        scores = torch.full_like(scores, -torch.inf).scatter(0, best.indices, best.values)
    # Dividing differences to the best, in double, keeps a small temperature from overflowing.
    chances = torch.softmax((scores - scores.max()).double() / temperature, 0)
    return int(torch.multinomial(chances, 1, generator=generator))


def _check(
    prompt: Sequence[int], limit: int, temperature: float, top_k: int | None, seed: int | None
) -> None:
    if len(prompt) == 0:
        raise SettingError("generate: expected a prompt of at least the start symbol, got none")
    if limit < 0:
        raise SettingError(f"generate: expected a limit of at least 0, got {limit}")
    if not temperature >= 0 or temperature == float("inf"):
        raise SettingError(f"generate: expected a temperature of at least 0, got {temperature}")
    if top_k is not None and top_k < 1:
        raise SettingError(f"generate: expected top_k of at least 1, got {top_k}")
    if seed is not None and not -(2**63) <= seed < 2**63:
        raise SettingError(f"generate: expected a seed of at most 64 bits, got {seed}")

"""Drawing symbols one by one, for one text as it grows or for many at once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.decoding.protocol import Floats, Read, Steps, _ask, _mask, _one, _prompts, read
from recurra.errors import SettingError
from recurra.settings import check_number, check_size
from recurra.states import Tree, select_rows

__all__ = ["generate", "generate_batch"]

_DRAWN = 64  # numbers of a row that are drawn at once


def generate(
    model: Steps,
    prompt: Sequence[int] | Read,
    *,
    end: int | None = None,
    never: Collection[int] | Tensor = (),
    limit: int = 1000,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    state: Tree = None,
) -> Iterator[int]:
    r"""Write on from a prompt, one symbol at a time.

    .. math:: p_\tau(s) \propto p(s)^{1/\tau}

    Args:
        model: what gives the probabilities; a module is asked in evaluation mode.
        prompt: ids to read first, the start symbol included, at least one; or what was read.
        end: the id that ends the text; it is not given out.
        never: ids that are never written, such as the unknown symbol, or a mask ``[v]`` of them.
        limit: number of symbols after which to stop.
        temperature: :math:`\tau`; 0 takes the most probable symbol every time.
        top_k: draw among the k most probable symbols only; all if None.
        top_p: draw among the smallest set of most probable symbols whose :math:`p_\tau` sum to at
            least this (nucleus sampling, Holtzman et al. 2020), at least one; all if None. Beside
            ``top_k`` the sum is over those k alone.
        seed: of the draws; the same seed gives the same text. None takes torch's own generator.
        state: to begin from; ``model.start(1)`` if None.

    Yields:
        ids, as soon as each is drawn.

    Raises:
        SettingError: an empty prompt, a number of the wrong kind or out of range, or, while
            writing, an unknown id in ``never`` or no symbol left that is possible.
        RunError: the model gives NaN.
    """
    what = "generate"
    how = _Choice(what, end, never, limit, temperature, top_k, top_p).checked()
    seed = _checked_seed(what, seed)
    generators = [None if seed is None else torch.Generator().manual_seed(seed)]
    rounds = _write(model, _one(what, prompt, state), state, how, generators)
    return (symbol for written in rounds for _, symbol in written)


def generate_batch(
    model: Steps,
    prompts: Sequence[Sequence[int]] | Read,
    *,
    end: int | None = None,
    never: Collection[int] | Tensor = (),
    limit: int = 1000,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    state: Tree = None,
) -> list[list[int]]:
    """Write on from many prompts at once; texts that have ended cost nothing more.

    Row i draws from a generator of its own, made of ``seed`` and i, so a text does not depend on
    the others beside it; row 0 is the text of :func:`generate` with that seed.

    Args:
        model: what gives the probabilities; a module is asked in evaluation mode.
        prompts: ids to read first, of any lengths, at least one each; or what was read.
        end: the id that ends a text; it is not given out.
        never: ids that are never written, or a mask ``[v]`` of them.
        limit: number of symbols of a text after which to stop.
        temperature: as in :func:`generate`.
        top_k: as in :func:`generate`.
        top_p: as in :func:`generate`.
        seed: of the draws; None draws one from torch's own generator.
        state: to begin from, a row a prompt; ``model.start(len(prompts))`` if None.

    Returns:
        the ids of each row.

    Raises:
        SettingError: as in :func:`generate`.
        ShapeError: a state of another number of rows.
        RunError: the model gives NaN.
    """
    what = "generate_batch"
    how = _Choice(what, end, never, limit, temperature, top_k, top_p).checked()
    seed = _checked_seed(what, seed)
    if not isinstance(prompts, Read) and len(prompts) == 0:
        return []
    checked = _prompts(what, prompts, state)
    count = len(checked.log_probs) if isinstance(checked, Read) else len(checked)
    if seed is None:
        seed = int(torch.randint(2**63 - 1, ()))
    generators = [torch.Generator().manual_seed(_seed_of(seed, row)) for row in range(count)]
    texts: list[list[int]] = [[] for _ in range(count)]
    for written in _write(model, checked, state, how, generators):
        for row, symbol in written:
            texts[row].append(symbol)
    return texts


class _Choice(NamedTuple):
    """The settings of :func:`generate`."""

    what: str
    end: int | None
    never: Collection[int] | Tensor
    limit: int
    temperature: float
    top_k: int | None
    top_p: float | None

    def checked(self) -> _Choice:
        """The same settings as Python's own numbers."""
        what, top_k, top_p = self.what, self.top_k, self.top_p
        limit = check_size(f"{what}: limit", self.limit, 0)
        temperature = check_number(f"{what}: temperature", self.temperature)
        if temperature < 0:
            raise SettingError(f"{what}: expected a temperature of at least 0, got {temperature}")
        if top_k is not None:
            top_k = check_size(f"{what}: top_k", top_k)
        if top_p is not None:
            top_p = check_number(f"{what}: top_p", top_p)
            if not 0 < top_p <= 1:
                raise SettingError(f"{what}: expected top_p above 0 and at most 1, got {top_p}")
        return self._replace(limit=limit, temperature=temperature, top_k=top_k, top_p=top_p)


@torch.no_grad()
def _write(
    model: Steps,
    prompts: list[list[int]] | Read,
    state: Tree,
    how: _Choice,
    generators: Sequence[torch.Generator | None],
) -> Iterator[list[tuple[int, int]]]:
    """Each round's new symbols, as pairs of row and symbol; ended rows are no longer there."""
    now = read(model, prompts, state)
    size = now.log_probs.shape[1]
    never = _mask(f"{how.what}: never", how.never, size).numpy()
    _mask(f"{how.what}: end", () if how.end is None else (how.end,), size)
    rows = list(range(len(now.log_probs)))
    uniform = _Uniform(generators)
    symbols: list[int] = []
    for number in range(how.limit):
        if number:
            if how.end in symbols:
                kept = [place for place, symbol in enumerate(symbols) if symbol != how.end]
                now = Read(now.log_probs, select_rows(now.state, torch.tensor(kept)))
                rows, symbols = ([part[place] for place in kept] for part in (rows, symbols))
            now = _ask(model, [[symbol] for symbol in symbols], now.state)
        scores = np.where(never, -np.inf, now.log_probs.float().cpu().numpy())
        symbols = _draw(scores, how, uniform, rows)
        written = list(zip(rows, symbols, strict=True))
        if how.end in symbols:
            written = [pair for pair in written if pair[1] != how.end]
        if not written:
            return
        yield written


class _Uniform:
    """Numbers from 0 to 1, one a step for each row, from a generator of the row's own.

    They are drawn for some steps at once: a generator gives the same numbers in larger pieces, and
    each call costs more than the numbers. Torch's own generator is others' too, so it gives no
    more than is used.

    Args:
        generators: one a row; None is torch's own.
    """

    def __init__(self, generators: Sequence[torch.Generator | None]) -> None:
        own = all(generator is not None for generator in generators)
        self._drawn = torch.empty(len(generators), _DRAWN if own else 1, dtype=torch.float64)
        self._generators, self._at = generators, self._drawn.shape[1]

    def next(self, rows: Sequence[int]) -> Floats:
        """Of the next step, ``[rows]``; rows that are left out are not asked for again."""
        if self._at == self._drawn.shape[1]:
            self._at = 0
            for row in rows:
                self._drawn[row].uniform_(generator=self._generators[row])
        found = self._drawn.numpy()[:, self._at]
        self._at += 1
        return found if len(rows) == len(found) else found[rows]


def _draw(scores: Floats, how: _Choice, uniform: _Uniform, rows: Sequence[int]) -> list[int]:
    """A symbol for each row of ``scores`` ``[batch, v]``."""
    best = scores.max(1, keepdims=True)
    if best.min() == -np.inf:
        raise SettingError(f"{how.what}: no symbol is left to write; all others are in `never`")
    if how.temperature == 0:
        found: list[int] = scores.argmax(1).tolist()
        return found
    if how.top_k is not None and how.top_k < scores.shape[1]:
        top = torch.from_numpy(scores).topk(how.top_k)
        scores = np.full_like(scores, -np.inf)
        np.put_along_axis(scores, top.indices.numpy(), top.values.numpy(), 1)
    # Dividing differences to the best, in double, keeps a small temperature from overflowing.
    with np.errstate(over="ignore"):
        chances = np.exp((scores - best).astype(np.float64) / how.temperature)
    if how.top_p is not None and how.top_p < 1:
        chances /= chances.sum(1, keepdims=True)
        chances = _nucleus(torch.from_numpy(chances), how.top_p).numpy()
    # The same sums as NumPy's, several times faster.
    sums = torch.from_numpy(chances).cumsum(1).numpy()
    return _first_above(sums, uniform.next(rows))


def _first_above(sums: Floats, uniform: Floats) -> list[int]:
    """For each row the first symbol up to which its chances sum to more than a share of all.

    Args:
        sums: of the chances up to each symbol, that of the symbol included, ``[batch, v]``.
        uniform: the share, at least 0 and below 1, ``[batch]``.
    """
    total = sums[:, -1]
    # A share just below 1 must not round to 1: no symbol is above the whole.
    wanted = np.minimum(uniform * total, np.nextafter(total, 0))
    found: list[int] = (sums <= wanted[:, None]).sum(1).tolist()
    return found


def _nucleus(chances: Tensor, top_p: float) -> Tensor:
    """Only the most probable symbols, up to the one with which their sum reaches ``top_p``."""
    sizes, order = chances.sort(stable=True, dim=1, descending=True)
    before = sizes.cumsum(1).roll(1, 1)
    before[:, 0] = 0
    return torch.zeros_like(chances).scatter(1, order, sizes.masked_fill(before >= top_p, 0))


def _seed_of(seed: int, row: int) -> int:
    """Seed of a row's generator: seeds that follow each other share no rows."""
    if row == 0:
        return seed
    digest = hashlib.blake2b(f"{seed} {row}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _checked_seed(what: str, seed: int | None) -> int | None:
    return None if seed is None else check_size(f"{what}: seed", seed, -(2**63), 2**63 - 1)

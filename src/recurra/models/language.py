"""The language model: tokens in, the next token as the label of each step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple, Self, cast

import pydantic
import torch
from torch import Tensor, nn

from recurra.batch import Batch, Tokens
from recurra.encoders import TokenEncoder
from recurra.engine.freeze import freeze, streamed
from recurra.errors import ShapeError
from recurra.heads import LabelsHead
from recurra.layers import TokenEmbedding
from recurra.layers.settings import LayerSettings, build_layers, check_reads_on
from recurra.losses import cross_entropy
from recurra.models.base import Model
from recurra.sequences import PaddedSequence
from recurra.states import Tree, leaves, map_tree
from recurra.twins import evaluating
from recurra_runtime import Session
from recurra_runtime.vocabulary import START, UNKNOWN

__all__ = ["LanguageModel", "LanguageModelConfig", "LanguageModelSettings", "LanguageModelState"]

_NEVER = -30.0  # the score of what is never predicted
# How far vectors of symbols spread at first. Small ones hide from the layers what they read, and
# vectors of words, each of which is seldom read, stay small for long; those of some hundred
# characters are soon where they should be, and what was drawn at random is better not in the way.
# Where scores are made of the vectors, large ones would begin as large scores at random.
_SPREAD, _SPREAD_FEW, _SPREAD_TIED = 1.0, 0.3, 0.1
_FEW = 1000  # symbols


class LanguageModelSettings(LayerSettings):
    """What a person chooses about a language model, beside its layers.

    Args:
        embedding_size: width of a symbol's vector; ``hidden_size`` if None.
        dropout_word: rate at which symbols have no vector at all, the same ones in all of a window.
        condition_size: width of the vector of what is given beside every symbol.
        tied: whether the projection shares the embedding's weights.
    """

    embedding_size: int | None = pydantic.Field(None, ge=1, le=10**6)
    dropout_word: float = pydantic.Field(0.0, ge=0, lt=1)
    condition_size: int = pydantic.Field(32, ge=1, le=10**6)
    tied: bool = False

    @pydantic.model_validator(mode="after")
    def _reads_on(self) -> Self:
        """The next symbol must not be read before it is predicted."""
        check_reads_on(self, "symbol")
        return self


class LanguageModelConfig(LanguageModelSettings):
    """All that decides the shape of a language model.

    Args:
        vocabulary_size: number of symbols.
        conditions: what is given beside every symbol, and how many values each can have.
    """

    vocabulary_size: int = pydantic.Field(ge=1, le=10**9)
    conditions: dict[str, Annotated[int, pydantic.Field(ge=1, le=10**9)]] = pydantic.Field(
        default_factory=dict
    )

    # Their order is that of the ids and of the weights, and a JSON object has none.
    @pydantic.field_serializer("conditions")
    def _as_pairs(self, conditions: dict[str, int]) -> list[list[str | int]]:
        return [[name, values] for name, values in conditions.items()]

    @pydantic.field_validator("conditions", mode="before")
    @classmethod
    def _of_pairs(cls, conditions: Any) -> Any:
        if not isinstance(conditions, list):
            return conditions
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in conditions):
            raise ValueError("pairs of a name and how many values it has")
        return {str(name): values for name, values in conditions}


class LanguageModelState(NamedTuple):
    """What a language model carries from symbol to symbol; rows of it can be selected.

    Args:
        carried: the layers' states.
        context: what does not change, or None.
        given: ids of the conditions ``[batch, conditions]``, or None.
    """

    carried: Tree
    context: Tree = None
    given: Tensor | None = None


class LanguageModel(Model):
    r"""A recurrent language model (Mikolov et al. 2010), perhaps with conditions c.

    .. math::

        p(s_1 \dots s_n \mid c) = \prod_t p(s_t \mid s_1 \dots s_{t-1}, c), \qquad
        p(\cdot \mid s_1 \dots s_{t-1}, c) = \mathrm{softmax}(z_t)

    Step t reads the symbol before :math:`s_t` (the start symbol at first), what is given (a topic,
    an author), and the state, which stands for all the others.

    Args:
        config: sizes and settings.

    Raises:
        SettingError: an unknown cell, a setting it does not take, or sizes that do not join.
    """

    config: LanguageModelConfig

    def __init__(self, config: LanguageModelConfig) -> None:
        width = config.embedding_size or config.hidden_size
        size = config.condition_size
        few = config.vocabulary_size <= _FEW
        spread = _SPREAD_TIED if config.tied else _SPREAD_FEW if few else _SPREAD
        conditions = [
            TokenEmbedding(values, size, deviation=spread) for values in config.conditions.values()
        ]
        for condition in conditions:  # no label of the training text: it says nothing
            nn.init.zeros_(condition.weight[UNKNOWN])
        stack = build_layers(config, width + size * len(conditions))
        embedding = TokenEmbedding(
            config.vocabulary_size,
            width,
            dropout=config.rate("input"),
            word_dropout=config.dropout_word,
            held=config.held,
            deviation=spread,
        )
        encoder = TokenEncoder(embedding, stack, conditions)
        head = LabelsHead(
            encoder.output_size,
            config.vocabulary_size,
            tied_size=width if config.tied else None,
            dropout=config.rate("output"),
            held=config.held,
        )
        super().__init__(encoder, head)
        self.config = config

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of what is given beside every symbol, in the order of their ids."""
        return tuple(self.config.conditions)

    @torch.no_grad()
    def starts_at(self, counts: Sequence[int] | Tensor) -> None:
        """Begin with what symbols' frequencies alone say: ``LabelsHead.starts_at`` tells why.

        The start symbol follows nothing, so the probabilities of texts sum to 1 without it.

        Args:
            counts: how often each symbol is predicted in the training text.
        """
        head = cast(LabelsHead, self.head)
        head.starts_at(counts)
        head.projection.bias[START] = _NEVER

    def surprise(self, batch: Batch, state: Tree = None) -> tuple[PaddedSequence, Tree]:
        """Minus the log-probability of each target ``[time, batch]`` in nats, and what is carried.

        Args:
            batch: inputs and targets.
            state: what an earlier call returned.
        """
        scores, carried = self._predictions(batch, state)
        nats: PaddedSequence = cross_entropy(scores, batch.targets, reduction="none")
        return nats, carried

    @torch.no_grad()
    def score_rows(self, windows: Iterable[Batch]) -> Tensor:
        """Exact score of each row of one group, as :meth:`score` of all: nats ``[rows]``, float64.

        Args:
            windows: in order, all with the same rows; a row that has ended is empty.
        """
        device, state, total = next(self.parameters()).device, None, None
        with evaluating(self):
            for batch in windows:
                scores, state = self._predictions(batch.to(device), state)
                lost = cross_entropy(scores, batch.to(device).targets, reduction="none")
                rows = lost.to_padded().double().sum(0)
                total = rows if total is None else total + rows
        return torch.zeros(0, dtype=torch.float64) if total is None else total.cpu()

    def start(
        self, batch: int, given: Tensor | None = None, context: Tree = None
    ) -> LanguageModelState:
        """The state before the first symbol: the decoding protocol's first half.

        Args:
            batch: number of rows.
            given: ids of the conditions ``[batch, conditions]``, where the model has some.
            context: what belongs to the rows and does not change, for cells that read one.

        Raises:
            ShapeError: conditions that the model needs and that were not given, or others.
        """
        wanted = (batch, len(self.conditions))
        if (given is None and self.conditions) or (
            given is not None and (not self.conditions or tuple(given.shape) != wanted)
        ):
            names = ", ".join(self.conditions) or "none"
            got = "none" if given is None else list(given.shape)
            raise ShapeError(
                f"given: expected ids {list(wanted)} ({names}), got {got}. Ids are those of the "
                "vocabularies of the conditions: start(batch, given)."
            )
        return LanguageModelState(self.initial_state(batch), context, given)

    def frozen(
        self,
        batch: int = 1,
        given: Tensor | None = None,
        context: Tree = None,
        threads: int | None = None,
        weights: str | None = None,
    ) -> Session:
        """The whole model as it is now, in evaluation, as a stream that runs without PyTorch.

        Args:
            batch: number of rows that step side by side.
            given: ids of the conditions ``[batch, conditions]``, where the model has some.
            context: what belongs to the rows and does not change, for cells that read one.
            threads: of the session, which says what they do.
            weights: how matrices are kept: None as they are, ``"bfloat16"`` or ``"int8"``, of which
                a step of few rows is faster; :class:`recurra_runtime.Session` says what they are.

        Returns:
            a :class:`recurra_runtime.Session`: ``session.step(ids)`` reads ids ``[batch]``, one
            symbol a row, gives log-probabilities of the next one, and keeps the state.

        Raises:
            ShapeError: conditions that do not fit, as for :meth:`start`.
            SettingError: no rows, no threads, or no such weights.
            BackendError: its step cannot be recorded; the message says why.
        """
        self.start(batch, given, context)

        def step(token: Any, state: Tree, kept: Tree) -> tuple[Tensor, Tree]:
            log_probs, new = self.step(token, LanguageModelState(state, *kept))
            return log_probs, new.carried

        kept = (context, given)
        of_one = map_tree(lambda leaf: leaf[:1], kept)
        token = torch.zeros(1, dtype=torch.int64)
        program = freeze(self, step, token, self.initial_state(1), of_one)
        held = [leaf.detach().numpy() for leaf in leaves(kept)]
        return streamed(program, batch, held, threads, weights)

    def step(self, token: Tensor, state: LanguageModelState) -> tuple[Tensor, LanguageModelState]:
        """Read one symbol a row: the decoding protocol's second half.

        Args:
            token: ids ``[batch]``.
            state: as :meth:`start` or an earlier step gave it.

        Returns:
            log-probabilities of the next symbol ``[batch, vocabulary_size]``, and the state.
        """
        log_probs, state = self.steps(token.unsqueeze(0), state)
        return log_probs[0], state

    def steps(self, tokens: Tensor, state: LanguageModelState) -> tuple[Tensor, LanguageModelState]:
        """Several calls of :meth:`step` at once, which is many times faster.

        Args:
            tokens: ids ``[time, batch]``.
            state: as :meth:`start` or an earlier step gave it.

        Returns:
            log-probabilities after each symbol ``[time, batch, vocabulary_size]``, and the state.
        """
        inputs: Any = tokens
        if state.given is not None:
            inputs = Tokens(tokens, state.given.expand(len(tokens), -1, -1))
        batch = Batch(inputs, None, context=state.context)
        scores, carried = self._predictions(batch, state.carried)
        return nn.functional.log_softmax(scores, -1), state._replace(carried=carried)

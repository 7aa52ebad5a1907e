"""How fast is an encoder-decoder trained, and how fast does it search?

The model of ``translation.py`` beside the same equations in plain ``torch.nn``: the encoder an LSTM
over a PackedSequence, the decoder an LSTMCell with additive attention in a loop over time, both
with input feeding, starting from the same weights, on the same batches of Multi30k, with the same
Adam. Losses after 50 steps are held against each other. The search is of width 5 on the 1,000
sentences of the test of 2016, beside a batched search in plain PyTorch of the same weights: all
open texts of 64 sentences are one batch, and the best 5 of each stay. Scores are held against each
other too. With ``--run`` the weights of the search are trained ones, which end sentences in time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import data, keep, machine_in_words
from torch import Tensor, nn
from torch.nn import functional

import recurra
from recurra.batch import Batch
from recurra.decoding import LengthRule, beam_search_batch
from recurra.models import EncoderDecoder, EncoderDecoderConfig
from recurra.models.reading import Reads
from recurra.sequences import PaddedSequence
from recurra_runtime.vocabulary import END, START, BytePairVocabulary

BATCH, STEPS, LIMIT, WIDTH = 64, 50, 60, 5
SIZES = {"hidden_size": 256, "decoder_size": 512, "embedding_size": 256}
MEASURED = [
    "runtime/native",
    "src/recurra/cells/attention.py",
    "src/recurra/decoding",
    "src/recurra/engine",
    "src/recurra/heads/decoder.py",
    "src/recurra/models/encoder_decoder.py",
]


class Plain(nn.Module):
    """The same model in torch.nn."""

    def __init__(self, symbols: int, said: int = SIZES["embedding_size"]) -> None:
        super().__init__()
        e, h, d = SIZES["embedding_size"], SIZES["hidden_size"], SIZES["decoder_size"]
        self.read, self.said = nn.Embedding(symbols, e), nn.Embedding(symbols, said)
        self.encoder = nn.LSTM(e, h, bidirectional=True)
        self.bridge = nn.Linear(2 * h, 3 * d)
        self.cell = nn.LSTMCell(said + d, d)
        self.keys, self.query = nn.Linear(2 * h, d, bias=False), nn.Linear(d, d, bias=False)
        self.scores, self.mix = nn.Linear(d, 1, bias=False), nn.Linear(d + 2 * h, d, bias=False)
        self.projection = nn.Linear(d, symbols)

    def begin(self, ids: Tensor, lengths: Tensor) -> tuple[Any, ...]:
        """What the decoder goes on from."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.read(ids), lengths.cpu(), enforce_sorted=False
        )
        outputs, _ = nn.utils.rnn.pad_packed_sequence(self.encoder(packed)[0])
        mean = outputs.sum(0) / lengths[:, None]
        y, h, c = torch.tanh(self.bridge(mean)).chunk(3, 1)
        values = outputs.transpose(0, 1)
        there = torch.arange(len(outputs)) < lengths[:, None]
        absent = torch.zeros(there.shape).masked_fill(~there, -torch.inf)
        return y, h, c, values, self.keys(values), absent

    def step(self, token: Tensor, state: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        """What is said of the next symbol, and the state."""
        y, h, c, values, keys, absent = state
        h, c = self.cell(torch.cat([self.said(token), y], 1), (h, c))
        scores = self.scores(torch.tanh(self.query(h)[:, None] + keys))[..., 0] + absent
        found = torch.bmm(scores.softmax(1)[:, None], values)[:, 0]
        y = torch.tanh(self.mix(torch.cat([h, found], 1)))
        return y, (y, h, c, values, keys, absent)

    def loss(self, batch: Batch) -> Tensor:
        """Mean nats of a symbol."""
        read, said = batch.inputs, batch.targets
        state = self.begin(read.values, read.lengths)
        before = said.shift(1, START).values
        outputs = []
        for token in before:
            y, state = self.step(token, state)
            outputs.append(y)
        logits = self.projection(torch.stack(outputs))
        wanted = said.values.masked_fill(~said.mask, -100)
        return functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())

    def take(self, model: EncoderDecoder) -> None:
        """The weights of the other one."""
        own = {name: value.detach() for name, value in model.named_parameters()}
        with torch.no_grad():
            self.read.weight.copy_(own["encoder.embedding.weight"])
            self.said.weight.copy_(own["head.embedding.weight"])
            for side, suffix in (("forward", ""), ("backward", "_reverse")):
                at = f"encoder.layer.layers.0.{side}_layer.cell."
                at = at if f"{at}bias" in own else _side(own, side)
                getattr(self.encoder, f"weight_ih_l0{suffix}").copy_(own[f"{at}input_weight"])
                getattr(self.encoder, f"weight_hh_l0{suffix}").copy_(own[f"{at}recurrent_weight"])
                getattr(self.encoder, f"bias_ih_l0{suffix}").copy_(own[f"{at}bias"])
                getattr(self.encoder, f"bias_hh_l0{suffix}").zero_()
            at = "head.layers.layers.0.cell."
            self.cell.weight_ih.copy_(own[f"{at}cell.input_weight"])
            self.cell.weight_hh.copy_(own[f"{at}cell.recurrent_weight"])
            self.cell.bias_ih.copy_(own[f"{at}cell.bias"])
            self.cell.bias_hh.zero_()
            self.keys.weight.copy_(own[f"{at}keys"])
            self.query.weight.copy_(own[f"{at}query"])
            self.scores.weight.copy_(own[f"{at}scores"][None])
            self.mix.weight.copy_(own[f"{at}mix"])
            self.bridge.load_state_dict(model.decoder.bridge.state_dict())
            self.projection.weight.copy_(own["head.projection.weight"])
            self.projection.bias.copy_(own["head.projection.bias"])

    @torch.no_grad()
    def search(self, ids: Tensor, lengths: Tensor) -> list[float]:
        """The best score of each row: 5 open texts a row, all of them one batch."""
        rows = len(lengths)
        state = tuple(part.repeat_interleave(WIDTH, 0) for part in self.begin(ids, lengths))
        totals = torch.full((rows, WIDTH), -torch.inf)
        totals[:, 0] = 0
        token = torch.full((rows * WIDTH,), START)
        best = torch.full((rows,), -torch.inf)
        first = torch.arange(rows)[:, None] * WIDTH
        for length in range(1, LIMIT + 1):
            y, state = self.step(token, state)
            log_probs = self.projection(y).log_softmax(1)
            log_probs[:, :2] = -torch.inf
            every = (totals.view(-1, 1) + log_probs).view(rows, -1)
            totals, places = every.topk(WIDTH, 1)
            source, token = places // log_probs.shape[1], places % log_probs.shape[1]
            ended = token == END
            best = torch.maximum(best, totals.masked_fill(~ended, -torch.inf).amax(1) / length)
            totals = totals.masked_fill(ended, -torch.inf)
            if bool((totals.amax(1) / LIMIT <= best).all()):
                break
            chosen = (first + source).view(-1)
            state = tuple(part[chosen] for part in state)
            token = token.view(-1)
        else:
            best = torch.maximum(best, totals.amax(1) / LIMIT)
        return best.tolist()


def _side(own: dict[str, Tensor], side: str) -> str:
    """Where the cell of a direction stands."""
    names = sorted({name.rpartition(".")[0] for name in own if name.startswith("encoder.layer")})
    return f"{names[0 if side == 'forward' else 1]}."


def pairs(part: str, vocabulary: BytePairVocabulary) -> list[tuple[Any, Any]]:
    """Ids of both sides of each pair."""
    sides = [
        data(f"multi30k-en-de/{part}.lc.norm.tok.{name}").read_text().splitlines()
        for name in ("en", "de")
    ]
    return [
        (vocabulary.encode(one), np.append(vocabulary.encode(other), END))
        for one, other in zip(*sides, strict=True)
    ]


def batch(some: list[tuple[Any, Any]]) -> Batch:
    """Pairs beside each other."""
    sides = [
        PaddedSequence.from_list([torch.from_numpy(np.asarray(side, np.int64)) for side in each])
        for each in zip(*some, strict=True)
    ]
    return Batch(*sides)


def training(batches: list[Batch], ours: EncoderDecoder, plain: Plain) -> dict[str, Any]:
    """Seconds of each step of both, in turn, and their last losses."""
    seconds: dict[str, list[float]] = {"recurra": [], "torch.nn": []}
    losses = {}
    models = {"recurra": ours, "torch.nn": plain}
    optimizers = {
        name: torch.optim.Adam(model.parameters(), lr=0.001) for name, model in models.items()
    }
    for each in batches:
        for name, model in models.items():
            began = time.perf_counter()
            optimizers[name].zero_grad()
            loss = model.loss(each)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizers[name].step()
            seconds[name].append(time.perf_counter() - began)
            losses[name] = loss.item()
    rates = {name: BATCH / statistics.median(times[5:]) for name, times in seconds.items()}
    return {"pairs a second": rates, "loss": losses}


def searching(some: list[tuple[Any, Any]], ours: EncoderDecoder, plain: Plain) -> dict[str, Any]:
    """Sentences a second of both searches, in turn, and how far their scores differ."""
    ours.eval()
    some = sorted(some, key=lambda pair: len(pair[0]))
    seconds = {"recurra": 0.0, "torch.nn": 0.0}
    apart = []
    for at in range(0, len(some), BATCH):
        read = batch(some[at : at + BATCH]).inputs
        began = time.perf_counter()
        found = beam_search_batch(
            ours.decoder,
            [[START]] * read.batch,
            width=WIDTH,
            end=END,
            never=(0, START),
            limit=LIMIT,
            length_rule=LengthRule(1.0),
            state=ours.begin(read),
        )
        seconds["recurra"] += time.perf_counter() - began
        began = time.perf_counter()
        other = plain.search(read.values, read.lengths)
        seconds["torch.nn"] += time.perf_counter() - began
        apart += [abs(one[0].score - two) for one, two in zip(found, other, strict=True)]
    rates = {name: len(some) / each for name, each in seconds.items()}
    return {"sentences a second": rates, "scores apart": max(apart)}


def main() -> None:
    """Print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="that of translation.py, whose weights search")
    run = parser.parse_args().run
    print(machine_in_words())
    torch.manual_seed(0)
    folder = data("multi30k-en-de/train.lc.norm.tok.en").parent
    texts = [
        line
        for name in ("en", "de")
        for line in (folder / f"train.lc.norm.tok.{name}").read_text().splitlines()
    ]
    vocabulary = BytePairVocabulary.of(texts, 8000)
    reads = {"text": Reads(form="tokens", sizes=[len(vocabulary)])}
    config = EncoderDecoderConfig(reads=reads, symbols=len(vocabulary), pool="mean", **SIZES)
    ours, plain = EncoderDecoder(config), Plain(len(vocabulary))
    plain.take(ours)
    train = pairs("train", vocabulary)
    chosen = np.random.default_rng(0).permutation(len(train))[: STEPS * BATCH]
    order = sorted(chosen, key=lambda n: len(train[n][0]))
    batches = [
        batch([train[n] for n in order[at : at + BATCH]]) for at in range(0, len(order), BATCH)
    ]
    batches = [batches[n] for n in np.random.default_rng(1).permutation(len(batches))]
    found = training(batches, ours, plain)
    rates = found["pairs a second"]
    ratio = rates["recurra"] / rates["torch.nn"]
    print(
        f"training: {rates['recurra']:.0f} pairs a second, torch.nn {rates['torch.nn']:.0f}: "
        f"{ratio:.2f} x; losses after {len(batches)} steps {found['loss']}",
        flush=True,
    )
    if run is not None:
        loaded = recurra.load(run)
        ours, vocabulary = loaded.model, loaded.fronts["target"]
        plain = Plain(len(vocabulary), ours.decoder.embedding.output_size)
    plain.take(ours)
    plain.eval()
    search = searching(pairs("test_2016_flickr", vocabulary), ours, plain)
    speeds = search["sentences a second"]
    faster = speeds["recurra"] / speeds["torch.nn"]
    print(
        f"search of width {WIDTH}: {speeds['recurra']:.1f} sentences a second, torch.nn "
        f"{speeds['torch.nn']:.1f}: {faster:.2f} x; scores at most {search['scores apart']:.1g} "
        "apart"
    )
    losses = found["loss"]
    facts = {
        "question": "an encoder-decoder with attention beside the same in torch.nn: pairs trained "
        "a second, and sentences searched a second with width 5; goals 2 x and 1.5 x",
        "figure": (
            f"{rates['recurra']:.0f} against {rates['torch.nn']:.0f} pairs: {ratio:.2f} x (losses "
            f"after {len(batches)} steps {losses['recurra']:.4f} and {losses['torch.nn']:.4f}); "
            f"{speeds['recurra']:.0f} against {speeds['torch.nn']:.0f} sentences: {faster:.2f} x"
        ),
        "figures": {"training": found, "search": search},
    }
    keep("translation_speed", facts, MEASURED, seed=0, by_kind=True)


if __name__ == "__main__":
    main()

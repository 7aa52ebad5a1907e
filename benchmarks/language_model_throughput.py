"""Is training a language model as fast as a plain torch.nn loop?

tinyshakespeare, 2 layers of 256 LSTM, batches of 32 rows and 64 steps, AdamW, clipping; both train
from the same weights on the same windows. Both sides run whole training steps in turn.
"""

from __future__ import annotations

import argparse

import torch
from harness import data, in_turn, keep, machine, matrix_rate, quartiles
from torch import nn

from recurra.data import CharacterVocabulary, Windows, read_documents
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.training import TrainingSettings
from recurra.training.loop import optimizer_of, train_step

ROWS, STEPS, HIDDEN = 32, 64, 256


class Plain(nn.Module):
    """The same model, written plainly."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, HIDDEN)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, 2)
        self.head = nn.Linear(HIDDEN, symbols)

    def take(self, model: LanguageModel) -> None:
        """The weights of ours."""
        with torch.no_grad():
            self.embedding.weight.copy_(model.encoder.embedding_weight)
            self.head.weight.copy_(model.head.projection.weight)
            self.head.bias.copy_(model.head.projection.bias)
            for number, layer in enumerate(model.encoder.layer.layers):
                getattr(self.lstm, f"weight_ih_l{number}").copy_(layer.cell.input_weight)
                getattr(self.lstm, f"weight_hh_l{number}").copy_(layer.cell.recurrent_weight)
                getattr(self.lstm, f"bias_ih_l{number}").copy_(layer.cell.bias)
                getattr(self.lstm, f"bias_hh_l{number}").zero_()

    def forward(self, ids, state):
        """Scores of every next symbol, and the state."""
        outputs, state = self.lstm(self.embedding(ids), state)
        return self.head(outputs), state


def plain_training(model: Plain, batches: list) -> tuple:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), fused=True)
    place = {"at": 0, "state": None, "loss": 0.0}

    def steps(count: int = 10) -> None:
        for _ in range(count):
            batch = batches[place["at"] % len(batches)]
            place["at"] += 1
            scores, state = model(batch.inputs, place["state"])
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), batch.targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            place["state"] = tuple(part.detach() for part in state)
            place["loss"] = loss.item()

    return steps, place


def our_training(model: LanguageModel, batches: list) -> tuple:
    optimizer = optimizer_of(model, TrainingSettings(learning_rate=1e-3, weight_decay=0.01))
    place = {"at": 0, "state": None, "loss": 0.0}

    def steps(count: int = 10) -> None:
        for _ in range(count):
            batch = batches[place["at"] % len(batches)]
            place["at"] += 1
            place["loss"], _, place["state"] = train_step(
                model, batch, place["state"], optimizer, 1.0
            )

    return steps, place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    text = read_documents(data("tinyshakespeare/input.txt"))[0].text
    vocabulary = CharacterVocabulary.of([text])
    batches = list(Windows([vocabulary.encode(text)], rows=ROWS, size=STEPS))[1:-1]
    torch.manual_seed(0)
    model = LanguageModel(LanguageModelConfig(vocabulary_size=len(vocabulary)))
    plain = Plain(len(vocabulary))
    plain.take(model)
    ours, our_place = our_training(model, batches)
    theirs, their_place = plain_training(plain, batches)
    ours(3), theirs(3)
    rate_before = matrix_rate()
    times = in_turn({"recurra": ours, "torch.nn": theirs}, pairs)
    rate_after = matrix_rate()
    ratios = [b / a for a, b in zip(times["recurra"], times["torch.nn"], strict=True)]
    low, middle, high = quartiles(ratios)
    symbols = 10 * ROWS * STEPS
    print(f"machine: {machine()}")
    print(f"sgemm 2048: {rate_before:.0f} GFLOP/s before, {rate_after:.0f} after")
    for name, values in times.items():
        a, b, c = quartiles(values)
        print(f"{name:9} {symbols / b:9,.0f} symbols/s (spread p75/p25 {c / a:.2f})")
    print(
        f"ratio torch.nn time / recurra time: median {middle:.3f}, quartiles {low:.3f} {high:.3f}"
    )
    # Not equal: torch's two biases move twice as far, and its weight decay takes biases too.
    print(
        f"losses after {our_place['at']} steps: {our_place['loss']:.4f} {their_place['loss']:.4f}"
    )
    keep(
        "language_model_throughput",
        {
            "question": "training 2 layers of 256 LSTM on tinyshakespeare, symbols a second, "
            "against a plain torch.nn loop",
            "figure": f"{middle:.2f} of its speed ({symbols / quartiles(times['recurra'])[1]:,.0f} "
            f"against {symbols / quartiles(times['torch.nn'])[1]:,.0f} symbols/s)",
            "ratio": {"median": middle, "p25": low, "p75": high, "pairs": pairs},
            "sgemm_2048_gflops": [rate_before, rate_after],
        },
        [
            "src/recurra/cells/lstm.py",
            "src/recurra/engine",
            "src/recurra/layers",
            "src/recurra/encoders.py",
            "src/recurra/heads.py",
            "src/recurra/losses.py",
            "src/recurra/sequences.py",
            "src/recurra/models/base.py",
            "src/recurra/training/loop.py",
        ],
    )


if __name__ == "__main__":
    main()

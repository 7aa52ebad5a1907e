"""Is training a language model as fast as a loop written plainly with torch.nn?

``tinyshakespeare``: the recipe ``language-model``, 2 layers of 256 LSTM, dropout, 32 rows, windows
of 64 steps, AdamW, clipping, a learning rate that rises and falls. ``warandpeace``: sizes of the
recipe of words, 2 layers of 512, tied, with plain dropout, since what else that recipe leaves out
torch.nn has no layer for; both in float32. Ours goes through
``recurra.training.Training`` with all its checks, and cuts each window out of the text; the plain
loop has its batches ready. Both start with the same weights and read the same batches. Dropout is
drawn by each in its own way; so before they are timed they train without it, and their losses must
agree at every step, or nothing is kept.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from harness import data, in_turn, keep, machine_in_words, measure, spread
from torch import Tensor, nn

from recurra.data import Batches, read_text
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks.language_model import prepare
from recurra.training import Recipe, Training, TrainingSettings, load_recipe
from recurra.training.optimizers import rate_at

STEPS = 10  # of training, in one timed run
COMPARED = 5  # runs whose losses are compared
# Two orders of adding the same float32 numbers drift apart: 1e-7 after 50 steps, 1e-3 after 200.
TOLERANCE = 1e-5
MEASURED = [
    "src/recurra/cells/base.py",
    "src/recurra/cells/affine.py",
    "src/recurra/cells/lstm.py",
    "src/recurra/data/streams.py",
    "src/recurra/encoders",
    "src/recurra/engine",
    "src/recurra/heads",
    "src/recurra/layers",
    "src/recurra/lengths.py",
    "src/recurra/losses.py",
    "src/recurra/masks.py",
    "src/recurra/models/base.py",
    "src/recurra/models/language.py",
    "src/recurra/recipes/language-model.toml",
    "src/recurra/sequences.py",
    "src/recurra/states.py",
    "src/recurra/training/loop.py",
    "src/recurra/training/optimizers.py",
    "benchmarks/language_model_throughput.py",
]


# By name: file, recipe, settings of it, the question, the result's name.
TEXTS: dict[str, tuple[str, str, list[str], str, str]] = {
    "tinyshakespeare": (
        "tinyshakespeare/input.txt",
        "language-model",
        [],
        "training 2 layers of 256 LSTM on tinyshakespeare, symbols a second, against a plain "
        "torch.nn loop",
        "language_model_throughput",
    ),
    "warandpeace": (
        "warandpeace/warandpeace.txt",
        str(Path(__file__).parent / "recipes" / "words.toml"),
        [
            "model.dropout_word=0.0",
            "model.dropout_recurrent=0.0",
            "model.held=false",
            "training.precision=float32",
            "training.average=0.0",
        ],
        "training 2 layers of 512 LSTM on War and Peace by words, tied, words a second, against a "
        "plain torch.nn loop",
        "language_model_throughput_words",
    ),
}


class Plain(nn.Module):
    """The same model, written plainly, with the weights of ours.

    One of torch's two biases stays 0: they would have the same gradient, and be one bias that moves
    twice as far.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        sizes = model.config
        width, symbols = sizes.hidden_size, sizes.vocabulary_size
        self.embedding = nn.Embedding(symbols, width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.lstm = nn.LSTM(width, width, sizes.layers, dropout=sizes.dropout)
        self.head = nn.Linear(width, symbols)
        if sizes.tied:
            self.head.weight = self.embedding.weight
        with torch.no_grad():
            self.embedding.weight.copy_(model.encoder.embedding.weight)
            if not sizes.tied:
                self.head.weight.copy_(model.head.projection.weight)
            self.head.bias.copy_(model.head.projection.bias)
            for number, layer in enumerate(model.encoder.layer.layers):
                getattr(self.lstm, f"weight_ih_l{number}").copy_(layer.cell.input_weight)
                getattr(self.lstm, f"weight_hh_l{number}").copy_(layer.cell.recurrent_weight)
                getattr(self.lstm, f"bias_ih_l{number}").copy_(layer.cell.bias)
                getattr(self.lstm, f"bias_hh_l{number}").zero_().requires_grad_(False)

    def forward(self, ids: Tensor, state: tuple | None) -> tuple[Tensor, tuple]:
        """Scores of every next symbol, and the state."""
        outputs, state = self.lstm(self.dropout(self.embedding(ids)), state)
        return self.head(self.dropout(outputs)), state


def plain_losses(
    model: Plain, batches: Batches, steps: int, settings: TrainingSettings
) -> Iterator[float]:
    """Train, a step for each loss."""
    ready = [(batch.inputs, batch.targets) for batch in batches]
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.dim() > 1]},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    state = None
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps, settings)
        inputs, targets = ready[step % len(ready)]
        scores, state = model(inputs, state)
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip)
        optimizer.step()
        begins = (step + 1) % len(ready) == 0
        state = None if begins else tuple(part.detach() for part in state)
        yield loss.item()


class Turns:
    """A training, some steps at a time."""

    def __init__(self, losses: Iterator[float]) -> None:
        self.losses: list[float] = []
        self._rest = losses

    def __call__(self) -> None:
        """Some steps."""
        done = list(itertools.islice(self._rest, STEPS))
        if len(done) < STEPS:
            sys.exit("the recipe has no more steps; measure with fewer --runs")
        self.losses += done


def rivals_of(recipe: Recipe, text: str, folder: Path) -> tuple[Turns, Turns, int]:
    """Ours, the plain one, and how many symbols are trained on in a run."""
    settings = recipe.training
    corpus = prepare([text], recipe.data, folder)
    batches = corpus.parts["training"].batches(
        rows=settings.batch_size, window=settings.window, seed=settings.seed
    )
    config = LanguageModelConfig(
        **recipe.model.model_dump(), vocabulary_size=len(corpus.vocabulary)
    )
    torch.manual_seed(settings.seed)
    model = LanguageModel(config)
    plain = Plain(model)
    training = Training(model, batches, settings)
    return (
        Turns(done.loss for done in training),
        Turns(plain_losses(plain, batches, training.steps, settings)),
        STEPS * settings.batch_size * settings.window,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=21, help=f"of {STEPS} steps, for each rival")
    parser.add_argument("--threads", type=int, help="of both; torch's own choice if not given")
    parser.add_argument("--text", choices=TEXTS, help="both if not given")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    print(machine_in_words())
    for name in [given.text] if given.text else TEXTS:
        compare(name, given.runs)


def compare(name: str, runs: int) -> None:
    """Time both on a text, and keep the result."""
    file, path, settings, question, kept = TEXTS[name]
    recipe = load_recipe(path, settings)
    text = read_text(data(file))
    with tempfile.TemporaryDirectory() as folder:
        same = load_recipe(path, [*settings, "model.dropout=0.0"])
        ours, plain, _ = rivals_of(same, text, Path(folder) / "same")
        in_turn({"recurra": ours, "torch.nn": plain}, COMPARED)
        pairs = zip(ours.losses, plain.losses, strict=True)
        apart = max(abs(one - other) / other for one, other in pairs)
        steps = len(ours.losses)
        print(
            f"without dropout losses of {steps} steps differ by {apart:.1e} at most; the last is "
            f"{ours.losses[-1]:.4f}"
        )
        if not apart <= TOLERANCE:
            sys.exit(f"not kept: expected losses that agree to {TOLERANCE:g}; these are two models")
        ours, plain, symbols = rivals_of(recipe, text, Path(folder) / "timed")
        done = measure({"recurra": ours, "torch.nn": plain}, runs)
    print(done)
    low, speed, high = done.speed("recurra", "torch.nn")
    rates = {name: symbols / done.median(name) for name in done.seconds}
    print(
        f"{name}: recurra trains {speed:.3f} times as fast as torch.nn (quartiles {low:.3f} "
        f"{high:.3f})"
    )
    worst = max(spread(values) for values in done.seconds.values())
    keep(
        kept,
        {
            "question": question,
            "figure": f"{speed:.2f} of its speed ({rates['recurra']:,.0f} against "
            f"{rates['torch.nn']:,.0f} symbols/s, spread {worst:.2f}){done.mark}",
            "speed": {"median": speed, "p25": low, "p75": high},
            "symbols_a_second": rates,
            "losses": {"steps": steps, "largest_relative_difference": apart},
            "measurement": done.to_json(),
        },
        MEASURED,
        seed=recipe.training.seed,
        by_kind=True,
        void=done.void,
    )


if __name__ == "__main__":
    main()

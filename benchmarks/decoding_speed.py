"""Symbols a second: how fast does a trained model write, complete and search?

A language model as a trained run has one (embedding, 2 LSTM layers of 256, 100 symbols) beside the
same weights in plain torch.nn (nn.Embedding, nn.LSTM, nn.Linear), each with one thread. Texts are
drawn as `recurra generate` draws them, and by the usual loop with torch.multinomial; their greedy
texts are compared first, and so are suggestions and beams. To complete and to search
the plain model has our own search around it, so what differs is the model and how it is asked.
Beside these, from fresh processes, how long `recurra generate` takes to its first character.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from findings import Findings
from harness import Measurement, keep, machine_in_words, measure, measure_rounds, quartiles
from rivals import LAYER_CODE, with_weights_of
from torch import Tensor, nn

import recurra
from recurra import artifact
from recurra.pipeline import PredictiveText, TextModel, Writer
from recurra_runtime.vocabulary import END, START, UNKNOWN, CharacterVocabulary

SEED = 0
SYMBOLS, WIDTH, LAYERS = 100, 256, 2
LENGTH = 200  # symbols of a text that is drawn
ROWS, BEAM = 64, 5
TORCH = "torch.nn"
GOALS = {"one text": 5.0, f"{ROWS} texts": 2.0, "complete": 5.0, f"beam {BEAM}": 3.0}
TYPED = ("the qu", "what a pi", "no")
SHARPNESS = 3.0  # of random weights, so that some symbols are likelier than others


class Plain(nn.Module):
    """The model in plain PyTorch; it can be asked as our searches ask."""

    def __init__(self, model: recurra.LanguageModel) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        cells = [layer.cell for layer in model.encoder.layer.layers]
        self.lstm = with_weights_of(cells, nn.LSTM(WIDTH, WIDTH, LAYERS))
        self.head = nn.Linear(WIDTH, SYMBOLS)
        with torch.no_grad():
            self.embedding.weight.copy_(model.encoder.embedding.weight)
            self.head.weight.copy_(model.head.projection.weight)
            self.head.bias.copy_(model.head.projection.bias)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores of the next symbol ``[batch, v]`` after ``ids`` ``[batch]``, and torch's state."""
        y, state = self.lstm(self.embedding(ids)[None], state)
        return self.head(y[0]), state

    def start(self, batch: int) -> tuple[Tensor, Tensor]:
        """The state before the first symbol, rows first."""
        zeros = torch.zeros(batch, LAYERS, WIDTH)
        return zeros, zeros

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Log-probabilities of the next symbol, and the state, rows first."""
        with torch.inference_mode():
            scores, new = self(token, tuple(part.transpose(0, 1).contiguous() for part in state))
            return scores.log_softmax(1), tuple(part.transpose(0, 1) for part in new)


@torch.inference_mode()
def plain_texts(model: Plain, rows: int, greedy: bool = False) -> list[list[int]]:
    """The loop that everybody writes; rows that have ended go on, and are cut afterwards."""
    torch.manual_seed(SEED)
    ids, state, written = torch.full((rows,), START), None, []
    never = torch.zeros(SYMBOLS)
    never[[UNKNOWN, START, END]] = -torch.inf
    for _ in range(LENGTH):
        scores, state = model(ids, state)
        scores = scores + never
        ids = scores.argmax(1) if greedy else torch.multinomial(scores.softmax(1), 1)[:, 0]
        written.append(ids)
    return torch.stack(written, 1).tolist()


def models() -> tuple[TextModel, TextModel, Plain]:
    """Ours, and the plain one both in ours's clothes and as it is."""
    torch.manual_seed(SEED)
    letters = [chr(code) for code in (*range(32, 127), 0xE4, 0xF6)]
    vocabulary = CharacterVocabulary(letters)
    config = recurra.LanguageModelConfig(
        vocabulary_size=SYMBOLS, layers=LAYERS, hidden_size=WIDTH, embedding_size=WIDTH
    )
    model = recurra.LanguageModel(config).eval()
    with torch.no_grad():
        model.head.projection.weight.mul_(SHARPNESS)
        model.head.projection.bias[END] = -20.0  # texts are of one length
    plain = Plain(model).eval()
    clothed: Any = TextModel(plain, vocabulary)  # type: ignore[arg-type]
    return TextModel(model, vocabulary), clothed, plain


def cases(ours: TextModel, clothed: TextModel, plain: Plain) -> dict[str, dict[str, Callable]]:
    """What each rival does, by case; everything gives a list that says what came out."""

    def drawn(rows: int, temperature: float = 1.0) -> Any:
        how: dict[str, Any] = {"limit": LENGTH, "seed": SEED, "temperature": temperature}
        if rows == 1:
            return ["".join(Writer(ours).write(**how))]
        return Writer(ours).write_several(count=rows, **how)

    def completed(model: TextModel) -> list[Any]:
        found = []
        for text in TYPED:
            entry = PredictiveText(model)
            entry.type(text)
            found.append([each.text for each in entry.suggestions(3)])
            found.append([each.text for each in entry.lines(1, limit=20)])
        return found

    def searched(model: TextModel) -> list[Any]:
        return [each.text for each in Writer(model).search(width=BEAM, limit=LENGTH)]

    made = {
        "one text": {"recurra": lambda: drawn(1), TORCH: lambda: plain_texts(plain, 1)},
        f"{ROWS} texts": {"recurra": lambda: drawn(ROWS), TORCH: lambda: plain_texts(plain, ROWS)},
        "complete": {"recurra": lambda: completed(ours), TORCH: lambda: completed(clothed)},
        f"beam {BEAM}": {"recurra": lambda: searched(ours), TORCH: lambda: searched(clothed)},
    }
    symbols = ours.vocabulary
    greedy = ["".join(map(symbols.symbol, ids)) for ids in plain_texts(plain, 2, greedy=True)]
    if drawn(2, 0.0) != greedy or drawn(1, 0.0) != greedy[:1]:
        sys.exit("greedy texts differ")
    for case in ("complete", f"beam {BEAM}"):
        first, second = (work() for work in made[case].values())
        if first != second:
            sys.exit(f"{case}: results differ, {first} and {second}")
    return made


def first_character(folder: Path) -> dict[str, float]:
    """Seconds from the start of a process: to the first character, and of what it cannot avoid."""
    asked = ["generate", str(folder), "--length", "1", "--seed", "0"]
    words = {
        "first character": ["-m", "recurra", *asked],
        "import torch": ["-c", "import torch; print(1, flush=True)"],
    }
    seconds = {}
    for name, told in words.items():
        start = perf_counter()
        with subprocess.Popen([sys.executable, *told], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            if not process.stdout.read(1):
                sys.exit(f"{' '.join(told)}: nothing came")
            seconds[name] = perf_counter() - start
            process.communicate()
    return seconds


def cold(ours: TextModel, runs: int) -> Measurement:
    """How long a person waits for the first character of a model on disk."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        artifact.save(folder, ours.model, {"text": ours.vocabulary}, "language-model")
        return measure_rounds(lambda: first_character(folder), runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine_in_words())
    found = Findings()
    ours, clothed, plain = models()
    written = {"one text": LENGTH, f"{ROWS} texts": ROWS * LENGTH}
    rates = {}
    for case, rivals in cases(ours, clothed, plain).items():
        done = measure(rivals, given.runs)
        if case in written:
            rates[case] = {name: written[case] / done.median(name) for name in rivals}
            told = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates[case].items())
            print(f"{case}, symbols a second: {told}")
        found.add(case, done, {TORCH: GOALS[case]})
    print(found.table())
    waited = cold(ours, given.runs)
    print(waited)
    low, middle, high = quartiles(waited.seconds["first character"])
    unavoidable = waited.median("import torch")
    keep(
        "decoding_speed",
        {
            "question": "symbols a second of a language model (embedding, 2 LSTM layers of "
            f"{WIDTH}, {SYMBOLS} symbols), times as fast as the same in torch.nn, one thread each: "
            f"one text, {ROWS} texts, predictive typing, beam {BEAM}; and seconds to the first "
            "character of `recurra generate` in a fresh process",
            **found.to_json(),
            "figure": f"{found.figure}; first character after {middle:.2f} s, of which "
            f"{unavoidable:.2f} s are `import torch`{waited.mark}",
            "symbols_a_second": rates,
            "first_character": {"seconds": [low, middle, high], "measurement": waited.to_json()},
        },
        [
            *LAYER_CODE,
            "src/recurra/models",
            "src/recurra/decoding",
            "src/recurra/pipeline",
            "runtime/src/recurra_runtime",
            "benchmarks/decoding_speed.py",
        ],
        seed=SEED,
        by_kind=True,
        void=found.void or waited.void,
    )


if __name__ == "__main__":
    main()

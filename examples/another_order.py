"""Sequence to sequence: words backward, where the decoder looks, and what a beam is for."""

import random

import torch

import recurra
from recurra.data import END, START, CharacterVocabulary
from recurra.models import EncoderDecoder, EncoderDecoderConfig, Reads

draw = random.Random(0)
words = ["".join(draw.choice("abcdefgh") for _ in range(draw.randint(2, 6))) for _ in range(2000)]
vocabulary = CharacterVocabulary.of(words)


def rows(texts, end=()):
    ids = [torch.tensor([*vocabulary.encode(text).tolist(), *end]) for text in texts]
    return recurra.PaddedSequence.from_list(ids)


torch.manual_seed(0)
reads = {"text": Reads(form="tokens", sizes=[len(vocabulary)])}
model = EncoderDecoder(
    EncoderDecoderConfig(reads=reads, symbols=len(vocabulary), cell="gru", hidden_size=32)
)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
for _ in range(300):
    some = draw.sample(words, 32)
    batch = recurra.Batch(rows(some), rows([word[::-1] for word in some], [END]))
    scored = model(batch)  # teacher forcing
    (scored.total / scored.count).backward()
    optimizer.step()
    optimizer.zero_grad()
print(f"{scored.total.item() / scored.count:.4f} nats per symbol")

asked = recurra.Batch(rows(["abcde"]), rows(["edcba"], [END]))
seen = recurra.named_values(model.score_rows, asked)
print("  " + "".join(f"{letter:>5}" for letter in "abcde"))
for letter, looks in zip("edcba.", seen["attention"][:, 0, :5].tolist(), strict=True):
    print(letter, "".join(f"{look:5.2f}" for look in looks))


# Two ways on: the one that begins better ends worse. Symbol 0 is the end.
AFTER = {1: [0.0, 0.0, 0.6, 0.4], 2: [0.3, 0.35, 0.35, 0.0], 3: [0.9, 0.1, 0.0, 0.0]}


class Told:
    """Anything with these two methods can be decoded."""

    def start(self, batch):
        return ()

    def step(self, token, state):
        return torch.tensor([AFTER[int(one)] for one in token]).log(), state


for width in (1, 2):
    (best,) = recurra.beam_search(Told(), [START], width=width, end=0, limit=2)
    print(f"width {width}: {best.symbols} with probability {2.718281828**best.log_prob:.2f}")

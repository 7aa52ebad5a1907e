"""Many to one: four given word vectors, a recurrent layer, one label."""

import torch

import recurra

torch.manual_seed(0)
words = {word: torch.randn(8) for word in "the movie was great bad".split()}


def read(sentence: str) -> torch.Tensor:
    return torch.stack([words[word] for word in sentence.split()])  # [time, 8]


layer = recurra.Recurrent(recurra.ElmanCell(8, 16))
label = torch.nn.Linear(16, 2)
sentences = [read("the movie was great"), read("the movie was bad"), read("great")]
targets = torch.tensor([1, 0, 1])
optimizer = torch.optim.Adam([*layer.parameters(), *label.parameters()], lr=0.02)
for _ in range(60):
    outputs, last, state = layer(sentences)  # rows of different lengths, as they are
    loss = torch.nn.functional.cross_entropy(label(last), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

chances = label(layer([read("the movie was great")]).last).softmax(1)
print(f"the movie was great: good with probability {chances[0, 1].item():.2f}")

"""A cell of your own: the equation of one step, then everything a built-in cell has."""

import torch
from torch import nn

import recurra


class Leaky(recurra.Cell):
    """Keeps 90 % of its state and adds what it reads."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.read = nn.Linear(input_size, hidden_size)
        self.keep = nn.Linear(hidden_size, hidden_size, bias=False)

    def initial_state(self, batch):
        return recurra.HiddenState(self.zeros(batch))

    def step(self, x, state, context=None, noise=None):
        h = 0.9 * state.h + 0.1 * torch.tanh(self.read(x) + self.keep(state.h))
        return h, recurra.HiddenState(h)


torch.manual_seed(0)
layer = recurra.Stack(
    [
        recurra.Bidirectional(Leaky(1, 24), Leaky(1, 24)),
        recurra.Recurrent(recurra.Zoneout(Leaky(48, 24), 0.05)),
    ]
)
read = nn.Linear(24, 1)
rows = [torch.randn(length, 1) for length in torch.randint(1, 20, (32,))]
sequence = recurra.PaddedSequence.from_list(rows)
targets = sequence.mean()  # each row's own mean, its padding left out
optimizer = torch.optim.Adam([*layer.parameters(), *read.parameters()], lr=0.01)
for step in range(101):
    loss = (read(layer(sequence).last) - targets).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 25 == 0:
        print(f"step {step:3}: squared error {loss.item():.4f}")

print(recurra.explain(layer))
print(recurra.describe(layer))

"""What other processes run, importable from them."""

from __future__ import annotations

import pickle

import torch
from torch import nn
from torch.utils.data import Dataset
from torch_tools.table import COLUMNS, LENGTHS, outputs_of, sample


class Read(Dataset):
    """Items that a layer computes."""

    def __init__(self, module):
        self.module = module

    def __len__(self):
        return 2

    def __getitem__(self, index):
        with torch.no_grad():
            return outputs_of(self.module, sample(seed=index), lengths=LENGTHS)


def rows_of(rank):
    """A half of a batch of six rows, and their lengths."""
    part = slice(3 * rank, 3 * rank + 3)
    return sample(6)[:, part], torch.tensor([6, 2, 4, 1, 0, 5])[part]


def fresh(column):
    """The same weights in every process."""
    torch.manual_seed(1)
    return COLUMNS[column]()


def train_together(rank, folder):
    """One of two processes: gradients of its rows, averaged with the other's."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    found = {}
    for column in COLUMNS:
        module = nn.parallel.DistributedDataParallel(fresh(column))
        x, lengths = rows_of(rank)
        outputs_of(module, x, lengths=lengths).square().sum().backward()
        found[column] = {n: p.grad.numpy() for n, p in module.module.named_parameters()}
    if rank == 1:
        with open(f"{folder}/gradients", "wb") as file:
            pickle.dump(found, file)
    torch.distributed.barrier()  # who leaves first would cut the other off
    torch.distributed.destroy_process_group()


def train_shared(modules, folder):
    """Change weights that lie in shared memory, and say what they gave."""
    torch.set_num_threads(1)
    outputs = {}
    for column, module in modules.items():
        outputs[column] = outputs_of(module, sample(), lengths=LENGTHS).detach().numpy()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 1
    with open(f"{folder}/outputs", "wb") as file:
        pickle.dump(outputs, file)

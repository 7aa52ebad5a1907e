"""Several processes and several threads."""

import pickle
import threading

import pytest
import torch
from torch import multiprocessing
from torch.nn.utils import parametrizations
from torch.utils.data import DataLoader
from torch_tools import processes
from torch_tools.table import (
    COLUMNS,
    LENGTHS,
    close,
    gradients,
    outputs_of,
    row,
    sample,
)

import recurra

SECONDS = 120  # a process that hangs is a test that fails

# Newer Pythons warn of every fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def column_of(make):
    return next(name for name, other in COLUMNS.items() if other is make)


def finish(children, seconds=SECONDS):
    for child in children:
        child.start()
    for child in children:
        child.join(seconds)
    stuck = [child for child in children if child.exitcode is None]
    for child in stuck:
        child.kill()
    assert not stuck, "a process hangs"
    assert [child.exitcode for child in children] == [0] * len(children)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Gradients that two processes agreed on, by column and parameter."""
    folder = tmp_path_factory.mktemp("together")
    spawn = multiprocessing.get_context("spawn")
    finish(
        [spawn.Process(target=processes.train_together, args=(rank, folder)) for rank in range(2)]
    )
    return pickle.loads((folder / "gradients").read_bytes())


@pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)
@row("DistributedDataParallel")
def test_two_processes_are_one_batch(make, verdict, together):
    """The mean of two sums is half the sum over all rows."""
    column = column_of(make)
    module = processes.fresh(column)
    parts = [processes.rows_of(rank) for rank in range(2)]
    x, lengths = (
        torch.cat(both, -1 if both[0].dim() == 1 else 1) for both in zip(*parts, strict=True)
    )
    (outputs_of(module, x, lengths=lengths).square().sum() / 2).backward()
    wanted = {name: p.grad for name, p in module.named_parameters()}
    found = {name: torch.from_numpy(g) for name, g in together[column].items()}
    assert close(found, wanted)
    assert all(gradient.any() for gradient in found.values())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Modules in shared memory, what they gave before, and what a spawned process got."""
    folder = tmp_path_factory.mktemp("shared")
    modules = {column: make().share_memory() for column, make in COLUMNS.items()}
    before = {
        column: outputs_of(module, sample(), lengths=LENGTHS).detach()
        for column, module in modules.items()
    }
    weights = {
        column: [p.detach().clone() for p in module.parameters()]
        for column, module in modules.items()
    }
    spawn = multiprocessing.get_context("spawn")
    finish([spawn.Process(target=processes.train_shared, args=(modules, folder))])
    return modules, before, weights, pickle.loads((folder / "outputs").read_bytes())


@row("share_memory, spawned processes")
def test_shared_weights(make, verdict, shared):
    modules, before, weights, outputs = shared
    column = column_of(make)
    assert close(torch.from_numpy(outputs[column]), before[column])
    for parameter, old in zip(modules[column].parameters(), weights[column], strict=True):
        assert close(parameter, old + 1), "the other process changes the weights of this one"
    assert not close(outputs_of(modules[column], sample(), lengths=LENGTHS), before[column])


@row("forked workers")
def test_a_layer_in_a_forked_worker(make, verdict):
    """After threads of this process have run it, too."""
    module = make()
    wanted = [outputs_of(module, sample(seed=seed), lengths=LENGTHS) for seed in range(2)]
    gradients(module, wanted[0])
    loader = DataLoader(
        processes.Read(module),
        batch_size=None,
        num_workers=1,
        multiprocessing_context="fork",
        timeout=SECONDS,
    )
    for got, expected in zip(loader, wanted, strict=True):
        assert close(got, expected)


def run_alone(cell):
    torch.set_num_threads(1)
    recurra.run(cell, sample())


def test_a_fork_while_a_thread_runs():
    """The thread is not in the child, so what it held must not be waited for."""
    cell = parametrizations.weight_norm(recurra.GRUCell(4, 5), "recurrent_weight")
    inside, done = threading.Event(), threading.Event()

    class Slow(recurra.GRUCell):
        def step(self, x, state, context=None, noise=None):
            inside.set()
            done.wait(SECONDS)
            return super().step(x, state)

    slow = parametrizations.weight_norm(Slow(4, 5), "recurrent_weight")
    thread = threading.Thread(target=recurra.run, args=(slow, sample()), daemon=True)
    thread.start()
    assert inside.wait(SECONDS)
    fork = multiprocessing.get_context("fork")
    try:
        finish([fork.Process(target=run_alone, args=(cell,))], seconds=20)
    finally:
        done.set()
        thread.join(SECONDS)


@row("several threads")
@pytest.mark.parametrize("normed", [False, True])
def test_threads(make, verdict, normed):
    """Each has its own rows; a parametrized weight is computed by all of them at once."""
    module = make()
    if normed:
        part, name = next(
            (part, name)
            for part in module.modules()
            for name, p in part.named_parameters(recurse=False)
            if p.dim() == 2
        )
        parametrizations.weight_norm(part, name)
    wanted = [outputs_of(module, sample(seed=seed), lengths=LENGTHS) for seed in range(4)]
    slopes = [gradients(module, outputs) for outputs in wanted]
    start, found = threading.Barrier(4), [[] for _ in range(4)]

    def work(seed):
        start.wait()
        for _ in range(10):
            outputs = outputs_of(module, sample(seed=seed), lengths=LENGTHS)
            found[seed].append((outputs, gradients(module, outputs)))

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert [len(runs) for runs in found] == [10] * 4
    for seed, runs in enumerate(found):
        for outputs, slope in runs:
            assert close(outputs, wanted[seed])
            assert close(slope, slopes[seed])

"""The training loop: what it learns, what it carries, when it stops, how it can be repeated."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from splitting import split_documents
from torch import Tensor

from recurra import artifact, states
from recurra.batch import Batch
from recurra.data import CharacterVocabulary, Windows
from recurra.errors import DataError, RunError
from recurra.models import LanguageModel, LanguageModelConfig, Scored
from recurra.tasks.language_model import task as task_module
from recurra.training import (
    Progress,
    Report,
    Training,
    TrainingSettings,
    evaluate,
    load_recipe,
    train,
)
from recurra.training import keeper as keeper_module
from recurra.training.interrupts import interruptible
from recurra.training.optimizers import optimizer_of
from recurra_runtime.vocabulary import END, START, Ids


def encode(*texts: str) -> tuple[list[Ids], int]:
    vocabulary = CharacterVocabulary.of(texts)
    return [vocabulary.encode(text) for text in texts], len(vocabulary)


def make(size: int, seed: int = 0, **settings: Any) -> LanguageModel:
    torch.manual_seed(seed)
    chosen: dict[str, Any] = {"hidden_size": 12, "layers": 1} | settings
    return LanguageModel(LanguageModelConfig(vocabulary_size=size, **chosen))


def fit(model: LanguageModel, documents: list[Ids], **settings: Any) -> list[Progress]:
    chosen = TrainingSettings(**settings)
    windows = Windows(documents, rows=chosen.batch_size, size=chosen.window)
    return list(Training(model, windows, chosen))


def mean_loss(seen: list[Progress], last: int = 20) -> float:
    return sum(done.loss for done in seen[-last:]) / last


# ----------------------------------------------------------------------------------------- budgets


@pytest.mark.parametrize(
    ("symbols", "rows", "window"),
    [(1000, 4, 16), (1, 4, 16), (64, 4, 16), (65, 4, 16), (1000, 4, 120), (5000, 3, 7)],
)
def test_the_budget_of_symbols_is_met_by_less_than_a_step(
    symbols: int, rows: int, window: int
) -> None:
    documents, size = encode("abcab" * 100)  # 501 symbols, whose last window is a short one
    seen = fit(
        make(size, hidden_size=4), documents, symbols=symbols, batch_size=rows, window=window
    )
    assert seen[-1].symbols >= symbols
    if len(seen) > 1:
        assert seen[-2].symbols < symbols
    assert [done.step for done in seen] == list(range(1, seen[-1].steps + 1))


@pytest.mark.parametrize(("epochs", "window"), [(1, 16), (3, 16), (2, 120), (2.5, 25)])
def test_an_epoch_is_one_pass(epochs: float, window: int) -> None:
    documents, size = encode("abcab" * 80, "ab" * 10)
    rows = 4
    one_pass = 401 + 21  # which four rows do not divide
    seen = fit(make(size, hidden_size=4), documents, epochs=epochs, batch_size=rows, window=window)
    assert 0 <= seen[-1].symbols - epochs * one_pass < rows * window
    if epochs == int(epochs):
        assert seen[-1].symbols == epochs * one_pass


def test_the_text_must_fill_the_rows() -> None:
    documents, size = encode("abc")
    fit(make(size), documents, symbols=4, batch_size=4)
    with pytest.raises(DataError, match=r"training\.batch_size"):
        fit(make(size), documents, symbols=4, batch_size=5)


def test_times_and_rates_are_told() -> None:
    documents, size = encode("abc" * 100)
    seen = fit(make(size), documents, symbols=2000, batch_size=4, window=16)
    seconds = [done.seconds for done in seen]
    assert seconds == sorted(seconds)
    assert all(done.rate > 0 for done in seen)


def test_a_pause_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = calls = 0.0

    def clock() -> float:  # a second a call, and once a long sleep
        nonlocal now, calls
        calls += 1
        now += 10_000 if calls == 41 else 1
        return now

    monkeypatch.setattr("recurra.training.loop.time.perf_counter", clock)
    documents, size = encode("abc" * 100)
    seen = fit(make(size), documents, symbols=64 * 700, batch_size=4, window=16)
    assert seen[10].rate == pytest.approx(64, rel=0.1)
    assert seen[30].rate < 10
    assert seen[-1].rate == pytest.approx(64, rel=0.1)


# ---------------------------------------------------------------------------------------- learning


def test_a_repeating_text_is_learned_below_the_entropy_of_its_symbols() -> None:
    text = "hello world, " * 40
    documents, size = encode(text)
    entropy = -sum(n / len(text) * math.log(n / len(text)) for n in Counter(text).values())
    model = make(size, hidden_size=24)
    seen = fit(model, documents, symbols=16_000, batch_size=4, window=13, learning_rate=0.02)
    assert seen[0].loss > entropy
    assert mean_loss(seen) < entropy / 4


def test_a_training_starts_at_the_frequencies_of_its_text(
    tmp_path: Path, text: str, tiny_changes: list[str]
) -> None:
    changes = [*tiny_changes, "training.symbols=128", "training.learning_rate=1e-12"]
    done = train(load_recipe("language-model", changes), [text], tmp_path / "run")
    loaded = artifact.load(done.path)
    vocabulary = loaded.fronts["text"]
    (begin,) = split_documents([text]).training
    counts = Counter(vocabulary.encode(begin).tolist()) | Counter({END: 1})
    bias = dict(loaded.model.named_parameters())["head.projection.bias"].tolist()
    total = sum(counts.values()) + len(vocabulary)
    for symbol in range(len(vocabulary)):
        if symbol != START:
            expected = math.log((counts[symbol] + 1) / total)
            assert bias[symbol] == pytest.approx(expected, rel=1e-5)
    assert bias[START] == -30


def carried_after(model: LanguageModel, ids: Ids) -> float:
    """Mean size of the cells' states after a pass of training."""
    windows = Windows([ids], rows=8, size=16)
    settings = TrainingSettings(epochs=1, batch_size=8, window=16, learning_rate=0.004)
    assert len(list(Training(model, windows, settings))) > 30
    state = None
    with torch.no_grad():
        for number in range(8):
            state = model(windows[number], state).state
    return float(states.leaves(state)[-1].abs().mean())


def test_states_do_not_stand_in_for_frequencies() -> None:
    """Of many symbols with frequencies far apart, as those of words are."""
    size = 1000
    odds = 1 / np.arange(1, size - 2)
    draws = np.random.default_rng(0)
    ids = draws.choice(size - 3, 8 * 16 * 40, p=odds / odds.sum()) + 3
    model = make(size, hidden_size=32)
    model.starts_at(np.bincount(ids, minlength=size))
    assert carried_after(model, ids) < 1
    assert carried_after(make(size, hidden_size=32), ids) > 3  # the broken twin starts at zero


def test_the_state_goes_on_from_window_to_window(monkeypatch: pytest.MonkeyPatch) -> None:
    # After one a comes a second a or a b, as often: ln 2 on two symbols of three. A window of one
    # step shows a single symbol, so only a state from before the window can tell the two apart.
    documents, size = encode("aab" * 150)
    settings: dict[str, Any] = {
        "symbols": 5000,
        "batch_size": 4,
        "window": 1,
        "learning_rate": 0.02,
    }
    blind = 2 / 3 * math.log(2)
    assert mean_loss(fit(make(size), documents, **settings), 100) < blind / 2
    monkeypatch.setattr(states, "detach", lambda tree: None)  # the broken twin: nothing is carried
    assert mean_loss(fit(make(size), documents, **settings), 100) > blind * 0.95


def test_a_pass_starts_from_a_fresh_state() -> None:
    documents, size = encode("abcab" * 20)
    given: list[bool] = []

    class Watching(LanguageModel):
        def forward(self, batch: Batch, state: Any = None) -> Scored:
            given.append(state is None)
            return super().forward(batch, state)

    model = Watching(LanguageModelConfig(hidden_size=4, layers=1, vocabulary_size=size))
    fit(model, documents, epochs=3, batch_size=1, window=40)  # 101 symbols: windows 40, 40, 21
    assert given == [True, False, False] * 3


@pytest.mark.parametrize(("accumulate", "fresh"), [(1, [4, 8]), (2, [2, 4])])
def test_nothing_is_carried_into_a_pass(accumulate: int, fresh: list[int]) -> None:
    documents, size = encode("abcab" * 20)
    windows = Windows(documents, rows=1, size=27)  # four in a pass
    settings = TrainingSettings(epochs=2, batch_size=1, window=27, accumulate=accumulate)
    runner, kept = Training(make(size), windows, settings), []
    for done in runner:
        tensors, _ = runner.state()
        if not any(name.startswith("carried") for name in tensors):
            kept.append(done.step)
    assert kept == fresh


# ------------------------------------------------------------------------------------- averages


def test_an_average_of_weights_follows_its_formula() -> None:
    documents, size = encode("abcab" * 80)
    windows = Windows(documents, rows=4, size=8)
    settings = TrainingSettings(epochs=3, batch_size=4, window=8, average=0.7, learning_rate=0.1)
    runner = Training(make(size, layers=2), windows, settings)
    expected = [p.detach().double() for p in runner.model.parameters()]
    decays = set()
    for done in runner:
        decay = min(0.7, (1 + done.step) / (10 + done.step))
        decays.add(decay)
        expected = [
            decay * mean + (1 - decay) * p.detach().double()
            for mean, p in zip(expected, runner.model.parameters(), strict=True)
        ]
    assert len(decays) > 10
    assert max(decays) == 0.7
    for mean, p, own in zip(
        expected, runner.kept.parameters(), runner.model.parameters(), strict=True
    ):
        torch.testing.assert_close(p.detach().double(), mean, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(p, own)


def test_what_is_kept_leaves_the_training_alone() -> None:
    documents, size = encode("abcab" * 80)
    windows = Windows(documents, rows=4, size=16)
    ended = []
    for average in (0.0, 0.9):
        settings = TrainingSettings(epochs=2, batch_size=4, window=16, average=average)
        runner = Training(make(size), windows, settings)
        scores = []
        for _ in runner:
            scores.append(runner.kept.score([windows]))
            assert runner.model.training
        assert (runner.kept is runner.model) == (average == 0)
        assert len(set(scores)) == len(scores)
        ended.append([p.detach().clone() for p in runner.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ended, strict=True))


def test_gradients_do_not_cross_windows() -> None:
    documents, size = encode("abcab" * 20)
    carried: list[Tensor] = []

    class Watching(LanguageModel):
        def forward(self, batch: Batch, state: Any = None) -> Scored:
            carried.extend(states.leaves(state))
            return super().forward(batch, state)

    model = Watching(LanguageModelConfig(hidden_size=4, layers=1, vocabulary_size=size))
    fit(model, documents, epochs=1, batch_size=1, window=40)
    assert len(carried) == 4
    assert not any(leaf.requires_grad for leaf in carried)
    assert all(leaf.abs().max() > 0 for leaf in carried)


# --------------------------------------------------------------------------------------- optimizer


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    documents, size = encode("abcab" * 20)
    seen = fit(
        make(size, hidden_size=4),
        documents,
        symbols=100,
        batch_size=1,
        window=10,
        learning_rate=0.5,
        warmup=0.3,
    )
    cosine = [0.5 * (1 + math.cos(math.pi * k / 7)) for k in range(7)]
    expected = [0.5 * factor for factor in (1 / 3, 2 / 3, 1.0, *cosine)]
    assert [done.learning_rate for done in seen] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("warmup", "first", "last"), [(0.0, 1.0, 0.0), (1.0, 0.1, 1.0)])
def test_no_warmup_and_nothing_but_warmup(warmup: float, first: float, last: float) -> None:
    documents, size = encode("abcab" * 20)
    seen = fit(
        make(size, hidden_size=4),
        documents,
        symbols=100,
        batch_size=1,
        window=10,
        learning_rate=0.01,
        warmup=warmup,
    )
    assert seen[0].learning_rate == pytest.approx(first * 0.01)
    assert seen[-1].learning_rate == pytest.approx(last * 0.01, abs=0.0005)


def test_weight_decay_shrinks_matrices_alone() -> None:
    model = make(9, layers=2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = optimizer_of(model, TrainingSettings(learning_rate=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    kinds = set()
    for name, parameter in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if parameter.dim() > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)
        kinds.add(parameter.dim())
    assert kinds == {1, 2}


def test_every_parameter_is_trained() -> None:
    documents, size = encode("abcab" * 20)
    model = make(size, layers=2, embedding_size=5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    fit(model, documents, symbols=200, batch_size=2, window=10)
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_the_gradient_is_clipped_and_its_norm_told() -> None:
    documents, size = encode("abcab" * 20)
    norms, steps = [], []
    for clip in (1e-3, 1e3):
        model = make(size, hidden_size=4)
        seen = fit(model, documents, symbols=10, batch_size=1, window=10, clip=clip)
        norms.append(seen[0].gradient_norm)
        steps.append(math.hypot(*(float(p.grad.norm()) for p in model.parameters())))  # type: ignore[union-attr]
    assert norms[0] == norms[1] > 1e-3  # told before it is clipped
    assert steps == pytest.approx([1e-3, norms[0]], rel=1e-3)


# ------------------------------------------------------------------------------------- repeating


def run_files(path: Path) -> dict[str, bytes]:
    names = ["summary.json", "recipe.json", "ngrams.safetensors", "best", "last"]
    weights = {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("model.safetensors")}
    return {name: (path / name).read_bytes() for name in names} | weights


def test_the_same_seed_gives_the_same_run_bit_for_bit(tmp_path: Path, text: str) -> None:
    changes = ["model.hidden_size=8", "model.layers=2", "model.dropout=0.2"]
    changes += ["training.symbols=3000", "training.batch_size=4", "training.window=16"]
    runs = []
    for number, seed in enumerate([3, 3, 4]):
        recipe = load_recipe("language-model", [*changes, f"training.seed={seed}"])
        torch.rand(number)  # what was drawn before does not matter
        runs.append(train(recipe, [text], tmp_path / str(number)))
    first, second, other = (run_files(run.path) for run in runs)
    assert first == second
    assert runs[0].evaluations == runs[1].evaluations != runs[2].evaluations
    weights = [name for name in first if name.endswith("safetensors") and "/" in name]
    assert len(weights) >= 2
    assert all(first[name] != other.get(name) for name in weights)


# --------------------------------------------------------------------------------- what is left


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path / "log.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_log_has_a_line_for_every_evaluation(tiny_run: Any) -> None:
    rows = rows_of(tiny_run.path)
    told = [report for report in tiny_run.reports if report.progress is not None]
    scored = [report for report in told if report.validation is not None]
    assert len(rows) == len(scored) == tiny_run.recipe.training.evaluations
    assert [int(row["step"]) for row in rows] == [report.progress.step for report in scored]
    assert [int(row["symbols"]) for row in rows] == [report.progress.symbols for report in scored]
    begin = 0
    for row, report in zip(rows, scored, strict=True):
        losses = [r.progress.loss for r in told[begin : report.progress.step]]
        begin = report.progress.step
        assert float(row["training_nats"]) == pytest.approx(sum(losses) / len(losses), abs=1e-5)
        assert float(row["validation_nats"]) == pytest.approx(report.validation, abs=1e-5)
        assert float(row["learning_rate"]) == pytest.approx(report.progress.learning_rate, rel=0.01)
    assert told[-1].progress.step == told[-1].progress.steps == len(told)


def test_the_recipe_is_kept_whole(tiny_run: Any) -> None:
    kept = json.loads((tiny_run.path / "recipe.json").read_text())
    assert len(kept.pop("check")) == 64
    assert kept == tiny_run.recipe.model_dump()
    assert kept["training"]["symbols"] == 24000


def test_the_summary_is_what_was_returned(tiny_run: Any) -> None:
    kept = json.loads((tiny_run.path / "summary.json").read_text())
    assert kept["verdict"] == tiny_run.trained.verdict != ""
    kept = kept["evaluations"]
    assert kept == [evaluation.to_json() for evaluation in tiny_run.trained.evaluations]
    assert [row["name"] for row in kept] == ["lstm", "bigram", "5-gram", "mixture"]
    assert all(row["symbols"] == row["characters"] + 1 for row in kept)  # and the end symbol


def test_the_best_checkpoint_is_the_one_with_the_best_validation(tiny_run: Any) -> None:
    rows = rows_of(tiny_run.path)
    best = min(rows, key=lambda row: float(row["validation_nats"]))
    loaded = artifact.load(tiny_run.path)
    assert int(loaded.path.name) == int(best["step"])
    split = split_documents([tiny_run.text])
    score, *_ = evaluate(tiny_run.path, split.validation)
    assert score.nats / score.symbols == pytest.approx(float(best["validation_nats"]), abs=1e-4)


def test_the_recurrent_model_learned_more_than_the_bigram_knows(tiny_run: Any) -> None:
    nats = {row.name: row.nats_per_character for row in tiny_run.trained.evaluations}
    assert nats["lstm"] < nats["bigram"]


def test_a_worse_end_does_not_win(
    tmp_path: Path, text: str, tiny_changes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([3.0, 1.0, 2.0, math.nan])
    monkeypatch.setattr(keeper_module.Keeper, "_validate", lambda keeper: next(scores))
    changes = [*tiny_changes, "training.symbols=1024", "training.evaluations=4"]
    done = train(load_recipe("language-model", changes), [text], tmp_path / "run")
    rows = rows_of(done.path)
    assert [row["validation_nats"] for row in rows] == ["3.0", "1.0", "2.0", "nan"]
    best, last = (artifact.load(done.path, which=which) for which in ("best", "last"))
    assert int(best.path.name) == int(rows[1]["step"])
    assert int(last.path.name) == int(rows[3]["step"])
    # And it is the best that is scored in the end.
    test = split_documents([text]).test
    score, *_ = evaluate(done.path, test)
    assert done.evaluations[0].nats == pytest.approx(score.nats, rel=1e-6)


def test_without_a_validation_text_the_last_is_the_best(
    tmp_path: Path, text: str, tiny_changes: list[str]
) -> None:
    changes = [*tiny_changes, "training.symbols=1024", "data.validation=false"]
    reports: list[Report] = []
    done = train(load_recipe("language-model", changes), [text], tmp_path / "run", reports.append)
    assert (done.path / "best").read_text() == (done.path / "last").read_text()
    assert {row["validation_nats"] for row in rows_of(done.path)} == {""}
    assert reports[0].message is not None
    assert "to choose by" not in reports[0].message


# ------------------------------------------------------------------------------- when it goes wrong


def poisoned(at: int, kind: str) -> type[LanguageModel]:
    """A model whose loss, or whose gradient alone, is NaN at the given step of training."""

    class Poisoned(LanguageModel):
        calls = 0

        def forward(self, batch: Batch, state: Any = None) -> Scored:
            scored = super().forward(batch, state)
            if not self.training:
                return scored
            self.calls += 1
            if self.calls == at and kind == "loss":
                return scored._replace(total=scored.total * math.nan)
            if self.calls == at:  # the root of 0 has no slope: 0 in the loss, NaN in the gradient
                return scored._replace(
                    total=scored.total + (self.head.projection.bias * 0).sqrt().sum()
                )  # type: ignore[operator,union-attr]
            return scored

    return Poisoned


@pytest.mark.parametrize("kind", ["loss", "gradient"])
@pytest.mark.parametrize("at", [3, 4])
def test_nan_stops_the_training_and_the_last_checkpoint_is_kept(
    kind: str,
    at: int,
    tmp_path: Path,
    text: str,
    tiny_changes: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_module, "LanguageModel", poisoned(at, kind))
    changes = [*tiny_changes, "training.symbols=1280", "training.evaluations=5"]  # every 2 steps
    with pytest.raises(RunError, match=rf"nan.* at step {at} of 10;"):
        train(load_recipe("language-model", changes), [text], tmp_path / "run")
    for which in ("best", "last"):
        loaded = artifact.load(tmp_path / "run", which=which)
        assert int(loaded.path.name) == 2
        assert all(bool(value.isfinite().all()) for value in loaded.model.state_dict().values())


def test_weights_that_explode_in_the_last_step_are_not_kept(
    tmp_path: Path, text: str, tiny_changes: list[str]
) -> None:
    # The loss of the only step is finite, the weights after it are not.
    changes = [*tiny_changes, "training.symbols=1", "training.learning_rate=1e38"]
    with pytest.raises(RunError, match="no longer finite at step 1 of 1"):
        train(load_recipe("language-model", changes), [text], tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_too_little_text_leaves_no_folder(tmp_path: Path) -> None:
    recipe = load_recipe("language-model", ["training.batch_size=32"])
    with pytest.raises(DataError, match="for each of 32 rows, got 25 in all"):
        train(recipe, ["abc" * 10], tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ----------------------------------------------------------------------------------------- Ctrl-C


def test_the_first_ctrl_c_is_a_question_and_the_second_an_order() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_leaves_ctrl_c_alone() -> None:
    seen: list[object] = []

    def look() -> None:
        with interruptible() as asked:
            seen.extend([signal.getsignal(signal.SIGINT), asked()])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT), False]


def interrupting(step: int, reports: list[Report]) -> Any:
    def report(new: Report) -> None:
        reports.append(new)
        if new.progress is not None and new.progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report


def test_an_interrupted_training_leaves_a_run_that_can_be_used(
    tmp_path: Path, text: str, tiny_changes: list[str]
) -> None:
    reports: list[Report] = []
    recipe = load_recipe("language-model", [*tiny_changes, "training.evaluations=1"])
    done = train(recipe, [text], tmp_path / "run", interrupting(5, reports))
    assert dataclasses.replace(done, seconds=0) == dataclasses.replace(
        done, interrupted=True, evaluations=[], seconds=0
    )
    assert artifact.load(done.path).path.name == "000006"  # the step under way is finished
    assert reports[-1].progress is not None
    assert reports[-1].progress.step == 6
    assert not (done.path / "summary.json").exists()


def test_ctrl_c_in_the_last_step_is_too_late(
    tmp_path: Path, text: str, tiny_changes: list[str]
) -> None:
    # One evaluation, in the very step that is asked to stop: it is still made, and finished.
    changes = [*tiny_changes, "training.symbols=512", "training.evaluations=1"]
    done = train(
        load_recipe("language-model", changes), [text], tmp_path / "run", interrupting(3, [])
    )
    assert not done.interrupted
    assert len(done.evaluations) == 4
    assert rows_of(done.path)[-1]["validation_nats"] != ""


def test_a_device_that_is_not_there() -> None:
    from recurra.errors import SettingError

    documents, size = encode("abc" * 100)
    with pytest.raises(SettingError, match=r"training\.device: 'nonsense' cannot be used"):
        fit(make(size), documents, symbols=100, device="nonsense")

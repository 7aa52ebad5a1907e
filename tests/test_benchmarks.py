"""The harness of the benchmarks: turns, spreads, what is void, and what is kept."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy
import pytest
import torch
from runtime.environment import run_python

import recurra
from recurra.training import load_recipe

ROOT = Path(__file__).parent.parent


@pytest.fixture
def harness(monkeypatch, tmp_path):
    """A fresh harness whose results go elsewhere."""
    spec = importlib.util.spec_from_file_location(
        "benchmark_harness", ROOT / "benchmarks" / "harness.py"
    )
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look there
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    return module


class Clock:
    """Time that moves only when a rival takes some; rivals note that they were called."""

    def __init__(self, harness, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(harness, "perf_counter", lambda: self.now)
        monkeypatch.setattr(harness, "sgemm_rates", lambda: [100.0] * 5)

    def rival(self, name, *seconds):
        """Takes these seconds, over and over again."""

        def work():
            self.now += seconds[self.calls.count(name) % len(seconds)]
            self.calls.append(name)

        return work


@pytest.fixture
def clock(harness, monkeypatch):
    return Clock(harness, monkeypatch)


def test_rivals_run_in_turn_and_each_call_is_timed_by_itself(harness, clock):
    rivals = {"a": clock.rival("a", 1.0, 2.0), "b": clock.rival("b", 5.0)}
    seconds = harness.in_turn(rivals, 3)
    assert clock.calls == ["a", "b"] * 3
    assert seconds == {"a": [1.0, 2.0, 1.0], "b": [5.0, 5.0, 5.0]}


def test_a_steady_measurement_counts_every_run_but_the_warm_ones(harness, clock, capsys):
    done = harness.measure({"a": clock.rival("a", 1.0), "b": clock.rival("b", 4.0)}, 17)
    assert clock.calls == ["a", "b"] * (17 + 4)  # a call that does not count before every 5 rounds
    assert [len(values) for values in done.seconds.values()] == [17, 17]
    assert not done.void
    assert done.mark == ""
    assert done.attempts == 1
    assert done.median("b") == 4.0
    assert done.speed("a", "b") == (4.0, 4.0, 4.0)
    assert "VOID" not in str(done)
    assert capsys.readouterr().out == ""


def test_speed_is_taken_round_by_round(harness):
    done = harness.Measurement({"a": [1.0, 2.0, 4.0], "b": [3.0, 4.0, 4.0]}, [1.0, 1.0])
    assert done.speed("a", "b") == (1.5, 2.0, 2.5)
    assert done.speed("b", "a")[1] == 0.5


def test_spread_is_the_third_quartile_over_the_first(harness):
    assert harness.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == 2.0
    # Half of the values may be anything.
    assert harness.spread([0.1, 2.0, 2.0, 2.0, 90.0]) == 1.0


@pytest.mark.parametrize("shaky", ["ours", "rival", "sgemm"])
def test_any_spread_makes_a_measurement_void_and_it_is_repeated(
    harness, clock, monkeypatch, capsys, shaky
):
    swinging = (1.0, 1.0, 2.0, 2.0)
    rivals = {
        name: clock.rival(name, *(swinging if name == shaky else (1.0,)))
        for name in ("ours", "rival")
    }
    if shaky == "sgemm":
        monkeypatch.setattr(harness, "sgemm_rates", lambda: [50.0, 50.0, 100.0, 100.0, 75.0])
    done = harness.measure(rivals, 16)
    assert done.void
    assert done.attempts == 5
    assert done.worst_spread == 2.0
    assert clock.calls.count("ours") == 5 * (16 + 4)
    assert "VOID" in str(done)
    assert done.mark == " *(void: spread 2.00)*"
    assert done.to_json()["void"] is True
    assert capsys.readouterr().out.count("is void") == 5


def test_the_first_good_measurement_ends_the_repeating(harness, clock, monkeypatch):
    rates = iter([[50.0, 100.0] * 3] * 8 + [[100.0] * 5] * 4)  # four looks a measurement
    monkeypatch.setattr(harness, "sgemm_rates", lambda: next(rates))
    done = harness.measure({"a": clock.rival("a", 1.0)}, 15)
    assert not done.void
    assert done.attempts == 3


def test_of_void_measurements_the_steadiest_is_told(harness, clock, monkeypatch):
    tops = iter([400.0] * 4 + [300.0] * 4 + [200.0] * 4 + [500.0] * 4 + [600.0] * 4)
    monkeypatch.setattr(harness, "sgemm_rates", lambda: [100.0, next(tops)] * 3)
    done = harness.measure({"a": clock.rival("a", 1.0)}, 15)
    assert done.void
    assert done.worst_spread == 2.0


def test_few_runs_are_refused(harness, clock):
    with pytest.raises(SystemExit, match="at least 15, got 14"):
        harness.measure({"a": clock.rival("a", 1.0)}, 14)
    assert clock.calls == []


def test_products_of_matrices_are_timed(harness, monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(harness, "perf_counter", lambda: float(next(ticks)))
    assert harness.sgemm_rates(3, 10) == [2e-6] * 3  # 2 n^3 operations in a second, each


def test_the_machine_is_told_with_its_instructions_and_versions(harness):
    facts = harness._facts("model name\t: A\nflags\t\t: fpu avx2 avx512f mmx amx_bf16\n\n")
    assert facts["flags"] == "fpu avx2 avx512f mmx amx_bf16"
    told = harness.machine()
    assert all(told[name] for name in ("capability", "threads", "python", "torch", "numpy"))
    if told["capability"] in ("AVX2", "AVX512"):
        assert {"avx", "avx2"} <= set(told["flags"])
    words = harness.machine_in_words()
    for part in (f"{told['threads']} threads", told["capability"], told["numpy"], told["recurra"]):
        assert str(part) in words


MEASURED = ["src/recurra/errors.py"]


def kept(harness, name="speed"):
    return json.loads((harness.RESULTS / f"{name}.json").read_text())


def test_a_result_has_all_that_is_needed_to_get_it_again(harness, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "benchmarks" / "speed.py"), "--runs", "20"])
    for name in harness._ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    harness.keep("speed", {"question": "fast?", "figure": "3"}, MEASURED, seed=7)
    result = kept(harness)
    assert result["command"] == "OMP_NUM_THREADS=1 python benchmarks/speed.py --runs 20"
    assert result["seed"] == 7
    assert result["code"] == harness.code_hash(*MEASURED)
    assert result["machine"] == harness.machine()
    assert result["figure"] == "3"
    assert {"commit", "date", "void"} <= set(result)


def test_each_kind_of_machine_has_a_file_of_its_own(harness, monkeypatch):
    kinds = {
        "amd-avx2": ("AuthenticAMD", "AVX2", ["avx2"]),
        "amd-avx512": ("AuthenticAMD", "AVX512", ["avx512f"]),
        "intel-avx512": ("GenuineIntel", "AVX512", ["avx512f"]),
        "intel-amx": ("GenuineIntel", "AVX512", ["avx512f", "amx_tile"]),
        "aarch64-no-avx": ("aarch64", "NO AVX", []),
    }
    usual = harness.machine()
    for vendor, capability, flags in kinds.values():
        told = {"vendor": vendor, "capability": capability, "flags": flags, "cpu": vendor}
        monkeypatch.setattr(harness, "machine", lambda told=told: usual | told)
        harness.keep("speed", {"figure": capability}, MEASURED, by_kind=True)
    names = sorted(path.name for path in harness.RESULTS.iterdir())
    assert names == sorted(f"speed.{kind}.json" for kind in kinds)
    assert kept(harness, "speed.amd-avx2")["figure"] == "AVX2"


def test_a_void_result_never_replaces_a_good_one_of_the_same_code(harness, monkeypatch):
    harness.keep("speed", {"figure": "void at first"}, MEASURED, void=True)
    harness.keep("speed", {"figure": "good"}, MEASURED)
    with pytest.raises(SystemExit, match="void"):
        harness.keep("speed", {"figure": "void"}, MEASURED, void=True)
    assert kept(harness)["figure"] == "good"
    monkeypatch.setattr(harness, "code_hash", lambda *places: "newer")
    harness.keep("speed", {"figure": "void of newer code"}, MEASURED, void=True)
    assert kept(harness)["void"] is True


def test_code_that_changed_while_it_was_measured_is_not_kept(harness, monkeypatch):
    monkeypatch.setattr(harness, "_STARTED", 0.0)
    with pytest.raises(SystemExit, match=r"errors\.py was changed while"):
        harness.keep("speed", {"figure": "3"}, MEASURED)
    assert not harness.RESULTS.exists()


# ------------------------------------------------------------------------------- language models


@pytest.fixture
def trained(monkeypatch):
    """The module that trains what benchmarks ask."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name in ("harness", "trained", "language_models"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("trained")
    for name in ("harness", "trained", "language_models"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "recipes").iterdir()), ids=str)
def test_every_recipe_can_be_read_and_is_asked(trained, path):
    name = path.stem
    chooses = name == "correction"  # whose text has a part to choose by
    assert load_recipe(str(path)).data.validation is chooses
    assert trained.described(name)[0].isupper()
    assert all((ROOT / place).exists() for place in trained.measured(name))
    questions = importlib.import_module("language_models").QUESTIONS
    assert name in questions or name in ("authors", "correction")


def test_a_run_of_a_benchmark_is_trained_once_and_read_again(trained, tmp_path, monkeypatch, capfd):
    text = tmp_path / "text.txt"
    text.write_text("anna sees a dog and my owl.\n" * 100)
    (tmp_path / "tiny.toml").write_text(
        """# Tiny.
[data]
validation = false
[model]
hidden_size = 4
[training]
symbols = 200
batch_size = 2
window = 8
evaluations = 2
"""
    )
    monkeypatch.setattr(trained, "RECIPES", tmp_path)
    run = trained.trained("tiny", text, tmp_path / "run")
    assert list(trained.scores(run)) == ["lstm", "bigram", "5-gram"]
    points = trained.curve(run)
    assert [point["symbols"] for point in points] == [112, 208]
    assert all("validation_nats" not in point for point in points)
    (held,) = trained.held_out(run, text)
    assert held.text == text.read_text()[2520:]
    capfd.readouterr()
    assert trained.trained("tiny", text, run) == run  # nothing is trained again
    assert capfd.readouterr().out == ""
    with pytest.raises(SystemExit, match="another recipe"):
        trained.trained("tiny", text, run, seed=1)


def test_words_beside_the_code_are_not_measured(harness, tmp_path):
    def code(text):
        (tmp_path / "a.py").write_text(text)
        return harness.code_hash(str(tmp_path))

    before = code('"""One."""\nx = 1  # one\ndef f():\n    """Two."""\n    return "a"\n')
    assert before == code('"""Other."""\n\n\nx = 1\n\n\ndef f():\n    return "a"\n"""After."""\n')
    assert before != code('"""One."""\nx = 1  # one\ndef f():\n    """Two."""\n    return "b"\n')
    assert code('def f():\n    """Nothing."""\n') != before


def test_a_folder_is_measured_with_all_of_its_code(harness, tmp_path):
    def code(name, text):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(text)
        return harness.code_hash(str(tmp_path))

    for name in ("a.py", "a.cc", "a.h", "a.def", "a.html", "a.js", "a.toml"):
        assert code(name, "x = 1\n") != code(name, "x = 2\n")
    assert code("a.cc", "x = 1;\n") == code("a.cc", "// One.\n  x = 1;  // one\n\n")
    assert code("notes.txt", "one") == code("notes.txt", "two")
    assert harness.code_hash("runtime/native") != harness.code_hash("runtime/native/kernels")


# ------------------------------------------------------------------------------------- rivals


@pytest.fixture
def imported(monkeypatch):
    """Imports a benchmark, and what it imports, afresh."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        place = getattr(sys.modules[name], "__file__", None)
        if place is not None and ROOT / "benchmarks" in Path(place).parents:
            del sys.modules[name]


def test_rounds_that_time_themselves_are_held_to_the_same_rules(harness, clock, capsys):
    rounds = []

    def once():
        rounds.append(1)
        return {"a": 1.0, "b": 3.0}

    done = harness.measure_rounds(once, 16)
    assert len(rounds) == 16  # a fresh process needs no round that does not count
    assert done.speed("a", "b") == (3.0, 3.0, 3.0)
    values = iter([1.0, 1.0, 2.0, 2.0] * 100)
    assert harness.measure_rounds(lambda: {"a": next(values)}, 16).attempts == 5


def test_rivals_rest_in_front_of_each_call_untimed(harness, clock, monkeypatch):
    rests = []

    def sleep(seconds):
        rests.append((seconds, len(clock.calls)))
        clock.now += seconds

    monkeypatch.setattr(harness.time, "sleep", sleep)
    rivals = {"a": clock.rival("a", 1.0), "b": clock.rival("b", 5.0)}
    seconds = harness.in_turn(rivals, 2, 0.25)
    assert rests == [(0.25, calls) for calls in range(4)]
    assert seconds == {"a": [1.0, 1.0], "b": [5.0, 5.0]}


def test_findings_are_a_table_a_figure_and_a_result(imported):
    measurement = imported("harness").Measurement
    found = imported("findings").Findings()
    found.add("small", measurement({"recurra": [1.0] * 2, "x": [3.0] * 2}, [1.0] * 2), {"x": 2.0})
    assert found.figure == "small 3.0"
    assert not found.void
    seconds = {"recurra": [1.0, 2.0], "x": [3.0, 6.0], "y": [1.0, 2.0]}
    found.add("large", measurement(seconds, [1.0, 1.0]), {"x": 4.0, "y": None}, told="wide")
    assert found.figure == "small 3.0; wide 3.0 over x, 1.0 over y"
    head, *rows = found.table().splitlines()
    assert head.split()[:3] == ["case", "ours,", "ms"]
    assert ["missed" in row for row in rows] == [False, True, False]
    cases = found.to_json()["cases"]
    assert cases["large"]["speeds"]["x"] == {"median": 3.0, "p25": 3.0, "p75": 3.0, "goal": 4.0}
    assert len(found) == 2
    found.add("void", measurement({"recurra": [1.0, 9.0], "x": [1.0, 1.0]}, [1.0, 1.0]), {"x": 1})
    assert found.void


def test_rivals_that_differ_end_a_benchmark(imported):
    must_agree = imported("rivals").must_agree
    a = torch.tensor([1.0, 100.0])
    must_agree("numbers", [a], [a + 0.005])
    for other in (a + 0.02, a * torch.nan, a[:1]):
        with pytest.raises(SystemExit, match="numbers, 0"):
            must_agree("numbers", [other], [a])


def test_what_autograd_saves_is_counted_once(imported):
    processes = imported("processes")
    x, weight = torch.randn(8, 4, requires_grad=True), torch.randn(4, requires_grad=True)
    with processes.Saved([x, weight]) as saved:
        y = torch.tanh(x * weight)  # keeps x and weight, which are known, and y
        z = y * y  # keeps y, twice
        result = z.exp()
    assert saved.bytes() == y.nbytes + result.nbytes
    assert saved.bytes([result]) == y.nbytes


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("recurrent_training", ("GRU", (2, 5, 3, 4), 2)),
        ("ragged_lengths", ("LSTM", "small", True)),
        ("projected_loss", (100, 1)),
        ("own_steps", ("content and shift",)),
        ("own_steps", ("attention",)),
    ],
)
def test_rivals_of_training_agree(imported, name, given):
    rivals = imported(name).rivals_of(*given)
    assert next(iter(rivals)) == "recurra"
    found = [work() for work in rivals.values()]
    assert all(torch.is_tensor(part) for one in found for part in one)


@pytest.mark.parametrize("way", ["all kept", "eager loop"])
def test_memory_of_a_first_pass_is_measured(way):
    """In a process of its own: one that has run before has memory to spare."""
    done = run_python(str(ROOT / "benchmarks" / "long_sequences.py"), "--memory", way, "100")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rise"] > found["kept"] > 100 * 8 * 256 * 4, found


@pytest.mark.parametrize(
    ("name", "cell"), [("custom_cells", "MixingCell"), ("first_result", "NewCell")]
)
def test_cells_of_benchmarks_run_on_the_native_engine_as_on_the_loop(imported, name, cell):
    made = getattr(imported(name), cell)(3, 4)
    x = torch.randn(6, 2, 3)
    (choice,) = recurra.explain(made, x).choices
    assert choice.backend == "native"
    outputs = [recurra.Recurrent(made, backend=b)(x).outputs for b in ("native", "loop")]
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_streams_of_one_step_agree(imported, kind):
    one_step = imported("one_step")
    inputs = numpy.random.default_rng(0).standard_normal((5, 1, 8), numpy.float32)
    rivals = one_step.rivals_of(one_step.streams_of(kind, 8), inputs)
    assert {"recurra", "unfrozen", "torch.nn"} <= set(rivals)
    assert all(work() is not None for work in rivals.values())


def test_a_whole_model_agrees_with_the_plain_one(imported):
    assert set(imported("one_step").model_rivals()) == {"recurra", "torch.nn", "integer ids"}


def test_the_faster_of_two_settings_is_told(imported):
    one_step = imported("one_step")
    seconds = {"recurra": [1.0], "ONNX Runtime, 1": [3.0], "ONNX Runtime, 2": [2.0]}
    done, best = one_step.with_best(one_step.Measurement(seconds, [1.0]))
    assert (best, done.seconds["ONNX Runtime"]) == ("ONNX Runtime, 2", [2.0])
    alone = one_step.Measurement({"recurra": [1.0]}, [1.0])
    assert one_step.with_best(alone) == (alone, "")


def test_silence_is_measured_where_it_is(imported):
    silence = imported("silence")
    asked = []
    ratio, micros = silence.slowdown(lambda quiet, count: asked.append((quiet, count)), 10_000)
    assert asked[0] == (False, silence.BLOCK)
    assert [quiet for quiet, _ in asked[1:]] == [False] * 10 + [True] * 10
    assert ratio > 0 < micros
    for run in (silence.stream_of("grud"), silence.torch_stream()):
        for quiet in (False, True):
            run(quiet, 2)


def test_every_benchmark_is_told_in_the_docs():
    docs = (ROOT / "docs" / "benchmarks.md").read_text()
    for script in sorted((ROOT / "benchmarks").glob("*.py")):
        if "def main(" in script.read_text():
            assert f"| `{script.name}` |" in docs, script.name
    for script in sorted((ROOT / "benchmarks" / "claims").glob("*.py")):
        if "def main(" in script.read_text():
            assert f"| `claims/{script.name}` |" in docs, script.name


@pytest.fixture
def claims(monkeypatch):
    """Imports a script of the claims, and what it imports, afresh."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "claims")
    monkeypatch.setattr(sys, "path", [*sys.path])  # one of them adds to it
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        place = getattr(sys.modules[name], "__file__", None)
        if place is not None and ROOT / "benchmarks" in Path(place).parents:
            del sys.modules[name]


CLAIMS = {
    "memory": ["memory_adding", "memory_copy", "memory_gradient"],
    "lengths": ["lengths"],
    "feedback": ["feedback"],
    "determinism": ["determinism"],
    "windows": ["windows", "windows_gradient"],
    "clipping": ["clipping", "saturated"],
    "context_cost": ["context"],
}


@pytest.mark.parametrize("script", CLAIMS)
def test_a_claim_is_drawn_of_what_is_kept_and_told_in_the_docs(
    claims, script, monkeypatch, tmp_path
):
    page = (ROOT / "docs" / "claims.md").read_text()
    module, claim = claims(script), claims("claim")
    monkeypatch.setattr(claim, "PICTURES", tmp_path)
    monkeypatch.setattr(sys, "argv", [script, *CLAIMS[script], "--draw"])
    module.main()
    for name in CLAIMS[script]:
        kept = claim.kept(name)
        assert f"## {kept['claim'].removesuffix('.')}\n" in page
        assert kept["figure"] in page
        for row in kept["rows"]:
            assert f"| {' | '.join(row)} |" in page
        drawn = (tmp_path / f"{name}.svg").read_text()
        picture = (ROOT / "docs" / "claims" / f"{name}.svg").read_text()
        for parts in (r">([^<]+)</text>", r' d="([^"]*)"'):  # words and lines; room is a font's
            assert re.findall(parts, drawn) == re.findall(parts, picture) != []


def test_a_training_ends_when_it_is_solved_or_comes_apart(claims):
    claim = claims("claim")
    scores = iter([3.0, 0.5, 0.1])
    network = torch.nn.Linear(1, 1)
    ways = {"rate": 0.1, "steps": 10, "every": 2}
    batches = iter(lambda: torch.ones(1, 1), None)

    def loss(batch):
        return network(batch).square().sum()

    done = claim.train(
        network, batches, loss, score=lambda: next(scores), solved=lambda s: s < 1, **ways
    )
    assert (done.steps, done.score, done.solved) == (4, 0.5, True)
    assert done.curve == {2: 3.0, 4: 0.5}
    apart = claim.train(
        network, batches, loss, score=lambda: float("nan"), solved=lambda s: s < 1, **ways
    )
    assert (apart.steps, apart.solved) == (2, False)


def test_digits_of_a_sum_are_those_of_numbers(claims):
    lengths = claims("lengths")
    batch = lengths.addition(7, 5, numpy.random.default_rng(0))
    first, second = (part.argmax(-1) for part in batch.inputs.split(lengths.BASE, -1))
    tens = lengths.BASE ** torch.arange(7).unsqueeze(1)
    whole = (first * tens).sum(0) + (second * tens).sum(0)
    assert torch.equal((batch.targets * tens).sum(0), whole % lengths.BASE**7)


def test_a_chain_without_chance_comes_back_and_never_hesitates(claims):
    determinism = claims("determinism")
    chain = determinism.chain_of(None, 3)
    assert chain.entropy_rate == 0.0
    ids = chain.source(rows=1, seed=0).take(2 * determinism.SYMBOLS**2)[:, 0]
    assert torch.equal(*ids.reshape(2, -1))
    assert len({tuple(pair) for pair in zip(ids.tolist(), ids[1:].tolist(), strict=False)}) == 64


def test_the_gradient_of_windows_as_long_as_the_row_is_the_whole(claims):
    windows = claims("windows")
    network = windows.Network(windows.CELLS["GRU"](2, 8), 2)
    batch = windows.recalled(30, 4, numpy.random.default_rng(0))
    whole = windows.gradient(network, batch, 30)
    assert torch.equal(whole, windows.gradient(network, batch, 300))
    assert not torch.allclose(whole, windows.gradient(network, batch, 5))


def test_a_plain_step_looks_at_all_that_is_kept(claims):
    cost = claims("context_cost")
    model, symbol = cost.Plain(8, 2, 6), torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        before = model(symbol, 3).clone()
        model.kept[:, :, :, :, 4:] = 7.0  # of what comes later
        assert torch.equal(model(symbol, 3), before)
        model.kept[0, 1, :, :, 0] += 1.0
        assert not torch.allclose(model(symbol, 3), before)


@pytest.mark.parametrize(
    ("script", "result"), [("word_back", "word_back"), ("stories", "stories_distance")]
)
def test_the_picture_that_is_kept_is_drawn_of_the_numbers_that_are(imported, script, result):
    kept = json.loads((ROOT / "benchmarks" / "results" / f"{result}.json").read_text())
    found = {
        name: {float(d): share for d, share in shares.items()}
        for name, shares in kept["accuracy"].items()
    }
    drawn = imported(script).chart(found, kept["chance"]).svg()
    picture = (ROOT / "benchmarks" / "results" / f"{result}.svg").read_text()
    for parts in (r">([^<]+)</text>", r' d="([^"]*)"'):  # words and lines; room is a font's
        assert re.findall(parts, drawn) == re.findall(parts, picture) != []


@pytest.fixture
def mistakes(imported, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "claims")
    return imported("mistakes")


def test_wrong_cells_run_natively_and_are_wrong(mistakes):
    x = torch.randn(6, 2, 3)
    for name, kind in mistakes.CELLS.items():
        made = kind(3, 4)
        torch.nn.init.normal_(made.bias)
        real = recurra.LSTMCell(3, 4) if name.startswith("LSTM") else recurra.GRUCell(3, 4)
        real.load_state_dict(made.state_dict())
        assert recurra.explain(made, x, backend="native").choices[0].backend == "native"
        native, loop = (recurra.Recurrent(made, backend=b)(x).outputs for b in ("native", "loop"))
        torch.testing.assert_close(native, loop)
        same = torch.allclose(native, recurra.Recurrent(real)(x).outputs, atol=1e-5)
        assert same == (name in mistakes.REAL), name


def test_wrong_cells_of_the_page_are_those_that_were_measured(mistakes):
    code = re.findall(
        r"^class \w+\(recurra\.\w+\):\n(?:(?:    .*)?\n)+", mistakes.PAGE.read_text(), re.M
    )
    assert len(code) == 4
    page = {"recurra": recurra, "torch": torch}
    exec("\n".join(code), page)
    x = torch.randn(6, 2, 3)
    for name in ("SigmoidOutput", "LinearCandidate", "WithoutUpdate", "Exchanged"):
        told, measured = page[name](3, 4), getattr(mistakes, name)(3, 4)
        measured.load_state_dict(told.state_dict())
        torch.testing.assert_close(
            *(recurra.Recurrent(cell)(x).outputs for cell in (told, measured))
        )


def test_the_page_of_mistakes_shows_what_is_kept(mistakes):
    page = mistakes.PAGE.read_text()
    shown = page.partition(mistakes.BEGIN)[2].partition(mistakes.END)[0]
    assert shown.strip() == mistakes.measured()
    assert shown.count("\n|") == 2 + len(mistakes.CELLS)
    picture = mistakes.PAGE.with_name("mistakes.svg").read_text()
    drawn = mistakes.draw().svg()
    for parts in (r">([^<]+)</text>", r'aria-label="([^"]*)"'):  # words and numbers
        assert re.findall(parts, drawn) == re.findall(parts, picture) != []


def test_what_the_page_of_mistakes_says_of_them_was_measured(mistakes):
    for task in mistakes.TASKS:
        found = {cell: each["test"] for cell, each in mistakes.kept(task)["cells"].items()}
        real, other = found["GRU"], found["GRU, z and 1 - z exchanged"]
        assert min(other) <= max(real), task
        assert min(real) <= max(other), task
        assert min(found["GRU, no update gate"]) > max(real), task
        for wrong in ("LSTM, sigmoid of the cell", "LSTM, gates read c"):
            assert sum(found[wrong]) > sum(found["LSTM"]), (task, wrong)
        if task != "copy":
            linear = found["LSTM, linear candidate"]
            assert min(linear) <= max(found["LSTM"]), task


def test_distances_fall_into_buckets_that_leave_none_out(imported):
    stories = imported("stories")
    found = stories.in_buckets({n: float(n) for n in range(stories.LONG)})
    assert found == {(low + high) / 2: (low + high) / 2 for low, high in stories.BUCKETS}
    covered = [n for low, high in stories.BUCKETS for n in range(low, high + 1)]
    assert covered == list(range(stories.LONG))


def test_decoding_rivals_say_the_same(imported, monkeypatch, tmp_path):
    speed = imported("decoding_speed")
    for name, value in {"WIDTH": 8, "LENGTH": 12, "ROWS": 3}.items():
        monkeypatch.setattr(speed, name, value)
    ours, clothed, plain = speed.models()
    made = speed.cases(ours, clothed, plain)  # ends where they differ
    assert all(set(rivals) == {"recurra", "torch.nn"} for rivals in made.values())
    for rivals in made.values():
        for work in rivals.values():
            assert work()

"""What is loaded when: by name, not by time. Each case is a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPORT = "\nimport json, sys\nprint('MODULES' + json.dumps(sorted(sys.modules)))"


@cache
def loaded_by(code: str, *args: str) -> frozenset[str]:
    """The names of all modules that are loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", code + REPORT, *args], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout.rpartition("MODULES")[2]))


def among(modules: frozenset[str], *packages: str) -> set[str]:
    """Those modules that are one of these packages or stand inside one."""
    return {m for m in modules if any(m == p or m.startswith(p + ".") for p in packages)}


HELP = """
import sys
from recurra.cli import main
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
"""


def test_the_library_itself_costs_next_to_nothing() -> None:
    modules = loaded_by("import recurra; recurra.__version__")
    assert "recurra" in modules
    heavy = ("torch", "numpy", "pydantic", "typer", "rich", "safetensors")
    assert not among(modules, *heavy)
    assert among(modules, "recurra") == {"recurra"}


def test_errors_need_no_torch() -> None:
    modules = loaded_by("import recurra; recurra.ShapeError; recurra.errors.nearest")
    assert not among(modules, "torch", "numpy", "pydantic", "typer", "rich")


def test_help_needs_no_torch() -> None:
    modules = loaded_by(HELP, "--help")
    assert "typer" in modules  # it was the real thing
    assert not among(modules, "torch", "numpy", "pydantic", "safetensors", "recurra_runtime")


@pytest.mark.parametrize("command", ["train", "generate"])
def test_help_of_a_command_needs_no_torch(command: str) -> None:
    modules = loaded_by(HELP, command, "--help")
    assert "typer" in modules
    # Typer itself looks for pydantic where a command has options.
    assert not among(modules, "torch", "numpy", "safetensors", "recurra_runtime")
    own = {"recurra", "recurra.cli", "recurra.console", "recurra.errors", "recurra.families"}
    own |= {"recurra.given", "recurra.options", "recurra.text_commands"}
    own |= {"recurra.compare_command", "recurra.surprise_commands"}
    own |= {"recurra.chart_command", "recurra.describe_command"}
    own |= {"recurra.inspect_command", "recurra.predict_command"}
    assert among(modules, "recurra") == own


def test_the_runtime_needs_no_torch() -> None:
    everything = (
        "import recurra_runtime, recurra_runtime.vocabulary, recurra_runtime.fronts, numpy\n"
        "recurra_runtime.sigmoid(numpy.zeros(3, numpy.float32))\n"
        "recurra_runtime.vocabulary.CharacterVocabulary('ab').encode('ab')"
    )
    modules = loaded_by(everything)
    assert "recurra_runtime.vocabulary" in modules
    assert not among(modules, "torch", "recurra", "pydantic", "typer", "rich", "safetensors")
    assert not among(modules, "PIL", "kaldi_native_fbank", "soundfile", "pyarrow")


def test_a_cell_needs_torch_and_no_more() -> None:
    modules = loaded_by("import recurra; recurra.LSTMCell")
    plain = loaded_by("import torch")
    assert "recurra.cells.lstm" in modules
    assert not among(modules, "typer", "rich", "hypothesis", "pydantic", "safetensors")
    # Compilers come only where torch itself brings them along.
    compilers = ("torch._dynamo", "torch._inductor", "torch.fx", "torch.export", "sympy", "triton")
    assert among(modules, *compilers) <= among(plain, *compilers)
    others = {name for name in modules - plain if name.startswith("torch")}
    assert len(others) < 30, others


def test_a_first_call_loads_no_compiler() -> None:
    """Recording a step and checking its gradient take milliseconds by what they leave out."""
    code = """
import torch, recurra
class Own(recurra.GRUCell):
    def step(self, x, state, context=None, noise=None):
        y, state = super().step(x, state)
        return y * torch.sigmoid(y), state
recurra.run(Own(3, 4), torch.randn(5, 2, 3, requires_grad=True)).outputs.sum().backward()
"""
    compilers = ("torch._dynamo", "torch._inductor", "torch.fx", "sympy")
    assert not among(loaded_by(code) - loaded_by("import torch"), *compilers)


REVIEWS = "text,label\n" + "".join(f"good film {n},yes\nbad film {n},no\n" for n in range(30))
SALES = "ds,y\n" + "".join(f"20{n // 12:02}-{n % 12 + 1:02}-01,{n % 7}\n" for n in range(120))
TAGS = "\t_" * 6 + "\n"
TREES = "".join(f"1\tdog{n}\t_\tNOUN{TAGS}2\tran{n}\t_\tVERB{TAGS}\n" for n in range(40))


@pytest.mark.parametrize(
    ("name", "data", "commands"),
    [
        (
            "reviews.csv",
            REVIEWS,
            [
                "train classification --data reviews.csv --out run --set training.epochs=1",
                "evaluate run --data reviews.csv",
                "predict run reviews.csv",
                "describe run --card",
                "inspect run --data reviews.csv --out page.html",
            ],
        ),
        (
            "book.txt",
            "to be or not to be. " * 300,
            [
                "train language-model --data book.txt --out run --set training.epochs=1",
                "generate run --limit 5",
                "score run --file book.txt",
                "complete run --prompt to",
            ],
        ),
        (
            "sales.csv",
            SALES,
            [
                "train forecasting --data sales.csv --out run --set data.horizon=2"
                " --set training.epochs=1",
                "predict run",
            ],
        ),
        (
            "train.conllu",
            TREES,
            ["train tagging --data train.conllu --out run --set training.epochs=1"],
        ),
    ],
    ids=["classification", "language-model", "forecasting", "tagging"],
)
def test_no_command_loads_a_compiler(
    name: str, data: str, commands: list[str], tmp_path: Path
) -> None:
    """That of torch takes seconds, longer than many a command."""
    (tmp_path / name).write_text(data)
    code = """
import os, shlex, sys
from recurra.cli import main
os.chdir(sys.argv[1])
for command in sys.argv[2:]:
    sys.argv[1:] = shlex.split(command)
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
"""
    modules = loaded_by(code, str(tmp_path), *commands)
    assert "torch" in modules
    assert not among(modules, "torch._dynamo", "torch._inductor", "sympy")


def test_layers_need_no_settings() -> None:
    """Recipes check theirs with pydantic; who only wants a layer does not wait for it."""
    modules = loaded_by("import recurra; recurra.LSTM, recurra.Stack, recurra.layers")
    assert not among(modules, "pydantic", "recurra.sections", "recurra.tasks")


def test_rooms_are_loaded_one_by_one() -> None:
    modules = loaded_by("import recurra; recurra.cells")
    assert not among(modules, "recurra.models", "recurra.training", "recurra.artifact")
    modules = loaded_by("import recurra; recurra.describe")
    assert not among(modules, "recurra.models", "recurra.training", "recurra.artifact")


@pytest.mark.parametrize(
    "tool",
    [
        "hypothesis",
        "pytest",
        "mypy",
        "ruff",
        "matplotlib",
        "pandas",
        "sklearn",
        "vl_convert",
        "soundfile",
    ],
)
def test_nothing_of_the_workshop_is_loaded_by_the_whole(tool: str) -> None:
    everything = "import recurra\nfor name in dir(recurra): getattr(recurra, name)"
    modules = loaded_by(everything)
    assert "recurra.pipeline" in modules
    assert not among(modules, tool)
    assert not among(modules, "typer", "rich")


def test_pictures_need_no_torch_and_what_draws_only_to_draw() -> None:
    code = "from recurra.diagnosis import confusion\nconfusion([[1]], ['a'])"
    modules = loaded_by(code)
    assert "recurra.diagnosis.charts.curves" in modules
    assert not among(modules, "torch", "numpy", "vl_convert")
    assert among(loaded_by(code + ".svg()"), "vl_convert")

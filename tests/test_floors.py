"""Who may import whom: files import from lower floors or their own room, without circles."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "recurra"

# Lowest first; rooms on one floor do not see each other. The small rooms at the bottom build on
# each other, so each has a floor of its own.
FLOORS = [
    ["synonyms", "families"],
    ["errors"],
    ["columns", "files", "masks", "twins"],
    ["settings", "labels", "sections", "given", "surprises"],
    ["states"],
    ["lengths"],
    ["sequences"],
    ["batch"],
    ["cells", "description", "decoding", "data"],
    ["engine"],
    ["layers", "losses"],
    ["encoders", "heads"],
    ["models"],
    ["tasks.base"],
    ["artifact", "diagnosis"],
    ["training", "pipeline"],
    ["tasks", "streaming", "interop", "inspection"],
    ["progress"],
    ["comparison"],
    ["doors"],
    ["estimators"],
    ["console", "options"],
    ["text_commands", "compare_command", "surprise_commands", "worker"],
    ["chart_command", "describe_command", "inspect_command", "predict_command"],
    ["cli"],
    ["__init__"],
    ["__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Of rooms that may be seen in part only: the module that may.
ONLY = {("engine", "cells"): {"recurra.cells.base"}}
HIDDEN = {
    ("models", "data"),
    ("encoders", "data"),
    ("heads", "data"),
    ("layers", "data"),
    ("engine", "data"),
}


def room_of(module):
    parts = module.split(".")
    # Families stand above these.
    if parts[1:3] in (["tasks", "base"], ["tasks", "answers"], ["tasks", "contracts"]):
        return "tasks.base"
    return parts[1] if len(parts) > 1 else "__init__"


def imports(path, source=None):
    """The modules of recurra that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(source or path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "recurra")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "recurra":
            assert node.level == 0
            if node.module == "recurra":
                yield from (f"recurra.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"


def module_of(path):
    parts = ["recurra", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def offences(module, imported):
    room, found = room_of(module), []
    for other in imported:
        target = room_of(other)
        if target == room:
            continue
        if FLOOR[target] >= FLOOR[room]:
            found.append(f"{module} (floor {FLOOR[room]}) imports {other} (floor {FLOOR[target]})")
        if other not in ONLY.get((room, target), {other}) or (room, target) in HIDDEN:
            found.append(f"{module} must not see {other}")
    return found


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down(path):
    assert not offences(module_of(path), imports(path))


# Torch's undocumented parts, the graph, then the stages in order, what calls them, what keeps what
# they made, ways to run a call, and the doors.
STAGES = ["graph", "record", "lower", "plan", "assemble", "machine"]
ENGINE = ["torch_internals", *STAGES, "pipeline", "call", "prepare", "kept", "backends"]
ENGINE += ["opened", "changes", "keys", "probe", "run", "explain", "freeze", "projected_loss"]


def later_parts(part, imported):
    """What a part of the engine must not see of what it imports."""
    found = [other.removeprefix("recurra.engine.").split(".")[0] for other in imported]
    return set(found) & set(ENGINE[ENGINE.index(part) + 1 :])


@pytest.mark.parametrize("part", ENGINE)
def test_parts_of_the_engine_see_no_later_one(part):
    home = SOURCE / "engine" / part
    for path in home.rglob("*.py") if home.is_dir() else [home.with_suffix(".py")]:
        assert not later_parts(part, imports(path)), path


def test_every_part_of_the_engine_has_its_place():
    parts = {path.stem for path in (SOURCE / "engine").iterdir() if path.stem[0] != "_"}
    assert parts == set(ENGINE)


def test_the_pipeline_calls_every_stage():
    seen = "\n".join(imports(SOURCE / "engine" / "pipeline.py"))
    # The machine assembles.
    assert all(f"engine.{stage}." in seen for stage in STAGES if stage != "assemble")


@pytest.mark.parametrize("part", ["graph", "machine", "pipeline"])
def test_a_part_that_sees_a_later_one_is_found(part):
    assert later_parts(part, imports(Path("x.py"), "from recurra.engine.kept import recorded"))


def test_every_room_has_a_floor():
    rooms = {room_of(module_of(path)) for path in FILES}
    assert rooms <= set(FLOOR)
    assert {"cells", "engine", "layers", "models", "training", "cli"} <= rooms


def test_no_circles_between_files():
    graph = {}
    for path in FILES:
        if path.name != "__init__.py":
            graph[module_of(path)] = set(imports(path))
    done = set()

    def visit(module, trail):
        assert module not in trail, f"circle: {' -> '.join([*trail, module])}"
        if module in done or module not in graph:
            return
        for other in graph[module]:
            visit(other, [*trail, module])
        done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("recurra.cells.lstm", "from recurra.layers import Recurrent"),
        ("recurra.cells.lstm", "import recurra.losses"),
        ("recurra.engine.run", "from recurra.cells.lstm import LSTMCell"),
        ("recurra.engine.run", "from recurra.cells import LSTMCell"),
        ("recurra.models.base", "def f():\n    from recurra.data import stream"),
        ("recurra.training.loop", "from recurra import cli"),
    ],
)
def test_an_offence_is_seen(module, source):
    assert offences(module, imports(Path("x.py"), source))


def test_the_runtime_knows_neither_torch_nor_recurra():
    for path in (SOURCE.parent.parent / "runtime" / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] not in ("torch", "recurra"), f"{path} imports {name}"


def test_only_one_file_calls_what_torch_does_not_document():
    """torch.lstm and its like, and anything of torch that starts with an underscore."""
    homes = {
        "lstm": "torch_kernels.py",
        "gru": "torch_kernels.py",
        "rnn_tanh": "torch_kernels.py",
        "rnn_relu": "torch_kernels.py",
    }
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch."):
                private = "._" in str(node.module)
                assert not private or path.name == "torch_internals.py", f"{path}: {node.module}"
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            home = "torch_internals.py" if node.attr.startswith("_") else homes.get(node.attr)
            if node.value.id == "torch" and home:
                assert path.name == home, f"{path} uses torch.{node.attr}"

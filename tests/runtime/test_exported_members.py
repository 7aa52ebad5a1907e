"""What the package exports: complete, sorted, documented, typed."""

import inspect
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import recurra_runtime
from recurra_runtime import (
    activations,
    backend,
    fallback,
    fronts,
    instructions,
    missing,
    vocabulary,
)

FRONTS = [
    import_module(f"recurra_runtime.fronts.{module.name}")
    for module in pkgutil.iter_modules(fronts.__path__)
]
KINDS = [
    import_module(f"recurra_runtime.vocabulary.{module.name}")
    for module in pkgutil.iter_modules(vocabulary.__path__)
]
MODULES = [activations, backend, fallback, instructions, missing, *KINDS, *FRONTS]
# What the files of the vocabularies share, and nobody else uses.
SHARED = {"byte_writer", "checked", "listed", "several"}


def test_all_is_sorted_and_complete() -> None:
    names = [
        name
        for name, value in vars(recurra_runtime).items()
        if not name.startswith("_") and (callable(value) or value is instructions)
    ]
    assert sorted(names) == recurra_runtime.__all__ == sorted(recurra_runtime.__all__)


def test_every_public_function_is_documented() -> None:
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                assert value.__doc__, f"{module.__name__}.{name}"


def test_submodules_export_what_they_define() -> None:
    for module in MODULES:
        assert defined(module) <= set(module.__all__)


def test_vocabularies_export_what_their_files_offer() -> None:
    offered = {name: getattr(module, name) for module in KINDS for name in module.__all__}
    assert set(vocabulary.__all__) == set(offered) - SHARED
    for module in (vocabulary, *KINDS):
        assert module.__all__ == sorted(module.__all__)
    for name in vocabulary.__all__:
        assert getattr(vocabulary, name) is offered[name]


def test_fronts_export_what_makes_one() -> None:
    offered = {name: getattr(module, name) for module in FRONTS for name in module.__all__}
    # What a front of sounds gives and takes, and what a forecaster knows of time and scales.
    beside = {
        "BadStamp",
        "Framed",
        "SoundStream",
        "Frequency",
        "Scale",
        "ScaleKind",
        "Scales",
        "Stamps",
        "Transform",
        "local",
        "stamps",
        "universal",
        "zoned",
    }
    kinds_of = {name for name in offered if hasattr(offered[name], "kind")}
    assert set(fronts.__all__) == kinds_of | beside
    assert fronts.__all__ == sorted(fronts.__all__)
    assert all(getattr(fronts, name) is offered[name] for name in fronts.__all__)
    kinds = {getattr(fronts, name).kind for name in kinds_of}
    assert kinds <= set(vocabulary.front_names())


def defined(module: ModuleType) -> set[str]:
    """The public functions and classes that a module defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


def test_types_and_instruction_table_are_installed() -> None:
    folder = Path(recurra_runtime.__file__).parent
    assert (folder / "py.typed").exists()
    assert (folder / "_native.pyi").exists()
    assert (folder / "ops.def").exists()

"""What is public: complete, sorted, documented, and said once."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pkgutil
import re
import tomllib
from collections import defaultdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import recurra
import recurra_runtime

REPOSITORY = Path(__file__).parents[1]
ROOMS = recurra._ROOMS
TOP = [room for room in ROOMS if room not in recurra._INSIDE]


def room(name: str) -> ModuleType:
    return import_module(f"recurra.{name}")


def modules() -> list[str]:
    """All modules of the package, by name."""
    return [m.name for m in pkgutil.walk_packages(recurra.__path__, "recurra.")]


def defined(module: ModuleType) -> set[str]:
    """The public functions and classes that a module defines itself."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def test_every_room_is_known() -> None:
    tops = {name.split(".")[1] for name in modules()}
    assert set(ROOMS) <= tops
    # The others are helpers of all rooms, and what runs the library rather than is in it.
    helpers = {
        "columns",
        "families",
        "files",
        "given",
        "inspection",
        "masks",
        "sections",
        "settings",
        "surprises",
        "synonyms",
        "twins",
    }
    lines = {"__main__", "cli", "console", "options", "progress", "text_commands"}
    lines |= {"compare_command", "surprise_commands", "worker"}
    lines |= {"chart_command", "inspect_command", "predict_command"}
    lines |= {"chart_command", "describe_command", "predict_command"}
    assert tops - set(ROOMS) <= helpers | lines


@pytest.mark.parametrize("name", modules())
def test_all_is_sorted_and_true(name: str) -> None:
    module = import_module(name)
    names = module.__all__
    # Constants, classes, functions, as the linter sorts them.
    order = sorted(set(names), key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert names in (sorted(set(names)), order)
    assert all(hasattr(module, public) for public in names)
    assert not any(public.startswith("_") for public in names)


@pytest.mark.parametrize("name", modules())
def test_what_is_told_does_not_change(name: str) -> None:
    module = import_module(name)
    for kind in (getattr(module, public) for public in defined(module)):
        if dataclasses.is_dataclass(kind):
            assert kind.__dataclass_params__.frozen, kind


@pytest.mark.parametrize("name", modules())
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert import_module(name).__doc__


# What a room keeps to itself, though its own files share it.
INTERNAL = {
    "cells": {
        "candidate",
        "cells_of",
        "check_norm",
        "checks_call",
        "gate",
        "in_a_run",
        "named_activation",
        "normalize",
        "refusal",
    },
    "comparison": {
        "Bars",
        "Board",
        "Crew",
        "Lines",
        "PairedRow",
        "Study",
        "Trial",
        "Variant",
        "bootstrap",
        "charts",
        "check_variant",
        "checked_space",
        "clear",
        "compare_pairs",
        "compared",
        "cores",
        "default_jobs",
        "flat",
        "modules_for",
        "modules_of",
        "packed",
        "page",
        "parts_of",
        "read_study",
        "result_of",
        "shared_settings",
        "short_names",
        "shown",
        "state_of",
        "told",
        "two_sided",
        "variants_of",
        "within_noise",
    },
    "data": {
        "BrokenRow",
        "How",
        "check_columns",
        "check_once",
        "no_column",
        "no_file",
        "chosen",
        "imported",
        "inside",
        "is_marked",
        "is_packed",
        "is_parted",
        "is_sprinkled",
        "rows_of",
        "told_by",
    },
    "description": {"evaluate"},
    "decoding": {"Prefixes", "Scorer"},
    "diagnosis": {
        "InputLeaf",
        "Ran",
        "Subject",
        "called",
        "check_call",
        "check_choice",
        "check_dtype",
        "check_finite",
        "check_module",
        "check_not_nan",
        "check_optional",
        "check_seed",
        "check_subject",
        "check_tree",
        "each_input",
        "encoded",
        "input_of",
        "inputs_of",
        "is_state",
        "last_steps",
        "later_steps",
        "leaves_of",
        "other_feature",
        "other_step",
        "rows_of",
        "steps_of",
        "subject_of",
        "valid_steps",
        "values_of",
        "without_cells",
    },
    "layers": {
        "Ends",
        "Looked",
        "LayerSettings",  # of recurra.tasks: layers alone need no pydantic
        "Past",
        "Reader",
        "Rows",
        "build_layers",
        "changed_setting",
        "check_direction",
        "check_dropout",
        "check_dtype",
        "check_projection",
        "check_reads_on",
        "dropout",
        "ordered",
        "packed_data",
        "unpacked",
        "warn_of_dropout",
        "word_dropout",
        "past_of",
    },
    "labels": {
        "Collected",
        "collecting",
        "of_rows",
        "of_thread",
    },
    "models": {
        "Frame",
        "KnownAhead",
        "PatchesAhead",
        "RowsRead",
        "best_weight",
        "best_weights",
        "check_targets",
        "document_scores",
        "drawn",
        "frame_of",
        "last_of",
        "mean_of",
        "next_of",
        "ngram_name",
        "picked",
        "read_arpa",
        "rolled",
        "spread_of",
        "surroundings",
        "whole_patches",
        "widened",
        "write_arpa",
        "packed_texts",
        "unpacked_texts",
    },
    "pipeline": {
        "Bounded",
        "BytePairs",
        "Characters",
        "Freezer",
        "Pieces",
        "Spelling",
        "WordRule",
        "Words",
        "chosen_model",
        "fit_mixture",
        "fit_ngrams",
        "has_mixture",
        "line_blocks",
        "prefix_log_prob",
        "prefix_masks",
        "read_beside",
        "read_mixture",
        "read_ngrams",
        "read_rivals",
        "spelling_of",
        "text_model_of",
        "write_beside",
        "write_mixture",
        "write_ngrams",
        "write_rivals",
    },
    "encoders": {
        "InputsEncoder",
        "beside_channels",
        "last_known",
        "lines_of_any_width",
        "map_steps",
        "one_picture",
        "pooled",
        "together",
        "values_of",
    },
    "estimators": {"Estimator"},
    "heads": {"LabelingHead", "between_means", "log_frequencies", "losses_of", "whole_rows"},
    "states": {"rebuild"},
    "tasks": {
        "FrequentText",
        "Front",
        "Incoming",
        "InputSection",
        "Pair",
        "ReadingTask",
        "RivalsTask",
        "Sums",
        "TextSection",
        "arrays_of",
        "changed_examples",
        "check_fit",
        "check_fronts",
        "check_restored",
        "check_vocabulary",
        "cut",
        "encode_inputs",
        "fit_inputs",
        "front_told",
        "grayed_of",
        "grouped",
        "heard",
        "is_text",
        "joined_row",
        "joined_words",
        "kind_of_front",
        "named_input",
        "names_of",
        "of_all_lengths",
        "opened_inputs",
        "pairs_of",
        "ratio",
        "raw_input",
        "raw_of",
        "read_fronts",
        "read_pairs",
        "reads_of",
        "rows_of",
        "said_part",
        "seen_rows",
        "steps_of",
        "symbols_of",
        "task_origin",
        "told_at",
        "unknown_of",
        "unread_data",
        "value_of_line",
        "vocabulary_of",
        "vocabulary_settings",
    },
    "training": {
        "DistilSettings",
        "Keeper",
        "Lesson",
        "Losses",
        "Others",
        "Processes",
        "Ready",
        "Stepped",
        "as_toml",
        "begin_with",
        "changed",
        "check_device",
        "check_settled",
        "checked",
        "interruptible",
        "load_teachers",
        "longer",
        "make_at_once",
        "name_of",
        "opened",
        "optimizer_of",
        "passes_of",
        "precision",
        "predictions_of",
        "rate_at",
        "rehearse",
        "recipe_of",
        "run_recipe",
        "source_of",
        "steps_of",
        "surprises_of",
        "teachers_again",
        "tensorboard_writer",
        "told_of",
        "train_step",
        "try_settings",
        "unread",
        "value_of",
        "verdict",
        "where_it_began",
        "with_settled",
        "without_effect",
        "Monitored",
        "Monitors",
        "Watched",
        "parts_of",
    },
}


def files(name: str) -> list[ModuleType]:
    """The modules of a room: its one file, or those of its folder."""
    public = room(name)
    if not hasattr(public, "__path__"):
        return [public]
    found = pkgutil.iter_modules(public.__path__, f"recurra.{name}.")
    return [import_module(module.name) for module in found]


@pytest.mark.parametrize("name", [name for name in ROOMS if name != "engine"])
def test_a_room_exports_all_that_is_defined_in_it(name: str) -> None:
    # The engine is a machine room: three of its files have something to offer.
    everything = set().union(*map(defined, files(name)))
    assert everything
    assert everything - set(room(name).__all__) == INTERNAL.get(name, set())


@pytest.mark.parametrize("name", ROOMS)
def test_what_a_room_exports_is_what_its_files_offer(name: str) -> None:
    offered = {n: getattr(file, n) for file in files(name) for n in file.__all__}
    for exported in room(name).__all__:
        value = getattr(room(name), exported)
        if exported in offered:
            assert value is offered[exported]
        else:
            homes = map(import_module, ("recurra_runtime.vocabulary", "recurra.layers.settings"))
            assert any(value is getattr(home, exported, None) for home in homes), exported


# Doors of the package that are named as what is behind them; a part of a model, and one of data.
SHARED = {
    "Part": ["description", "tasks"],
    "compare_pair": ["doors", "comparison"],
    "evaluate": ["doors", "training"],
    "load": ["doors", "artifact"],
    "register_task": ["tasks", "doors"],
    "resume": ["doors", "training"],
    "side_by_side": ["doors", "comparison"],
    "train": ["doors", "training"],
}


def test_a_public_name_comes_from_one_room() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for name in ROOMS:
        for public in room(name).__all__:
            homes[public].append(name)
    assert {public: where for public, where in homes.items() if len(where) > 1} == SHARED
    assert not set(homes) & set(ROOMS)  # recurra.cells is the room, and nothing else


def test_dir_lists_all_that_can_be_had() -> None:
    names = dir(recurra)
    assert names == sorted(set(names))
    expected = {public for name in TOP for public in room(name).__all__}
    assert set(names) == expected | set(ROOMS) | {"__version__"}
    assert all(getattr(recurra, name) is not None for name in names)


def test_names_are_the_objects_of_their_rooms() -> None:
    for name in TOP:
        for public in room(name).__all__:
            assert getattr(recurra, public) is getattr(room(name), public)


def test_names_of_inner_rooms_stay_there() -> None:
    for name in recurra._INSIDE:
        for public in set(room(name).__all__) - set(SHARED):
            with pytest.raises(AttributeError, match=f"no attribute '{public}'"):
                getattr(recurra, public)


@pytest.mark.parametrize("name", ["LTSMCell", "_private", "__wrapped__", "cli_", ""])
def test_what_is_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(recurra, name)


@pytest.mark.parametrize(
    ("name", "meant"), [("LSTMCel", "LSTMCell"), ("bidirectional", "Bidirectional")]
)
def test_a_wrong_name_is_told_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; did you mean '{meant}'"):
        getattr(recurra, name)


def test_type_checkers_see_the_same_rooms() -> None:
    tree = ast.parse(Path(recurra.__file__).read_text(encoding="utf-8"))
    starred = [
        node.module.removeprefix("recurra.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.names[0].name == "*"
    ]
    assert sorted(starred) == sorted(TOP)


def members() -> dict[str, Any]:
    """Every public class and function of every room; others explain themselves where they stand."""
    everything = {
        f"{name}.{n}": getattr(room(name), n) for name in ROOMS for n in room(name).__all__
    }
    return {
        name: value
        for name, value in everything.items()
        if inspect.isclass(value) or inspect.isfunction(value)
    }


@pytest.mark.parametrize("name", members())
def test_every_public_member_is_documented(name: str) -> None:
    value = members()[name]
    assert value.__doc__, name
    assert not value.__doc__.startswith(f"{value.__name__}("), name  # what Python writes itself
    for key, member in vars(value).items() if inspect.isclass(value) else ():
        if not key.startswith("_") and written_here(member, value.__module__):
            assert inspect.getdoc(getattr(value, key)), f"{name}.{key}"


def written_here(member: Any, module: str) -> bool:
    """Is it a method or a property, and one that was not made by a decorator of the class?"""
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    return inspect.isfunction(function) and function.__module__ == module


def test_versions_are_one() -> None:
    projects = [
        tomllib.loads((REPOSITORY / folder / "pyproject.toml").read_text("utf-8"))["project"]
        for folder in (".", "runtime")
    ]
    assert {project["version"] for project in projects} == {recurra.__version__}
    assert version("recurra") == version("recurra-runtime") == recurra.__version__
    assert f"recurra-runtime=={recurra.__version__}" in projects[0]["dependencies"]


def test_the_newest_heading_of_the_changelog_is_this_version() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## (.*)$", text, re.MULTILINE)
    assert heading
    date = r"( - \d{4}-\d{2}-\d{2}| \(unreleased\))?"
    assert re.fullmatch(re.escape(recurra.__version__) + date, heading[1])


def test_types_are_shipped() -> None:
    for package in (recurra, recurra_runtime):
        assert (Path(str(package.__file__)).parent / "py.typed").exists()

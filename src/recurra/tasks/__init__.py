"""Families of problems, one file or folder each; ``base`` says what a task is."""

from recurra.layers.settings import LayerSettings, build_layers
from recurra.tasks.base import (
    Answer,
    DataSection,
    Metric,
    Part,
    Prepared,
    Row,
    Table,
    Task,
    register_task,
    task_by_name,
    task_names,
)
from recurra.tasks.division import divide_examples, given_sources
from recurra.tasks.examples import Examples, ExamplesPart, ExamplesTask, Score
from recurra.tasks.rows import collate_rows

__all__ = [
    "Answer",
    "DataSection",
    "Examples",
    "ExamplesPart",
    "ExamplesTask",
    "LayerSettings",
    "Metric",
    "Part",
    "Prepared",
    "Row",
    "Score",
    "Table",
    "Task",
    "build_layers",
    "collate_rows",
    "divide_examples",
    "given_sources",
    "register_task",
    "task_by_name",
    "task_names",
]

"""Runs side by side: variants of a recipe with several seeds, a search, and two runs in pairs."""

from recurra.comparison.beside import Cost, SideBySide, side_by_side
from recurra.comparison.conduct import compare_variants, read_comparison
from recurra.comparison.pairs import Paired, compare_pair
from recurra.comparison.results import Comparison, RunResult, VariantRow
from recurra.comparison.runner import Job, Outcome, ProcessRunner, Runner, Told
from recurra.comparison.search import search_settings
from recurra.comparison.searched import Searched, read_search
from recurra.comparison.space import Space, default_space, parsed_space
from recurra.comparison.variants import parsed_vary

__all__ = [
    "Comparison",
    "Cost",
    "Job",
    "Outcome",
    "Paired",
    "ProcessRunner",
    "RunResult",
    "Runner",
    "Searched",
    "SideBySide",
    "Space",
    "Told",
    "VariantRow",
    "compare_pair",
    "compare_variants",
    "default_space",
    "parsed_space",
    "parsed_vary",
    "read_comparison",
    "read_search",
    "search_settings",
    "side_by_side",
]

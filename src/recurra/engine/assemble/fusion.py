"""Which values need no instruction or no memory of their own: decided before any is dealt out."""

from __future__ import annotations

from collections.abc import Collection

from recurra.engine.graph.values import SHARED, STEP, SUMS, VIEWS, Value
from recurra.engine.plan.phases import PHASES, Sections

__all__ = ["Fusion"]


class Fusion:
    """What is computed together, and in which memory.

    Args:
        sections: values by phase.
        results: those that are written to an argument.
        carried: those among them that the next step reads.
    """

    sums: dict[Value, tuple[Value, Value]]
    """Sums that a product or a multiplication makes: ``sum -> (the other, its rest)``."""
    skipped: set[Value]
    """Those others: they are computed where their sum is."""
    inside: dict[Value, tuple[Value, int]]
    """Values computed inside of what puts them side by side: ``part -> (whole, start)``."""

    def __init__(
        self, sections: Sections, results: Collection[Value], carried: Collection[Value]
    ) -> None:
        self.results, self.carried = results, carried
        self.phase = sections.phase_of()
        self.order = {v: i for phase in PHASES for i, v in enumerate(sections[phase])}
        self.users: dict[Value, list[Value]] = {}
        for value in sections.values():
            for read in value.inputs:
                self.users.setdefault(read, []).append(value)
        self.sums, self.skipped = {}, set()
        for value in sections.values():
            self._fuse(value)
        self.inside = {}
        for value in sections.values():
            self._place_inside(value)

    def uses(self, value: Value) -> set[tuple[str, int]]:
        """Phases, and indices in them, at which a value is read, through views too."""
        found: set[tuple[str, int]] = set()
        for user in self.users.get(value, ()):
            phase = "sums" if user.op in SUMS and value.span == STEP else self.phase[user]
            last = user
            while last in self.skipped:
                last = self.users[last][0]
            found.add((phase, self.order[last]))
            if user.op in VIEWS:
                found |= self.uses(user)
        if value in self.inside:
            whole = self.inside[value][0]
            found |= self.uses(whole)
            found.add((self.phase[whole], self.order[whole]))
        if value in self.carried:
            found.add(("through", 1 << 30))  # to the end of the step
        return found

    def _fuse(self, value: Value) -> None:
        """Find what makes a sum, if its result is read by nothing else."""
        if value.op != "add":
            return
        # The second first: what comes earlier is likelier to be computed before time.
        for index in (1, 0):
            inner, rest = value.inputs[index], value.inputs[1 - index]
            alone = self.users.get(inner) == [value] and inner not in self.results
            fresh = inner is not rest and inner not in self.skipped and inner not in self.sums
            alike = inner.shape == value.shape and inner.span == value.span
            if (
                alone
                and fresh
                and alike
                and self.phase.get(inner) == self.phase[value]
                and (inner.op == "mul" or (inner.op == "linear" and _starts(rest, value)))
            ):
                self.sums[value] = (inner, rest)
                self.skipped.add(inner)
                return

    def _place_inside(self, whole: Value) -> None:
        """Find the parts that can be computed where they stand side by side."""
        if whole.op != "concat" or whole.span == SHARED:
            return
        # What the next step reads is written step by step, so by parts of its own phase alone.
        early = whole.span == STEP and whole not in self.carried
        start = 0
        for part in whole.inputs:
            if (
                part in self.phase
                and part.op not in (*VIEWS, "constant", "pad", "concat")
                and part not in self.inside
                and part not in self.results
                and part.span == whole.span
                and whole.inputs.count(part) == 1
                and self._moment(part) <= self._moment(whole)
                and (early or self.phase[part] == self.phase[whole])
            ):
                self.inside[part] = (whole, start)
            start += part.shape[whole.settings[0]]

    def _moment(self, value: Value) -> tuple[int, int]:
        """When it is computed."""
        return PHASES.index(self.phase[value]), self.order[value]


def _starts(rest: Value, value: Value) -> bool:
    """Can a product of the shape of ``value`` start from ``rest``?

    Of several leading axes none may be broadcast, for a product steps through them as one.
    """
    if rest.shape[-1:] != value.shape[-1:]:
        return False
    return rest.shape == value.shape or len(value.shape) <= 1

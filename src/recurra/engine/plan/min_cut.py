"""Which values to keep for the gradient: a minimum cut between what there is and what is needed.

A value that the gradient reads is kept, or computed again from what is kept. Products are never
computed again. Among all ways the one that keeps the fewest numbers is chosen, and of several such
ways the one that computes least again.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection

from recurra.engine.graph.values import SHARED, STEP, Value

__all__ = ["cut"]

_ENDLESS = 1 << 60


def cut(
    computed: Collection[Value], uses: Collection[Value], free: Collection[Value]
) -> set[Value]:
    """The values to keep.

    Args:
        computed: all that the step computes.
        uses: what of it the gradient reads.
        free: what costs nothing to keep, because it is there anyway.

    Returns:
        values from which all that is used can be computed; free ones may be among them.
    """
    flow = _Flow()
    there = set(free)
    seen: set[Value] = set()
    todo = list(uses)
    for value in uses:
        if value.span == SHARED:
            continue
        flow.edge((value, 1), "end", _ENDLESS)
    while todo:
        value = todo.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.span == SHARED:  # computed again: once a call, not once a row
            continue
        if value in there:
            flow.edge("start", (value, 0), _ENDLESS)
            flow.edge((value, 0), (value, 1), 0)
            continue
        flow.edge((value, 0), (value, 1), _cost(value))
        if _is_product(value) or value not in computed:
            flow.edge("start", (value, 0), _ENDLESS)
            continue
        for read in value.inputs:
            if read.span != SHARED:
                flow.edge((read, 1), (value, 0), _ENDLESS)
                todo.append(read)
    return {value for value in flow.cut(seen) if value in computed or value in there}


def _is_product(value: Value) -> bool:
    """Is each number a sum of many products? What is only spread out is none."""
    return value.op == "linear" or (value.op == "matmul" and value.inputs[0].shape[-1] > 1)


def _cost(value: Value) -> int:
    """Numbers to keep; those that each row has once hardly count."""
    return 1024 * value.size if value.span == STEP else value.size


class _Flow:
    """Edmonds and Karp's maximum flow, on a hundred places or so.

    A value is two places, ``(value, 0)`` and ``(value, 1)``; the edge between them is as wide as it
    costs to keep it.
    """

    def __init__(self) -> None:
        self.room: dict[object, dict[object, int]] = {}

    def edge(self, a: object, b: object, room: int) -> None:
        """Room from one place to another."""
        ahead = self.room.setdefault(a, {})
        ahead[b] = max(ahead.get(b, 0), room)
        self.room.setdefault(b, {}).setdefault(a, 0)

    def _path(self) -> list[object] | None:
        """The shortest way with room from the start to the end."""
        before: dict[object, object] = {"start": "start"}
        todo: deque[object] = deque(["start"])
        while todo:
            place = todo.popleft()
            for other, room in self.room.get(place, {}).items():
                if room > 0 and other not in before:
                    before[other] = place
                    if other == "end":
                        path: list[object] = [other]
                        while path[-1] != "start":
                            path.append(before[path[-1]])
                        return path[::-1]
                    todo.append(other)
        return None

    def cut(self, values: Collection[Value]) -> set[Value]:
        """Values whose edge is cut, as near to the end as can be."""
        while (path := self._path()) is not None:
            steps = list(itertools.pairwise(path))
            room = min(self.room[a][b] for a, b in steps)
            for a, b in steps:
                self.room[a][b] -= room
                self.room[b][a] += room
        # What reaches the end in what is left.
        reach: set[object] = {"end"}
        todo: deque[object] = deque(["end"])
        while todo:
            place = todo.popleft()
            for other in self.room.get(place, {}):
                if other not in reach and self.room[other].get(place, 0) > 0:
                    reach.add(other)
                    todo.append(other)
        return {value for value in values if (value, 1) in reach and (value, 0) not in reach}

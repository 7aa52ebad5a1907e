"""Changes numbers of programs at random and runs what the verifier lets through.

As a module: ``python -m native.fuzz FILE COUNT [SEED] [exact]``, where FILE is what
``native.programs`` wrote; with ``exact``, for a sanitizer, memory ends where an argument does.
Prints one JSON object; the number of the last change stands on stderr, if the process dies of it.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from native.calls import ARGUMENTS, SIZE, Call, Memory, Plain, dealt, load

from recurra_runtime.backend import core

# None between what is refused at once and what takes no time: a loop of a billion turns does end.
EXTREMES = (
    -1,
    -2,
    -(1 << 31),
    -(1 << 63),
    1 << 30,
    1 << 31,
    1 << 32,
    1 << 40,
    1 << 62,
    (1 << 63) - 1,
)
MOST = 1 << 20  # numbers of memory, and turns of a loop, that are tried


def copied(tree: Any) -> Any:
    return [copied(part) for part in tree] if isinstance(tree, list) else tree


def change(draw: random.Random, parts: list[Any]) -> None:
    """Change one thing about a program."""
    sections = [section for section in parts[1] if section]
    kind = draw.random()
    if kind < 0.08:
        section = draw.choice(sections)
        section.insert(draw.randrange(len(section) + 1), copied(draw.choice(draw.choice(sections))))
    elif kind < 0.12:
        draw.choice(sections).pop()
    elif kind < 0.16:
        parts[1][draw.randrange(len(parts[1]))].append(copied(draw.choice(draw.choice(sections))))
    elif kind < 0.18:
        parts[ARGUMENTS] = number(draw, parts[ARGUMENTS], [parts[ARGUMENTS]])
    elif kind < 0.22:
        parts[7][at] = number(draw, parts[7][at := draw.randrange(7)], parts[7])
    else:
        tables = [parts[0], *sections, *sections, *sections, parts[2], parts[3], parts[4]]
        table = draw.choice([table for table in tables if table])
        row = draw.choice(table)
        at = draw.randrange(len(row))
        row[at] = number(draw, row[at], [other[at] for other in table])


def number(draw: random.Random, old: int, others: list[int]) -> int:
    """Another number: a near one, one of others, a small or an extreme one."""
    kind = draw.random()
    if kind < 0.35:
        return old + draw.choice((-8, -3, -2, -1, 1, 2, 3, 8, 16))
    if kind < 0.6:
        return draw.choice(others)
    if kind < 0.85:
        return draw.randrange(70)
    return draw.choice(EXTREMES)


def drawn_call(draw: random.Random) -> Call:
    time, batch, threads = draw.randint(1, 9), draw.randint(1, 5), draw.choice((1, 1, 2, 3))
    lengths = order = None
    if draw.random() < 0.5:
        lengths = dealt([draw.randint(0, time) for _ in range(batch)], threads)
        order = tuple(draw.sample(range(batch), batch))
    return Call(
        time,
        batch,
        lengths,
        order,
        draw.random() < 0.5,
        threads,
        draw.randint(1, 9),
        draw.randint(1, 4),
    )


def attempt(draw: random.Random, program: Plain, *, exact: bool) -> str:
    """What comes of one changed program: refused, stopped, large, ran."""
    parts = copied(program.parts)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        change(draw, parts)
    native: Any = core()
    try:
        made = native.Program.make(*parts)
    except (TypeError, ValueError):  # the first for what no int holds
        return "refused"
    sizes = [row[SIZE] for row in parts[0][: parts[ARGUMENTS]]]
    if sum(sizes) > MOST or max(parts[7]) > MOST:
        return "large"
    memory = Memory(
        program,
        parts,
        drawn_call(draw),
        draw.randrange(1 << 30),
        doubles=draw.random() < 0.3,
        guard=0 if exact else 24,
        ring=draw.random() < 0.3,
    )
    try:
        memory.run(made)
    except (IndexError, ValueError):  # the first for what is no row of a table
        return "stopped"
    return "ran"


def main(path: str, count: str, seed: str = "0", mode: str = "") -> None:
    programs = load(Path(path))
    found: dict[str, int] = {}
    for turn in range(int(count)):
        print(seed, turn, file=sys.stderr, flush=True)
        draw = random.Random(f"{seed} {turn}")
        result = attempt(draw, draw.choice(programs), exact=mode == "exact")
        found[result] = found.get(result, 0) + 1
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

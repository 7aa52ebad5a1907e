"""What is wrong with a recurrent model, in words: conditions, sentences, and what to try.

A condition is one row of :data:`CONDITIONS`: what must have been measured for it to be said. Cases
in which each must and must not be said are in ``benchmarks/verdicts.py``, with its error rates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from recurra.diagnosis.examination.evidence import Evidence
from recurra.diagnosis.examination.flow import Flow
from recurra.diagnosis.examination.gates import saturated
from recurra.diagnosis.examination.horizon import Ignored

__all__ = ["CONDITIONS", "LEFT", "Condition", "Verdict", "verdicts"]

LEFT = 1e-3
"""Of a gradient: what is less is lost among what comes from near steps."""
_GROWN = 100.0  # of a gradient: what is more comes apart
_SOME = 0.25  # of the units: dead
_EARLY = 0.5  # of the steps: a layer is told whose gradient is lost before, if others keep theirs


class Verdict(NamedTuple):
    """One thing that was found.

    Args:
        name: of the condition.
        sentence: with numbers.
        advice: what to try; empty if nothing is wrong.
    """

    name: str
    sentence: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}" + (f" {self.advice}" if self.advice else "")


class Condition(NamedTuple):
    """What may be said.

    Args:
        name: as verdicts are called.
        said: the sentence, with numbers; empty where it does not hold.
        advice: what to try then.
    """

    name: str
    said: Callable[[Evidence], str]
    advice: str = ""


# ---- conditions ----------------------------------------------------------------------------------


def _exploding(seen: Evidence) -> str:
    if not seen.flow.finite:
        return "the loss or a gradient is infinite or no number."
    most = {place: _most(seen.flow.of(place)) for place in seen.flow.norms}
    place = max(most, key=lambda each: most[each], default="")
    if most.get(place, 0.0) < _GROWN:
        return ""
    flow = seen.flow.of(place)
    where = f"{place}: " if len(most) > 1 else ""
    return (
        f"{where}the gradient grows by {flow.factor:.2f} with every step back, to "
        f"{most[place]:.2g} times what it is at first within {flow.furthest:,} steps."
    )


def _most(flow: Flow) -> float:
    return max((float(share) for share in flow.kept if share == share), default=0.0)


def _lost(seen: Evidence) -> bool:
    return not _exploding(seen) and _all_lost(seen.flow)


def _all_lost(flow: Flow) -> bool:
    left = flow.kept[flow.furthest :][:1]
    return bool(len(left)) and bool(left[0] < LEFT)


def _within_reach(seen: Evidence) -> bool:
    return _reads(seen, seen.flow.within(LEFT))


def _reads(seen: Evidence, steps: int) -> bool:
    """Is it known that no more steps are needed?"""
    asked = seen.needs
    return asked is not None and asked.steps is not None and asked.steps <= steps


def _vanishing(seen: Evidence) -> str:
    if not _lost(seen) or _within_reach(seen):
        return ""
    return f"{_left(seen.flow)}: what lies further back cannot be learned from."


def _left(flow: Flow) -> str:
    far = flow.furthest
    return (
        f"of the gradient {flow.kept[far]:.1g} is left {far:,} steps back (about {flow.factor:.3f} "
        f"a step), and less than a thousandth beyond {flow.within(LEFT):,} steps"
    )


def _vanishing_in_a_layer(seen: Evidence) -> str:
    """Of several the one whose gradient is lost first."""
    if _exploding(seen) or _lost(seen):
        return ""
    every = {place: seen.flow.of(place) for place in seen.flow.norms}
    flows = {place: flow for place, flow in every.items() if _most(flow) > 0}
    reach = {place: flow.within(LEFT) for place, flow in flows.items() if _all_lost(flow)}
    first = min(reach, key=lambda place: reach[place], default="")
    if not reach or reach[first] > _EARLY * seen.flow.furthest or _reads(seen, reach[first]):
        return ""
    return f"{first}: {_left(flows[first])}, where other layers keep more."


def _vanishing_of_an_input(seen: Evidence) -> str:
    """Of several the one whose gradient is lost first, where others keep theirs."""
    if _exploding(seen) or _lost(seen):
        return ""
    flows = {
        name: each.flow
        for name, each in seen.by_input.items()
        if each.flow is not None and _most(each.flow) > 0
    }
    lost = {name: flow.within(LEFT) for name, flow in flows.items() if _all_lost(flow)}
    first = min(lost, key=lambda name: lost[name], default="")
    if len(lost) == len(flows) or not lost or lost[first] > _EARLY * flows[first].furthest:
        return ""
    asked = seen.by_input[first].needs
    if asked is not None and asked.steps is not None and asked.steps <= lost[first]:
        return ""
    return f"{first}: {_left(flows[first])}, where other inputs keep more."


def _healthy_for_task(seen: Evidence) -> str:
    if not _lost(seen) or not _within_reach(seen):
        return ""
    assert seen.needs is not None
    steps = seen.needs.steps
    return (
        f"the gradient is lost beyond {seen.flow.within(LEFT):,} steps, but reading "
        f"{steps:,} step{'s are' if steps != 1 else ' is'} enough for what it has learned (loss "
        f"{seen.needs.loss:.3f} of {seen.loss:.3f}), which lies within reach. Whether there is "
        "more to learn, rivals tell."
    )


def _healthy(seen: Evidence) -> str:
    if _exploding(seen) or _lost(seen) or not len(seen.flow.kept):
        return ""
    kept, far = seen.flow.kept, seen.flow.furthest
    if not far:
        return "there is 1 step alone, so that no gradient goes back."
    rate = f"{seen.flow.factor:.3f} a step"
    return f"of the gradient {kept[far]:.2g} is left {far:,} steps back ({rate})."


def _no_signal(seen: Evidence) -> str:
    if seen.learned is not False or _exploding(seen) or _vanishing(seen):
        return ""  # where no gradient arrives, nothing can be said of signals
    return (
        f"a loss of {seen.loss:.3f} on this data, where knowing nothing costs "
        f"{seen.reference:.3f}: what was learned says nothing about it."
    )


def _unreached(seen: Evidence) -> str:
    if _exploding(seen):
        return ""
    told = []
    for frozen, what in ((False, "no gradient reaches"), (True, "frozen (requires_grad=False):")):
        some = [each for each in seen.unreached if each.frozen == frozen]
        places = ", ".join(f"{each.place} ({each.parameters:,} parameters)" for each in some)
        told += [f"{what} {places}"] if some else []
    return f"{'; '.join(told)}." if told else ""


def _input_ignored(seen: Evidence) -> str:
    if _is_whole(seen.ignored):
        return "no change of any input changes an output."
    told = []
    for name, each in seen.by_input.items():
        told += [name] if _is_whole(each.ignored) else _ignored(each.ignored, name)
    if not seen.by_input:
        told = _ignored(seen.ignored, "the input")
    return f"{' and '.join(told)} changes no output at any step." if told else ""


def _is_whole(found: Ignored) -> bool:
    return bool(found.looked) and len(found.steps) == found.looked


def _ignored(found: Ignored, name: str) -> list[str]:
    told = [f"{name} at {_listed('step', found.steps)}"] if found.steps else []
    return told + ([f"{_listed('feature', found.features)} of {name}"] if found.features else [])


def _listed(what: str, numbers: Sequence[int]) -> str:
    some = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    return f"{what} {some}" if len(numbers) == 1 else f"{what}s {some}"


def _saturated(seen: Evidence) -> str:
    row = saturated(seen.gates.rows)
    if row is None:
        return ""
    return f"{row.at_ends}, where their slope is nearly 0."


def _dead(seen: Evidence) -> str:
    for row in seen.gates.rows:
        if row.kind == "state" and row.units and len(row.still) > _SOME * row.units:
            return (
                f"{len(row.still)} of {row.units} units of {row.key} have the same value at every "
                "step of every row."
            )
    return ""


CONDITIONS = (
    Condition(
        "exploding",
        _exploding,
        "Try a recurrent start of radius 1 (recurrent_init orthogonal or identity), a gated cell, "
        "or training.clip at about the usual norm of the gradient.",
    ),
    Condition(
        "vanishing",
        _vanishing,
        "Try a gated cell (LSTM with forget_bias at about the logarithm of the steps, GRU), an "
        "identity start with ReLU (cell irnn), or an orthogonal start; where a text is read in "
        "windows, also a longer training.window.",
    ),
    Condition(
        "vanishing in a layer",
        _vanishing_in_a_layer,
        "What lies further back reaches the answer through the other layers alone. Let this layer "
        "have the cell or the start of those, or leave it away.",
    ),
    Condition(
        "vanishing of an input",
        _vanishing_of_an_input,
        "What lies further back in it cannot be learned from. Let what reads it have a gated cell, "
        "or the layer of the inputs that keep more.",
    ),
    Condition(
        "unreached",
        _unreached,
        "Look for a detach or a torch.no_grad on the way, for an output that nobody uses, and for "
        "a requires_grad=False that was not meant.",
    ),
    Condition(
        "no signal",
        _no_signal,
        "Look whether labels belong to their inputs; if they do, train for longer, or at another "
        "training.learning_rate.",
    ),
    Condition(
        "input ignored",
        _input_ignored,
        "Look for a mask, a slice or a scaling that drops it before the first layer.",
    ),
    Condition(
        "saturated",
        _saturated,
        "Scale the inputs to about 1, start with smaller weights, or train at a smaller "
        "training.learning_rate: saturated units hardly recover.",
    ),
    Condition(
        "dead",
        _dead,
        "Start their biases at 0 or a little above, use a smaller training.learning_rate, or "
        "another activation than ReLU.",
    ),
    Condition("healthy for this task", _healthy_for_task),
    Condition("healthy", _healthy),
)
"""All that may be said, the worst first."""


def verdicts(seen: Evidence) -> list[Verdict]:
    """All that is to be said, the worst first; what is healthy where nothing else is."""
    found = ((each, each.said(seen)) for each in CONDITIONS)
    said = [Verdict(each.name, sentence, each.advice) for each, sentence in found if sentence]
    return [each for each in said if each.advice] or said

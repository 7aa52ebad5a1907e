"""Whatever a step reads may change: the numbers are then those of the step, or it is refused."""

from __future__ import annotations

import builtins
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import recurra
import recurra_runtime
from recurra.engine import explain
from recurra.engine.kept import _KEPT

pytestmark = pytest.mark.skipif(
    not recurra_runtime.native_available(), reason="there is no native module"
)

X = torch.linspace(-2, 2, 24).view(4, 2, 3)
CONFIG = """
    rate = 1.0
    table = {"rate": 1.0}
    def scaled(h): return h * rate
    def twice(function): return function
"""
CELL = """
    import ctypes, dataclasses, functools, operator, os, random, sys, time, types, weakref
    from collections import UserDict
    from contextvars import ContextVar
    import numpy as np
    import torch
    import recurra
    import its_config as config
    {setup}
    class Own(recurra.Cell):
        def __init__(self):
            super().__init__(3, 3)
            self.start()
        def initial_state(self, batch):
            return recurra.HiddenState(self.zeros(batch))
        def step(self, x, state, context=None, noise=None):
            h = torch.tanh(x + 0.5 * state.h)
            k = self.factor(h)
            return h * k, recurra.HiddenState(h * k)
    {members}
    cell = Own()
"""


class Case(NamedTuple):
    """A step that multiplies by something that it finds.

    Args:
        factor: what it multiplies by.
        change: what changes it.
        setup: what comes before the class.
        start: what the cell is given.
        members: what the class has beside.
    """

    factor: str
    change: str
    setup: str = ""
    start: str = "pass"
    members: str = ""


# A step that tells equal values by their types.
TOLD = "{{int: 1.0, bool: 3.0, float: 5.0}}[type({})]"
HELD = {
    "a variable of another module": Case("config.rate", "config.rate = 3.0"),
    "a flag of the cell that becomes True": Case(
        TOLD.format("self.flag"), "cell.flag = True", start="self.flag = 1"
    ),
    "a whole number that becomes a float": Case(
        TOLD.format("self.flag"), "cell.flag = 2.0", start="self.flag = 2"
    ),
    "a float that becomes whole": Case(
        TOLD.format("self.flag"), "cell.flag = 1", start="self.flag = 1.0"
    ),
    "a whole number of thousands of digits": Case(
        "float(self.flag & 1)", "cell.flag += 1", start="self.flag = 1 << 20_000"
    ),
    "a type in a module": Case(TOLD.format("config.rate"), "config.rate = 1", "config.rate = True"),
    "a type in a class": Case(TOLD.format("Own.flag"), "Own.flag = True", members="flag = 1"),
    "a type in a list": Case(
        TOLD.format("self.flags[0]"), "cell.flags[0] = True", start="self.flags = [1]"
    ),
    "a type in a tuple": Case(
        TOLD.format("self.flags[0]"), "cell.flags = (1.0,)", start="self.flags = (1,)"
    ),
    "the type of a key": Case(
        TOLD.format("next(iter(self.flags))"), "cell.flags = {True: 0}", start="self.flags = {1: 0}"
    ),
    "the type in a set": Case(
        TOLD.format("next(iter(self.flags))"), "cell.flags = {1.0}", start="self.flags = {1}"
    ),
    "the type of a default": Case(
        TOLD.format("f()"), "f.__defaults__ = (True,)", "def f(given=1): return given"
    ),
    "a module under another name": Case("(lambda m: m.rate)(config)", "config.rate = 3.0"),
    "a module in a module": Case("config.sub.rate", "config.sub.rate = 3.0"),
    "a list in a module": Case("config.table['rate']", "config.table['rate'] = 3.0"),
    "a module's attribute by getattr": Case("getattr(config, 'rate')", "config.rate = 3.0"),
    "by a name that is computed": Case(
        "getattr(config, ''.join(['ra', 'te']))", "config.rate = 3.0"
    ),
    "by attrgetter": Case("operator.attrgetter('rate')(config)", "config.rate = 3.0"),
    "globals": Case("globals()['RA' + str('TE')]", "RATE = 3.0", "RATE = 1.0"),
    "a function of a module": Case("config.scaled(1.0)", "config.rate = 3.0"),
    "another function in a module": Case(
        "config.scaled(1.0)", "config.scaled = lambda h: h * 4", "config.scaled = abs"
    ),
    "code in place": Case("f()", "f.__code__ = (lambda: 3.0).__code__", "def f(): return 1.0"),
    "a module that the step imports": Case(
        "__import__ and self.inner()",
        "config.rate = 3.0",
        members="def inner(self):\n    from its_config import rate\n    return rate",
    ),
    "a module's __getattr__": Case(
        "config.lazy",
        "config.value = 3.0",
        "exec('value = 1.0\\ndef __getattr__(name): return value', vars(config))",
    ),
    "a default argument in place": Case(
        "f()", "f.__defaults__[0].append(2.0)", "def f(given=[1.0]): return sum(given)"
    ),
    "other defaults": Case("f()", "f.__defaults__ = (3.0,)", "def f(given=1.0): return given"),
    "a default by name": Case(
        "f()", "f.__kwdefaults__['given'] = 3.0", "def f(*, given=1.0): return given"
    ),
    "the step's own default": Case(
        "self.inner()",
        "Own.inner.__defaults__[0]['rate'] = 3.0",
        members="def inner(self, given={'rate': 1.0}): return given['rate']",
    ),
    "an attribute of a function": Case(
        "f()", "f.rate = 3.0", "def f(): return f.rate\nf.rate = 1.0"
    ),
    "a closure": Case(
        "f()",
        "put(3.0)",
        "def make():\n    rate = 1.0\n    def get(): return rate\n"
        "    def put(value):\n        nonlocal rate\n        rate = value\n"
        "    return get, put\nf, put = make()",
    ),
    "a list in a closure": Case(
        "f()", "held[0] = 3.0", "held = [1.0]\nf = (lambda held: lambda: held[0])(held)"
    ),
    "an attribute of a class": Case(
        "Settings.rate", "Settings.rate = 3.0", "class Settings: rate = 1.0"
    ),
    "a class that the cell holds": Case(
        "self.config.rate",
        "Settings.rate = 3.0",
        "class Settings: rate = 1.0",
        "self.config = Settings",
    ),
    "a base of it": Case(
        "self.config.rate",
        "Base.rate = 3.0",
        "class Base: rate = 1.0\nclass Settings(Base): pass",
        "self.config = Settings",
    ),
    "a class of an object": Case(
        "self.config.rate",
        "Settings.rate = 3.0",
        "class Settings: rate = 1.0",
        "self.config = Settings()",
    ),
    "a module that the cell holds": Case(
        "self.config.rate", "config.rate = 3.0", start="self.config = config"
    ),
    "a function that the cell holds": Case(
        "self.f()", "RATE = 3.0", "RATE = 1.0\ndef f(): return RATE", "self.f = f"
    ),
    "a property of an object": Case(
        "self.config.rate",
        "RATE = 3.0",
        "RATE = 1.0\nclass Settings:\n    @property\n    def rate(self): return RATE",
        "self.config = Settings()",
    ),
    "a class method": Case(
        "Settings.scaled()",
        "Settings.rate = 3.0",
        "class Settings:\n    rate = 1.0\n    @classmethod\n    def scaled(cls): return cls.rate",
    ),
    "a part's method": Case(
        "self.parts_of[0](h)",
        "RATE = 3.0",
        "RATE = 1.0\nclass Part(torch.nn.Module):\n    def forward(self, h): return RATE",
        "self.parts_of = [Part()]",
    ),
    "a partial": Case(
        "self.f()",
        "self.f.keywords['given'] = 3.0",
        "def f(given): return given",
        "self.f = functools.partial(f, given=1.0)",
    ),
    "a list in a partial": Case(
        "self.f()", "held[0] = 3.0", "held = [1.0]", "self.f = functools.partial(max, held)"
    ),
    "a method of another object": Case(
        "self.f()",
        "self.f.__self__.rate = 3.0",
        "class Settings:\n    rate = 1.0\n    def get(self): return self.rate",
        "self.f = Settings().get",
    ),
    "a method of a dict": Case(
        "self.f('rate')", "held['rate'] = 3.0", "held = {'rate': 1.0}", "self.f = held.get"
    ),
    "a dataclass": Case(
        "config.given.deeper.rate",
        "config.given.deeper.rate = 3.0",
        "@dataclasses.dataclass\nclass Inner: rate: float = 1.0\n"
        "@dataclasses.dataclass\nclass Outer: deeper: Inner\nconfig.given = Outer(Inner())",
    ),
    "a private slot": Case(
        "self.config.get()",
        "self.config._Settings__rate = 3.0",
        "class Settings:\n    __slots__ = ('__rate',)\n    def __init__(self): self.__rate = 1.0\n"
        "    def get(self): return self.__rate",
        "self.config = Settings()",
    ),
    "an attribute of a dict": Case(
        "self.config.rate",
        "self.config.rate = 3.0",
        "class Settings(dict): rate = 1.0",
        "self.config = Settings()",
    ),
    "an attribute of a class's class": Case(
        "Settings.rate",
        "Meta.rate = 3.0",
        "class Meta(type): rate = 1.0\nclass Settings(metaclass=Meta): pass",
    ),
    "a class's class": Case(
        "Settings.rate",
        "Settings.__class__ = Other",
        "class Meta(type): rate = 1.0\nclass Other(type): rate = 3.0\n"
        "class Settings(metaclass=Meta): pass",
    ),
    "other bases": Case(
        "Settings().rate",
        "Settings.__bases__ = (Other,)",
        "class Base: rate = 1.0\nclass Other: rate = 3.0\nclass Settings(Base): pass",
    ),
    "a variable of other bases": Case(
        "Settings().rate",
        "Settings.__bases__ = (Other,); numbers(cell); Other.rate = 3.0",
        "class Base: rate = 1.0\nclass Other: rate = 2.0\nclass Settings(Base): pass",
    ),
    "deep lists": Case("DEEP[0][0][0]['a']", "DEEP[0][0][0]['a'] = 3.0", "DEEP = [[[{'a': 1.0}]]]"),
    "a dict behind a view": Case(
        "self.config['rate']",
        "held['rate'] = 3.0",
        "held = {'rate': 1.0}",
        "self.config = types.MappingProxyType(held)",
    ),
    "a user's dict": Case(
        "self.config['rate']",
        "self.config['rate'] = 3.0",
        start="self.config = UserDict(rate=1.0)",
    ),
    "a named tuple's method": Case(
        "Pair(1.0).scaled()",
        "RATE = 3.0",
        "RATE = 1.0\nimport typing\nclass Pair(typing.NamedTuple):\n    h: float\n"
        "    def scaled(self): return self.h * RATE",
    ),
    "a weak reference": Case(
        "self.ref().rate",
        "kept.rate = 3.0",
        "class Settings: rate = 1.0\nkept = Settings()",
        "self.ref = weakref.ref(kept)",
    ),
    "a context variable": Case("V.get()", "V.set(3.0)", "V = ContextVar('V')\nV.set(1.0)"),
    "an array of a module": Case(
        "float(config.array[0])", "config.array[0] = 3.0", "config.array = np.ones(2)"
    ),
    "a number of C": Case("C.value", "C.value = 3.0", "C = ctypes.c_double(1.0)"),
    "a tensor of a module": Case(
        "config.gain", "config.gain = torch.tensor(3.0)", "config.gain = torch.tensor(1.0)"
    ),
    "a tensor in place": Case(
        "config.gain", "config.gain.fill_(3.0)", "config.gain = torch.tensor(1.0)"
    ),
    "an attribute of a tensor": Case(
        "self.gain.rate",
        "self.gain.rate = 3.0",
        start="self.gain = torch.ones(1); self.gain.rate = 1.0",
    ),
    "what the command line said": Case(
        "float(sys.argv[1])", "sys.argv[1] = '3'", "sys.argv = ['x', '1']"
    ),
    "a name that Python had": Case("float(2)", "float = lambda value: 5.0"),
    "Python's own function": Case(
        "abs(-1.0)", "import builtins\nold = builtins.abs\nbuiltins.abs = lambda v: 3.0"
    ),
    "a wrapped function": Case(
        "f()",
        "RATE = 3.0",
        "RATE = 1.0\n@torch.no_grad()\ndef f(): return RATE",
    ),
    "a sign of zero": Case(
        "(2.0 + np.copysign(1.0, self.zero))", "self.zero = -0.0", start="self.zero = 0.0"
    ),
    "a default type": Case(
        "float(torch.ones(1).dtype is torch.float64) + 1",
        "torch.set_default_dtype(torch.float64)",
    ),
    "a global that was not there": Case("(LATE if 'LATE' in globals() else 1.0)", "LATE = 3.0"),
}


REFUSED = {
    "the environment": (
        Case("float(os.environ.get('ITS_RATE', '1'))", "os.environ['ITS_RATE'] = '3'"),
        "os.",
    ),
    "getenv": (Case("float(os.getenv('ITS_RATE', '1'))", "os.environ['ITS_RATE'] = '3'"), "os."),
    "a clock": (Case("(1.0 if time.time() else 0.0)", ""), "time.time"),
    "a counter": (Case("(1.0 if time.perf_counter() else 0.0)", ""), "time.perf_counter"),
    "random numbers": (Case("0 * random.random() + 1", ""), "random"),
    "a generator of its own": (
        Case("0 * self.draw.random() + 1", "", start="self.draw = random.Random(0)"),
        "random",
    ),
    "NumPy's random numbers": (Case("0 * float(np.random.rand()) + 1", ""), "random"),
    "numbers through a function of NumPy": (
        Case(
            "float(np.linalg.norm(self.gain))",
            "self.gain.fill_(3.0)",
            start="self.gain = torch.ones(1)",
        ),
        "numbers in a tensor",
    ),
    "a generator of NumPy": (
        Case("0 * float(self.draw.random()) + 1", "", start="self.draw = np.random.default_rng(0)"),
        "draw",
    ),
    **{
        f"the modules by {asked}": (
            Case(asked, "config.rate = 3.0"),
            "the step reads modules, of sys",
        )
        for asked in (
            "vars(sys.modules['its_config'])['rate']",
            "vars(sys.modules['its_config'])['ra' + str('te')]",
            "sys.modules['its_config'].rate",
            "getattr(sys.modules['its_config'], 'rate')",
            "vars(sys)['modules']['its_config'].rate",
            "getattr(sys, str('modules')).get('its_config').rate",
        )
    },
    "a function's module": (
        Case("type(self).step.__globals__['RATE']", "RATE = 3.0", "RATE = 1.0"),
        "__globals__",
    ),
    "the frame of a step": (
        Case("sys._getframe().f_globals['RATE']", "RATE = 3.0", "RATE = 1.0\nimport sys"),
        "f_globals",
    ),
    "the frame of a step, by inspect": (
        Case(
            "inspect.currentframe().f_globals['RATE']", "RATE = 3.0", "RATE = 1.0\nimport inspect"
        ),
        "f_globals",
    ),
    "the module of a class": (
        Case("inspect.getmodule(Own).RATE", "RATE = 3.0", "RATE = 1.0\nimport inspect"),
        "inspect.getmodule",
    ),
    "a file": (
        Case(
            "float(PATH.read_text())",
            "_ = PATH.write_text('3')",
            "import pathlib, tempfile\nPATH = pathlib.Path(tempfile.mkdtemp()) / 'rate'\n"
            "_ = PATH.write_text('1')",
        ),
        "open",
    ),
    "an iterator": (
        Case("next(self.numbers)", "", start="self.numbers = iter([1.0] * 1000)"),
        "numbers",
    ),
    "results that are kept": (
        Case(
            "kept()",
            "config.rate = 3.0; kept.cache_clear()",
            "@functools.lru_cache\ndef kept(): return config.rate\nkept()",
        ),
        "kept, whose results functools.lru_cache keeps",
    ),
    **{
        f"a weight's {asked}": (
            Case(
                f"1.0 + self.weight.{asked}",
                "cell.weight = torch.ones(4, 3).add_(1)[1:].t()",
                start="self.weight = torch.ones(3, 3)",
            ),
            asked.partition("(")[0],
        )
        for asked in ("stride(0)", "is_contiguous()", "storage_offset()", "_version")
    },
    "what it counts": (
        Case(
            "self.inner()",
            "",
            members="count = 0\ndef inner(self):\n    self.count += 1\n"
            "    return 1.0 if self.count < 100 else 2.0",
        ),
        "changes what it reads",
    ),
    "a variable that it counts": (
        Case(
            "f()",
            "",
            "COUNT = 0\ndef f():\n    global COUNT\n    COUNT += 1\n"
            "    return 1.0 if COUNT < 100 else 2.0",
        ),
        "changes what it reads",
    ),
    "numbers of a tensor": (
        Case("self.gain.tolist()[0]", "self.gain.fill_(3.0)", start="self.gain = torch.ones(1)"),
        "numbers in a tensor",
    ),
    "numbers through NumPy": (
        Case(
            "float(np.asarray(self.gain)[0])",
            "self.gain.fill_(3.0)",
            start="self.gain = torch.ones(1)",
        ),
        "numbers in a tensor",
    ),
    "a large array": (
        Case("float(TABLE[0])", "TABLE[0] = 3.0", "TABLE = np.ones(100_000)"),
        "800000 bytes",
    ),
    "a mode of torch": (
        Case("(1.0 if torch.is_grad_enabled() else 2.0)", ""),
        "is_grad_enabled",
    ),
    "eval": (Case("eval('RATE * 2')", "RATE = 3.0", "RATE = 1.0"), "by a way that is not seen"),
    "a function that is made of text": (
        Case(
            "made()",
            "",
            "def made():\n    space = {}\n    exec('def get(): return 1.0', space)\n"
            "    return space['get']()",
        ),
        "by a way that is not seen",
    ),
}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What cases change outside of their modules is put back."""
    monkeypatch.setattr(builtins, "abs", abs)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setenv("ITS_RATE", "1")
    dtype = torch.get_default_dtype()
    yield
    torch.set_default_dtype(dtype)


def made(case: Case, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The module of a case, which has its cell."""
    config, sub, module = (ModuleType(f"its_{name}") for name in ("config", "sub", "cell"))
    exec(textwrap.dedent(CONFIG), vars(config))
    vars(config)["sub"], vars(sub)["rate"] = sub, 1.0
    for one in (config, sub, module):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    members = f"def start(self): {case.start}\n{case.members}"
    if "def factor" not in members:
        members += f"\ndef factor(self, h): return {case.factor}"
    source = textwrap.dedent(CELL).replace("{setup}", case.setup)
    source = source.replace("{members}", textwrap.indent(members, "    "))
    exec(compile(source, "its_cell.py", "exec"), vars(module))
    vars(module)["self"] = vars(module)["cell"]
    vars(module)["numbers"] = numbers
    return vars(module)


def numbers(cell: recurra.Cell, backend: Any = None) -> Tensor:
    return recurra.run(cell, X, backend=backend).outputs


@pytest.mark.parametrize("name", HELD)
def test_what_changed_is_what_is_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was another one before: the older recording fits no more."""
    case = HELD[name]
    space = made(case, monkeypatch)
    cell = space["cell"]
    before = numbers(cell, "native")
    torch.testing.assert_close(before, numbers(cell, "loop"))
    exec(case.change, space)
    after = numbers(cell, "native")
    torch.testing.assert_close(after, numbers(cell, "loop"))
    assert not torch.equal(before, after)


@pytest.mark.parametrize("name", HELD)
def test_what_did_not_change_is_recorded_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is another one at every call would be right, and slow."""
    cell = made(HELD[name], monkeypatch)["cell"]
    for _ in range(3):
        numbers(cell)
    assert len(_KEPT[cell].recordings) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_held_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, words = REFUSED[name]
    space = made(case, monkeypatch)
    cell = space["cell"]
    for _ in range(2):  # once more after it was used
        choice = explain(cell, X).choices[0]
        assert choice.backend == "loop"
        assert words in choice.reason
        before = numbers(cell)
    if case.change:
        exec(case.change, space)
        assert not torch.equal(before, numbers(cell))

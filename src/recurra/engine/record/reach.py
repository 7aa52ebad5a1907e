"""What a step calls while it is recorded: whose surroundings it reads, and what nobody can hold.

A program answers as the step did when it was recorded, so all that the step asks has to be seen
again at every call. What its functions read of their surroundings is; clocks, files, the
environment and random numbers cannot be, and are refused by name.
"""

from __future__ import annotations

import dis
import gc
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from recurra.engine.record.tape import line_of
from recurra.engine.record.unrecordable import Unrecordable

__all__ = ["NOTHING", "Calls", "Reach", "Reads", "inner", "is_installed", "is_theirs", "watched"]

_THEIRS = frozenset({"torch", "recurra", "recurra_runtime", "numpy", "functorch", "torchgen"})
_PATHS = sysconfig.get_paths()
_INSTALLED = (_PATHS["purelib"], _PATHS["platlib"])
_PYTHON = (_PATHS["stdlib"], "<frozen")
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME")
# With these, names are read that stand in no code.
_COMPUTED = frozenset({"getattr", "vars", "__dict__", "globals", "eval", "exec", "attrgetter"})
# Modes of torch, which are not those of the call while a step is recorded; and all that a module
# has, by way of a function or a frame.
_MODES = frozenset(
    {"requires_grad", "is_grad_enabled", "is_inference_mode_enabled", "is_inference"}
    | {"is_autocast_enabled", "get_num_threads", "initial_seed", "get_rng_state"}
    | {"default_rng", "RandomState", "SystemRandom", "_version", "__globals__"}
    | {"f_globals", "f_locals", "f_builtins"}
)
# What answers otherwise another time: modules of Python with all of their functions, or some.
_CHANGING: dict[str, frozenset[str] | None] = {
    **dict.fromkeys(("os", "posix", "nt", "io", "_io", "time", "random", "_random", "secrets")),
    **dict.fromkeys(("uuid", "_uuid", "socket", "_socket", "select", "subprocess", "mmap", "gc")),
    **dict.fromkeys(("importlib", "threading", "platform", "locale", "_locale", "tempfile")),
    **dict.fromkeys(("numpy.random.mtrand", "numpy.random._generator")),
    "_thread": frozenset({"get_ident"}),
    "builtins": frozenset({"input", "__import__"}),
    "datetime": frozenset({"now", "today", "utcnow"}),
    "inspect": frozenset({"getmodule"}),
    "sys": frozenset({"_getframe", "_current_frames", "getrefcount"}),
}
# Making a class of named tuples asks who calls; compilers put random numbers back where they were.
_PURE = frozenset(
    {"_getframe", "getstate", "setstate", "_getframemodulename", "fspath", "text_encoding"}
)
# Functions of torch that give the numbers of a tensor to others.
_TELLING = frozenset({"__array__", "__dlpack__", "__reduce_ex__"})
# Methods of tensors that tell how these lie in memory.
_LYING = frozenset({"stride", "is_contiguous", "storage_offset", "data_ptr", "untyped_storage"})
# On their way anything is asked, and nothing of it is a number.
_ASIDE = frozenset({"logging", "warnings", "linecache", "traceback", "importlib"})


class Reads(NamedTuple):
    """What a function reads by name.

    Args:
        code: of the function; held, so that its id cannot come again.
        outside: names of its module, or of Python's own.
        imports: modules that it imports itself.
    """

    code: CodeType
    outside: tuple[str, ...]
    imports: tuple[str, ...]


class Reach(NamedTuple):
    """Functions that a cell's step has been seen to call.

    Args:
        codes: what they read, by the id of their code.
        names: all that they mention, of whatever it is an attribute.
        computed: whether they read by names that they do not mention.
    """

    codes: dict[int, Reads]
    names: frozenset[str]
    computed: bool

    def joined(self, codes: list[CodeType]) -> Reach:
        """With more functions; itself if there are no new ones."""
        new = {id(code): _reads(code) for code in codes if id(code) not in self.codes}
        if not new:
            return self
        found = {**self.codes, **new}
        names = self.names.union(*(_mentioned(read.code) for read in new.values()))
        return Reach(found, names, bool(names & _COMPUTED))


NOTHING = Reach({}, frozenset(), False)
"""Of a cell that nobody has recorded."""


class Calls:
    """What was called while a step was recorded.

    Args:
        mine: packages whose functions are looked into, though they are installed.
    """

    def __init__(self, mine: frozenset[str]) -> None:
        self.mine = mine
        self.codes: list[CodeType] = []
        self.refused: str | None = None
        self._kinds: dict[int, str] = {}
        self._alive: list[CodeType] = []

    def check(self, reach: Reach, found: set[int]) -> None:
        """Refuse what cannot be held.

        Args:
            reach: of all that was called.
            found: ids of the codes that a key holds.
        """
        if self.refused is not None:
            raise Unrecordable(self.refused)
        if modes := reach.names & _MODES:
            raise Unrecordable(f"the step asks for {min(modes)}, which a recording cannot hold")
        for code in self.codes:
            if id(code) not in found:
                place = f"{code.co_filename.rpartition('/')[2]}, line {code.co_firstlineno}"
                raise Unrecordable(
                    f"the step calls {code.co_name} ({place}) by a way that is not seen, so what "
                    "it reads may change without a trace"
                )

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        """What Python tells of each call."""
        if event == "call":
            kind = self._kind(frame)
            if kind == "theirs" and frame.f_code.co_name in _TELLING:
                self._asked(frame.f_back, "")
            elif kind == "python":
                name = str(frame.f_globals.get("__name__"))
                if _changes(name, frame.f_code.co_name):
                    self._asked(frame.f_back, f"{name}.{frame.f_code.co_name}")
        elif event == "c_call" and self.refused is None:
            owner, name = getattr(arg, "__self__", None), arg.__name__
            if isinstance(owner, Tensor):
                if name in ("tolist", "numpy"):
                    self._asked(frame, "")
                elif name in _LYING:
                    self._asked(frame, f"Tensor.{name}")
                return
            module = getattr(owner, "__name__", "") if isinstance(owner, _MODULE) else ""
            for home in (module, getattr(owner, "__module__", ""), type(owner).__module__):
                if isinstance(home, str) and _changes(home, name):
                    self._asked(frame, f"{home.lstrip('_')}.{name}")
                    return

    def _kind(self, frame: FrameType) -> str:
        """Whose code it is; the user's is kept."""
        code = frame.f_code
        known = self._kinds.get(id(code))
        if known is None:
            known = _kind_of(code, frame.f_globals, self.mine)
            above = frame.f_back
            generated = known == "user" and code.co_filename.startswith("<")
            if generated and above and self._kind(above) != "user":
                known = "theirs"  # what torch's compiler wrote, not what the step did
            self._kinds[id(code)] = known
            self._alive.append(code)
            if known == "user" and not _is_import(frame):
                self.codes.append(code)
        return known

    def _asked(self, frame: FrameType | None, what: str) -> None:
        """Something that changes was asked; is it the step that did?"""
        # Of other packages what they ask is not looked at, unless the step had it asked directly.
        while frame is not None and self._kind(frame) in ("python", "installed"):
            if str(frame.f_globals.get("__name__")).split(".")[0] in _ASIDE:
                return
            frame = frame.f_back
        if frame is None or self._kind(frame) == "theirs" or self.refused is not None:
            return
        self.refused = (
            f"the step asks {what}, which may answer otherwise at the next one ({line_of(frame)})"
            if what
            else f"the step looks at the numbers in a tensor ({line_of(frame)})"
        )


_MODULE = type(sys)


@contextmanager
def watched(calls: Calls) -> Iterator[None]:
    """See all calls of this thread for a while; a profiler that is at work has a rest."""
    before: Any = sys.getprofile()
    drawn = _draws_of_numpy()
    # What the collection of garbage calls is not the step's.
    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(calls)
    try:
        yield
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
        if _draws_of_numpy() != drawn and calls.refused is None:
            calls.refused = "the step draws random numbers of numpy.random"
        if before is not None:
            again: Callable[[], Any] = getattr(before, "enable", partial(sys.setprofile, before))
            again()


def _draws_of_numpy() -> Any:
    """Where NumPy's own random numbers are: its functions are called unseen."""
    state: Any = np.random.get_state(legacy=False)
    return state["state"]["pos"], state["state"]["key"].tobytes(), state["has_gauss"]


def is_theirs(module: object) -> bool:
    """Is a module, by its name, of torch, of NumPy or of Recurra?"""
    return str(module).split(".")[0] in _THEIRS


def is_installed(file: str) -> bool:
    """Is a file of a package that was installed?"""
    return file.startswith(_INSTALLED)


def inner(code: CodeType) -> Iterator[CodeType]:
    """A code, and those of the functions inside of it."""
    yield code
    for own in code.co_consts:
        if isinstance(own, CodeType):
            yield from inner(own)


def _kind_of(code: CodeType, names: dict[str, Any], mine: frozenset[str]) -> str:
    module, file = str(names.get("__name__")), code.co_filename
    if module.split(".")[0] == "numpy":  # it asks for others
        return "python"
    if is_theirs(module):
        return "theirs"
    if is_installed(file):
        return "user" if module.split(".")[0] in mine else "installed"
    if file.startswith(_PYTHON) or module.startswith("namedtuple_"):
        return "python"
    return "user"


def _is_import(frame: FrameType) -> bool:
    """Is a module being imported?"""
    above: FrameType | None = frame
    while above is not None:
        if above.f_code.co_filename.startswith("<frozen importlib"):
            return True
        above = above.f_back
    return False


def _changes(module: str, name: str) -> bool:
    if module not in _CHANGING or name in _PURE:
        return False
    some = _CHANGING[module]
    return some is None or name in some


def _reads(code: CodeType) -> Reads:
    outside: dict[str, None] = {}
    imports: dict[str, None] = {}
    for one in inner(code):
        for instruction in dis.get_instructions(one):
            if instruction.opname in _LOADS:
                outside[instruction.argval] = None
            elif instruction.opname == "IMPORT_NAME":
                imports[instruction.argval] = None
    return Reads(code, tuple(outside), tuple(imports))


def _mentioned(code: CodeType) -> set[str]:
    """All names in a code, also those that stand in it as texts."""
    texts = (own for own in code.co_consts if isinstance(own, str))
    return {*code.co_names, *(text for text in texts if text.isidentifier())}

"""What griffe needs to know about docstrings: references, sections and fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from griffe import (
    Alias,
    Attribute,
    Class,
    Extension,
    Function,
    GriffeError,
    Module,
    Object,
    Parameter,
    ParameterKind,
    Parameters,
)

__all__ = ["Docstrings"]

_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):`~?([^`]+)`")
_PARAMETERS = re.compile(r"^Parameters:\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)


class Docstrings(Extension):
    """Makes docstrings Markdown, and gives classes whose fields are their arguments those."""

    def on_node(self, *, node: Any, agent: Any, **others: Any) -> None:
        """``A, B = ...`` at the top of a module: griffe passes over it."""
        if not isinstance(node, ast.Assign) or not isinstance(agent.current, Module):
            return
        for target in node.targets:
            for name in getattr(target, "elts", []):
                if isinstance(name, ast.Name):
                    place = {"lineno": node.lineno, "endlineno": node.end_lineno}
                    agent.current.set_member(name.id, Attribute(name.id, **place))

    def on_package(self, *, pkg: Module, **others: Any) -> None:
        """Once all of a package has been read."""
        for name, member in list(pkg.members.items()):
            # `recurra.run` is the function of the file engine/run.py; griffe takes the file.
            if isinstance(member, Alias) and (home := _hidden(member, name)):
                pkg.set_member(name, Alias(name, home))
        for thing in _walk(pkg):
            if isinstance(thing, Class) and "__init__" not in thing.members:
                _add_init(thing)
            if thing.docstring:
                thing.docstring.value = _sections(_references(thing.docstring.value, thing))


def _hidden(member: Alias, name: str) -> str | None:
    """The path of what a file gives its own name to, or None."""
    try:
        file = member.final_target
    except GriffeError:
        return None
    return f"{file.path}.{name}" if isinstance(file, Module) and name in file.members else None


def _walk(thing: Object) -> Iterator[Object]:
    yield thing
    for member in thing.members.values():
        if not isinstance(member, Alias):
            yield from _walk(member)


def _references(text: str, scope: Object) -> str:
    """Roles as references; one to a name that does not exist ends a strict build.

    What exists without an entry of its own, such as a helper that is not public, becomes a link
    only if an entry shows it.
    """

    def reference(role: re.Match[str]) -> str:
        path = _full(role[1], scope)
        try:
            thing = scope.modules_collection[path]
        except (KeyError, GriffeError):
            return f"[`{role[1]}`][{path}]"
        if isinstance(thing.parent, Class) and thing.docstring is None:
            path = thing.parent.path  # a field is explained where its class is
        return f'<autoref identifier="{path}" optional>`{role[1]}`</autoref>'

    return _ROLE.sub(reference, text)


def _full(name: str, scope: Object) -> str:
    """Where a name leads: a member of the class (an heir's too), else a name of the module.

    Unlike griffe's own resolution it does not stop at an argument of the same name: in
    ``Cell.step`` the method ``noise`` is meant, not the argument.
    """
    first, _, rest = name.partition(".")
    place: Object | None = scope
    while place is not None:
        if isinstance(place, Class):
            for owner in (place, *_bases(place)):
                if first in owner.members:
                    return f"{owner.path}.{name}"
        elif isinstance(place, Module) and first in place.members:
            member = place.members[first]
            home = member.target_path if isinstance(member, Alias) else member.path
            return f"{home}.{rest}" if rest else home
        place = None if isinstance(place, Module) else place.parent
    return name


def _bases(owner: Class) -> list[Class]:
    try:
        return owner.mro()
    except ValueError:  # bases that are not read, or in no order
        return []


def _sections(text: str) -> str:
    """A cell's ``Parameters:`` are its weights, not its arguments, which is what griffe reads."""
    return _PARAMETERS.sub(lambda found: f"**Learned parameters**\n\n{dedent(found[1])}", text)


def _add_init(owner: Class) -> None:
    """Fields of named tuples and of pydantic models are the arguments that make them."""
    classes = [owner, *_bases(owner)]
    names = {str(base).rpartition(".")[2] for one in classes for base in one.bases}
    if not names & {"NamedTuple", "BaseModel"}:
        return
    kind = (
        ParameterKind.keyword_only if "BaseModel" in names else ParameterKind.positional_or_keyword
    )
    fields = [
        Parameter(name, annotation=field.annotation, kind=kind, default=_default(field))
        for one in reversed(classes)
        for name, field in one.members.items()
        if isinstance(field, Attribute)
        and field.annotation is not None
        and "ClassVar" not in str(field.annotation)
    ]
    this = Parameter("self", kind=ParameterKind.positional_or_keyword)
    required = [field for field in fields if field.default is None]
    optional = [field for field in fields if field.default is not None]
    init = Function("__init__", parent=owner, parameters=Parameters(this, *required, *optional))
    owner.set_member("__init__", init)


def _default(field: Attribute) -> Any:
    """A field's default; of ``pydantic.Field(2, ge=1)`` it is the 2."""
    value = field.value
    if not str(value).startswith(("Field(", "pydantic.Field(")):
        return value
    arguments = getattr(value, "arguments", [])
    first = str(arguments[0]) if arguments else "..."
    return None if "=" in first or first == "..." else first

"""Finds what is declared and never read: fields, class variables and properties of events, topics, settings and data.

Names prove nothing, for another class may have one of the same name; so every ``x.name`` counts for the type that mypy
finds for ``x``. A read of a base class's property counts for whatever overrides it, a read through ``Any`` for nothing.
``python -m tests.read_properties`` lists what production code does not read; ``tests/contracts`` holds the list empty.
"""

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mypy.build  # before any other part of mypy: its parts import one another
from mypy.argmap import map_actuals_to_formals
from mypy.find_sources import create_source_list
from mypy.nodes import AssignmentStmt, CallExpr, ClassDef, Decorator, Expression, MemberExpr, NameExpr, Node, TypeInfo
from mypy.options import Options
from mypy.patterns import ClassPattern
from mypy.types import (
    AnyType,
    CallableType,
    Instance,
    Overloaded,
    TupleType,
    Type,
    TypeOfAny,
    TypeType,
    TypeVarType,
    UnionType,
)
from mypy.types import get_proper_type as proper

ROOT = Path(__file__).resolve().parents[1]
PRODUCTION = ("contracts", "workbooks", "county", "client", "runtime", "services", "deploy", "cli")
"""Without the demo: a demonstration reads what it shows, and nobody works with it."""
DECLARED = ("contracts.", "runtime.settings.")
"""Where properties must be read: the beginnings of their classes' full names."""
NOT_DECLARED = ("contracts.flow.",)
"""The story, which people read."""
_ELSEWHERE = frozenset({"node", "info", "def_var", "names", "imports", "original_def", "expanded", "var", "variable"})


@dataclass(frozen=True, slots=True)
class Property:
    """One declared property: ``module.Class.name``, and where it stands."""

    name: str
    place: str


@dataclass(slots=True)
class Found:
    """What one build declares and reads."""

    declared: dict[str, Property] = field(default_factory=dict)
    bases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Full name of a class -> those of its method resolution order, itself first."""
    annotations: dict[str, set[str]] = field(default_factory=dict)
    """Full name of a class -> the classes that its fields hold."""
    read: set[tuple[str, str]] = field(default_factory=set)
    """(full name of the class through which it was read, name)."""
    passed: set[tuple[str, str]] = field(default_factory=set)
    """(full name of a protocol, of a class that was given where the protocol is wanted)."""

    def unread(self) -> list[Property]:
        """Declared properties that nothing reads, by place."""
        given: dict[str, set[str]] = {}
        for protocol, kind in self.passed:
            given.setdefault(protocol, set()).add(kind)
        reads = {
            (self._met(kind, name), name) for through, name in self.read for kind in (through, *given.get(through, ()))
        }
        return sorted(
            (
                one
                for full, one in self.declared.items()
                if not any((base, _last(full)) in reads for base in self.bases[_first(full)])
            ),
            key=lambda one: (one.place.partition(":")[0], int(one.place.partition(":")[2])),
        )

    def held_by(self, wholes: Iterable[str]) -> set[str]:
        """These classes and all that their fields hold: who reads the whole reads them too."""
        held: set[str] = set()
        todo = set(wholes)
        while todo:
            held |= todo
            bases = {base for one in todo for base in self.bases.get(one, ())}
            todo = {inner for one in todo | bases for inner in self.annotations.get(one, ())} - held
        return held

    def _met(self, through: str, name: str) -> str | None:
        """The class whose declaration a read through this class meets."""
        return next((base for base in self.bases.get(through, ()) if f"{base}.{name}" in self.declared), None)


def find(folders: Sequence[Path], root: Path, cache: Path, declared: Sequence[str] = DECLARED) -> Found:
    """Type-check these folders and look at every expression.

    ``cache`` keeps what mypy knows of libraries; what is looked at is always checked anew, for a cache has no trees.
    """
    options = Options()
    options.cache_dir = str(cache)
    options.export_types = options.preserve_asts = True
    options.sqlite_cache = False
    options.namespace_packages = options.explicit_package_bases = True
    options.ignore_missing_imports = True
    options.mypy_path = [str(root)]
    options.plugins = ["pydantic.mypy"]
    for folder in folders:
        for old in cache.glob(f"*/{folder.name}"):
            shutil.rmtree(old)
    sources = create_source_list([str(folder) for folder in folders], options)
    result = mypy.build.build(sources, options)
    if result.errors:
        raise RuntimeError("\n".join(result.errors))
    names = {source.module for source in sources}
    found = Found()
    for name in sorted(names & result.files.keys()):
        tree = result.files[name]
        file = Path(tree.path).resolve().relative_to(root)
        for node in _nodes(tree):
            if isinstance(node, ClassDef):
                _declare(found, node, file, tuple(declared))
            _read(found, node, result.types)
    return found


def _declare(found: Found, o: ClassDef, file: Path, declared: tuple[str, ...]) -> None:
    full = o.info.fullname
    found.bases[full] = tuple(base.fullname for base in o.info.mro)
    if full.startswith(declared) and not full.startswith(NOT_DECLARED) and not o.info.is_enum:
        for name, line in _properties(o):
            if not name.startswith("_") and name != "model_config":
                found.declared[f"{full}.{name}"] = Property(f"{full}.{name}", f"{file}:{line}")
                found.annotations.setdefault(full, set()).update(_held(o.info, name))


def _read(found: Found, o: Node, types: Mapping[Expression, Type]) -> None:
    if isinstance(o, MemberExpr):
        found.read |= {(info.fullname, o.name) for info in _classes(types.get(o.expr))}
    elif isinstance(o, ClassPattern) and isinstance(o.class_ref.node, TypeInfo):
        found.read |= {(o.class_ref.node.fullname, name) for name in o.keyword_keys}
    elif isinstance(o, CallExpr) and o.callee in types and isinstance(called := proper(types[o.callee]), CallableType):
        found.passed |= set(_given(o, called, types))


def _given(o: CallExpr, called: CallableType, types: Mapping[Expression, Type]) -> Iterator[tuple[str, str]]:
    """The protocols that a call wants, each with the classes it is given."""
    formals = map_actuals_to_formals(
        o.arg_kinds,
        o.arg_names,
        called.arg_kinds,
        called.arg_names,
        lambda at: types.get(o.args[at], AnyType(TypeOfAny.special_form)),
    )
    for wanted, places in zip(called.arg_types, formals, strict=True):
        for protocol in _classes(wanted):
            if protocol.is_protocol:
                given = (kind for at in places for kind in _classes(types.get(o.args[at])))
                yield from ((protocol.fullname, kind.fullname) for kind in given)


def _nodes(o: Node) -> Iterator[Node]:
    """A node and all below it, but for what is assigned to: its own visitors mypy lets no interpreted class inherit."""
    yield o
    for name in _parts(type(o)):
        part = getattr(o, name, None)
        assigned = isinstance(o, AssignmentStmt) and name == "lvalues"
        for below in _below(part):
            yield from _nodes(below.expr if assigned and isinstance(below, MemberExpr) else below)


def _below(part: object) -> Iterator[Node]:
    if isinstance(part, Node):
        yield part
    elif isinstance(part, list | tuple):
        for one in part:
            yield from _below(one)


def _parts(kind: type) -> tuple[str, ...]:
    """Attributes of a node that hold nodes of the same text, not what a name refers to or what was made of a node."""
    found = (name for base in kind.__mro__ for name in getattr(base, "__mypyc_attrs__", ()))
    return tuple(name for name in dict.fromkeys(found) if name not in _ELSEWHERE)


def _properties(o: ClassDef) -> Iterator[tuple[str, int]]:
    """Fields, class variables and properties of a class's own body; no methods, no nested classes."""
    for one in o.defs.body:
        if isinstance(one, AssignmentStmt):
            yield from ((target.name, one.line) for target in one.lvalues if isinstance(target, NameExpr))
        elif isinstance(one, Decorator) and one.var.is_property:
            yield one.name, one.line


def _held(info: TypeInfo, name: str) -> Iterator[str]:
    symbol = info.names.get(name)
    return (inner.fullname for inner in _classes(symbol.type if symbol is not None else None, inside=True))


def _classes(found: Type | None, *, inside: bool = False) -> Iterator[TypeInfo]:
    """The classes of a type: each part of a union, what a type object makes; ``inside``: also its arguments."""
    if found is None:
        return
    match proper(found):
        case Instance() as instance:
            yield instance.type
            for argument in instance.args if inside else ():
                yield from _classes(argument, inside=True)
        case UnionType(items=items):
            for item in items:
                yield from _classes(item, inside=inside)
        case TypeType(item=item):
            yield from _classes(item)
        case TypeVarType(upper_bound=bound):
            yield from _classes(bound)
        case CallableType() as made if made.is_type_obj():
            yield made.type_object()
        case Overloaded() as made if made.is_type_obj():
            yield made.type_object()
        case TupleType(partial_fallback=fallback):
            yield fallback.type


def _first(full: str) -> str:
    return full.rpartition(".")[0]


def _last(full: str) -> str:
    return full.rpartition(".")[2]


def production() -> Found:
    """What this project declares and reads."""
    cache = ROOT / ".mypy_cache" / "read_properties"
    return find([ROOT / folder for folder in PRODUCTION], ROOT, cache)


def main() -> int:
    unread = production().unread()
    for one in unread:
        print(f"{one.place}: nothing reads {one.name}")
    return 1 if unread else 0


if __name__ == "__main__":
    sys.exit(main())

"""Finds what is declared and never read: fields, class variables and properties of events, topics, settings and data.

A name alone proves nothing, because several classes may have it; so every ``x.name`` counts for the type that mypy
infers for ``x``. A read of a base class's property counts for its overrides; a read through ``Any`` does not count.
``python -m tests.read_properties`` lists what production code does not read; a test in ``tests/contracts`` asserts that
the list is empty.
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
"""The production packages. The demo is not one: it reads what it shows, and no county works with it."""
DECLARED = ("contracts.", "runtime.settings.")
"""Prefixes of the full names of classes whose properties must be read."""
NOT_DECLARED = ("contracts.flow.",)
"""Prefixes of the full names of classes that only people read: the flow."""
_ELSEWHERE = frozenset({"node", "info", "def_var", "names", "imports", "original_def", "expanded", "var", "variable"})


@dataclass(frozen=True, slots=True)
class Property:
    """One declared property: ``module.Class.name``, and its file and line."""

    name: str
    location: str


@dataclass(slots=True)
class Declarations:
    """The properties that a build declares and reads."""

    declared: dict[str, Property] = field(default_factory=dict)
    bases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Full name of a class -> the full names of its method resolution order, itself first."""
    annotations: dict[str, set[str]] = field(default_factory=dict)
    """Full name of a class -> the classes that its fields hold."""
    read: set[tuple[str, str]] = field(default_factory=set)
    """(full name of the class through which the property was read, its name)."""
    passed_classes: set[tuple[str, str]] = field(default_factory=set)
    """(full name of a protocol, full name of a class that was passed for the protocol)."""

    def unread(self) -> list[Property]:
        """Return the declared properties that nothing reads, by file and line."""
        classes_by_protocol: dict[str, set[str]] = {}
        for protocol, kind in self.passed_classes:
            classes_by_protocol.setdefault(protocol, set()).add(kind)
        reads = {
            (self._met(kind, name), name)
            for through, name in self.read
            for kind in (through, *classes_by_protocol.get(through, ()))
        }
        return sorted(
            (
                each
                for full, each in self.declared.items()
                if not any((base, _last(full)) in reads for base in self.bases[_first(full)])
            ),
            key=lambda one: (one.location.partition(":")[0], int(one.location.partition(":")[2])),
        )

    def classes_of(self, wholes: Iterable[str]) -> set[str]:
        """Return these classes and all classes of their fields, which are read with the whole."""
        held: set[str] = set()
        todo = set(wholes)
        while todo:
            held |= todo
            bases = {base for each in todo for base in self.bases.get(each, ())}
            todo = {inner for each in todo | bases for inner in self.annotations.get(each, ())} - held
        return held

    def _met(self, through: str, name: str) -> str | None:
        """Return the class whose declaration is read through this class."""
        return next((base for base in self.bases.get(through, ()) if f"{base}.{name}" in self.declared), None)


def find_declarations(
    folders: Sequence[Path], root: Path, cache: Path, declared: Sequence[str] = DECLARED
) -> Declarations:
    """Type-check these folders and visit every expression.

    ``cache`` is mypy's cache of libraries; these folders are always checked again, because a cache has no syntax trees.
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
    declarations = Declarations()
    for name in sorted(names & result.files.keys()):
        tree = result.files[name]
        file = Path(tree.path).resolve().relative_to(root)
        for node in _nodes(tree):
            if isinstance(node, ClassDef):
                _declare(declarations, node, file, tuple(declared))
            _read(declarations, node, result.types)
    return declarations


def _declare(declarations: Declarations, o: ClassDef, file: Path, declared: tuple[str, ...]) -> None:
    full = o.info.fullname
    declarations.bases[full] = tuple(base.fullname for base in o.info.mro)
    if full.startswith(declared) and not full.startswith(NOT_DECLARED) and not o.info.is_enum:
        for name, line in _properties(o):
            if not name.startswith("_") and name != "model_config":
                declarations.declared[f"{full}.{name}"] = Property(f"{full}.{name}", f"{file}:{line}")
                declarations.annotations.setdefault(full, set()).update(_held(o.info, name))


def _read(declarations: Declarations, o: Node, types: Mapping[Expression, Type]) -> None:
    if isinstance(o, MemberExpr):
        declarations.read |= {(info.fullname, o.name) for info in _classes(types.get(o.expr))}
    elif isinstance(o, ClassPattern) and isinstance(o.class_ref.node, TypeInfo):
        declarations.read |= {(o.class_ref.node.fullname, name) for name in o.keyword_keys}
    elif isinstance(o, CallExpr) and o.callee in types and isinstance(called := proper(types[o.callee]), CallableType):
        declarations.passed_classes |= set(_passed(o, called, types))


def _passed(o: CallExpr, called: CallableType, types: Mapping[Expression, Type]) -> Iterator[tuple[str, str]]:
    """Yield the protocols among a call's parameters, each with the classes passed for it."""
    formals = map_actuals_to_formals(
        o.arg_kinds,
        o.arg_names,
        called.arg_kinds,
        called.arg_names,
        lambda at: types.get(o.args[at], AnyType(TypeOfAny.special_form)),
    )
    for parameter, positions in zip(called.arg_types, formals, strict=True):
        for protocol in _classes(parameter):
            if protocol.is_protocol:
                passed_classes = (kind for at in positions for kind in _classes(types.get(o.args[at])))
                yield from ((protocol.fullname, kind.fullname) for kind in passed_classes)


def _nodes(o: Node) -> Iterator[Node]:
    """Yield a node and all nodes below it except targets of assignments; mypy's visitors cannot be subclassed here."""
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
        for each in part:
            yield from _below(each)


def _parts(kind: type) -> tuple[str, ...]:
    """Return the attributes that hold syntax nodes, without references and results of the analysis."""
    attributes = (name for base in kind.__mro__ for name in getattr(base, "__mypyc_attrs__", ()))
    return tuple(name for name in dict.fromkeys(attributes) if name not in _ELSEWHERE)


def _properties(o: ClassDef) -> Iterator[tuple[str, int]]:
    """Yield fields, class variables and properties of a class's own body, without methods and nested classes."""
    for each in o.defs.body:
        if isinstance(each, AssignmentStmt):
            yield from ((target.name, each.line) for target in each.lvalues if isinstance(target, NameExpr))
        elif isinstance(each, Decorator) and each.var.is_property:
            yield each.name, each.line


def _held(info: TypeInfo, name: str) -> Iterator[str]:
    symbol = info.names.get(name)
    return (inner.fullname for inner in _classes(symbol.type if symbol is not None else None, inside=True))


def _classes(type_: Type | None, *, inside: bool = False) -> Iterator[TypeInfo]:
    """Yield the classes of a type and of each part of a union; ``inside``: also those of its arguments."""
    if type_ is None:
        return
    match proper(type_):
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
        case CallableType() as callable_ if callable_.is_type_obj():
            yield callable_.type_object()
        case Overloaded() as callable_ if callable_.is_type_obj():
            yield callable_.type_object()
        case TupleType(partial_fallback=fallback):
            yield fallback.type


def _first(full: str) -> str:
    return full.rpartition(".")[0]


def _last(full: str) -> str:
    return full.rpartition(".")[2]


def production() -> Declarations:
    """Return what the production code declares and reads."""
    cache = ROOT / ".mypy_cache" / "read_properties"
    return find_declarations([ROOT / folder for folder in PRODUCTION], ROOT, cache)


def main() -> int:
    unread = production().unread()
    for each in unread:
        print(f"{each.location}: nothing reads {each.name}")
    return 1 if unread else 0


if __name__ == "__main__":
    sys.exit(main())

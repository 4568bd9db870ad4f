"""Which names our code takes from a library's class: read from our source, so never out of date."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any


def _trees(sources: Iterable[Any]) -> Iterator[ast.AST]:
    for source in sources:
        yield ast.parse(textwrap.dedent(inspect.getsource(source)))


def used_of(root: str, *sources: Any) -> set[str]:
    """Return each NAME of a `root.NAME` in the source of these classes, functions or modules."""
    return {
        node.attr
        for tree in _trees(sources)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == root
    }


def inherited_by(*classes: type) -> set[str]:
    """Return the names that these classes of ours take from a base that is none of them.

    What is set in an `__init__` is ours; what is set elsewhere, and nowhere else, is the base's.
    """
    own: set[str] = set()
    used = used_of("super()", *classes)
    for tree in _trees(classes):
        used |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                own.add(node.name)
                if node.name == "__init__":
                    own |= _set_in(node, "self.")
            elif isinstance(node, ast.ClassDef):
                for statement in node.body:
                    own |= _set_in(statement, "") if not hasattr(statement, "body") else set()
    return (used - own) | used_of("super()", *classes)


def _set_in(tree: ast.AST, prefix: str) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                    written = ast.unparse(one)
                    if written.startswith(prefix):
                        names.add(written.removeprefix(prefix))
    return names


def missing(names: Iterable[str], thing: object) -> list[str]:
    """Return the names that the library's class or object no longer has."""
    return sorted(name for name in names if not hasattr(thing, name))


def parameters(function: Any) -> list[str]:
    """Return the names of a function's parameters, without `self`."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def unlike(ours: type, theirs: type, names: Iterable[str]) -> list[str]:
    """Return the methods that ours overrides, and that the library has not, or calls otherwise."""
    wrong = []
    for name in names:
        if not hasattr(theirs, name):
            wrong.append(f"{theirs.__name__}.{name} is gone")
        elif parameters(getattr(ours, name)) != parameters(getattr(theirs, name)):
            wrong.append(f"{theirs.__name__}.{name} takes {parameters(getattr(theirs, name))}")
    return wrong

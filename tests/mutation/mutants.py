"""Mutants of a Python file: one small change each, where a decision is made."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATIONS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
}
NAMES: Final = {"any": "all", "all": "any", "min": "max", "max": "min", "and_": "or_", "or_": "and_"}


@dataclass(frozen=True)
class Mutant:
    """A changed file.

    Attributes:
        name: of the file, from the root of the repository.
        function: that the change is in, with those around it; `module` outside any.
        source: the whole of it.
    """

    name: str
    function: str
    was: str
    became: str
    source: str = field(repr=False)

    def __str__(self) -> str:
        """Without its line, which moves."""
        return f"{self.name} {self.function}: {self.was} → {self.became}"


def mutants_of(path: Path, name: str) -> Iterator[Mutant]:
    """Every mutant of a file, in its order. Annotations, docstrings and messages stay as they are."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for index, node in enumerate(_decisions(tree)):
        for number in range(len(_changes(node))):
            copied = deepcopy(tree)
            target = list(_decisions(copied))[index]
            was = ast.unparse(target)
            became = _changes(target)[number]
            _replace(copied, target, became)
            said = ast.unparse(became)
            yield Mutant(name, _function(tree, node), _short(was), _short(said), ast.unparse(copied))


def _function(tree: ast.Module, node: ast.AST) -> str:
    line = (node.target if isinstance(node, ast.comprehension) else node).lineno  # type: ignore[attr-defined]
    places = [place for place in ast.walk(tree) if isinstance(place, (ast.FunctionDef, ast.ClassDef))]
    return ".".join(p.name for p in places if p.lineno <= line <= (p.end_lineno or 0)) or "module"


def _short(text: str) -> str:
    return " ".join(text.split())[:120]


def _decisions(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "exc", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                if _changes(child):
                    yield child
                yield from _decisions(child)


def _changes(node: ast.AST) -> list[ast.AST]:
    """What may stand in its place."""
    if isinstance(node, ast.Compare):
        others = [COMPARISONS[type(op)]() for op in node.ops]
        return [
            ast.Compare(node.left, [*node.ops[:i], o, *node.ops[i + 1 :]], node.comparators)
            for i, o in enumerate(others)
        ]
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        fewer = [[v for v in node.values if v is not left] for left in node.values]
        return [
            ast.BoolOp(other, node.values),
            *(ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0] for rest in fewer),
        ]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        return [node.operand]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return [ast.BinOp(node.left, OPERATIONS[type(node.op)](), node.right)]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return [ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)]
    if isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
        return [ast.Name(NAMES[node.id], ast.Load())]
    if (
        isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING"
    ):  # a branch that is never taken, and one that always is
        return [ast.If(ast.Constant(value), node.body, node.orelse) for value in (False, True)]
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.comprehension) and node.ifs:
        return [ast.comprehension(node.target, node.iter, [], node.is_async)]
    return []


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
                return
            if isinstance(value, list) and any(child is old for child in value):
                setattr(parent, name, [new if child is old else child for child in value])
                return

"""Only a stage builds its own ticket: the one rule of the path that neither types nor import layers can see.

The rule is a function from a syntax tree to the places that break it. One test runs it over the library, another
feeds it bad samples, so that a rule which stopped working goes red too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[2] / "src" / "vallum"

TICKETS: Final = {
    "edge": "Admitted",
    "authenticate": "Identified",
    "throttle": "Metered",
    "authorise": "Authorised",
    "validate": "Intent",
    "execute": "Outcome",
    "respond": "Reply",
}
"""Stage → its ticket: a class in the stage's stage.py, or a union of the classes that it may return."""

COPIES: Final = frozenset({"_replace", "_make", "__replace__"})
"""A ticket is a named tuple: these copy one with other values, or make one past its constructor."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _ticket_classes(tree: ast.Module, ticket: str) -> set[str]:
    """The classes behind `ticket` in a stage's module: itself and its subclasses, or the members of the union."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if ticket in classes:
        heirs = {n for n, c in classes.items() if any(isinstance(b, ast.Name) and b.id == ticket for b in c.bases)}
        return {ticket} | heirs
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if value is not None and any(isinstance(t, ast.Name) and t.id == ticket for t in targets):
            return {n.id for n in ast.walk(value) if isinstance(n, ast.Name)} - {"Union"}
    return set()


def _all_tickets() -> dict[str, str]:
    """Class → stage, for the stages that exist."""
    found: dict[str, str] = {}
    for stage, ticket in TICKETS.items():
        path = PACKAGE / stage / "stage.py"
        if path.exists():
            found |= dict.fromkeys(_ticket_classes(_parse(path), ticket), stage)
    return found


class _Builds(ast.NodeVisitor):
    """Finds uses of a ticket class as a value: called, aliased, passed on, subclassed, cast to.

    Naming it in an annotation or a union, and recognising it (`isinstance`, `match`, comparison, key of a dispatch
    table), is what other stages are meant to do with it.
    """

    def __init__(self, tree: ast.Module, tickets: Mapping[str, str]) -> None:
        self.found: list[tuple[int, str]] = []
        self._tickets = tickets
        self._local: dict[str, str] = {}
        self._held: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "vallum"):
                self._local |= {a.asname or a.name: a.name for a in node.names if a.name in tickets}
        self.visit(tree)

    def _ticket(self, node: ast.AST | None) -> str | None:
        if isinstance(node, ast.Name):
            return self._local.get(node.id)
        return node.attr if isinstance(node, ast.Attribute) and node.attr in self._tickets else None

    def _visit_type(self, node: ast.AST | None) -> None:
        """`node` stands where a class may be named in order to recognise it; what else is in it is looked at."""
        if isinstance(node, ast.BinOp | ast.Tuple | ast.List | ast.Subscript):
            for child in ast.iter_child_nodes(node):
                self._visit_type(child)
        elif node is not None and self._ticket(node) is None:
            self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and (ticket := self._ticket(node)):
            self.found.append((node.lineno, ticket))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if ticket := self._ticket(node):
            self.found.append((node.lineno, ticket))
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        first = node.args[0] if node.args else None
        if called in {"replace", "copy", "__setattr__"} and isinstance(first, ast.Name) and first.id in self._held:
            self.found.append((node.lineno, f"{called}({first.id})"))
        self.visit(node.func)
        recognises = called in {"isinstance", "issubclass"}
        for position, argument in enumerate(node.args):
            (self._visit_type if recognises and position == 1 else self.visit)(argument)
        for keyword in node.keywords:
            self.visit(keyword.value)

    def _visit_function(self, node: Function) -> None:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        held = {a.arg for a in arguments if self._ticket(a.annotation)}
        outer, self._held = self._held, self._held | held
        for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults, *node.body):
            if part is not None:
                self.visit(part)
        self._held = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._visit_type(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        self._visit_type(node.slice)

    def visit_Compare(self, node: ast.Compare) -> None:
        for part in (node.left, *node.comparators):
            self._visit_type(part)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key in node.keys:
            self._visit_type(key)
        for value in node.values:
            self.visit(value)

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        for pattern in (*node.patterns, *node.kwd_patterns):
            self.visit(pattern)


def builds(tree: ast.Module, tickets: Mapping[str, str]) -> list[tuple[int, str]]:
    """Line and ticket of each place in `tree` that could make a ticket of a stage."""
    return _Builds(tree, tickets).found


def copies(tree: ast.Module) -> Iterator[int]:
    """Lines that copy a named tuple."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in COPIES:
            yield node.lineno


def test_every_stage_defines_its_ticket() -> None:
    """A stage.py without the ticket that the path expects of it would leave that ticket unguarded."""
    stages = {stage for stage in TICKETS if (PACKAGE / stage / "stage.py").exists()}
    assert set(_all_tickets().values()) == stages


def test_only_a_stage_builds_its_own_ticket() -> None:
    """A ticket is the proof that a stage ran: no other module makes one."""
    tickets = _all_tickets()
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.parent.name if path.name == "stage.py" else None
        others = {name: stage for name, stage in tickets.items() if stage != own}
        wrong += [f"{path.relative_to(PACKAGE)}:{line} {ticket}" for line, ticket in builds(_parse(path), others)]
    assert wrong == []


def test_no_ticket_is_copied_with_other_values() -> None:
    """`ticket._replace(rights=…)` would be a ticket that no stage gave, so the library has no such call."""
    assert sorted(copies(ast.parse("def f(a): return a._replace(rights=1)\nmake = Authorised._make"))) == [1, 2]
    found = [f"{p.relative_to(PACKAGE)}:{n}" for p in sorted(PACKAGE.rglob("*.py")) for n in copies(_parse(p))]
    assert found == []


@pytest.mark.parametrize(
    "sample",
    [
        "from vallum.authorise.stage import Authorised\ndef f(m): return Authorised(m)",
        "from vallum.authorise.stage import Authorised as A\ndef f(m): return A(m)",
        "from vallum.authorise import stage\ndef f(m): return stage.Authorised(m)",
        "import vallum.authorise.stage\nx = vallum.authorise.stage.Authorised(1)",
        "from .stage import Authorised\nx = Authorised(1)",
        "from vallum.pipeline import Authorised\nmake = Authorised",
        "from vallum.pipeline import Authorised\nx = 1 | Authorised(1)",
        "from vallum.pipeline import Authorised\nx = {}[Authorised(1), 2]",
        "from vallum.pipeline import Authorised\nx = {}[Authorised](1) if Authorised(1) == 2 else 3",
        "from vallum.authorise.stage import Authorised\nmake = partial(Authorised, 1)",
        "from vallum.authorise.stage import Authorised\nx = object.__new__(Authorised)",
        "from vallum.authorise.stage import Authorised\nx = Authorised.__new__(Authorised)",
        "from vallum.authorise.stage import Authorised\nx = cast(Authorised, 1)",
        "from vallum.authorise.stage import Authorised\nclass Mine(Authorised): ...",
        "from vallum.authorise.stage import Authorised\nx = {'a': Authorised}",
        "from vallum.authorise.stage import Authorised\ndef f(a: Authorised): return replace(a, rights=1)",
        "from vallum.authorise.stage import Authorised\ndef f(a: Authorised): object.__setattr__(a, 'rights', 1)",
    ],
)
def test_the_ticket_rule_finds_a_builder(sample: str) -> None:
    """Each way to make another stage's ticket is found, whatever name it goes by."""
    assert builds(ast.parse(sample), {"Authorised": "authorise"}) != []


def test_the_ticket_rule_lets_a_stage_read_the_ticket_before_it() -> None:
    """Annotations, unions, isinstance, match, dispatch tables and classes of that name elsewhere are no builders."""
    sample = """
from vallum.authorise.stage import Authorised
from somewhere import Metered
Last = Authorised | None
Stage = Callable[[Authorised], Awaitable[Authorised]]
TABLE = {Authorised: 1}
last: Authorised | None = None
def f(a: Authorised, b: "list[Authorised]") -> Authorised:
    if isinstance(a, Authorised) or type(a) is Authorised:
        return a
    match a:
        case Authorised(rights=rights):
            return rights
    return replace(a.metered, x=Metered(1))
"""
    assert builds(ast.parse(sample), {"Authorised": "authorise", "Metered": "throttle"}) == []


@pytest.mark.parametrize(
    "sample",
    [
        "class Intent: ...\nclass Page(Intent): ...",
        "class Intent: ...",
        "Intent = Page | Item",
        "Intent: TypeAlias = Union[Page, Item]",
    ],
)
def test_ticket_classes_are_found_by_class_and_by_union(sample: str) -> None:
    """A stage may return one class or one of several; each of them is guarded."""
    expected = {"Intent", "Page"} if "class Page" in sample else {"Intent"} if "class" in sample else {"Page", "Item"}
    assert _ticket_classes(ast.parse(sample), "Intent") == expected

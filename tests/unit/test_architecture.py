"""The shape of the code, as CONTRIBUTING.md asks for it, where no linter has the rule.

Each rule is a function from a syntax tree to the places that break it. Its test feeds it a bad sample first, so that
a rule which stopped working goes red too, and then the repository.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = sorted((ROOT / "src").rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))
REPOSITORY: Final = [
    *SOURCES,
    *TESTS,
    *sorted((ROOT / "examples").rglob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
]

OPTIONAL_IMPORTS: Final = {
    "asyncpg": "the extra `postgres`",
    "vallum.store.postgres": "imports asyncpg",
    "vallum.store.postgres_connection": "imports asyncpg",
    "vallum.store.postgres_peek": "imports asyncpg",
}
"""Modules that may be imported inside a function, and why."""

LONG_FILES: Final[Mapping[str, int]] = {
    "src/vallum/defaults.py": 600,  # every limit in one place: a table that is looked up, not read
    "src/vallum/refusals.py": 400,  # every reason in one place, likewise
}
"""Path under src → lines that it may have, and why."""
LONG_FUNCTIONS: Final[Mapping[str, int]] = {}
"""`path:function` under src → lines granted beyond the rule. Empty, and meant to stay so."""
MAX_FILE_LINES: Final = 299
MAX_FUNCTION_LINES: Final = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def asserts(tree: ast.Module) -> list[int]:
    """Lines of `assert`: python -O removes it, so it checks nothing."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def late_imports(tree: ast.Module) -> list[tuple[int, str]]:
    """Imports inside functions, unless of an optional extra."""
    found = []
    for function in (n for n in ast.walk(tree) if isinstance(n, Function)):
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                module = node.module or "."
                if any(f"{module}.{alias.name}" not in OPTIONAL_IMPORTS for alias in node.names):
                    found.append((node.lineno, module))
    return sorted({(line, name) for line, name in found if name not in OPTIONAL_IMPORTS})


def root_imports(tree: ast.Module, modules: set[str]) -> list[tuple[int, str]]:
    """Uses of the package's public face from inside it: a cycle that import-linter's layers leave out."""
    return [
        (node.lineno, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "vallum"
        for alias in node.names
        if alias.name not in modules
    ]


def long_functions(tree: ast.Module) -> dict[str, int]:
    """Name → lines from `def` to the end, of those that are too long. A docstring may be as long as it must be."""
    sizes: dict[str, int] = {}
    for node in (n for n in ast.walk(tree) if isinstance(n, Function)):
        text = node.body[0] if ast.get_docstring(node) is not None else None
        documentation = 0 if text is None else (text.end_lineno or text.lineno) - text.lineno + 1
        sizes[node.name] = max(
            sizes.get(node.name, 0), (node.end_lineno or node.lineno) - node.lineno + 1 - documentation
        )
    return {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES}


def blanket_ignores(text: str) -> list[int]:
    """Lines whose comment switches a checker off without naming what."""
    blanket = re.compile(
        r"#\s*type:\s*ignore(?!\[\w)|#\s*(?:ruff:\s*|flake8:\s*)?noqa(?!:\s*[A-Z]+[0-9]+)", re.IGNORECASE
    )
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [t.start[0] for t in tokens if t.type == tokenize.COMMENT and blanket.search(t.string)]


def silent_tests(tree: ast.Module) -> Iterator[str]:
    """Tests that do not say what they show."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.name.startswith("test_") and not ast.get_docstring(node):
            yield node.name


def test_no_assert_in_the_library() -> None:
    """Checks of the library work under `python -O` too."""
    assert asserts(ast.parse("def f(x):\n    assert x")) == [2]
    assert [f"{_name(p)}:{line}" for p in SOURCES for line in asserts(_parse(p))] == []


def test_imports_stand_at_the_top() -> None:
    """What a module needs is known when it is imported; optional extras are the listed exception."""
    assert late_imports(ast.parse("def f():\n    import json\n    def g():\n        from a import b")) == [
        (2, "json"),
        (4, "a"),
    ]
    assert late_imports(ast.parse("import json\nif X:\n    import a\ndef f():\n    import asyncpg")) == []
    assert [f"{_name(p)}:{line} {name}" for p in SOURCES for line, name in late_imports(_parse(p))] == []


def test_the_library_does_not_import_its_public_face() -> None:
    """`from vallum import API` is for applications; inside, a module names the module that it needs."""
    package = ROOT / "src" / "vallum"
    modules = {p.stem for p in package.glob("*.py")} | {p.name for p in package.iterdir() if p.is_dir()}
    assert root_imports(ast.parse("from vallum import API, defaults"), {"defaults"}) == [(1, "API")]
    inside = [p for p in SOURCES if p != package / "__init__.py"]
    assert [f"{_name(p)}:{line} {name}" for p in inside for line, name in root_imports(_parse(p), modules)] == []


def test_files_are_short() -> None:
    """A file of the library has one purpose and fits in a reading."""
    lengths = {_name(p): len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    assert {name: n for name, n in lengths.items() if n > LONG_FILES.get(name, MAX_FILE_LINES)} == {}


def test_functions_are_short() -> None:
    """A function of the library fits on a screen."""
    assert long_functions(ast.parse("def f():\n" + "    x = 1\n" * 40)) == {"f": 41}
    assert long_functions(ast.parse("def f():\n    '''Says\n    much.'''\n" + "    x = 1\n" * 39)) == {}
    found = {f"{_name(p)}:{name}": size for p in SOURCES for name, size in long_functions(_parse(p)).items()}
    assert {name: size for name, size in found.items() if size > LONG_FUNCTIONS.get(name, MAX_FUNCTION_LINES)} == {}


def test_modules_say_what_they_are_for() -> None:
    """Every module of the library begins with a docstring."""
    assert [_name(p) for p in SOURCES if not ast.get_docstring(_parse(p))] == []


def test_ignores_name_their_code() -> None:
    """No comment switches a whole checker off."""
    sample = "a = 1  # type: ignore\nb = 1  # noqa\nc = 1  # type: ignore[misc]\nd = 1  # noqa: S608\n"
    assert blanket_ignores(sample) == [1, 2]
    assert [f"{_name(p)}:{line}" for p in REPOSITORY for line in blanket_ignores(p.read_text(encoding="utf-8"))] == []


def test_tests_say_what_they_show() -> None:
    """Every test has a docstring."""
    assert list(silent_tests(ast.parse("def test_x(): ...\nasync def test_y():\n    '''Shows y.'''"))) == ["test_x"]
    assert [f"{_name(p)} {name}" for p in TESTS for name in silent_tests(_parse(p))] == []


def test_lock_files_name_packages_and_hashes_only() -> None:
    """A lock file holds no index address and no path of the machine that wrote it."""
    line = re.compile(r"#.*|[a-z0-9-]+==[\w.+!]+( ; [\w .'<>=!()]+)?( \\)?|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert line.fullmatch("--index-url https://example.org/simple") is None
    files = sorted((ROOT / "requirements").glob("*.txt"))
    assert [path.stem for path in files] == ["bench", "build", "dev", "lock", "run", "system"]
    assert [
        f"{_name(p)}: {t}" for p in files for t in p.read_text(encoding="utf-8").splitlines() if not line.fullmatch(t)
    ] == []


def test_the_npm_lock_names_versions_and_hashes_only() -> None:
    """No address of a registry: `npm ci` takes its own, and the hash says whether that was right."""
    text = (ROOT / "tests/system/oauth/package-lock.json").read_text(encoding="utf-8")
    assert "://" not in text
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
    assert len(packages) == 3
    assert all(re.fullmatch(r"[\d.]+", entry["version"]) for entry in packages.values())
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())

"""`vallum new`: a small project that starts and passes its own tests."""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib.resources import files
from keyword import iskeyword, issoftkeyword
from pathlib import Path
from string import Template
from typing import Annotated, Final

import typer

from vallum.cli.given import AsJson
from vallum.cli.output import show
from vallum.errors import OperatorError

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
OWN: Final = {"data", "tests", "conftest"}
"""What the project has beside its package, or what Python would find instead of it."""
FILES: Final = {
    "README.md": "README.md",
    "vallum.toml": "vallum.toml",
    ".gitignore": "gitignore",
    "{name}/__init__.py": "init.py",
    "{name}/app.py": "app.py",
    "{name}/models.py": "models.py",
    "{name}/rules.py": "rules.py",
    "{name}/actions.py": "actions.py",
    "{name}/seed.py": "seed.py",
    "tests/conftest.py": "conftest.py",
    "tests/test_rules.py": "test_rules.py",
}
"""Path in the project → template in the folder `project` beside this module, which ends in `.txt`."""


class ProjectError(OperatorError):
    """The project cannot be made under that name, or there."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new")(new)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the directory and of its Python package.")],
    as_json: AsJson = False,
) -> None:
    """Write a small project: models, rules, an action, a seed, and tests that pass."""
    made = create(checked(name), Path.cwd())
    if as_json:
        show({"project": str(Path.cwd() / name), "files": made})
    else:
        typer.echo(f"Made {name}. Now: cd {name} && python -m pytest; its README.md has what comes next.")


def checked(name: str) -> str:
    """The name, if a Python package can have it and nothing that is installed has it already.

    Raises:
        ProjectError: `project-name` or `project-name-taken`.
    """
    if not NAME.fullmatch(name) or iskeyword(name) or issoftkeyword(name):
        raise ProjectError(
            "project-name", "NAME", "Use 1 to 40 of a-z, 0-9 and _, a letter first, and no Python keyword."
        )
    if name in OWN or name in sys.stdlib_module_names or _installed(name):
        raise ProjectError("project-name-taken", name, "Python finds another module under this name; choose another.")
    return name


def create(name: str, where: Path) -> list[str]:
    """Write the files; their paths inside the project.

    Raises:
        ProjectError: `project-exists`: there is something at that place; `project-place`: nothing can be written there.
    """
    place = where / name
    if place.is_symlink() or place.is_file() or (place.is_dir() and any(place.iterdir())):
        raise ProjectError("project-exists", str(place), "Choose another name, or an empty directory.")
    made = [path.format(name=name) for path in FILES]
    try:
        for path, template in zip(made, FILES.values(), strict=True):
            target = place / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_filled(template, name), encoding="utf-8")
    except OSError as error:
        mend = f"It cannot be written ({error.strerror}); call the command in a directory of yours."
        raise ProjectError("project-place", str(place), mend) from None
    return made


def _filled(template: str, name: str) -> str:
    text = files("vallum.cli").joinpath("project", f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(name=name, title=name.replace("_", " ").title())


def _installed(name: str) -> bool:
    """A folder without `__init__.py` has no origin: it may be the empty directory of the project itself."""
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None

"""Writes docs/commands.md from the commands themselves: `python -m vallum.cli.commands_doc docs/commands.md`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from vallum.cli import program

HEAD: Final = """\
# Commands

Made by `python -m vallum.cli.commands_doc docs/commands.md` from the commands themselves.

Exit codes: 0 done; 1 refused, or a check failed; 2 the command was not understood. With `--json` a command answers in
JSON, and a refusal is `{"error": {"identifier": …, "place": …, "mend": …}}` on standard error (`serve` has all of them
beside it, as `errors`). `--data`, `--app` and every setting come from a flag, a `VALLUM_…` variable or `vallum.toml`
([settings](settings.md)). A secret is never an argument.
"""
COMMON: Final = {"--json", "--data", "--app", "--help"}
"""Said once above, instead of with each command."""


def page() -> str:
    """Every command, in the order of the help."""
    root: Any = get_command(program([]))
    return "\n".join([HEAD, *_sections("vallum", root)])


def _sections(path: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _sections(f"{path} {name}", child)
    if not children:
        yield "\n".join(_section(path, command))


def _section(path: str, command: Any) -> Iterable[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not COMMON.intersection(p.opts)]
    yield f"## {' '.join([path, *(_argument(argument) for argument in arguments)])}\n"
    yield f"{' '.join(inspect.cleandoc(command.help or '').split())}\n"
    rows = [(_argument(argument), argument.help) for argument in arguments if argument.help]
    rows += [(_option(option), option.help) for option in options]
    if rows:
        yield "| | |\n|---|---|"
        yield from (f"| `{_cell(name)}` | {_cell(meaning)} |" for name, meaning in rows)
        yield ""


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _option(option: Any) -> str:
    kind = "" if option.is_flag else option.metavar or option.name.upper()
    return f"{', '.join([*option.opts, *option.secondary_opts])} {kind}".strip()


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    for place in sys.argv[1:]:
        Path(place).write_text(page(), encoding="utf-8")

"""Writes the table of docs/settings.md: `python -m vallum.serve.settings_doc docs/settings.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vallum.serve.settings import PREFIX, Settings

BEGIN: Final = "<!-- made by vallum.serve.settings_doc: begin -->"
END: Final = "<!-- made by vallum.serve.settings_doc: end -->"


def table() -> str:
    """A row for each setting, from the fields of `Settings`."""
    return "\n".join(["| `vallum.toml` | variable | default | meaning |", "|---|---|---|---|", *_rows()])


def rewritten(page: str) -> str:
    """The page with the table of this version.

    Raises:
        ValueError: the marks are not in it.
    """
    before, found, rest = page.partition(BEGIN)
    _, also_found, after = rest.partition(END)
    if not found or not also_found:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _rows() -> Iterable[str]:
    for name, field in Settings.model_fields.items():
        given = field.default_factory is not None
        default = "see there" if given else _shown(field.default)
        yield f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | {field.description} |"


def _shown(value: object) -> str:
    if value is None or value == ():
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        place = Path(argument)
        place.write_text(rewritten(place.read_text(encoding="utf-8")), encoding="utf-8")

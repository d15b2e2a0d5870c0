"""A matrix as one HTML file: nothing outside it, no script; roles are picked and printed by CSS alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import groupby
from typing import Final, NamedTuple, final

from markupsafe import Markup

from vallum.authorise.matrix import Matrix, Right
from vallum.authorise.matrix_words import fields_words, is_plain, line_words
from vallum.authorise.matrix_worlds import ANYONE_NAME, NO_ROLE
from vallum.docs.page import STYLE, content_security_policy, rendered

MATRIX_STYLE: Final = files("vallum.docs").joinpath("templates", "matrix.css").read_text(encoding="utf-8")
ABOUT: Final = {ANYONE_NAME: "A caller without a credential.", NO_ROLE: "An account without any role."}


@final
class Role(NamedTuple):
    """A role with its rights by resource, what it is denied besides, and what it is when the API declares no such role."""

    name: str
    about: str
    resources: list[tuple[str, list[Right]]]
    denied: list[Right]


def matrix_page(matrix: Matrix) -> bytes:
    """The page, the same bytes for the same matrix."""
    roles = list(_roles(matrix))
    more_style = MATRIX_STYLE + "".join(_picked(index) for index in range(1, len(roles) + 1))
    return rendered(
        "matrix.html",
        matrix=matrix,
        roles=roles,
        overview=list(_overview(matrix)),
        demanded=[thing for thing in matrix.resources if thing.exists],
        fields=fields_words,
        words=line_words,
        more_style=Markup(more_style),  # noqa: S704  # our own file and numbers
        policy=content_security_policy(STYLE, more_style),
    )


def _roles(matrix: Matrix) -> Iterator[Role]:
    for name in matrix.roles:
        granted = [right for right in matrix.rights if right.role == name and right.granted]
        denied = [right for right in matrix.rights if right.role == name and not right.granted]
        grouped = [(resource, list(group)) for resource, group in groupby(granted, lambda right: right.resource)]
        yield Role(name, ABOUT.get(name, ""), grouped, denied)


def _overview(matrix: Matrix) -> Iterator[tuple[str, list[list[tuple[str, bool]]]]]:
    """A row for each resource and endpoint: by role, its actions and whether they are without conditions."""
    cells: defaultdict[tuple[str, str], list[Right]] = defaultdict(list)
    for right in matrix.rights:
        if right.granted:
            cells[right.resource, right.role].append(right)
    for resource in sorted({resource for resource, _ in cells}):
        yield resource, [_cell(cells.get((resource, role), [])) for role in matrix.roles]


def _cell(rights: Sequence[Right]) -> list[tuple[str, bool]]:
    read = next((right for right in rights if right.action == "READ"), None)
    return [(right.action, is_plain(right, read)) for right in rights]


def _picked(index: int) -> str:
    """Of the sections, only that of the picked role."""
    return f"#role-{index}:checked ~ main > section:not(.role-{index}) {{ display: none; }}\n"

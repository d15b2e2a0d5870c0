"""Pages that need nothing but themselves: HTML by Jinja2 with autoescape, one style inside, and no script at all."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from vallum.crypto.digest import csp_hash

MEDIA_TYPE: Final = "text/html; charset=utf-8"
STYLE: Final = files("vallum.docs").joinpath("templates", "style.css").read_text(encoding="utf-8")
FRAMELESS: Final = "; frame-ancestors 'none'"
CODE: Final = re.compile(r"`([^`]+)`")


def content_security_policy(*styles: str) -> str:
    """The policy (CSP Level 3) of a page with these inline styles: each is named by its hash, all else is forbidden.

    It may stand in the page itself. A header adds `FRAMELESS`, which counts nowhere else.
    """
    return f"default-src 'none'; style-src {' '.join(map(csp_hash, styles))}; base-uri 'none'; form-action 'none'"


def rendered(template: str, **values: object) -> bytes:
    """The page.

    Args:
        template: a file of `templates`.
        values: of its variables; each must be there.
    """
    return _PAGES.get_template(template).render(style=Markup(STYLE), **values).encode()  # noqa: S704  # our own file


def with_code(text: str) -> Markup:
    """Text whose `words between backticks` are code; all of it is escaped."""
    parts = CODE.split(text)
    return Markup().join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))


def _environment() -> Environment:
    pages = Environment(
        loader=PackageLoader("vallum.docs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    pages.filters["code"] = with_code
    return pages


_PAGES: Final = _environment()

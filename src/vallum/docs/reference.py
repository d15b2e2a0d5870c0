"""`/docs`: the interactive reference. Static data for everybody; what it shows it fetches as whoever signs in there.

Swagger UI is vendored as its makers packed it (`vendor/`), and nothing is fetched from anywhere else. Each file is named
by its digest and may be kept for ever; the page names the digest again, so that a browser runs these bytes and no others.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple, final

from vallum.crypto.digest import hex256, integrity
from vallum.declare.document import Document
from vallum.declare.route import Kind, Route, Verb
from vallum.docs.page import MEDIA_TYPE, rendered
from vallum.execute.service import ServiceCall
from vallum.request import Header

PATH: Final = "/docs"
PUBLIC: Final = (
    "The page is the same for everybody; what it shows is fetched with the credential that is entered there."
)
STYLES: Final = ("vendor/swagger-ui/swagger-ui.css", "assets/reference.css")
SCRIPTS: Final = ("vendor/swagger-ui/swagger-ui-bundle.js", "assets/reference.js")
FREE_BYTES: Final = 64 * 1024
TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}

# CSP Level 3. Styles that a script sets on an element are no inline styles; Swagger UI's pictures are in its style sheet.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FOR_EVER: Final[tuple[Header, ...]] = ((b"cache-control", b"private, max-age=31536000, immutable"),)
"""A year, the most that RFC 9111 readers honour. No shared cache: the fields around it are one caller's own."""


@final
class Asset(NamedTuple):
    """A file of the page: its path in the service, its digest for the page, and its bytes."""

    path: str
    integrity: str
    media_type: str
    body: bytes

    @property
    def units(self) -> int:
        """What it costs to fetch."""
        return int(len(self.body) > FREE_BYTES)


def reference_routes(api: str) -> list[Route]:
    """The page and its files; `api` is the title."""
    styles, scripts = [_asset(name) for name in STYLES], [_asset(name) for name in SCRIPTS]
    page = rendered("reference.html", api=api, styles=styles, scripts=scripts)
    return [
        _route(PATH, "docs", Document(media_type=MEDIA_TYPE, body=page), 0),
        *(
            # Large files count, so that nobody has this service send them without end.
            _route(asset.path, asset.path[1:], Document(200, asset.media_type, asset.body, FOR_EVER), asset.units)
            for asset in (*styles, *scripts)
        ),
    ]


@lru_cache
def _asset(name: str) -> Asset:
    body = files("vallum.docs").joinpath(name).read_bytes()
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    return Asset(f"{PATH}/{stem}-{hex256(body)[:16]}.{suffix}", integrity(body), TYPES[suffix], body)


def _route(path: str, name: str, document: Document, units: int) -> Route:
    async def service(_: ServiceCall) -> Document:
        return document

    return Route(
        path=path,
        kind=Kind.BUILT_IN,
        methods={"GET": Verb.SERVE},
        name=name,
        service=service,
        public=PUBLIC,
        csp=POLICY,
        costs={"GET": units},
    )

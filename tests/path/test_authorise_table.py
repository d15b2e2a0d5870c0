"""Stage 4 by a table written by hand: role × method × route of the second application, and each caller's `Allow`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.general.app import api, number, seed
from tests.path.small import NOON

from tests import stores

CALLERS = ("mia", "otto", "mona", "alex", "lena", None)
BRIDGE, DIG, MIA = number(20), number(31), number(10)

# Without a body and without If-Match: 400 and 428 say that the caller may, and that the request was not complete.
# mia: member; otto: member from outside, viewer; mona: manager and member; alex: accountant; lena: other tenant.
TABLE = f"""
                                       mia  otto mona alex lena nobody
GET    /organisations                  200  200  200  200  200  401
POST   /organisations                  403  403  403  403  403  401
GET    /organisations/1                200  200  200  200  404  401
PATCH  /organisations/1                403  403  428  403  428  401
DELETE /organisations/1                403  403  403  403  403  401
GET    /people                         200  200  200  200  200  401
POST   /people                         403  403  400  403  400  401
GET    /people/{MIA}                   200  200  200  200  404  401
PATCH  /people/{MIA}                   428  428  428  428  428  401
DELETE /people/{MIA}                   403  403  403  403  403  401
GET    /projects                       200  200  200  200  200  401
POST   /projects                       403  403  400  403  400  401
GET    /projects/{BRIDGE}              200  200  200  200  404  401
PATCH  /projects/{BRIDGE}              403  403  428  403  428  401
DELETE /projects/{BRIDGE}              403  403  403  403  404  401
POST   /projects/{BRIDGE}/close        403  403  409  403  404  401
GET    /memberships                    200  200  200  403  200  401
POST   /memberships                    403  403  400  403  400  401
GET    /memberships/{BRIDGE},{MIA}     200  200  200  403  404  401
PATCH  /memberships/{BRIDGE},{MIA}     403  403  428  403  428  401
DELETE /memberships/{BRIDGE},{MIA}     403  403  204  403  404  401
GET    /tasks                          200  200  200  403  200  401
POST   /tasks                          400  400  400  403  400  401
GET    /tasks/{DIG}                    200  200  200  403  404  401
PATCH  /tasks/{DIG}                    428  428  428  403  428  401
DELETE /tasks/{DIG}                    403  403  409  403  404  401
GET    /tags                           200  200  200  200  200  401
POST   /tags                           403  403  400  403  400  401
GET    /tags/1                         200  200  200  200  404  401
PATCH  /tags/1                         403  403  428  403  428  401
DELETE /tags/1                         403  403  409  403  404  401
GET    /comments                       200  200  200  200  200  401
POST   /comments                       400  400  400  403  400  401
GET    /comments/1                     200  200  404  404  404  401
PATCH  /comments/1                     403  403  403  403  403  401
DELETE /comments/1                     204  403  404  403  404  401
GET    /invoices                       403  403  200  200  200  401
POST   /invoices                       403  403  403  403  403  401
GET    /invoices/2026,1                403  403  200  200  404  401
PATCH  /invoices/2026,1                403  403  403  403  403  401
DELETE /invoices/2026,1                403  403  403  204  403  401
GET    /invoice_lines                  403  403  403  200  403  401
POST   /invoice_lines                  403  403  403  400  403  401
GET    /invoice_lines/2026,1,1         403  403  403  200  403  401
PATCH  /invoice_lines/2026,1,1         403  403  403  428  403  401
DELETE /invoice_lines/2026,1,1         403  403  403  204  403  401
GET    /workload                       403  403  200  403  200  401
GET    /nothing                        404  404  404  404  404  401
POST   /nothing                        404  404  404  404  404  401
DELETE /nothing/1                      404  404  404  404  404  401
GET    /invoices/2026                  404  404  404  404  404  401
GET    /projects/{BRIDGE}/open         404  404  404  404  404  401
"""
ALLOW = f"""
/organisations               GET        GET        GET              GET              GET
/organisations/1             GET        GET        GET,PATCH        GET              GET,PATCH
/people                      GET        GET        GET,POST         GET              GET,POST
/people/{MIA}                GET,PATCH  GET,PATCH  GET,PATCH        GET,PATCH        GET,PATCH
/projects/{BRIDGE}           GET        GET        GET,PATCH,DELETE GET              GET,PATCH,DELETE
/projects/{BRIDGE}/close     -          -          POST             -                POST
/memberships/{BRIDGE},{MIA}  GET        GET        GET,PATCH,DELETE -                GET,PATCH,DELETE
/tasks                       GET,POST,PATCH GET,POST,PATCH GET,POST,PATCH,DELETE - GET,POST,PATCH,DELETE
/tasks/{DIG}                 GET,PATCH  GET,PATCH  GET,PATCH,DELETE -                GET,PATCH,DELETE
/tags/1                      GET        GET        GET,PATCH,DELETE GET              GET,PATCH,DELETE
/comments/1                  GET,DELETE GET,DELETE GET,DELETE       GET              GET,DELETE
/invoices                    -          -          GET              GET,DELETE       GET
/invoices/2026,1             -          -          GET              GET,DELETE       GET
/invoice_lines/2026,1,1      -          -          -                GET,PATCH,DELETE -
/workload                    -          -          GET              -                GET
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()[1:]]
ALLOWS = [line.split() for line in ALLOW.strip().splitlines()]
OTHERS = ("OPTIONS", "HEAD", "PUT", "TRACE", "PROPFIND", "GETS")

Copy = Callable[[], Path]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    data = tmp_path_factory.mktemp("general") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON, store=store)
    return data


@pytest.fixture
def copy(filled: Path, tmp_path: Path) -> Copy:
    """A fresh data directory with each call."""
    made = 0

    def fresh() -> Path:
        nonlocal made
        made += 1
        return stores.copied(filled, tmp_path / f"data-{made}")

    return fresh


@pytest.mark.parametrize(("method", "path", "statuses"), [(row[0], row[1], row[2:]) for row in ROWS])
def test_each_caller_meets_what_the_table_says(copy: Copy, method: str, path: str, statuses: list[str]) -> None:
    """401 without a credential, 403 where no rule of the roles allows it ever, 404 for rows that are not seen."""
    found = []
    for name in CALLERS:
        with stores.client(api, name, copy(), lambda: NOON) as caller:
            found.append(str(caller.request(method, path).status_code))
    assert found == statuses


@pytest.mark.parametrize(("path", "allows"), [(row[0], row[1:]) for row in ALLOWS])
def test_any_other_method_is_405_with_the_methods_of_the_caller(copy: Copy, path: str, allows: list[str]) -> None:
    """`Allow` has what this caller's roles allow at this moment, OPTIONS included; never what others may."""
    data = copy()
    for name, allowed in zip(CALLERS[:-1], allows, strict=True):
        with stores.client(api, name, data, lambda: NOON) as caller:
            for method in OTHERS:
                answer = caller.request(method, path)
                assert answer.status_code == 405
                assert answer.headers["allow"] == ("" if allowed == "-" else allowed.replace(",", ", ")), name


@pytest.mark.parametrize(("path", "allows"), [(row[0], row[1:]) for row in ALLOWS])
def test_what_is_not_allowed_is_403_and_what_is_allowed_is_not(copy: Copy, path: str, allows: list[str]) -> None:
    """The two tables agree: a method outside `Allow` that exists here is forbidden before anything else is looked at.

    A method inside it may still meet 403 by the row, but then the row was read: such a cell has a status above.
    """
    by_row = {(row[0], row[1]): row[2:] for row in ROWS}
    for method in ("GET", "POST", "PATCH", "DELETE"):
        if (method, path) not in by_row:
            continue
        for status, allowed in zip(by_row[method, path], allows, strict=False):
            if method not in allowed.split(","):
                assert status == "403"

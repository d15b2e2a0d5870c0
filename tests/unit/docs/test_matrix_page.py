"""The page of a matrix: one file that shows everything, fetches nothing and runs nothing."""

from __future__ import annotations

import hashlib
import html
import re
from base64 import b64encode

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.general.app import api as general

from vallum import API, CREATE, READ, UPDATE, allow, deny, me
from vallum.authorise.matrix import Matrix, matrix_of
from vallum.authorise.matrix_words import fields_words, line_words
from vallum.docs.matrix_page import matrix_page


class Base(DeclarativeBase):
    pass


class Sheet(Base):
    __tablename__ = "sheets"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return matrix_of(general, "sqlite")


@pytest.fixture(scope="module")
def page(matrix: Matrix) -> str:
    return matrix_page(matrix).decode()


def test_it_fetches_and_runs_nothing(page: str) -> None:
    """No element that would, no address; and a policy in the page itself that names its two styles."""
    assert re.search(r"<(script|link|img|iframe|object|form|base|a)\b|\b(src|href|on\w+)=|@import|url\(", page) is None
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    hashes = [f"'sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" for style in styles]
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert html.unescape(policy) == (
        f"default-src 'none'; style-src {' '.join(hashes)}; base-uri 'none'; form-action 'none'"
    )


def test_everything_in_the_matrix_is_on_the_page(page: str, matrix: Matrix) -> None:
    """Each right under its role, with its requests, fields and rules; what every rule demands; who may do nothing."""
    sections = dict(re.findall(r'<section class="role-\d+">\s*<h2>(.*?)</h2>(.*?)</section>', page, re.DOTALL))
    assert list(sections) == list(matrix.roles)
    for right in matrix.rights:
        text = html.unescape(re.sub(r"<[^>]+>", "", sections[right.role]))
        for words in (right.resource, right.action, *right.requests, ", ".join(fields_words(right))):
            assert words in text
        assert all(line_words(line, right) in text for line in right.rules)
    assert "May do nothing." in sections["ANYONE"]
    assert "projects.deleted_at IS NULL" in page


def test_a_role_is_picked_by_css(page: str, matrix: Matrix) -> None:
    """Each radio button has its label, its section and the rule that hides all others."""
    for index, role in enumerate(matrix.roles, 1):
        assert f'id="role-{index}"><label for="role-{index}">{role}</label>' in page
        assert f"#role-{index}:checked ~ main > section:not(.role-{index}) {{ display: none; }}" in page
    assert page.count(" checked>") == 1
    assert "@media print" in page


def test_the_same_matrix_makes_the_same_bytes(page: str) -> None:
    """It can be kept in a repository, and changes when the rights do."""
    assert matrix_page(matrix_of(general, "sqlite")).decode() == page


def overview(*rules: object) -> dict[str, bool]:
    """Role → whether each of its marks is a whole one, by action."""
    api = API("<Sheets & more>", roles=["a", "b"])
    api.resource(Sheet, *rules)  # type: ignore[arg-type]  # rules of any kind
    text = matrix_page(matrix_of(api, "sqlite")).decode()
    table = text.partition('<table class="overview">')[2].partition("</table>")[0]
    return {action: "partly" not in mark for mark, action in re.findall(r'<span class="(mark[^"]*)">(\w+)<', table)}


def test_a_whole_mark_means_every_row_and_field() -> None:
    """A rule by rows, a masked field, a deny, or rows that cannot all be read make it a dashed one."""
    own = Sheet.owner == me.id
    assert overview(allow("a", READ)) == {"READ": True}
    assert overview(allow("a", READ, where=own)) == {"READ": False}
    assert overview(allow("a", READ), deny("a", READ, where=own)) == {"READ": False}
    assert overview(allow("a", READ), deny("a", READ, where=own, fields=["owner"])) == {"READ": False}
    assert overview(allow("a", READ, where=own), allow("a", CREATE | UPDATE)) == {
        "READ": False,
        "CREATE": True,
        "UPDATE": False,
    }


def test_a_title_is_text() -> None:
    """And so is everything that an author may call things."""
    api = API("<img src=x>", roles=["a"])
    api.resource(Sheet, allow("a", READ, where=Sheet.owner == "<script>alert(1)</script>"))
    text = matrix_page(matrix_of(api, "sqlite")).decode()
    assert "<img" not in text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text

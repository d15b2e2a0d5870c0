"""Rules of all roles as rules of everybody."""

from __future__ import annotations

from tests.general.models import Person

from vallum import API, CREATE, allow
from vallum.row_security.install import installation


def test_a_document_that_set_writes_is_compared_as_jsonb() -> None:
    """PostgreSQL compares no two of type json, so the policies could not be made."""
    api = API("People", roles=["clerk"])
    api.resource(Person, allow("clerk", CREATE, set={Person.settings: {}}))
    text = "\n".join(installation(api, "reader").statements)
    assert "AS JSONB) IS NOT DISTINCT FROM CAST(" in text

"""Refusals in the document: each reason somewhere, and a problem document that is one."""

from __future__ import annotations

import json

import pytest
from tests.path.deeds import api as deeds
from tests.unit.openapi.documents import SITE, Reader, of

from school import api as school
from vallum.openapi.components import Components
from vallum.openapi.problems import ELSEWHERE, WHERE, example, refusals_of
from vallum.openapi.traits import Trait
from vallum.refusals import BODY_INVALID, QUOTA_EXCEEDED, REASONS, Reason

PROBLEMS = f"{SITE.public_url}/problems/"


def codes(reader: Reader, path: str, method: str) -> dict[str, list[str]]:
    """Status → codes that the document names."""
    found = {}
    for status, response in reader.document["paths"][path][method.lower()]["responses"].items():
        schema = reader.resolved(response).get("content", {}).get("application/problem+json", {}).get("schema")
        if schema is not None:
            found[status] = schema["properties"]["code"]["enum"]
    return found


def test_every_reason_has_its_place() -> None:
    """A new way to say no is told to clients, or it is said why not."""
    assert WHERE.keys() | ELSEWHERE.keys() == set(REASONS.values())
    assert not WHERE.keys() & ELSEWHERE.keys()


def test_an_operation_names_the_refusals_that_it_may_answer_with() -> None:
    """And not those of others: a list has no 412, a change has 428, an action has its own conflict."""
    reader = Reader(of(school, "registrar", "teacher"))
    listed, changed = codes(reader, "/students", "GET"), codes(reader, "/students/{id}", "PATCH")
    acted = codes(reader, "/students/{id}/enrol", "POST")
    assert "cursor_invalid" in listed["400"]
    assert not listed.keys() & {"404", "412", "413", "415", "422", "428"}
    assert changed["428"] == ["precondition_required"]
    assert "stale" in changed["412"]
    assert "cursor_invalid" not in changed["400"]
    assert {"action_conflict", "conflict"} <= set(acted["409"])
    assert "404" not in codes(reader, "/students", "POST")
    every = [codes(reader, path, method) for path, method, _ in reader.operations()]
    assert all({"400", "401", "403", "429", "500", "503"} <= found.keys() for found in every)


def test_only_what_works_in_several_steps_is_partly_done() -> None:
    """An async endpoint is; what is one transaction is done or not."""
    reader = Reader(of(deeds, *deeds.roles))
    found = {path for path, method, _ in reader.operations() if "partly_done" in str(codes(reader, path, method))}
    assert found == {"/wait"}


def test_who_need_not_show_a_credential_is_not_refused_for_lacking_one() -> None:
    """A bad one is refused all the same."""
    open_, guarded = (
        json.dumps(refusals_of(traits, components := Components(), PROBLEMS)) + json.dumps(components.sorted())
        for traits in (frozenset[Trait]({"any"}), frozenset[Trait]({"any", "guarded"}))
    )
    assert "credential_missing" not in open_
    assert "credential_invalid" in open_
    assert "credential_missing" in guarded


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_the_example_of_a_reason_is_what_respond_would_write(reason: Reason) -> None:
    """Type, title, status and code are the table's own; faults and quotas where there are some."""
    found = example(reason, PROBLEMS)
    assert (found["type"], found["title"]) == (PROBLEMS + reason.code, reason.title)
    assert (found["status"], found["code"], found["detail"]) == (reason.status, reason.code, reason.detail)
    assert ("violated_policies" in found) is (reason is QUOTA_EXCEEDED)
    assert "errors" in found or reason is not BODY_INVALID


def test_answers_of_one_name_are_one_answer() -> None:
    """The name of a response tells which reasons it has, in every document."""
    seen: dict[str, object] = {}
    for role in school.roles:
        for name, response in of(school, role)["components"]["responses"].items():
            assert seen.setdefault(name, response) == response

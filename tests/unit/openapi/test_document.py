"""The document of each role set: valid, with valid examples, no more than the rights, the same bytes each time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.general.app import api as general
from tests.path.small import api as small
from tests.unit.openapi.documents import ANONYMOUS, SAMPLES, SITE, Reader, audience, examples, of

from school import api as school
from vallum import API, CREATE, DELETE, READ, UPDATE, allow, deny, when
from vallum.authorise.inclusions import inclusion
from vallum.oauth.server import TOKEN
from vallum.openapi.audience import rights_of
from vallum.openapi.document import described, document


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_openapi(name: str) -> None:
    """By a program that knows nothing of Vallum. It takes a second each: `make system-test` asks for more role sets."""
    validate(of(SAMPLES[name], *SAMPLES[name].roles))


def test_it_is_openapi_for_nobody() -> None:
    """Without a credential: of an API that opens something to anyone, and of one that opens nothing."""
    validate(of(small))
    validate(of(school))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_example_fits_its_schema(name: str) -> None:
    """Of bodies, answers, refusals and parameters; every body and answer with a schema has one."""
    reader = Reader(of(SAMPLES[name], *SAMPLES[name].roles))
    found = list(examples(reader))
    assert len(found) > 40
    for place, schema, example in found:
        assert reader.errors(schema, example) == [], place
    for path, method, operation in reader.operations():
        contents = [operation.get("requestBody", {}), *map(reader.resolved, operation["responses"].values())]
        for content in contents:
            for media in content.get("content", {}).values():
                assert media.keys() & {"example", "examples"}, f"{method} {path}"


def test_the_same_rights_give_the_same_bytes() -> None:
    """In any order of the roles, and in a process with other hashes."""
    first = document(school, audience(school, "teacher", "head"), SITE)
    assert document(school, audience(school, "head", "teacher"), SITE) == first
    root = Path(__file__).parents[3]
    program = "from vallum.cli import main; main(['openapi', '--role', 'teacher', '--role', 'head'])"
    variables = {"VALLUM_APP": "school:api", "VALLUM_PUBLIC_URL": SITE.public_url, "PYTHONHASHSEED": "1"}
    path = os.pathsep.join(str(root / part) for part in ("src", "examples/school"))
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **variables, "PYTHONPATH": path},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert said.stdout == first + b"\n"


def test_it_names_what_a_teacher_may_do_and_nothing_else() -> None:
    """Paths, methods, the fields of answers, of bodies, and the filters and orders."""
    reader = Reader(of(school, "teacher"))
    methods = {(path, method) for path, method, _ in reader.operations()}
    assert {("/students", "GET"), ("/students/{id}", "PATCH"), ("/grades", "POST")} <= methods
    assert not methods & {("/students", "POST"), ("/students/{id}", "DELETE"), ("/guardianships", "GET")}
    assert "/reports" not in reader.document["paths"]
    assert "/students/{id}/enrol" not in reader.document["paths"]
    assert list(reader.request("/students/{id}", "PATCH")["properties"]) == ["notes"]
    assert "given" not in reader.request("/grades", "POST")["properties"]
    assert "given" in reader.schema("Grade")["properties"]


def test_a_field_that_is_not_granted_is_nowhere_in_it() -> None:
    """Not in schemas, parameters, examples or the words of the model: a student never reads of notes or salaries."""
    text = document(school, audience(school, "student"), SITE).decode()
    assert "classroom_id" in text
    for word in ("notes", "salary", "guardian", "phone", "left the school"):
        assert word not in text, word


@pytest.mark.parametrize("name", SAMPLES)
def test_no_document_has_a_word_that_is_only_for_others(name: str) -> None:
    """Names of fields, paths and roles that no rule of a role grants stand nowhere in its document."""
    api = SAMPLES[name]
    whole = of(api, *api.roles)
    everything = {f for resource in api.resources.values() for f in resource.fields}
    everything |= {path.split("/")[1] for path in whole["paths"]} | set(api.roles)
    common = names(described(API("Empty", roles=["x"]), audience(api, "x"), SITE)) | names(of(coins, "miner"))
    common |= {"number"}  # a type of JSON
    for role in api.roles:
        document = of(api, role)
        granted = {role, *(path.split("/")[1] for path in document["paths"])}
        rights = rights_of(api, audience(api, role), "sqlite")
        for resource in api.resources.values():
            found = [rights.on(resource, operation) for operation in (CREATE, READ, UPDATE)]
            granted |= {name for access in found if access is not None for name in access.granted}
            if found[1] is not None:
                granted |= set(resource.key)  # in the path
                granted |= {name for name in resource.relations if inclusion(rights, resource, found[1], name)}
        assert (everything - granted - common) & names(document) == set(), role


def names(value: object) -> set[str]:
    """What stands in a JSON document between quotes or backticks, before an operator or behind a minus."""
    return set(re.findall(r'(?<=["`-])\w+(?=["`\[])', json.dumps(value)))


@pytest.mark.parametrize(
    ("api", "role", "path", "words"),
    [
        (school, "registrar", "/students/{id}", "Rows that depend on it go along"),
        (school, "registrar", "/enrolments/{course_id},{student_id}", "Where other rows refer to it, it stays (409)."),
        (small, "writer", "/books/{id}", "Rows that refer to it stay."),
    ],
)
def test_a_removal_says_what_becomes_of_rows_that_refer_to_it(api: API, role: str, path: str, words: str) -> None:
    """They go along, keep it, or stay behind one that is only marked."""
    assert words in of(api, role)["paths"][path]["delete"]["description"]


def test_a_field_that_some_rows_hide_may_be_null() -> None:
    """A teacher sees their own salary only; a column that may be NULL stays so for whoever sees every row."""
    teacher, head = (Reader(of(school, role)).schema("Teacher")["properties"] for role in ("teacher", "head"))
    assert teacher["salary"]["type"] == ["integer", "null"]
    assert (head["salary"]["type"], head["phone"]["type"]) == ("integer", ["string", "null"])


def test_sorts_are_those_that_every_visible_row_shows() -> None:
    """And what is neither shown nor declared is no filter."""
    reader = Reader(of(school, "teacher"))
    assert "author" in reader.parameters("/articles", "GET")
    assert reader.parameters("/teachers", "GET")["sort"]["schema"]["items"]["enum"] == ["name", "-name", "id", "-id"]
    student = Reader(of(school, "student")).parameters("/articles", "GET")
    assert "topic[in]" in student
    assert not [name for name in student if name.startswith("author")]


def test_conditions_on_the_request_may_be_met_another_time() -> None:
    """What an accountant may do by day, from the office, after a login, is in the document at any hour."""
    reader = Reader(of(general, "accountant"))
    assert {"POST", "GET"} <= {method for path, method, _ in reader.operations() if path == "/invoices"}
    assert "DELETE" in {method for path, method, _ in reader.operations() if path == "/invoices/{year},{number}"}
    member = {(path, method) for path, method, _ in Reader(of(general, "member")).operations()}
    assert ("/comments/{id}", "PATCH") in member


class Base(DeclarativeBase):
    pass


class Coin(Base):
    __tablename__ = "coins"

    id: Mapped[int] = mapped_column(primary_key=True)
    face: Mapped[int] = mapped_column(doc="What is stamped on it.")
    worth: Mapped[int]


coins = API("Coins", roles=["miner", "thief"], attributes={"vault": int})
coins.resource(
    Coin,
    allow("miner", CREATE | READ | UPDATE | DELETE),
    deny("thief", UPDATE | DELETE),
    deny("thief", READ, fields=["worth"]),
    deny("thief", CREATE, when=when(login_within=timedelta(hours=1))),
    deny("miner", DELETE, when=when(scope="look")),
    deny("miner", UPDATE, when=when(scope="look", login_within=timedelta(hours=1))),
    filters=["worth", "face"],
    sorts=["worth"],
)


def test_what_is_always_denied_is_not_there() -> None:
    """A thief who mines: no operation and no field that a deny takes away from every row; one under a condition stays."""
    reader = Reader(of(coins, "miner", "thief"))
    assert {(path, method) for path, method, _ in reader.operations()} == {
        ("/coins", "GET"),
        ("/coins", "POST"),
        ("/coins/{id}", "GET"),
        ("/limits", "GET"),
    }
    assert list(reader.schema("Coin")["properties"]) == ["id", "face"]
    assert not [name for name in reader.parameters("/coins", "GET") if name.startswith("worth")]


@pytest.mark.parametrize(("scopes", "removes"), [(frozenset(), True), (frozenset({"look"}), False), (None, False)])
def test_a_scope_that_is_held_is_known_to_deny(scopes: frozenset[str] | None, removes: bool) -> None:
    """A deny by scope alone takes the operation away from who carries it; with another condition it may not apply."""
    miner = described(coins, audience(coins, "miner")._replace(scopes=scopes), SITE)
    assert miner["paths"]["/coins/{id}"].keys() == {"get", "patch"} | ({"delete"} if removes else set())


def test_what_the_author_says_of_a_column_stands_beside_it() -> None:
    """`doc=` of a column is for those who read or write it."""
    reader = Reader(of(coins, "miner"))
    assert reader.schema("Coin")["properties"]["face"]["description"] == "What is stamped on it."
    assert reader.request("/coins", "POST")["properties"]["face"]["description"] == "What is stamped on it."


def test_what_anyone_may_do_needs_no_credential() -> None:
    """Nobody known sees the shelves and nothing else; a reader is told there that a credential may be left out."""
    reader = Reader(of(small))
    assert {path for path, _, _ in reader.operations()} == {"/shelves", "/shelves/{id}", "/hello", "/limits"}
    assert all(operation["security"][0] == {} for _, _, operation in reader.operations())
    rita = Reader(of(small, "reader")).document["paths"]
    assert "security" not in rita["/books"]["get"]
    assert rita["/shelves"]["get"]["security"][0] == {}
    assert of(school)["paths"] == {}


def test_keys_of_more_than_one_part_are_parameters_of_one_segment() -> None:
    """`/invoices/{year},{number}`, each with its own type."""
    reader = Reader(of(general, "accountant"))
    parameters = reader.parameters("/invoices/{year},{number}", "GET")
    assert {"year", "number"} <= parameters.keys()
    assert parameters["year"]["schema"]["type"] == "integer"


def test_an_id_is_text_among_the_parameters() -> None:
    """Of digits where it is a whole number, as many as the column has; any other number is a number."""
    reader = Reader(of(school, "head"))
    for path, name in (("/students/{id}", "id"), ("/students", "classroom_id"), ("/grades", "course_id")):
        schema = reader.parameters(path, "GET")[name]["schema"]
        assert schema["type"] == "string"
        for text, fits in (("17", True), ("0", True), ("-1", True), ("2147483647", True), ("01", False), ("x", False)):
            assert (reader.errors(schema, text) == []) is fits, text
    assert reader.parameters("/grades", "GET")["value"]["schema"]["type"] == "integer"
    assert reader.parameters("/grades", "GET")["course_id[in]"]["schema"]["items"]["type"] == "integer"


def test_an_action_answers_with_the_row_as_this_caller_sees_it() -> None:
    """With its ETag; a body of another type as Pydantic writes it."""
    reader = Reader(of(school, "registrar", "head"))
    enrol = reader.document["paths"]["/students/{id}/enrol"]["post"]
    assert enrol["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Enrolment"
    }
    assert "ETag" in enrol["responses"]["200"]["headers"]
    assert reader.request("/students/{id}/enrol", "POST")["required"] == ["course_id"]
    report = reader.resolved(reader.answer("/reports", "POST", 200))
    assert report["properties"]["courses"]["items"] == {"$ref": "#/components/schemas/CourseAverage"}
    assert "204" not in reader.document["paths"]["/reports"]["post"]["responses"]


def test_a_create_links_to_what_may_be_done_with_the_row() -> None:
    """Only to what this caller may do, with the parts of the key and the tag of the answer."""
    links = of(school, "teacher")["paths"]["/grades"]["post"]["responses"]["201"]["links"]
    assert links == {
        "read_grades": {"operationId": "read_grades", "parameters": {"path.id": "$response.body#/id"}},
        "change_grades": {
            "operationId": "change_grades",
            "parameters": {"path.id": "$response.body#/id", "header.If-Match": "$response.header.ETag"},
        },
    }


def test_a_costly_operation_says_so() -> None:
    """Reports cost five units, and a count is extra."""
    assert "Costs 5 units" in of(school, "head")["paths"]["/reports"]["post"]["description"]
    assert "`count` costs" in of(school, "head")["paths"]["/grades"]["get"]["description"]


def test_it_says_where_and_for_whom() -> None:
    """Title, version, server and role set."""
    found = described(small, audience(small, "reader", "writer"), SITE)
    assert (found["info"]["title"], found["info"]["version"]) == (small.title, small.version)
    assert "the roles reader, writer" in found["info"]["description"]
    assert found["servers"] == [{"url": SITE.public_url, "description": "In production.", "x-internal": False}]
    assert described(small, ANONYMOUS, SITE._replace(dev=True))["servers"][0]["description"].startswith("Local")
    assert "no credential" in described(small, ANONYMOUS, SITE)["info"]["description"]
    nobody = audience(small)
    assert "no role" in described(small, nobody, SITE)["info"]["description"]


def test_models_of_one_name_are_told_apart() -> None:
    """By the path; operations that would have one name get a number."""

    class Other(DeclarativeBase):
        pass

    def coin(table: str) -> type[Other]:
        columns = {"__tablename__": table, "__module__": table, "__annotations__": {"id": Mapped[int]}}
        return type("Coin", (Other,), {**columns, "id": mapped_column(primary_key=True)})

    both = API("Both", roles=["a"])
    both.resource(coin("a_b"), allow("a", READ), path="/a-b")
    both.resource(coin("ab"), allow("a", READ), path="/a_b")
    both.resource(coin("c"), allow("a", READ), path="/x/c")
    reader = Reader(of(both, "a"))
    assert {"AB", "XC"} <= {name.removesuffix("Page") for name in reader.document["components"]["schemas"]}
    operations = [operation["operationId"] for _, _, operation in reader.operations()]
    assert len(set(operations)) == len(operations)


def test_a_token_is_asked_for_where_there_are_tokens() -> None:
    """The address of the token endpoint is the one that is served, and an API key has the header that is read."""
    schemes = of(small)["components"]["securitySchemes"]
    flow = schemes["client"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == flow["refreshUrl"] == SITE.public_url + TOKEN
    assert schemes["key"] == {**schemes["key"], "type": "apiKey", "in": "header", "name": "X-API-Key"}

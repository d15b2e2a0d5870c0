"""One operation: a method of a route, as one audience may use it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, final

from vallum import defaults
from vallum.authorise.rights import Access, Rights
from vallum.authorise.stage import access_by
from vallum.declare.resource import Resource
from vallum.declare.route import READS, Kind, Route, Verb, open_to_anyone
from vallum.openapi import inclusions, queries, rows
from vallum.openapi.bounded import Definitions
from vallum.openapi.components import Components, Json
from vallum.openapi.examples import NoExampleError, example_of
from vallum.openapi.handlers import answered, words_of
from vallum.openapi.headers import ANSWERED, headers, request_headers
from vallum.openapi.limits import limits
from vallum.openapi.links import links
from vallum.openapi.names import Names
from vallum.openapi.problems import refusals_of
from vallum.openapi.security import OPEN
from vallum.openapi.traits import traits_of
from vallum.refusals import Refusal
from vallum.validate.bulk import changed_rows
from vallum.validate.models import Models

JSON: Final = "application/json"
PATCH: Final = "application/merge-patch+json"


@final
@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """What operations of one document are written with.

    Attributes:
        problems: the address of the pages about refusals.
    """

    rights: Rights
    components: Components
    definitions: Definitions
    names: Names
    models: Models
    problems: str


def operation(route: Route, method: str, writer: Writer) -> Json:
    """The operation behind a method that the audience may use."""
    verb = route.methods[method]
    own = _WRITTEN[verb](route, method, writer)
    traits = traits_of(route, method, body="requestBody" in own)
    keys = rows.keys(route.resource) if route.resource is not None and "row" in traits else []
    parameters = [*keys, *own.pop("parameters", []), *request_headers(traits, writer.components)]
    responses = {**own.pop("responses"), **refusals_of(traits, writer.components, writer.problems)}
    return {
        "operationId": writer.names.operation(route, method),
        "tags": [tag_of(route)],
        **{name: own.pop(name) for name in ("summary", "description") if name in own},
        **({"security": OPEN} if open_to_anyone(route, method) else {}),
        **({"parameters": parameters} if parameters else {}),
        **own,
        "responses": dict(sorted(responses.items())),
    }


def tag_of(route: Route) -> str:
    """Under which heading an operation stands."""
    return route.path.split("/")[1] if route.resource is None else route.resource.name


def _access(route: Route, method: str, writer: Writer) -> tuple[Resource, Access]:
    """
    Raises:
        TypeError: of a route without a resource.
    """
    access = access_by(writer.rights, route, method, route.methods[method])
    if route.resource is None or access is None:
        raise TypeError("this verb has a resource, and the audience may use it")
    return route.resource, access


def _answer(schema: Json, writer: Writer, description: str, more: dict[str, bool]) -> Json:
    content: Json = {"schema": schema}
    with suppress(NoExampleError):
        content["example"] = example_of(schema, writer.components)
    return {
        "description": description,
        "headers": headers(writer.components, ANSWERED | more),
        "content": {JSON: content},
    }


def _nothing(writer: Writer, description: str, more: dict[str, bool] | None = None) -> Json:
    return {"description": description, "headers": headers(writer.components, ANSWERED | (more or {}))}


def _request(schema: Json, media_type: str, writer: Writer, accepted: Callable[[Any], Any]) -> Json:
    content: Json = {"schema": schema}
    with suppress(NoExampleError, Refusal):
        example = example_of(schema, writer.components)
        accepted(example)
        content["example"] = example
    return {"required": True, "content": {media_type: content}}


# What each verb has of its own ------------------------------------------------------------


def _list(route: Route, method: str, writer: Writer) -> Json:
    resource, access = _access(route, method, writer)
    schema = rows.page(resource, access, writer.rights, writer.components, writer.names)
    return {
        "summary": f"List {resource.name}",
        "description": _described(
            f"The rows of {resource.name} that the caller may read, a page at a time.", route, method
        ),
        "parameters": [
            *queries.of_list(resource, access, writer.components),
            *inclusions.parameter(writer.rights, resource, access),
        ],
        "responses": {"200": _answer(schema, writer, "A page.", {"Link": False})},
    }


def _item(route: Route, method: str, writer: Writer) -> Json:
    resource, access = _access(route, method, writer)
    schema = rows.row(resource, access, writer.rights, writer.components, writer.names)
    included = inclusions.parameter(writer.rights, resource, access)
    return {
        "summary": f"Read one of {resource.name}",
        "description": _described("A row that the caller may not read is not there.", route, method),
        "parameters": [
            queries.fields(access.shown),
            *included,
            *([inclusions.continued()] if included else []),
        ],
        "responses": {
            "200": _answer(schema, writer, "The row.", {"ETag": True}),
            "304": _nothing(writer, "Nothing has changed.", {"ETag": True}),
        },
    }


def _create(route: Route, method: str, writer: Writer) -> Json:
    resource, access = _access(route, method, writer)
    description = "The new row; without a body when the caller may not read it."
    read = rows.readable(writer.rights, resource)
    if read is None:
        found = {"Location": not resource.bulk, "Idempotent-Replayed": False}
        created = _nothing(writer, description, found)
    else:
        schema = rows.row(resource, read, writer.rights, writer.components, writer.names)
        if resource.bulk:
            schema = {"anyOf": [schema, rows.many(resource, read, writer.rights, writer.components, writer.names)]}
        found = {"Location": not resource.bulk, "ETag": False, "Idempotent-Replayed": False}
        created = _answer(schema, writer, description, found)
        created |= links(resource, read, writer.rights, writer.names)
    body = rows.body(resource, Verb.CREATE, access, writer.models, writer.definitions, writer.names)
    request = _request(body, JSON, writer, lambda value: writer.models.create(resource, access, value))
    words = "The new row must be one that a rule lets this caller create."
    if resource.bulk:
        words += f" A list of up to {resource.bulk} makes several rows, all or none."
        request["content"][JSON]["schema"] = {"anyOf": [body, rows.in_bulk(resource, body)]}
    return {
        "summary": f"Create one of {resource.name}",
        "description": _described(words, route, method),
        "requestBody": request,
        "responses": {"201": created},
    }


def _change(route: Route, method: str, writer: Writer) -> Json:
    resource, access = _access(route, method, writer)
    schema = rows.body(resource, Verb.CHANGE, access, writer.models, writer.definitions, writer.names)
    read = rows.readable(writer.rights, resource)
    if read is None:
        raise TypeError("a row is changed by who may read it")
    shown = rows.row(resource, read, writer.rights, writer.components, writer.names)
    responses = {"200": _answer(shown, writer, "The row as it is now.", {"ETag": True})}
    if not any(grant.always for grant in read.grants):
        responses["204"] = _nothing(writer, "Done; the caller may not read the row any more.")
    return {
        "summary": f"Change one of {resource.name}",
        "description": _described("A merge patch (RFC 7396): what is not named stays.", route, method),
        "requestBody": _request(schema, PATCH, writer, lambda value: writer.models.change(resource, access, value)),
        "responses": responses,
    }


def _remove(route: Route, method: str, writer: Writer) -> Json:
    resource, _ = _access(route, method, writer)
    return {
        "summary": f"Remove one of {resource.name}",
        "description": _described(rows.of_others(resource), route, method),
        "responses": {"204": _nothing(writer, "It is gone.")},
    }


def _change_many(route: Route, method: str, writer: Writer) -> Json:
    resource, access = _access(route, method, writer)
    read = rows.readable(writer.rights, resource)
    if read is None:
        raise TypeError("a row is changed by who may read it")
    one = rows.changed_row(resource, access, writer.models, writer.definitions, writer.names)
    shown = rows.many(resource, read, writer.rights, writer.components, writer.names)
    words = "Each row is named by its key; beside it stands its merge patch. `If-Match` lists the tags of all rows, or is `*`."
    responses = {"200": _answer(shown, writer, "The rows as they are now.", {})}
    if not any(grant.always for grant in read.grants):
        responses["204"] = _nothing(writer, "Done; the caller may read none of the rows any more.")
    return {
        "summary": f"Change several of {resource.name}",
        "description": _described(f"{words} All rows are changed, or none.", route, method),
        "requestBody": _request(
            rows.in_bulk(resource, one),
            JSON,
            writer,
            lambda value: changed_rows(writer.models, resource, access, value),
        ),
        "responses": responses,
    }


def _remove_many(route: Route, method: str, writer: Writer) -> Json:
    resource, _ = _access(route, method, writer)
    words = "Rows are named by their keys. All of them are removed, or none."
    return {
        "summary": f"Remove several of {resource.name}",
        "description": _described(words, route, method),
        "parameters": queries.of_keys(resource),
        "responses": {"204": _nothing(writer, "They are gone.")},
    }


def _act(route: Route, method: str, writer: Writer) -> Json:
    handler = route.handlers[method]
    summary, description = words_of(handler.function, route.name)
    found = answered(handler.function, writer.rights, writer.components, writer.names, writer.definitions)
    replayed = {"Idempotent-Replayed": False} if method == "POST" and not handler.asynchronous else {}
    responses: Json = {}
    if found.schema is not None:
        tag = {"ETag": True} if found.resource is not None else {}
        responses["200"] = _answer(found.schema, writer, "Done.", {**tag, **replayed})
    if found.empty:
        responses["204"] = _nothing(writer, "Done; there is nothing to show to this caller.", replayed)
    own: Json = {
        "summary": summary,
        "description": _described(description, route, method),
        "responses": responses,
    }
    adapter = handler.body
    if adapter is not None:
        schema = writer.definitions.of(adapter, "validation")
        request = _request(schema, JSON, writer, lambda value: writer.models.handler_body(adapter, value))
        own["requestBody"] = {**request, "required": handler.body_required}
    return own


def _limits(route: Route, method: str, writer: Writer) -> Json:  # noqa: ARG001  # as the others
    schema = writer.components.ref("schemas", "Limits", limits)
    return {
        "summary": "The caller's budget",
        "description": "Plan, what is left of it, and what each thing that the caller may do takes from it. Costs nothing.",
        "responses": {"200": _answer(schema, writer, "The budget.", {})},
    }


def _described(words: str, route: Route, method: str) -> str:
    cost = route.costs.get(method, 1)
    costs = [] if cost == 1 else [f"Costs {cost} units of the caller's budget."]
    if route.resource is not None and route.resource.bulk and route.kind is Kind.COLLECTION and method != "GET":
        costs = [f"Costs {cost} unit{'s' * (cost > 1)} of the caller's budget for each row."]
    if route.methods[method] in READS:
        rows = f", in every {defaults.INCLUDE_COST_ROWS} rows of `limit`," if route.kind is Kind.COLLECTION else ""
        each = {"include": f"Each relation of `include`{rows}"}
        costs += [f"{each.get(n, f'`{n}`')} costs {units} more." for n, units in route.extra_costs.items() if units]
    return "\n\n".join([words, *costs])


_WRITTEN: Final = {
    Verb.LIST: _list,
    Verb.ITEM: _item,
    Verb.CREATE: _create,
    Verb.CHANGE: _change,
    Verb.REMOVE: _remove,
    Verb.CHANGE_MANY: _change_many,
    Verb.REMOVE_MANY: _remove_many,
    Verb.ACT: _act,
    Verb.SERVE: _limits,  # of what Vallum answers itself the only one that is described
}

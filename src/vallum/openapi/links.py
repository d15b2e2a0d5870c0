"""What can be done with the row of an answer (OpenAPI 3.1 §4.8.20)."""

from __future__ import annotations

from vallum.authorise.rights import Access, Rights
from vallum.authorise.stage import may
from vallum.declare.resource import Resource
from vallum.declare.route import Kind, Verb
from vallum.openapi.components import Json
from vallum.openapi.names import Names


def links(resource: Resource, read: Access, rights: Rights, names: Names) -> Json:
    """The `links` of an answer that shows the key of its row; nothing where it does not."""
    if not read.certain.issuperset(resource.key):
        return {}
    key = {f"path.{name}": f"$response.body#/{name}" for name in resource.key}
    found: Json = {}
    for route in rights.api.routes.values():
        if route.resource is not resource or route.kind not in (Kind.ITEM, Kind.ACTION):
            continue
        for method, verb in route.methods.items():
            if may(rights, route, method, verb):
                tag = {"header.If-Match": "$response.header.ETag"} if verb is Verb.CHANGE else {}
                name = names.operation(route, method)
                found[name] = {"operationId": name, "parameters": {**key, **tag}}
    return {"links": found} if found else {}

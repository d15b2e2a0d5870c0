"""Models of bodies, derived from the columns: what a create and a change of a resource may say.

A model is made for each set of fields that some rights grant, once. A field outside of it does not exist: it
gets the same fault as a field that nobody ever declared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NotRequired, Required, final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python
from sqlalchemy import types
from typing_extensions import TypedDict

from vallum import defaults
from vallum.authorise.rights import Access
from vallum.declare.resource import Field, Resource
from vallum.declare.route import Verb
from vallum.refusals import BODY_INVALID, Fault, Refusal
from vallum.validate.columns import annotation_of
from vallum.validate.faults import UNKNOWN_FIELD, fault, faults_of, pointer_of

Adapter = TypeAdapter[dict[str, Any]]

_OBJECT_EXPECTED: Final = Fault("", "object", "The body is an object of field and value.")


@final
class Models:
    """The models of one API; each is made when it is first needed."""

    def __init__(self) -> None:
        # A plain dict, emptied when full: handlers ask from the writer's thread while the event loop asks too.
        self._adapters: dict[object, Adapter] = {}
        self._bodies: dict[object, type[BaseModel]] = {}

    def create(self, resource: Resource, access: Access, body: Any) -> dict[str, Any]:
        """The values of a new row: Python values by field, only the given ones.

        Raises:
            Refusal: BODY_INVALID with every fault.
        """
        return self._read(resource, Verb.CREATE, access.granted, _written(access), body)

    def change(self, resource: Resource, access: Access, body: Any) -> dict[str, Any]:
        """The new values of a merge patch (RFC 7396); a JSON column's value is a patch of the document in it.

        Raises:
            Refusal: BODY_INVALID with every fault.
        """
        return self._read(resource, Verb.CHANGE, access.granted, frozenset(), body)

    def key(self, resource: Resource, body: Mapping[str, Any]) -> tuple[Any, ...]:
        """The key that a row of a bulk names, in order.

        Raises:
            Refusal: BODY_INVALID with every fault.
        """
        given = {name: body[name] for name in resource.key if name in body}
        try:
            values = self.key_model(resource).validate_python(given)
        except ValidationError as error:
            raise Refusal(BODY_INVALID, faults=faults_of(error, body)) from None
        return tuple([values[name] for name in resource.key])

    def key_model(self, resource: Resource) -> Adapter:
        """The model of a row's key as members of an object."""
        return self._kept((resource, "key"), lambda: _key_adapter(resource))

    def handler_body(self, adapter: TypeAdapter[Any], body: Any) -> Any:
        """The body of an action or endpoint, as the type that its author declared.

        Raises:
            Refusal: BODY_INVALID with every fault.
        """
        try:
            # Strict: a number in quotes is a text. Dates, UUIDs and enums are texts in JSON anyway.
            return adapter.validate_json(_json_text(body), strict=True)
        except ValidationError as error:
            raise Refusal(BODY_INVALID, faults=faults_of(error, body)) from None

    def model_for(
        self, resource: Resource, verb: Verb, granted: frozenset[str], written: frozenset[str] = frozenset()
    ) -> Adapter:
        """The model of a create or change by rights that grant these fields.

        Args:
            written: fields that the server fills when a create leaves them out.
        """
        key = (resource, verb, granted, written)
        return self._kept(key, lambda: _adapter(resource, verb, granted, written))

    def _kept(self, key: object, make: Callable[[], Adapter]) -> Adapter:
        adapter = self._adapters.get(key)
        if adapter is None:
            if len(self._adapters) >= defaults.RIGHTS_CACHED:
                self._adapters.clear()
            adapter = self._adapters[key] = make()
        return adapter

    def schema(self, resource: Resource, verb: Verb, access: Access, mode: type[GenerateJsonSchema]) -> dict[str, Any]:
        """The JSON Schema of a create's or change's body, with `$defs` where an author's model has them.

        Args:
            mode: how Pydantic writes it.
        """
        written = _written(access) if verb is Verb.CREATE else frozenset()
        if resource.body is None:
            return self.model_for(resource, verb, access.granted, written).json_schema(schema_generator=mode)
        known = access.granted & resource.body.model_fields.keys()
        found = self._author_model(resource, resource.body, verb, access.granted, written).model_json_schema(
            by_alias=False, schema_generator=mode
        )
        properties = found.get("properties", {})
        found["properties"] = {name: properties[name] for name in resource.fields if name in known}
        found["required"] = [name for name in found.get("required", ()) if name in known]
        return {**found, "additionalProperties": False}

    def _author_model(
        self, resource: Resource, author: type[BaseModel], verb: Verb, granted: frozenset[str], written: frozenset[str]
    ) -> type[BaseModel]:
        key = (resource, verb, granted, written)
        model = self._bodies.get(key)
        if model is None:
            if len(self._bodies) >= defaults.RIGHTS_CACHED:
                self._bodies.clear()
            known = granted & author.model_fields.keys()
            optional = author.model_fields.keys() - (known - written if verb is Verb.CREATE else frozenset())
            model = self._bodies[key] = _with_optional(author, optional)
        return model

    def _read(
        self, resource: Resource, verb: Verb, granted: frozenset[str], written: frozenset[str], body: Any
    ) -> dict[str, Any]:
        if not isinstance(body, Mapping):
            raise Refusal(BODY_INVALID, faults=(_OBJECT_EXPECTED,))
        values = body
        if resource.body is not None:
            values = self._through_body(resource, resource.body, verb, granted, written, body)
        try:
            return self.model_for(resource, verb, granted, written).validate_python(values)
        except ValidationError as error:
            raise Refusal(BODY_INVALID, faults=faults_of(error, body)) from None

    def _through_body(
        self,
        resource: Resource,
        author: type[BaseModel],
        verb: Verb,
        granted: frozenset[str],
        written: frozenset[str],
        body: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What the author's own model makes of the body; the columns have the last word."""
        known = granted & author.model_fields.keys()
        unknown = [name for name in body if name not in known]
        found = [fault(pointer_of(name), UNKNOWN_FIELD) for name in unknown]
        values: dict[str, Any] = {}
        model = self._author_model(resource, author, verb, granted, written)
        named = {name: value for name, value in body.items() if name in known}
        try:
            wanted = [n for n in known if n in named or (verb is Verb.CREATE and n not in written)]
            values = _given(resource, _validated(model, named), wanted)
        except ValidationError as error:
            found += faults_of(error, body)
        if found:
            raise Refusal(BODY_INVALID, faults=tuple(found[: defaults.MAX_FAULTS]))
        return values


def _adapter(resource: Resource, verb: Verb, granted: frozenset[str], written: frozenset[str]) -> Adapter:
    members: dict[str, Any] = {}
    for name, field in resource.fields.items():
        if name in granted and field.column is not None:
            needed = verb is Verb.CREATE and _required(resource, field, written)
            annotation = annotation_of(field)
            members[name] = Required[annotation] if needed else NotRequired[annotation]
    return _typed(f"{resource.model.__name__}{verb.value.capitalize()}", members)


def _key_adapter(resource: Resource) -> Adapter:
    members = {name: Required[annotation_of(resource.fields[name])] for name in resource.key}
    return _typed(f"{resource.model.__name__}Key", members)


def _typed(name: str, members: Mapping[str, Any]) -> Adapter:
    # A TypedDict: its keys may be any names, absent ones stay absent, and its value is the dictionary wanted.
    make: Any = TypedDict  # as a function that is called with names from the outside
    shape = make(name, members)
    shape.__pydantic_config__ = ConfigDict(extra="forbid")
    return TypeAdapter(shape)


def _written(access: Access) -> frozenset[str]:
    """Fields that the server fills when a create leaves them out."""
    return frozenset(name for grant in access.grants for name in grant.written)


def _required(resource: Resource, field: Field, written: frozenset[str]) -> bool:
    if field.nullable or field.generated or field.name in written:
        return False
    return resource.tenant is None or field.name != resource.tenant[0]


def _with_optional(author: type[BaseModel], names: Iterable[str]) -> type[BaseModel]:
    """The author's model with these fields optional; its validators stay and see None for what is not given."""
    members: dict[str, Any] = {}
    for name in names:
        info = author.model_fields[name]._copy()  # noqa: SLF001  # Pydantic's own way to derive a field
        info.default, info.default_factory = None, None
        members[name] = (info.annotation, info)
    return create_model(author.__name__, __base__=author, **members) if members else author


def _validated(model: type[BaseModel], named: dict[str, Any]) -> BaseModel:
    try:
        text = _json_text(named)
    except TypeError:  # a handler gives Python values that JSON does not have
        return model.model_validate(named)
    return model.model_validate_json(text)


def _given(resource: Resource, instance: BaseModel, names: Iterable[str]) -> dict[str, Any]:
    """The values of these fields: what the client gave, and the author's own defaults unless they are None."""
    values: dict[str, Any] = {}
    for name in names:
        value = getattr(instance, name)
        if value is None and name not in instance.model_fields_set:
            continue
        is_document = isinstance(resource.fields[name].type, types.JSON)
        values[name] = to_jsonable_python(value) if is_document else value
    return values


def _json_text(body: Any) -> str:
    """JSON for an author's types, so that strict ones still read dates from text.

    Pydantic reads each number as a double. One with more digits than that becomes text, which a Decimal reads
    exactly and a float reads as well.
    """
    return json.dumps(body, default=_number)


def _number(value: Any) -> float | str:
    if not isinstance(value, Decimal):
        raise TypeError("JSON has no such value")
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)

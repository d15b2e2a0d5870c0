"""What an item is asked for."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, final

from vallum.authorise.inclusions import Included
from vallum.authorise.rights import Access
from vallum.authorise.stage import Authorised
from vallum.declare.resource import Resource
from vallum.refusals import Fault
from vallum.validate.cursor import Cursors, context_of_included
from vallum.validate.filters import unknown
from vallum.validate.include import included_of
from vallum.validate.query import read_item_query, refuse


@final
class Asked(NamedTuple):
    """The query of an item: fields or all of them, relations that are followed, where the one included page goes on."""

    fields: tuple[str, ...] | None
    included: tuple[Included, ...]
    after: tuple[Any, ...] | None


WHOLE: Final = Asked(None, (), None)


def read_item(authorised: Authorised, resource: Resource, access: Access, cursors: Cursors) -> Asked:
    """Read it.

    Raises:
        Refusal: QUERY_INVALID, CURSOR_INVALID.
    """
    identified = authorised.metered.identified
    query, faults = read_item_query(identified.admitted.request.query)
    faults += [unknown("fields", name) for name in query.fields or () if name not in access.granted]
    included = included_of(query.include, authorised.rights, resource, access, 1, faults)
    one_list = len(included) == 1 and included[0].inclusion.relation.many
    if query.after is not None and not one_list and not faults:
        detail = "It goes with one included list, and no other relation beside it."
        faults.append(Fault("#query/after", "unknown_parameter", detail))
    refuse(faults)
    if query.after is None:
        return Asked(query.fields, included, None)
    followed = included[0].inclusion
    context = context_of_included(
        identified.principal.id, resource.path, identified.admitted.keys, followed.relation.name
    )
    return Asked(query.fields, included, cursors.open(query.after, context, len(followed.resource.key)))

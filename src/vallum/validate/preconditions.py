"""If-Match and If-None-Match (RFC 9110 §13.1.1, §13.1.2) with entity tags (§8.8.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, final

from vallum import defaults
from vallum.declare.route import Verb
from vallum.refusals import PRECONDITION_MALFORMED, Refusal
from vallum.request import Request

WRITES: Final = frozenset(Verb) - {Verb.LIST, Verb.ITEM, Verb.SERVE}

# entity-tag = [ weak ] opaque-tag; weak = %s"W/"; opaque-tag = DQUOTE *etagc DQUOTE
# etagc = %x21 / %x23-7E / obs-text; obs-text is not ASCII and in no tag of ours.
_ENTITY_TAG: Final = r'(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7E]*)"'
# One element of a list up to its comma or the end, without the white space around it. An element
# may be empty (§5.6.1.2).
_ELEMENT: Final = re.compile(rf"[ \t]*+(?:{_ENTITY_TAG})?[ \t]*+(?P<comma>,|\Z)")


@final
@dataclass(frozen=True, slots=True)
class EntityTags:
    """The value of If-Match or If-None-Match.

    Attributes:
        any: it was `*`.
        strong: the strong tags, without their quotes.
        weak: the weak tags, without `W/` and quotes.
    """

    any: bool
    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()

    def matches(self, opaque: str) -> bool:
        """For If-Match: the strong comparison (§8.8.3.2), in which a weak tag equals nothing.

        Args:
            opaque: the strong tag of what exists, without quotes.
        """
        return self.any or opaque in self.strong

    def matches_weakly(self, opaque: str) -> bool:
        """For If-None-Match: the weak comparison (§8.8.3.2), in which only the text counts."""
        return self.any or opaque in self.strong or opaque in self.weak


_ANY: Final = EntityTags(any=True)


def check_preconditions(request: Request, verb: Verb) -> None:
    """Refuse on a write what it does not look at: ignored, the client would believe that it is protected.

    `If-Match: *` asks for what is there (RFC 9110 §13.1.1), and that is looked at anyway.

    Raises:
        Refusal: PRECONDITION_MALFORMED.
    """
    etags = request.headers.get(b"if-match", b"*") if verb in (Verb.ACT, Verb.CREATE) else b"*"
    writes = verb in WRITES and request.method != "GET"  # an endpoint may be read, too
    if etags != b"*" or (writes and b"if-none-match" in request.headers):
        raise Refusal(PRECONDITION_MALFORMED, "This operation takes no such precondition.")


def parse_entity_tags(value: str) -> EntityTags:
    """The field value of If-Match or If-None-Match.

    Raises:
        Refusal: PRECONDITION_MALFORMED for anything but `*` or a list of entity tags, for a list
            without a tag, and for more than `MAX_ENTITY_TAGS` elements.
    """
    if value == "*":
        return _ANY
    strong: list[str] = []
    weak: list[str] = []
    position, comma = 0, ","
    for _ in range(defaults.MAX_ENTITY_TAGS):
        element = _ELEMENT.match(value, position)
        if element is None:
            raise Refusal(PRECONDITION_MALFORMED)
        if (opaque := element["opaque"]) is not None:
            (strong if element["weak"] is None else weak).append(opaque)
        position, comma = element.end(), element["comma"]
        if not comma:
            break
    if comma or not (strong or weak):
        raise Refusal(PRECONDITION_MALFORMED)
    return EntityTags(any=False, strong=tuple(strong), weak=tuple(weak))

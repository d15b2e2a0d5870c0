"""Where an included page goes on: the address of the same relation of that one row, with a sealed cursor.

The statement leaves a mark there (`execute/embedding.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from vallum.authorise.inclusions import Included, names_of
from vallum.authorise.stage import Authorised
from vallum.execute.embedding import RECORD, UNIT
from vallum.validate.cursor import Cursors, context_of_included


def with_links(text: str, included: Sequence[Included], authorised: Authorised, cursors: Cursors) -> str:
    """JSON text with an address for each mark."""
    if RECORD not in text:
        return text
    pieces = text.split(RECORD)
    caller = authorised.metered.identified.principal.id
    known = {each.number: each for each in _walked(included)}
    for index in range(1, len(pieces), 2):
        number, key, terms = pieces[index].split(UNIT)
        pieces[index] = json.dumps(_address(known[int(number)], json.loads(key), json.loads(terms), caller, cursors))
    return "".join(pieces)


def key_text(part: Any) -> str:
    """A part of a row's key as it stands in a path."""
    return part if isinstance(part, str) else json.dumps(part)


def _address(each: Included, key: Sequence[Any], terms: Sequence[Any], caller: str | None, cursors: Cursors) -> str:
    relation, path = each.inclusion.relation, each.owner.path
    texts = [key_text(part) for part in key]
    cursor = cursors.make(terms, context_of_included(caller, path, texts, relation.name))
    names = ",".join(names_of([each]))
    return f"{path}/{','.join(quote(part, safe='') for part in texts)}?include={names}&after={cursor}"


def _walked(included: Sequence[Included]) -> list[Included]:
    return [found for each in included for found in (each, *_walked(each.children))]

"""Which refusals are of a row of a bulk, and which of the whole request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vallum.declare.route import Verb
from vallum.execute import bulk, writes
from vallum.execute.rows import Seen
from vallum.refusals import BODY_INVALID, REASONS, STATE_FORBIDDEN, Fault, Reason, Refusal
from vallum.store.ports import Script, Violation
from vallum.validate.bulk import BulkRow
from vallum.validate.stage import BulkIntent

ROWS = tuple(BulkRow(f"/{index}", (), {"index": index}) for index in range(4))


def run(monkeypatch: pytest.MonkeyPatch, refused: dict[int, Refusal]) -> Any:
    """Write rows of which some are refused; what comes of it."""

    def create(_frame: Any, _resource: Any, _access: Any, values: Any) -> Script[Seen]:
        yield from ()
        if values["index"] in refused:
            raise refused[values["index"]]
        return Seen(str(values["index"]), "{}", 1, {})

    monkeypatch.setattr(writes, "create", create)
    nothing: Any = None
    frame: Any = SimpleNamespace(dialect="sqlite", rights=SimpleNamespace(on=lambda *_: None))
    authorised: Any = SimpleNamespace(verb=Verb.CREATE)
    script = bulk.write(frame, BulkIntent(authorised, nothing, nothing, ROWS, None, None))
    try:
        next(script)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it yields nothing by itself")


def test_without_a_refusal_all_rows_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the request."""
    assert run(monkeypatch, {}).json == '{"items":[0,1,2,3]}'


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda reason: reason.code)
def test_only_what_is_about_a_row_is_said_of_a_row(monkeypatch: pytest.MonkeyPatch, reason: Reason) -> None:
    """A timeout or a full queue is of the whole request, is told as it is, and stops everything."""
    given = Refusal(reason, retry_after_seconds=3)
    with pytest.raises(Refusal) as caught:
        run(monkeypatch, {1: given, 3: Refusal(BODY_INVALID, faults=(Fault("/x", "type", "."),))})
    if reason in bulk.OF_A_ROW:
        last = [] if reason is STATE_FORBIDDEN else [("/3/x", "type")]
        assert caught.value.reason is reason
        assert [(fault.pointer, fault.code) for fault in caught.value.faults] == [("/1", reason.code), *last]
        assert caught.value.detail.startswith(reason.detail)
    else:
        assert caught.value is given


def test_behind_a_broken_constraint_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction may be of no more use, and nobody is told what a row would be in it."""
    broken = Refusal(BODY_INVALID, faults=(Fault("/n", "check", "."),))
    broken.__cause__ = Violation("check")
    with pytest.raises(Refusal) as caught:
        run(
            monkeypatch,
            {0: Refusal(BODY_INVALID, faults=(Fault("/a", "reference", "."),)), 2: broken, 3: Refusal(STATE_FORBIDDEN)},
        )
    assert [fault.pointer for fault in caught.value.faults] == ["/0/a", "/2/n"]

"""The texts about refusals: one for each code, true to the table of reasons and to the limits that they name."""

from __future__ import annotations

import ast
import re

import pytest
from tests.unit.serve.served import ROOT

from vallum import defaults
from vallum.docs.page import with_code
from vallum.docs.problems import STAGES, problem_routes, problems
from vallum.refusals import REASONS
from vallum.validate import faults

WORD = re.compile(r"[a-z]+(_[a-z]+)*")
CALLS = {"Fault": 1, "fault": 1, "_fault": 1, "bad": 0}
"""Function that makes a fault → which argument is its word."""


def test_every_code_is_documented() -> None:
    """A code without an entry in src/vallum/docs/problems.toml, or an entry without a code, is named here."""
    documented = problems().keys()
    assert REASONS.keys() - documented == set(), "write what these mean in src/vallum/docs/problems.toml"
    assert documented - REASONS.keys() == set(), "these codes are not in src/vallum/refusals.py"
    assert list(documented) == list(REASONS), "the entries stand in the order of src/vallum/refusals.py"


def test_every_stage_has_a_heading() -> None:
    """Otherwise its codes would be missing on the page of all."""
    assert {reason.stage for reason in REASONS.values()} <= STAGES.keys()


def test_every_text_says_something() -> None:
    """Meaning, causes, what to do and whether to repeat: whole sentences, in every entry."""
    for code, text in problems().items():
        assert text.causes, code
        assert text.mend, code
        for sentence in (text.meaning, *text.causes, *text.mend, text.repeat, *text.faults.values()):
            assert sentence == sentence.strip(), code
            assert sentence[0].isupper() or sentence[0] == "`", (code, sentence)
            assert sentence.endswith("."), (code, sentence)


def fault_words() -> set[str]:
    """What the library writes as `code` of a fault: the vocabulary of `validate/faults.py`, and constants elsewhere."""
    found = set(faults._DETAILS)
    for path in (ROOT / "src" / "vallum").rglob("*.py"):
        for call in (n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            place = CALLS.get(name)
            if place is None or len(call.args) <= place or "audit" in path.relative_to(ROOT).parts:
                continue
            for node in ast.walk(call.args[place]):
                word = getattr(faults, node.id, None) if isinstance(node, ast.Name) else getattr(node, "value", None)
                if isinstance(word, str) and WORD.fullmatch(word):
                    found.add(word)
    return found


def test_every_word_of_a_fault_is_documented() -> None:
    """On the page of a code whose `errors` have it; and no page has a word that is never written."""
    documented = {word for text in problems().values() for word in text.faults}
    written = fault_words()
    assert {"required", "unknown_operator", "reference", "taken"} <= written
    assert written - documented == set(), "add them to [….faults] in src/vallum/docs/problems.toml"
    assert documented - written == set()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("target_too_long", f"{defaults.MAX_TARGET_BYTES:,} bytes"),
        ("headers_too_large", f"{defaults.MAX_HEADER_COUNT} header fields"),
        ("headers_too_large", f"{defaults.MAX_HEADERS_BYTES // defaults.KIB} KiB"),
        ("body_too_large", f"{defaults.MAX_BODY_BYTES // defaults.MIB} MiB"),
        ("request_timeout", f"within {defaults.BODY_SECONDS:.0f} seconds"),
        ("request_timeout", f"within {defaults.REQUEST_SECONDS:.0f} seconds"),
        ("address_limited", f"pages of {defaults.PAGE_MAX}."),
        ("freshness_malformed", f"{defaults.MIN_NONCE_CHARACTERS} or longer than {defaults.MAX_NONCE_CHARACTERS} char"),
        ("nonces_limited", f"More than {defaults.NONCES_PER_CALLER:,} requests"),
        ("query_invalid", f"1 to {defaults.PAGE_MAX}."),
        ("idempotency_key_malformed", f"{defaults.MAX_IDEMPOTENCY_KEY_CHARACTERS} characters"),
        ("body_malformed", f"{defaults.MAX_JSON_DEPTH} levels"),
    ],
)
def test_numbers_are_those_of_the_limits(code: str, words: str) -> None:
    """A limit that is changed must be changed in the text too."""
    text = problems()[code]
    assert words in " ".join([text.meaning, *text.causes, *text.mend])


def test_what_stands_between_backticks_is_code_and_nothing_is_markup() -> None:
    """`<b>` is shown as it is written, as text and as code."""
    assert with_code("a `b` <i> `<b>`") == "a <code>b</code> &lt;i&gt; <code>&lt;b&gt;</code>"
    assert with_code("a lone ` stays") == "a lone ` stays"


async def test_a_title_is_text_on_the_page() -> None:
    """An API may be called what its author likes."""
    _, index = problem_routes("Fish & <script>", "https://api.example")
    assert index.service is not None
    page = (await index.service(None)).body
    assert b"Refusals of Fish &amp; &lt;script&gt;" in page
    assert b"<script" not in page

"""The interactive reference in a real browser, over TLS: who signs in sees what is theirs, and a write is fresh.

    python tests/system/openapi/reference.py URL SECRET-FILE PICTURES

SECRET-FILE holds the secret of the client `display`; tokens are made by `vallum token`. Screenshots go to PICTURES.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Locator, Page, Request, expect, sync_playwright

URL: Final = sys.argv[1]
SECRET: Final = Path(sys.argv[2]).read_text(encoding="utf-8").strip()
PICTURES: Final = Path(sys.argv[3])
CHROMIUM: Final = "/usr/bin/chromium"
VIOLATIONS: Final = """
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


def main() -> None:
    """Each scene in a page of its own."""
    with sync_playwright() as tools:
        # The certificate is of a development authority that this browser does not know; other tests verify it.
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scene in (nobody, teacher, student, client, key):
            context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900})
            with watched(context.new_page()) as requests:
                scene(context.pages[0], requests)
            context.close()
            print(f"{scene.__name__}: {scene.__doc__}")
        browser.close()


@contextmanager
def watched(page: Page) -> Iterator[list[Request]]:
    """The page, whose every request is to its own origin, which breaks no policy and leaves nothing behind."""
    requests: list[Request] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request))  # noqa: PLW0108  # Playwright takes no builtin
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
    page.add_init_script(VIOLATIONS)
    page.goto(f"{URL}/docs")
    yield requests
    assert page.evaluate("window.violations") == []
    assert errors == []
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert [request.url for request in requests if not request.url.startswith((f"{URL}/", "data:", "blob:"))] == []


def nobody(page: Page, requests: list[Request]) -> None:
    """Without a credential the School shows nothing, and a wrong one is told so."""
    expect(page.locator("#who")).to_have_text("Nothing is open to anyone: sign in.")
    picture(page, "1-nobody")
    sign_in(page, "no-such-token")
    expect(page.locator("#problem")).to_have_text(
        "The credential is malformed, expired, revoked or not from a trusted issuer."
    )
    assert page.locator(".opblock").count() == 0
    picture(page, "2-refused")
    assert "no-such-token" not in page.content()
    assert all("no-such-token" not in request.url for request in requests)


def teacher(page: Page, requests: list[Request]) -> None:
    """A teacher lists their own class and changes a note; timestamp, nonce and If-Match are there by themselves."""
    shown = token("teacher-17")
    sign_in(page, shown)
    expect(page.locator("#who")).to_have_text("Signed in as teacher-17.")
    picture(page, "3-teacher")
    status, listed = executed(opened(page, "students", "list_students"))
    assert (status, {row["classroom_id"] for row in listed["items"]}) == ("200", {17})
    picture(page, "4-list")
    read = filled(opened(page, "students", "read_students"), id="401")
    assert executed(read)[0] == "200"
    read.locator("tr[data-param-name='include'] select").select_option("classroom")  # has a tag of its own
    status, row = executed(read)
    assert (status, row["classroom"]["id"]) == ("200", 17)
    change = filled(opened(page, "students", "change_students"), id="401")
    sent = []
    for note in ("seen in the reference", "and again"):
        change.locator("textarea.body-param__text").fill(json.dumps({"notes": note}))
        status, row = executed(change)
        assert (status, row["notes"]) == ("200", note)
        sent.append(next(request for request in reversed(requests) if request.method == "PATCH").headers)
    change.scroll_into_view_if_needed()
    picture(page, "5-change")
    assert len({headers["x-request-nonce"] for headers in sent}) == 2
    assert len({headers["if-match"] for headers in sent}) == 2
    assert all("x-request-timestamp" in headers for headers in sent)
    made = opened(page, "articles", "create_articles")
    assert executed(made)[0] == "201"
    assert shown not in page.content()
    page.route("**/openapi.json", lambda route: route.abort())  # the server is away: that keeps nobody signed in
    page.click("#sign-out")
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#sign-out")).to_be_hidden()
    assert page.locator(".opblock").count() == 0
    page.unroute("**/openapi.json")
    sign_in(page, shown)
    expect(page.locator("#who")).to_have_text("Signed in as teacher-17.")
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
    expect(page.locator("#who")).to_have_text("Nothing is open to anyone: sign in.")
    assert page.locator(".opblock").count() == 0


def student(page: Page, _: list[Request]) -> None:
    """A student sees no operation that writes, and no field of others."""
    sign_in(page, token("student-17"))
    expect(page.locator("#who")).to_have_text("Signed in as student-17.")
    methods = set(page.locator(".opblock-summary-method").all_inner_texts())
    assert methods == {"GET"}
    assert "salary" not in page.content()
    picture(page, "6-student")


def client(page: Page, requests: list[Request]) -> None:
    """A client signs in by its own id and secret, which go to the token endpoint and nowhere else."""
    page.fill("#by-client input[name=id]", "display")
    page.fill("#by-client input[name=secret]", SECRET)
    page.click("#by-client button")
    expect(page.locator("#who")).to_have_text("Signed in as display.")
    assert executed(opened(page, "articles", "list_articles"))[0] == "200"
    assert [request.url for request in requests if request.method == "POST"] == [f"{URL}/oauth/token"]
    assert SECRET not in page.content()
    picture(page, "7-client")


def key(page: Page, requests: list[Request]) -> None:
    """An API key goes into its own header."""
    sign_in(page, command("key", "add", "reference", "--role", "reader"))
    expect(page.locator("#who")).to_have_text("Signed in as reference.")
    assert "x-api-key" in requests[-1].headers
    assert "authorization" not in requests[-1].headers


def sign_in(page: Page, secret: str) -> None:
    """By a token or a key."""
    page.fill("#by-secret input", secret)
    page.click("#by-secret button")


def opened(page: Page, tag: str, name: str) -> Locator:
    """An operation, unfolded."""
    operation = page.locator(f"#operations-{tag}-{name}")
    operation.locator(".opblock-summary-control").click()
    return operation


def filled(operation: Locator, **fields: str) -> Locator:
    """The operation with these parameters."""
    for name, text in fields.items():
        operation.locator(f"tr[data-param-name='{name}'] input").fill(text)
    return operation


def executed(operation: Locator) -> tuple[str, Any]:
    """Status and body of the answer."""
    with operation.page.expect_response(lambda response: "/openapi.json" not in response.url) as answer:
        operation.locator("button.execute").click()
    body = answer.value.body()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text(
        str(answer.value.status)
    )
    return str(answer.value.status), json.loads(body) if body else None


def token(account: str) -> str:
    """Of an account, for development."""
    return command("token", account)


def command(*arguments: str) -> str:
    """What a command of Vallum prints."""
    done = subprocess.run(["vallum", *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def picture(page: Page, name: str) -> None:
    """For people to look at."""
    page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()

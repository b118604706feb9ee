"""The button that voice.js puts into a page of another site: looks, events, mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.page.conftest import assert_accessible, watched
from tests.page.pipecat_clients import ORIGIN
from tests.page.site import Site
from tests.standins.page_agent import SESSION, PageAgent

INVITE = "invite.0a1b2c3d.1999999999.c2lnbmF0dXJl"
ALLOWED = {
    "Access-Control-Allow-Origin": ORIGIN,
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "*",
}
CONFIG = {"project": "support-line", "transports": ["websocket"]}
HOSTILE = """
    html { font-size: 5px }
    * { letter-spacing: 9px !important; visibility: hidden !important; font-size: 5px !important }
    body * { display: none !important; all: unset !important; opacity: 0 !important }
    voice-call { position: static !important; color: red !important; width: 1px !important }
    button, input, section, div { all: unset !important; background: red !important }
"""
EVENTS = """
    window.events = [];
    for (const name of ["connected", "transcript", "ended", "error"])
        document.addEventListener(`voice-${name}`, ({ type, detail }) =>
            window.events.push([type, detail]));
    window.keys = [];
    addEventListener("keydown", ({ key }) => window.keys.push(key));
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    allowed = ["microphone", "local-network-access"]
    context = browser.new_context(permissions=allowed, reduced_motion="reduce")
    with watched(context.new_page()) as page:
        page.add_init_script(EVENTS)
        yield page
    context.close()


def open_page(page: Page, site: Site, attributes: str, style: str = "") -> None:
    """Open a page of another site that embeds the script of `site` with these attributes."""
    html = f"""<!doctype html><html lang="en"><title>Shop</title><style>{style}</style>
        <main><h1>Shop</h1></main>
        <script type="module" src="{site.url}/voice.js" {attributes}></script></html>"""
    page.route(f"{ORIGIN}/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{ORIGIN}/")


def allow(page: Page, site: Site) -> None:
    """Let the server of `site` accept calls of the page's origin."""

    def answer(route: Route) -> None:
        body = CONFIG if route.request.url.endswith("/config") else SESSION
        route.fulfill(json=body, headers=ALLOWED)

    for path in ("config", "start", "sessions/*"):
        page.route(f"{site.url}/{path}", answer)


def events(page: Page) -> list[tuple[str, dict[str, Any]]]:
    return [(name, detail) for name, detail in page.evaluate("window.events")]


def consoled(page: Page) -> list[str]:
    """Return the console's lines from now on."""
    lines: list[str] = []
    page.on("console", lambda message: lines.append(f"{message.type}: {message.text}"))
    return lines


def button(page: Page, name: str = "Talk to us") -> Any:
    return page.get_by_role("button", name=name)


def test_call_in_a_page_with_hostile_styles_by_keyboard(page: Page, site: Site) -> None:
    agent = PageAgent(page)
    allow(page, site)
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url.rpartition("/")[2]))
    open_page(page, site, f'data-invite="{INVITE}" data-label="Ask us"', HOSTILE)
    ask = button(page, "Ask us")
    expect(ask).to_be_visible()
    assert "panel.js" not in loaded
    box, size = ask.bounding_box(), page.viewport_size
    assert box and size
    assert (size["width"] - box["x"] - box["width"], box["height"]) == (20, 52)
    assert_accessible(page)

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    panel = page.get_by_role("region", name="Call", exact=True)
    expect(panel.get_by_role("status")).to_have_text("Connected")
    expect(button(page, "Mute")).to_be_focused()
    assert panel.evaluate("e => getComputedStyle(e).fontSize") == "16px"
    agent.send("bot-output", text="Good day.", spoken=True)
    expect(panel.get_by_role("log")).to_contain_text("Good day.")
    assert_accessible(page)
    page.get_by_label("Type instead").fill("s")
    page.keyboard.press("Enter")
    expect(panel.get_by_role("log")).to_contain_text("s")
    page.keyboard.press("Escape")  # leaves the text field
    page.keyboard.press("Escape")  # hangs up
    expect(button(page, "Call again")).to_be_focused()
    assert_accessible(page)
    page.keyboard.press("Escape")  # closes the panel
    expect(ask).to_be_focused()

    assert agent.heard
    names = [name for name, _ in events(page)]
    assert names == ["voice-connected", "voice-transcript", "voice-transcript", "voice-ended"]
    assert {"who": "agent", "text": "Good day."} in [detail for _, detail in events(page)]
    assert page.evaluate("window.keys") == ["Tab"], "keys of the call reached the page"


def test_pages_own_styles_stay(page: Page, site: Site) -> None:
    """Its variables style the button; the call's own styles do not reach the page."""
    allow(page, site)
    PageAgent(page)
    own = "--voice-color: #006; --voice-inset: 0 auto auto 0"
    style = f"h1 {{ font-size: 40px }} voice-call {{ {own} }}"
    open_page(page, site, f'data-invite="{INVITE}"', style)
    box = button(page).bounding_box()
    assert box and (box["x"], box["y"]) == (0, 0)
    assert button(page).evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(0, 0, 102)"
    page.evaluate("document.querySelector('voice-call').start()")
    expect(page.get_by_role("status")).to_have_text("Connected")
    heading = page.get_by_role("heading", name="Shop")
    assert heading.evaluate("e => getComputedStyle(e).fontSize") == "40px"
    page.evaluate("document.querySelector('voice-call').hangUp()")
    expect(button(page, "Call again")).to_be_visible()


def test_origin_that_is_not_allowed_is_named_to_the_developer(page: Page, site: Site) -> None:
    lines = consoled(page)
    open_page(page, site, f'data-invite="{INVITE}"')
    button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("Calls do not work on this page")
    (line,) = [line for line in lines if f"Add {ORIGIN} to ALLOWED_ORIGINS" in line]
    assert line.startswith("error: ")
    ((name, detail),) = events(page)
    assert (name, detail["code"]) == ("voice-error", "setup")


@pytest.mark.parametrize(
    ("attributes", "advice"),
    [
        ('data-invite="Zk3yT0kenThatIsLongEnoughToBeAKey0123456"', "If it is SESSION_API_KEY"),
        ("", "Set data-start-url, data-invite"),
        ('data-start-url="/voice/start"', "did not return what the session server's /start does"),
    ],
    ids=["key", "nothing", "start-url"],
)
def test_wrong_set_up_is_told_to_the_developer(
    page: Page, site: Site, attributes: str, advice: str
) -> None:
    allow(page, site)
    sent: list[dict[str, str]] = []
    page.on("request", lambda request: sent.append(request.headers))
    page.route(f"{ORIGIN}/voice/start", lambda route: route.fulfill(body="<h1>Log in</h1>"))
    lines = consoled(page)
    open_page(page, site, attributes)
    button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("Please tell the owner of this site.")
    assert any(advice in line for line in lines), lines
    assert [detail["code"] for _, detail in events(page)] == ["setup"]
    assert not any("authorization" in headers for headers in sent)


def test_expired_invite_is_told_to_the_developer(page: Page, site: Site) -> None:
    allow(page, site)
    refusal = {"error": {"code": "unauthorized", "message": "This invite has expired."}}
    page.route(
        f"{site.url}/start",
        lambda route: (
            route.fulfill(status=401, json=refusal, headers=ALLOWED)
            if route.request.method == "POST"
            else route.fulfill(headers=ALLOWED)
        ),
    )
    lines = consoled(page)
    open_page(page, site, f'data-invite="{INVITE}"')
    button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("Calls do not work on this page")
    assert any("refused: unauthorized" in line for line in lines)
    assert [detail["code"] for _, detail in events(page)] == ["unauthorized"]


def test_call_that_could_not_be_loaded_is_tried_again(page: Page, site: Site) -> None:
    """Also: a call that ends before it is loaded never starts."""
    allow(page, site)
    PageAgent(page)
    page.route("**/panel.js", lambda route: route.abort(), times=1)
    open_page(page, site, f'data-invite="{INVITE}"')
    button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("The call could not be loaded. Try again")
    assert [detail["code"] for _, detail in events(page)] == ["load_failed"]
    page.evaluate("voice = document.querySelector('voice-call'); voice.start(); voice.hangUp()")
    expect(button(page)).to_be_visible()
    button(page).click()
    expect(page.get_by_role("status")).to_have_text("Connected")


def test_site_whose_visitor_has_no_microphone(page: Page, site: Site) -> None:
    page.add_init_script("""navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException("none", "NotFoundError"))""")
    allow(page, site)
    PageAgent(page)
    open_page(page, site, f'data-invite="{INVITE}"')
    button(page).click()
    expect(page.get_by_role("alert")).to_contain_text("No microphone found")
    page.get_by_role("button", name="Join without a microphone").click()
    expect(page.get_by_role("status")).to_have_text("Connected")
    assert [name for name, _ in events(page)] == ["voice-error", "voice-connected"]

"""A call over Daily: the page opens the room in which the agent waits."""

from __future__ import annotations

from playwright.sync_api import Page, Route

from tests.page.site import Site

ROOM = "https://lab.daily.co/call-0123"


def test_page_opens_the_room(page: Page, site: Site) -> None:
    requests: list[object] = []
    session = {"sessionId": "s" * 36, "token": "t", "roomUrl": ROOM, "roomToken": "let=me+in"}
    config = {"project": "line", "transports": ["daily"]}
    page.route("**/config", lambda route: route.fulfill(json=config))
    page.route("**/sessions/*", lambda route: requests.append("hung up"))
    page.route("https://lab.daily.co/**", lambda route: route.fulfill(body="Daily's own page"))

    def start(route: Route) -> None:
        requests.append(route.request.post_data_json)
        route.fulfill(json=session)

    page.route("**/start", start)
    page.goto(site.invitation)
    page.get_by_role("button", name="Start the call").click()
    page.wait_for_url(f"{ROOM}?t=let%3Dme%2Bin")
    assert requests == [{"transport": "daily"}]

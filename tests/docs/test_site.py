"""The docs site builds strictly, loads nothing from another origin, and has a full reference."""

import functools
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from docs.fill import fill
from voicecore.catalog.transports import TRANSPORTS
from voicecore.console.errors import ExitCode

# Only elements that a browser loads by itself; links do not count.
LOADS = re.compile(
    r"""<(?:script|img|iframe|audio|video|source|link(?![^>]*rel="?(?:canonical|next|prev)))[^>]*"""
    r"""(?:src|href)=["']?(?:https?:)?//[^>]*>"""
)
CSS_LOADS = re.compile(r"""(?:url\(|@import)\s*["']?(?:https?:)?//[^)\s]*""")


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_files_load_nothing_from_another_origin(site: Path) -> None:
    foreign = [
        f"{path.name}: {match[0][:100]}"
        for path in site.rglob("*")
        if path.suffix in (".html", ".css", ".svg")
        for pattern in ((LOADS,) if path.suffix == ".html" else (CSS_LOADS,))
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert foreign == []


def test_browser_asks_no_other_origin(site: Path, url: str) -> None:
    """Also catches what scripts load, on every page and while searching."""
    requested: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.on("request", lambda request: requested.append(request.url))
        for path in sorted(site.rglob("*.html")):
            page.goto(f"{url}{path.relative_to(site)}")
        page.goto(f"{url}index.html")
        page.get_by_placeholder("Search").first.click()
        page.keyboard.type("relay")
        page.locator(".md-search-result__item").first.wait_for()
        browser.close()
    assert len(requested) > 100
    assert [each for each in requested if not each.startswith((url, "data:", "blob:"))] == []


def test_pages_fit_a_phone(site: Path, url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 844})
        for path in sorted(site.rglob("*.html")):
            page.goto(f"{url}{path.relative_to(site)}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
        browser.close()


def test_every_transport_has_a_page(site: Path) -> None:
    for name in TRANSPORTS:
        assert (site / f"transports/{name}.html").is_file()


def test_index_for_programs_leads_to_pages_without_marks(site: Path) -> None:
    text = (site / "llms.txt").read_text("utf-8")
    links = re.findall(r"^- \[.+\]\((.+)\)$", text, re.MULTILINE)
    assert {"tutorial.md", "transports/webrtc.md", "reference/http-api.md"} <= set(links)
    texts = {link: (site / link).read_text("utf-8") for link in links}
    assert [link for link, text in texts.items() if "<!-- generate" in text] == []
    assert "POST /start" in texts["reference/http-api.md"]


def test_pages_for_the_wheel_are_filled_in(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/page.md").write_text("# Codes\n\n<!-- generate: exit-codes -->\n")
    fill(tmp_path)
    assert "`BAD_PROJECT`" in (tmp_path / "a/page.md").read_text()


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (
            "commands",
            ["voicecore deploy", "--dry-run", "voicecore turn check", "telephony or daily"],
        ),
        ("voicecore-toml", ["drain_minutes", "28800", "log_retention_days"]),
        ("exit-codes", [code.name for code in ExitCode]),
        ("log-events", ["user_said", "session_started", "latency"]),
        ("http-api", ["POST /start", "X-Session-Token", "GET /metrics"]),
    ],
)
def test_reference_has(site: Path, page: str, expected: list[str]) -> None:
    text = (site / f"reference/{page}.html").read_text(encoding="utf-8")
    assert [word for word in expected if word not in text] == []

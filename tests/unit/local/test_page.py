"""The address that opens the page: with an invite that the project's own server takes."""

from pathlib import Path

from tests.generated.projects import Kind, rendered
from voicecore.local import invite_url

KEY = "a-key-that-is-as-long-as-it-has-to-be"


def test_the_invite_is_the_one_that_the_server_makes() -> None:
    source = rendered(Kind("websocket", "offline"))["server/internal/access.py"].decode()
    # Of the server's module only this function: its imports are the server's packages.
    start = source.index("def invite(")
    theirs: dict[str, object] = {}
    head = "import base64, hashlib, hmac\n"
    exec(head + source[start : source.index("def is_invite(")], theirs)
    make = theirs["invite"]
    assert callable(make)
    assert make(KEY.encode(), 1795399999.5) == invite_url.invite(KEY, 1795399999.5)


def test_a_server_without_page_or_key_has_no_address(tmp_path: Path) -> None:
    assert invite_url.address(tmp_path, "http://127.0.0.1:7860", KEY) is None
    (tmp_path / "internal/page").mkdir(parents=True)
    (tmp_path / "internal/page/index.html").write_text("")
    assert invite_url.address(tmp_path, "http://127.0.0.1:7860", None) is None
    opened = invite_url.address(tmp_path, "http://127.0.0.1:7860", KEY)
    assert opened and opened.startswith("http://127.0.0.1:7860/#invite.")
    assert len(f"  {opened}") <= 80
    assert KEY not in opened


def test_sharing_names_both_ports() -> None:
    told = "\n".join(invite_url.sharing("http://127.0.0.1:7861", "http://127.0.0.1:8082"))
    assert "-L 7861:127.0.0.1:7861 -L 8082:127.0.0.1:8082" in told

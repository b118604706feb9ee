"""The URL that opens the page, with an invite that the project's own server accepts."""

from pathlib import Path

from tests.generated.projects import Kind, rendered
from voicecore.contract.invites import invite_id, sign_invite
from voicecore.local.invite_url import invite_url, share_instructions

KEY = "a-key-that-is-as-long-as-it-has-to-be"


def test_invite_equals_the_one_of_the_server() -> None:
    source = rendered(Kind("websocket", "offline"))["server/internal/access.py"].decode()
    # Only the functions from here on: the module's imports are packages of the server.
    start = source.index("def invite(")
    theirs: dict[str, object] = {}
    head = "import base64, hashlib, hmac, re, secrets\n"
    exec(head + source[start : source.index("if __name__")], theirs)
    make = theirs["invite"]
    assert callable(make)
    theirs_signed = make(KEY.encode(), 1795399999.5, "0123abcd")
    assert theirs_signed == sign_invite(KEY, 1795399999.5, "0123abcd")
    assert invite_id(f"https://x/#{theirs_signed}") == invite_id("0123abcd") == "0123abcd"
    assert invite_id("https://x/#another") is None


def test_two_invites_for_the_same_time_differ() -> None:
    assert sign_invite(KEY, 1795399999) != sign_invite(KEY, 1795399999)


def test_server_without_page_or_key_has_no_url(tmp_path: Path) -> None:
    assert invite_url(tmp_path, "http://127.0.0.1:7860", KEY) is None
    (tmp_path / "internal/page").mkdir(parents=True)
    (tmp_path / "internal/page/index.html").write_text("")
    assert invite_url(tmp_path, "http://127.0.0.1:7860", None) is None
    opened = invite_url(tmp_path, "http://127.0.0.1:7860", KEY)
    assert opened and opened.startswith("http://127.0.0.1:7860/#invite.")
    assert len(f"  {opened}") <= 80
    assert KEY not in opened


def test_share_instructions_forward_both_ports() -> None:
    text = "\n".join(share_instructions("http://127.0.0.1:7861", "http://127.0.0.1:8082"))
    assert "-L 7861:127.0.0.1:7861 -L 8082:127.0.0.1:8082" in text


def test_share_instructions_name_the_deployed_server_for_people_elsewhere() -> None:
    lines = share_instructions("http://127.0.0.1:7861", "http://127.0.0.1:8082")
    assert "From anywhere:  voicecore deploy --server" in lines
    assert any(line.endswith("voicecore invite") for line in lines)

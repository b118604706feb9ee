"""`voicecore turn check` behind a NAT as in AWS: every source, and every reason for no relay."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from tests.standins.nat.lab import SECRET, NatLab
from tests.standins.nat.turn_check_project import check_turn
from tests.standins.nat.turn_providers import TurnProviders
from voicecore.commands.turn_check import RelayAttempt, sources_without_relay
from voicecore.console.errors import ExitCode


def kinds(ways: list[RelayAttempt]) -> dict[str, str]:
    return {way.url: way.kind for way in ways if not way.unused}


def test_every_source_names_the_relay(net: NatLab, project: Path, hosts: TurnProviders) -> None:
    given = net.credentials(300)
    variables = {
        **hosts.variables,
        "COTURN_URLS": ",".join(net.turn.uris),
        "COTURN_SECRET": SECRET,
        "ICE_SERVER_URLS": f"{net.turn.stun}, {net.turn.udp}",
        "ICE_SERVER_USERNAME": given.username,
        "ICE_SERVER_CREDENTIAL": given.password,
    }
    ways = check_turn(net, project, variables)
    assert sources_without_relay(ways) == []
    relays = [way for way in ways if not way.unused]
    assert [way.source for way in relays] == (
        ["cloudflare"] * 5 + ["twilio"] * 3 + ["coturn"] * 3 + ["static"]
    )
    assert all(way.relay.startswith(net.turn.address + ":") for way in relays)
    assert all(way.seconds > 0 for way in relays)
    lives = {way.source: (way.expires or 0) - time.time() for way in relays}
    assert lives["cloudflare"] > 28_000 and lives["static"] < 301
    unused = [way.url for way in ways if way.unused]
    assert len(unused) == 4 and all(url.startswith("stun:") for url in unused)


@pytest.mark.parametrize(
    ("source", "variable"),
    [("cloudflare", "CLOUDFLARE_TURN_API_TOKEN"), ("twilio", "TWILIO_AUTH_TOKEN")],
)
def test_wrong_token_is_reported(
    net: NatLab, project: Path, hosts: TurnProviders, source: str, variable: str
) -> None:
    (way,) = check_turn(net, project, {**hosts.variables, variable: "wrong"}, source)
    assert way.kind == "source"
    assert f"{source} refused: 401" in way.reason


def test_output_names_relays_and_refusals(net: NatLab, project: Path, hosts: TurnProviders) -> None:
    variables = {**hosts.variables, "TWILIO_AUTH_TOKEN": "wrong"}
    command = [sys.executable, "-m", "voicecore", "turn", "check", "-p", str(project)]
    done = net.agent.run(*command, env=net.agent.env(**variables))
    assert done.returncode == ExitCode.FAILED
    assert "Cloudflare (cloudflare)\n" in done.stdout
    assert "  ✓ turns:turn.cloudflare.com:443?transport=tcp  " in done.stdout
    assert " ms, until " in done.stdout
    assert "  ✗ twilio refused: 401" in done.stdout
    assert "No relay from twilio." in done.stderr
    assert "TWILIO_AUTH_TOKEN" in done.stderr
    assert "twilio's token" not in done.stdout + done.stderr


def test_silent_source_is_reported(net: NatLab, project: Path, hosts: TurnProviders) -> None:
    with hosts.silent():
        (way,) = check_turn(net, project, hosts.variables, "cloudflare")
    assert "did not answer within" in way.reason


def test_expired_credentials_are_reported(net: NatLab, project: Path, hosts: TurnProviders) -> None:
    with hosts.with_lifetime(-60):
        ways = check_turn(net, project, hosts.variables, "twilio")
    assert set(kinds(ways).values()) == {"credentials"}
    assert sources_without_relay(ways) == ["twilio"]
    assert any("the credential expired 6" in way.reason for way in ways)


def test_clock_behind_the_relay_is_reported(net: NatLab, project: Path) -> None:
    """A relay whose clock is 10 minutes ahead takes this machine's credentials for expired."""
    server, _ = net.another_turn(ahead=600)
    variables = {"COTURN_URLS": server.udp, "COTURN_SECRET": SECRET}
    (way,) = check_turn(net, project, variables)
    assert way.kind == "credentials"
    assert "this machine's clock is more than" in way.reason


def test_every_cause_of_no_relay_is_reported(
    net: NatLab, project: Path, hosts: TurnProviders
) -> None:
    given = net.credentials()
    expected = {
        net.turn.udp: "",
        f"turn:{net.silent_address}:3478?transport=udp": "timeout",
        f"turn:{net.silent_address}:3478?transport=tcp": "timeout",
        f"turn:{net.turn.address}:4000?transport=tcp": "unreachable",
        "turn:nosuch.example:3478": "dns",
        "turns:turn.lab:5349": "tls",
    }
    net.agent.resolve(hosts.names | {"turn.lab": net.turn.address})
    variables = {
        "ICE_SERVER_URLS": ",".join(expected),
        "ICE_SERVER_USERNAME": given.username,
        "ICE_SERVER_CREDENTIAL": given.password,
    }
    assert kinds(check_turn(net, project, variables)) == expected
    wrong = {**variables, "ICE_SERVER_URLS": net.turn.udp, "ICE_SERVER_CREDENTIAL": "wrong"}
    assert kinds(check_turn(net, project, wrong)) == {net.turn.udp: "credentials"}


def test_blocked_udp_is_distinguished_from_a_dead_server(net: NatLab, project: Path) -> None:
    variables = {"COTURN_URLS": ",".join(net.turn.uris), "COTURN_SECRET": SECRET}
    command = [sys.executable, "-m", "voicecore", "turn", "check", "-p", str(project)]
    with net.agent.nat.udp_blocked():
        done = net.agent.run(*command, env=net.agent.env(**variables))
    assert done.returncode == ExitCode.OK
    assert "no answer: UDP is blocked, or the server is down" in done.stdout
    assert "a firewall here blocks UDP" in done.stderr


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        ("turn;turn.example.com", "is not a URL like turn:host:3478"),
        ("stun:stun.example.com:3478", "has no turn: or turns: URL"),
    ],
)
def test_rejects_invalid_url_list(
    project: Path, voicecore: Voicecore, urls: str, words: str
) -> None:
    done = voicecore(
        "turn", "check", "--json", cwd=project, env={**os.environ, "ICE_SERVER_URLS": urls}
    )
    assert done.code == ExitCode.FAILED
    assert words in done.json["ways"][0]["reason"]
    assert done.json["mistakes"][0]["variable"] == "ICE_SERVER_URLS"
    assert done.json["without_relay"] == ["static"]


def test_unknown_source_and_project_without_turn_are_refused(
    project: Path, voicecore: Voicecore, tmp_path: Path
) -> None:
    unknown = voicecore("turn", "check", "--source", "stattic", cwd=project)
    assert unknown.code == ExitCode.USAGE
    assert "cloudflare, twilio" in unknown.stderr
    (tmp_path / "voicecore.toml").write_text(
        'name = "tiny"\ntransports = ["websocket"]\npipeline = "offline"\nregion = "us-east-1"\n'
    )
    without = voicecore("turn", "check")
    assert without.code == ExitCode.BAD_PROJECT
    assert "no transport that needs TURN" in without.stderr


def test_missing_source_is_reported(project: Path, voicecore: Voicecore) -> None:
    done = voicecore("turn", "check", cwd=project, env=dict(os.environ))
    assert done.code == ExitCode.FAILED
    assert "No TURN source is set" in done.stderr

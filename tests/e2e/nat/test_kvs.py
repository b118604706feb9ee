"""TURN by KVS: its two API calls, as AWS answers them, and the relay that they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.aws import aws_standin
from tests.standins.aws.services.kvs import Turn
from tests.standins.aws.standin import Aws
from tests.standins.models.refusal import Refused
from tests.standins.nat.calls import calls
from tests.standins.nat.checks import look
from tests.standins.nat.lab import SECRET, NatLab

PREFIX = "voicecore-tiny-dev-"
LIMIT = Refused("ClientLimitExceededException", "Rate exceeded", 400)


@pytest.fixture(scope="module")
def started(net: NatLab) -> Iterator[Aws]:
    relay = net.turn.address
    uris = (
        f"turn:{relay}:443?transport=udp",
        f"turns:{relay}:443?transport=udp",
        f"turns:{relay}:443?transport=tcp",
    )
    with aws_standin(turn=Turn(uris, SECRET), host=net.street.here) as aws:
        video = aws.client("kinesisvideo")
        for number in (1, 2):
            video.create_signaling_channel(ChannelName=f"{PREFIX}{number}")
        yield aws


@pytest.fixture
def aws(started: Aws) -> Iterator[Aws]:
    """As on its first day."""
    started.journal.clear()
    yield started
    started.faults.clear()


def variables(aws: Aws, prefix: str = PREFIX) -> dict[str, str]:
    """Those of an agent that was deployed, with keys that need no token."""
    given = {name: v for name, v in aws.environment.items() if name != "AWS_SESSION_TOKEN"}
    keys = aws.new_caller(temporary=False).environment()
    return given | keys | {"TURN_CHANNEL_PREFIX": prefix, "TURN_CHANNEL_COUNT": "2"}


def test_a_channel_leads_to_the_relay(net: NatLab, project: Path, aws: Aws) -> None:
    udp, dtls, tls = look(net, project, variables(aws))
    assert udp.relay.startswith(net.turn.address) and tls.relay.startswith(net.turn.address)
    assert "DTLS" in dtls.unused
    assert udp.expires
    assert len(aws.journal.find("kinesisvideo:GetIceServerConfig")) == 1


def test_a_busy_channel_is_left_for_another(net: NatLab, project: Path, aws: Aws) -> None:
    aws.faults.fail("kinesisvideo:GetIceServerConfig", LIMIT, times=1)
    ways = look(net, project, variables(aws))
    assert ways[0].relay, ways
    assert len(aws.journal.find("kinesisvideo:GetIceServerConfig")) == 2


def test_all_channels_are_busy(net: NatLab, project: Path, aws: Aws) -> None:
    aws.faults.fail("kinesisvideo:GetIceServerConfig", LIMIT, times=None)
    (way,) = look(net, project, variables(aws))
    assert "ClientLimitExceededException" in way.reason


def test_a_role_that_may_not(net: NatLab, project: Path, aws: Aws) -> None:
    aws.faults.deny("kinesisvideo:GetIceServerConfig")
    (way,) = look(net, project, variables(aws))
    assert "AccessDenied" in way.reason


def test_no_such_channel(net: NatLab, project: Path, aws: Aws) -> None:
    (way,) = look(net, project, variables(aws, prefix="never-made-"))
    assert "ResourceNotFoundException" in way.reason


def test_a_wrong_clock(net: NatLab, project: Path, aws: Aws) -> None:
    aws.faults.skew = 600
    (way,) = look(net, project, variables(aws))
    assert "clock" in way.reason


def test_a_call(net: NatLab, echoing: Path, aws: Aws, tmp_path: Path) -> None:
    """Both ends get their relays of KVS."""
    with calls(net, echoing, tmp_path, variables(aws)) as phone:
        call = phone.call()
    assert call.only("path")["remote"].startswith(f"relay {net.turn.address}:")
    assert call.caller.seconds > 0.9  # how whole it arrives, test_calls looks at
    askers = aws.journal.find("kinesisvideo:GetIceServerConfig")
    assert len(askers) == 2

"""TURN from KVS: AWS's answers to its two API calls, and the relay that they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standins.aws import aws_standin
from tests.standins.aws.services.kvs import Turn
from tests.standins.aws.standin import Aws
from tests.standins.models.refusal import Refused
from tests.standins.nat.calls import calls
from tests.standins.nat.lab import SECRET, NatLab
from tests.standins.nat.turn_check_project import check_turn

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
    with aws_standin(turn=Turn(uris, SECRET), host=net.public.gateway) as aws:
        video = aws.client("kinesisvideo")
        for number in (1, 2):
            video.create_signaling_channel(ChannelName=f"{PREFIX}{number}")
        yield aws


@pytest.fixture
def aws(started: Aws) -> Iterator[Aws]:
    """The stand-in without journal entries and failures."""
    started.journal.clear()
    yield started
    started.faults.clear()


def variables(aws: Aws, prefix: str = PREFIX) -> dict[str, str]:
    """Return the variables of a deployed agent, with keys that need no token."""
    given = {name: v for name, v in aws.environment.items() if name != "AWS_SESSION_TOKEN"}
    keys = aws.new_caller(temporary=False).environment()
    return given | keys | {"TURN_CHANNEL_PREFIX": prefix, "TURN_CHANNEL_COUNT": "2"}


def test_channel_names_the_relay(net: NatLab, project: Path, aws: Aws) -> None:
    udp, dtls, tls = check_turn(net, project, variables(aws))
    assert udp.relay.startswith(net.turn.address) and tls.relay.startswith(net.turn.address)
    assert "DTLS" in dtls.unused
    assert udp.expires
    assert len(aws.journal.find("kinesisvideo:GetIceServerConfig")) == 1


def test_busy_channel_is_replaced_by_another(net: NatLab, project: Path, aws: Aws) -> None:
    aws.faults.fail("kinesisvideo:GetIceServerConfig", LIMIT, times=1)
    ways = check_turn(net, project, variables(aws))
    assert ways[0].relay, ways
    assert len(aws.journal.find("kinesisvideo:GetIceServerConfig")) == 2


def test_busy_channels_are_reported(net: NatLab, project: Path, aws: Aws) -> None:
    aws.faults.fail("kinesisvideo:GetIceServerConfig", LIMIT, times=None)
    (way,) = check_turn(net, project, variables(aws))
    assert "ClientLimitExceededException" in way.reason


def test_missing_permission_is_reported(net: NatLab, project: Path, aws: Aws) -> None:
    aws.faults.deny("kinesisvideo:GetIceServerConfig")
    (way,) = check_turn(net, project, variables(aws))
    assert "AccessDenied" in way.reason


def test_missing_channel_is_reported(net: NatLab, project: Path, aws: Aws) -> None:
    (way,) = check_turn(net, project, variables(aws, prefix="never-made-"))
    assert "ResourceNotFoundException" in way.reason


def test_wrong_clock_is_reported(net: NatLab, project: Path, aws: Aws) -> None:
    aws.faults.skew = 600
    (way,) = check_turn(net, project, variables(aws))
    assert "clock" in way.reason


def test_call_uses_relays_of_kvs(net: NatLab, echoing: Path, aws: Aws, tmp_path: Path) -> None:
    """Both ends get their relays from KVS."""
    with calls(net, echoing, tmp_path, variables(aws)) as phone:
        call = phone.call()
    assert call.only("path")["remote"].startswith(f"relay {net.turn.address}:")
    assert call.caller.seconds > 0.9  # test_calls.py checks for lost sound
    requests = aws.journal.find("kinesisvideo:GetIceServerConfig")
    assert len(requests) == 2

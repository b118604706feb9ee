"""What is shown of work in AWS."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from voicecore.cloud.deploy.cloudformation import Event
from voicecore.cloud.deploy.progress import Board, Relay, begun, waiting
from voicecore.console.output import Output
from voicecore.console.progress import Progress

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def event(status: str, seconds: float = 0, resource: str = "Nat1") -> Event:
    of_stack = resource == "voicecore-x-network"
    return Event(
        id="1",
        stack="voicecore-x-network",
        resource=resource,
        type="AWS::CloudFormation::Stack" if of_stack else "AWS::EC2::NatGateway",
        status=status,
        reason="",
        time=NOW + timedelta(seconds=seconds),
        of_stack=of_stack,
        token="",
    )


def board() -> tuple[Board, io.StringIO]:
    stderr = io.StringIO()
    return Board(Output(io.StringIO(), stderr)), stderr


def rendered(shown: Board, height: int = 24) -> list[str]:
    return ["".join(span.text for span in line) for line in shown.render(80, height)]


def test_what_runs_is_live_and_what_is_over_is_a_line_with_awss_own_time() -> None:
    shown, stderr = board()
    shown.tell(event("CREATE_IN_PROGRESS"))
    shown.tell(event("CREATE_IN_PROGRESS", 1))
    assert [line[2:] for line in rendered(shown)] == ["voicecore-x-network  NAT gateway Nat1"]
    shown.tell(event("CREATE_COMPLETE", 100.5))
    assert rendered(shown) == []
    assert stderr.getvalue() == "• voicecore-x-network  NAT gateway Nat1  100.5 s\n"


def test_a_failure_is_marked_and_a_removal_is_named() -> None:
    shown, stderr = board()
    shown.tell(event("CREATE_FAILED"))
    shown.tell(event("DELETE_COMPLETE", resource="voicecore-x-network"))
    assert stderr.getvalue().splitlines() == [
        "✗ voicecore-x-network  NAT gateway Nat1  CREATE_FAILED",
        "• voicecore-x-network (removal)",
    ]


def test_the_image_shows_its_bytes() -> None:
    shown, stderr = board()
    shown.advance(Progress("packages", 2_000_000, 4_000_000))
    assert rendered(shown)[0].endswith("packages  2.0 MB of 4.0 MB")
    shown.advance(Progress("packages", 4_000_000, 4_000_000, True, "pushed"))
    assert stderr.getvalue() == "• packages  4.0 MB, pushed\n"


def test_the_oldest_are_shown_where_there_is_no_room_for_all() -> None:
    shown, _ = board()
    for n in range(30):
        shown.advance(Progress(f"task {n}"))
    assert len(rendered(shown, height=10)) == 9


def test_progress_from_before_the_screen_is_shown_with_it() -> None:
    relay, seen = Relay(lambda: None), list[str]()
    relay(Progress("a", 1, 2))
    relay(Progress("a", 2, 2, finished=True))
    relay.show(lambda step: seen.append(f"{step.task} {step.done} {step.finished}"))
    relay(Progress("b", 1, 2))
    assert seen == ["a 2 True", "b 1 False"]


def test_ctrl_c_says_what_goes_on() -> None:
    stderr = io.StringIO()
    with pytest.raises(KeyboardInterrupt), begun(Output(io.StringIO(), stderr), "voicecore deploy"):
        raise KeyboardInterrupt
    assert "goes on there. To go on:  voicecore deploy" in stderr.getvalue()


def test_a_stack_that_is_busy_is_told_of_once() -> None:
    stderr = io.StringIO()
    tell = waiting(Output(io.StringIO(), stderr))
    tell(event("UPDATE_IN_PROGRESS"))
    tell(event("UPDATE_COMPLETE"))
    assert stderr.getvalue().count("is being changed already") == 1

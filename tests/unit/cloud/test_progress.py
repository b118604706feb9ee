"""Progress of operations in AWS on the terminal."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from voicecore.cloud.deploy.progress import (
    BufferedProgress,
    ProgressBoard,
    announce_busy_stacks,
    show_progress,
)
from voicecore.cloud.resources.deployed_stack import StackEvent
from voicecore.console.output import Output
from voicecore.console.progress import Progress

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def event(status: str, seconds: float = 0, resource: str = "Nat1") -> StackEvent:
    is_stack = resource == "voicecore-x-network"
    return StackEvent(
        id="1",
        stack="voicecore-x-network",
        resource=resource,
        type="AWS::CloudFormation::Stack" if is_stack else "AWS::EC2::NatGateway",
        status=status,
        reason="",
        time=NOW + timedelta(seconds=seconds),
        is_stack=is_stack,
        token="",
    )


def new_board() -> tuple[ProgressBoard, io.StringIO]:
    stderr = io.StringIO()
    return ProgressBoard(Output(io.StringIO(), stderr)), stderr


def rendered(board: ProgressBoard, height: int = 24) -> list[str]:
    return ["".join(span.text for span in line) for line in board.render(80, height)]


def test_running_resource_is_live_and_finished_one_has_the_time_that_aws_took() -> None:
    board, stderr = new_board()
    board.on_event(event("CREATE_IN_PROGRESS"))
    board.on_event(event("CREATE_IN_PROGRESS", 1))
    assert [line[2:] for line in rendered(board)] == ["voicecore-x-network  NAT gateway Nat1"]
    board.on_event(event("CREATE_COMPLETE", 100.5))
    assert rendered(board) == []
    assert stderr.getvalue() == "• voicecore-x-network  NAT gateway Nat1  100.5 s\n"


def test_slow_resource_is_explained_while_it_runs() -> None:
    board = ProgressBoard(Output(io.StringIO(), io.StringIO()), {"AWS::EC2::NatGateway": "minutes"})
    board.on_event(event("CREATE_IN_PROGRESS"))
    assert [line[2:] for line in rendered(board)] == [
        "voicecore-x-network  NAT gateway Nat1  minutes"
    ]


def test_failures_and_removals_are_marked() -> None:
    board, stderr = new_board()
    board.on_event(event("CREATE_FAILED"))
    board.on_event(event("DELETE_COMPLETE", resource="voicecore-x-network"))
    assert stderr.getvalue().splitlines() == [
        "✗ voicecore-x-network  NAT gateway Nat1  CREATE_FAILED",
        "• voicecore-x-network (removal)",
    ]


def test_image_shows_its_bytes() -> None:
    board, stderr = new_board()
    board.on_progress(Progress("packages", 2_000_000, 4_000_000))
    assert rendered(board)[0].endswith("packages  2.0 MB of 4.0 MB")
    board.on_progress(Progress("packages", 4_000_000, 4_000_000, True, "pushed"))
    assert stderr.getvalue() == "• packages  4.0 MB, pushed\n"


def test_oldest_tasks_are_shown_when_there_is_no_room_for_all() -> None:
    board, _ = new_board()
    for n in range(30):
        board.on_progress(Progress(f"task {n}"))
    assert len(rendered(board, height=10)) == 9


def test_progress_before_the_screen_is_shown_with_it() -> None:
    progress, seen = BufferedProgress(lambda: None), list[str]()
    progress(Progress("a", 1, 2))
    progress(Progress("a", 2, 2, finished=True))
    progress.show(lambda step: seen.append(f"{step.task} {step.done} {step.finished}"))
    progress(Progress("b", 1, 2))
    assert seen == ["a 2 True", "b 1 False"]


def test_ctrl_c_says_that_operations_continue_in_aws() -> None:
    stderr = io.StringIO()
    output = Output(io.StringIO(), stderr)
    with pytest.raises(KeyboardInterrupt), show_progress(output, "voicecore deploy"):
        raise KeyboardInterrupt
    assert "continue in AWS. To resume, run:  voicecore deploy" in stderr.getvalue()


def test_busy_stack_is_announced_once() -> None:
    stderr = io.StringIO()
    on_event = announce_busy_stacks(Output(io.StringIO(), stderr))
    on_event(event("UPDATE_IN_PROGRESS"))
    on_event(event("UPDATE_COMPLETE"))
    assert stderr.getvalue().count("another operation on voicecore-x-network") == 1

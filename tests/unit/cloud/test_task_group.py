"""Work beside work: the first failure is told at once, and nothing waits for what nobody wants."""

import threading

import pytest

from voicecore.aws.task_group import TaskCancelled, TaskGroup


def test_results_come_to_whoever_waits() -> None:
    with TaskGroup() as together:
        one = together.start(lambda: 1)
        two = together.start(lambda: together.result(one) + 1)
        assert together.result(two) == 2


def test_a_failure_elsewhere_is_told_to_whoever_waits() -> None:
    with pytest.raises(ZeroDivisionError), TaskGroup() as together:
        endless = together.start(lambda: [together.sleep(0.01) for _ in iter(int, 1)])
        together.start(lambda: 1 / 0)
        together.result(endless)


def test_work_ends_with_the_block() -> None:
    ended = threading.Event()

    def work(together: TaskGroup) -> None:
        try:
            while True:
                together.sleep(0.01)
        except TaskCancelled:
            ended.set()
            raise

    with TaskGroup() as together:
        together.start(lambda: work(together))
    assert ended.wait(1)


def test_an_interruption_leaves_the_block_at_once() -> None:
    hold = threading.Event()
    with pytest.raises(KeyboardInterrupt), TaskGroup(grace=0.01) as together:
        together.start(lambda: hold.wait(10))
        raise KeyboardInterrupt
    hold.set()

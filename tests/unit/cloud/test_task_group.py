"""Task groups: the first failure reaches the waiting task, and the rest is cancelled."""

import threading

import pytest

from voicecore.aws.task_group import TaskCancelled, TaskGroup


def test_result_waits_for_other_tasks() -> None:
    with TaskGroup() as tasks:
        one = tasks.start(lambda: 1)
        two = tasks.start(lambda: tasks.result(one) + 1)
        assert tasks.result(two) == 2


def test_failure_of_one_task_ends_the_wait_for_another() -> None:
    with pytest.raises(ZeroDivisionError), TaskGroup() as tasks:
        endless = tasks.start(lambda: [tasks.sleep(0.01) for _ in iter(int, 1)])
        tasks.start(lambda: 1 / 0)
        tasks.result(endless)


def test_tasks_are_cancelled_at_the_end_of_the_block() -> None:
    ended = threading.Event()

    def work(tasks: TaskGroup) -> None:
        try:
            while True:
                tasks.sleep(0.01)
        except TaskCancelled:
            ended.set()
            raise

    with TaskGroup() as tasks:
        tasks.start(lambda: work(tasks))
    assert ended.wait(60)


def test_ctrl_c_leaves_the_block_at_once() -> None:
    hold = threading.Event()
    with pytest.raises(KeyboardInterrupt), TaskGroup(grace=0.01) as tasks:
        tasks.start(lambda: hold.wait(60))
        raise KeyboardInterrupt
    hold.set()

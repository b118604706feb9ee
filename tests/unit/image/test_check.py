"""What a run of the image tells: which rule it breaks, why it ended, where it listens."""

import pytest

from voicecore.image.docker.smoke_test import (
    AgentEnded,
    NoEmulation,
    Unfit,
    ended,
    listening,
    require_user,
)


@pytest.mark.parametrize("user", ["1000", "1000:1000", "65534"])
def test_users_that_agentcore_takes(user: str) -> None:
    require_user({"config": {"User": user}})


@pytest.mark.parametrize(
    ("user", "said"),
    [("", "root"), ("0", "user 0"), ("0:1000", "user 0:1000"), ("agent", "user agent")],
)
def test_users_that_it_does_not_take(user: str, said: str) -> None:
    with pytest.raises(Unfit, match=f"runs as {said}") as raised:
        require_user({"config": {"User": user}})
    assert "USER 1000" in str(raised.value.hint)


def test_an_image_without_settings_runs_as_root() -> None:
    with pytest.raises(Unfit):
        require_user({"config": None})


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:9C4F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 2
   2: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 3
   3: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000
"""


def test_where_an_agent_listens() -> None:
    assert listening(TABLE) == {("127.0.0.1", 8080), ("*", 8000), ("::1", 8081)}


TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/app/bot.py", line 3, in <module>',
    "    import soundfile",
    "ModuleNotFoundError: No module named 'soundfile': it is left out of the image; see "
    "exclude-dependencies in agent/pyproject.toml",
]


def test_a_crash_shows_the_agent_s_own_words() -> None:
    error = ended({"ExitCode": 1}, TRACEBACK, emulated=False)
    assert type(error) is AgentEnded
    assert "exit code 1" in error.message
    assert "exclude-dependencies in agent/pyproject.toml" in error.message


def test_an_agent_that_took_too_much_memory() -> None:
    error = ended({"ExitCode": 137, "OOMKilled": True}, [], emulated=False)
    assert "more memory than there is" in error.message
    assert "(it wrote nothing)" in error.message


def test_no_emulator() -> None:
    # docker-init is the machine's own program; it cannot start the agent.
    said = ["[FATAL tini (7)] exec python failed: Exec format error"]
    error = ended({"ExitCode": 127}, said, emulated=True)
    assert type(error) is NoEmulation
    assert "tonistiigi/binfmt --install arm64" in str(error.hint)


def test_an_emulator_that_crashes() -> None:
    said = ["qemu: uncaught target signal 11 (Segmentation fault) - core dumped"]
    assert type(ended({"ExitCode": 139}, said, emulated=True)) is NoEmulation
    assert type(ended({"ExitCode": 139}, [], emulated=True)) is NoEmulation


def test_a_native_crash_is_the_agent_s() -> None:
    assert type(ended({"ExitCode": 139}, [], emulated=False)) is AgentEnded

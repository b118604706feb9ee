"""Sessions go on when the disk of their logs is full, and the user is told."""

import asyncio
import shutil
from pathlib import Path

from tests.standins.disk import small_disk
from tests.standins.runtime.runtime_lab import new_session, runtime_lab


def test_session_goes_on_when_its_log_cannot_be_written(tmp_path: Path) -> None:
    async def main(disk: Path) -> None:
        async with runtime_lab(disk) as here:
            session = new_session()
            async with here.connect(session) as socket:
                await socket.send_str("say before")
                await socket.receive_str()
                (disk / "rest").write_bytes(bytes(shutil.disk_usage(disk).free))
                long = "x" * 10_000
                for number in range(20):  # more than fits in a pipe that is not read
                    await socket.send_str(f"say {number} {long}")
                    assert await socket.receive_str() == f"{number} {long}"
                await here.until(lambda: f"19 {long}" in here.texts("log"))
                told = [text for text in here.texts("log") if "Could not write" in text]
                assert len(told) == 1
                assert "No space left on device" in told[0]
            await here.stop(session)
            await here.until(lambda: here.sessions() == [])

    with small_disk(tmp_path / "disk", kilobytes=200) as disk:
        asyncio.run(main(disk))

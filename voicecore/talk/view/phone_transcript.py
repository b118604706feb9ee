"""A conversation of which only the sound is known, as on a telephone: who spoke, for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicecore.talk.audio import pcm, vad
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import News
from voicecore.talk.view.transcript import Dialogue, Line


class Overheard(Dialogue):
    """Takes for a turn what sounds like one: nobody tells what was understood, or said."""

    def __init__(self, report: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(report)
        self._user_since: float | None = None
        self._agent_seconds = self._told_seconds = 0.0
        self._agent_until = 0.0  # when all that has arrived will have been heard

    @property
    def live(self) -> list[Line]:
        """Who speaks now."""
        user = [Line("you", "speaks")] if self._user_since is not None else []
        agent = [Line("agent", "speaks", turn=self._answer.turn)] if self._agent_seconds else []
        return [*agent, *user]

    def voiced(self, at: float) -> None:
        """The user's voice was sounding until `at`."""
        super().voiced(at)
        self._noticed = self._turn_open = True
        if self._user_since is None:
            self._user_since = at - pcm.BLOCK_MS / 1000

    def receive(self, news: News, at: float) -> None:
        """Take in what the connection delivered."""
        if isinstance(news, pipecat_frames.Interruption):
            # Agents clear at each turn of the user, whether there is anything to clear or not.
            self.bot_speaking = at < self._agent_until
            self._agent_until = at
        super().receive(news, at)

    def end(self) -> None:
        """Nothing more will come: what is under way is said as far as it got."""
        self._finish_answer()
        super().end()

    def _sound(self, audio: pipecat_frames.Audio, at: float) -> None:
        known = len(self.turns)
        super()._sound(audio, at)
        for turn in self.turns[known:]:
            self._report_turn(turn)
        seconds = len(audio.pcm) / 2 / audio.rate
        self._agent_until = max(at, self._agent_until) + seconds
        if vad.first_sound_sample(audio.pcm, audio.rate) is not None:
            self._agent_seconds += seconds

    def _commit_user(self) -> None:
        if self._user_since is None or self._ended_at is None:
            return
        self._finish_answer()
        seconds = self._ended_at - self._user_since
        self._user_since = None
        self.lines.append(Line("you", _spoke(seconds)))
        self._report({"event": "user_spoke", "seconds": round(seconds, 1)})

    def _finish_answer(self) -> None:
        if self._agent_seconds:
            self._answer.add(rtvi.BotSays(_spoke(self._agent_seconds)))
        self._told_seconds, self._agent_seconds = self._agent_seconds, 0.0
        super()._finish_answer()

    def _say_agent(self, line: Line) -> None:
        self.lines.append(line)
        told = {"seconds": round(self._told_seconds, 1), "interrupted": line.interrupted}
        turn = {"turn": line.turn} if line.turn else {}
        self._report({"event": "agent_spoke", **told, **turn})


def _spoke(seconds: float) -> str:
    return f"spoke for {seconds:.1f} s"

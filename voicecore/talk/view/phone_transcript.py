"""Owns the transcript of a call that carries only audio: who spoke, and for how long."""

from __future__ import annotations

from collections.abc import Callable

from voicecore.talk.audio import pcm, vad
from voicecore.talk.channel import Delivery
from voicecore.talk.events import AgentSpoke, CallEvent, TurnMeasured, UserSpoke
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.turn_tracker import Answer
from voicecore.talk.view.transcript import CallTranscript, Utterance


class PhoneTranscript(CallTranscript):
    """Infers turns from audio: over a telephone the agent reports no words."""

    def __init__(self, report: Callable[[CallEvent], None]) -> None:
        super().__init__(report, agent_reports=False)
        self._user_since: float | None = None
        self._user_until = 0.0
        self._agent_seconds = self._answer_seconds = 0.0
        self._agent_until = 0.0  # when everything that has arrived will have been played

    @property
    def live(self) -> list[Utterance]:
        """Utterances under way: the side that is speaking."""
        user = [Utterance("you", "speaks")] if self._user_since is not None else []
        turn = self._answer.turn
        agent = [Utterance("agent", "speaks", turn=turn)] if self._agent_seconds else []
        return [*agent, *user]

    def voiced(self, at: float) -> None:
        """Take note that the user's voice sounded until `at`."""
        super().voiced(at)
        self._turn_open, self._user_until = True, at
        if self._user_since is None:
            self._user_since = at - pcm.BLOCK_MS / 1000

    def receive(self, delivery: Delivery, at: float) -> None:
        """Take in what the channel delivered."""
        if isinstance(delivery, pipecat_frames.Interruption):
            # Agents clear at each turn of the user, even if nothing is left to clear.
            self.tracker.bot_speaking = at < self._agent_until
            self._agent_until = at
        super().receive(delivery, at)
        if isinstance(delivery, pipecat_frames.Audio):
            self._count(delivery, at)

    def end(self) -> None:
        """End the transcript: report what is unfinished, as far as it got."""
        self._finish_answer()
        super().end()

    def _count(self, audio: pipecat_frames.Audio, at: float) -> None:
        seconds = len(audio.pcm) / 2 / audio.rate
        self._agent_until = max(at, self._agent_until) + seconds
        if vad.first_audible_sample(audio.pcm, audio.rate) is not None:
            self._agent_seconds += seconds

    def _begin_turn(self, answer: Answer) -> None:
        super()._begin_turn(answer)
        if answer.measured:
            self._report(TurnMeasured(self.turns[-1]))

    def _commit_user(self) -> None:
        if self._user_since is None:
            return
        self._finish_answer()
        seconds = self._user_until - self._user_since
        self._user_since = None
        self._entries.append(Utterance("you", _spoke(seconds)))
        self._report(UserSpoke(seconds))

    def _finish_answer(self) -> None:
        if self._agent_seconds:
            self._answer.add(rtvi.BotOutput(_spoke(self._agent_seconds)))
        self._answer_seconds, self._agent_seconds = self._agent_seconds, 0.0
        super()._finish_answer()

    def _add_agent(self, utterance: Utterance) -> None:
        self._entries.append(utterance)
        self._report(AgentSpoke(self._answer_seconds, utterance.interrupted, utterance.turn))


def _spoke(seconds: float) -> str:
    return f"spoke for {seconds:.1f} s"

"""Messages that survive a broken connection."""

from voicecore.talk.transports import rtvi
from voicecore.talk.transports.outbox import Outbox


def texts(outbox: Outbox) -> list[str]:
    """Send everything that waits."""
    sent: list[str] = []
    while outbox:
        sent.append(outbox.take()["data"]["content"])
    return sent


def test_line_is_sent_again_until_the_agent_has_it() -> None:
    outbox = Outbox()
    first, second = rtvi.send_text("one"), rtvi.send_text("two")
    outbox.post(first)
    outbox.post(second)
    assert texts(outbox) == ["one", "two"] and texts(outbox) == []
    outbox.rewind()
    assert texts(outbox) == ["one", "two"]
    outbox.receive(rtvi.TextReceived(first["id"]))
    outbox.receive(rtvi.BotOutput("An answer to something earlier."))
    outbox.rewind()
    assert texts(outbox) == ["two"]
    outbox.receive(rtvi.TextReceived("of another client"))
    outbox.receive(rtvi.TextReceived(second["id"]))
    outbox.rewind()
    assert not outbox


def test_agent_without_receipts_confirms_by_its_reply() -> None:
    outbox = Outbox()
    outbox.post(rtvi.send_text("one"))
    assert texts(outbox) == ["one"]
    outbox.receive(rtvi.BotThinking())
    outbox.rewind()
    assert not outbox

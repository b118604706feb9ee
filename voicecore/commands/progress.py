"""What happens in a stack, shown as tasks."""

from __future__ import annotations

from collections.abc import Callable

from voicecore.cloud.cloudformation import Event
from voicecore.cloud.plan import called
from voicecore.output import Advance


def shown(advance: Advance) -> Callable[[Event], None]:
    """Tells of each resource of a stack as a task of its own."""

    def tell(event: Event) -> None:
        if event.of_stack:
            title = event.stack
        else:
            title = f"{event.stack}  {called(event.type)} {event.resource}"
        if event.status.startswith("DELETE"):
            title += " (removal)"
        advance(title, 0, None, event.over, event.status if event.failed else "")

    return tell

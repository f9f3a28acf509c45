"""Parallel calls whose arguments come interleaved, put one after the other.

A call that is done cannot be opened again. So when a second call starts, the open one is closed only if its arguments are already a whole
JSON value; otherwise the second call waits until they are. In practice providers send calls one after the other and nothing ever waits.

For dialects in which a call is told from its start to its end before the next one.
"""

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import ToolCallDelta, ToolCallStarted
from setpoint.wire.bodies import is_complete_json


class LateArguments(Exception):
    """Arguments for a call that is closed already."""

    fault = Fault(FaultKind.upstream_server, "The provider sent arguments of a tool call after it had gone on to other content.")


class QueuedCall:
    """A call that is open or waits; the first `_sent` of its pieces are out."""

    __slots__ = ("_pieces", "_sent", "started")

    def __init__(self, started: ToolCallStarted) -> None:
        self.started = started
        self._pieces: list[str] = []
        self._sent = 0

    def add(self, arguments: str) -> None:
        self._pieces.append(arguments)

    def text(self) -> str:
        return "".join(self._pieces)

    def unsent(self) -> str:
        text = "".join(self._pieces[self._sent :])
        self._sent = len(self._pieces)
        return text

    def is_whole(self) -> bool:
        return is_complete_json(self.text())


class CallQueue:
    """`current` is the call that is open; the others wait in the order they started."""

    __slots__ = ("_calls", "_waiting", "current")

    def __init__(self) -> None:
        self.current: QueuedCall | None = None
        self._calls: dict[int, QueuedCall] = {}
        self._waiting: list[QueuedCall] = []

    def start(self, started: ToolCallStarted) -> tuple[QueuedCall | None, QueuedCall | None]:
        """The call to close, and the call to open, now that another one has started."""
        call = self._calls[started.index] = QueuedCall(started)
        before = self.current
        if before is not None and (self._waiting or not before.is_whole()):
            self._waiting.append(call)
            return None, None
        self.current = call
        return before, call

    def add(self, event: ToolCallDelta) -> QueuedCall | None:
        """The open call, when these arguments are its. Raises LateArguments for a call that is closed."""
        call = self._calls.get(event.index)
        if call is None or (call is not self.current and call not in self._waiting):
            if event.arguments.strip():
                raise LateArguments
            return None
        call.add(event.arguments)
        return call if call is self.current else None

    def next(self) -> QueuedCall | None:
        """The open call is closed: the one that waits longest is open now; None when none waits."""
        self.current = self._waiting.pop(0) if self._waiting else None
        return self.current

    def close(self) -> None:
        """The open call is closed and none follows it yet; those that wait go on waiting."""
        self.current = None

    def next_if_whole(self) -> QueuedCall | None:
        """The call to open because the open one is whole; None when it is not, or when none waits."""
        if not self._waiting or self.current is None or not self.current.is_whole():
            return None
        return self.next()

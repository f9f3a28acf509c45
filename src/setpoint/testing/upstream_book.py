"""What a fake upstream was told to do and what it saw, shared by the thread of the test and the thread of the server."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from setpoint.adapters.sim.http import Heard
from setpoint.testing.answers import Framing, answer
from setpoint.testing.asked import Asked, asked
from setpoint.testing.replies import RawBytes, Refusal, Reply, Says, text
from setpoint.testing.splits import SplitMode
from setpoint.testing.wire_faults import Close, Send, Step, WireFault, steps


class Seen(msgspec.Struct):
    """A request as the upstream got it. `no` counts from 1, `connection` too; times are monotonic nanoseconds, 0 for not yet.

    `hung_up_ns` is set when the client left before the answer was complete, `answered_ns` when its last byte was handed to the kernel.
    """

    no: int
    connection: int
    at_ns: int
    request: Heard
    hung_up_ns: int = 0
    answered_ns: int = 0

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def headers(self) -> dict[str, str]:
        return self.request.headers

    @property
    def body(self) -> bytes:
        return self.request.body

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.request.body)

    @property
    def asked(self) -> Asked:
        """What it asks, in no dialect."""
        return asked(self.path, self.body)


class Script(msgspec.Struct, frozen=True):
    """How requests are answered from now on. `since` is how many were seen when the fault was set; it counts from there."""

    fault: WireFault | None = None
    since: int = 0
    split: SplitMode = "as_recorded"
    seed: int = 0
    framing: Framing | None = None
    held: bool = False


class UpstreamBook:
    """Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[Says] = deque([text("hello")])
        self.script = Script()
        self.seen: list[Seen] = []
        self.connections = 0
        self.connections_open = 0

    def change(self, **members: Any) -> None:
        """Replace members of the script."""
        with self._changed:
            self.script = msgspec.structs.replace(self.script, **members)

    def queue(self, replies: tuple[Says, ...]) -> None:
        with self._changed:
            self._queue = deque(replies)

    def clear(self) -> None:
        with self._changed:
            self._queue, self.script = deque([text("hello")]), Script()
            self.seen.clear()

    def note(self, change: Callable[[], None]) -> None:
        """Let something have happened, and wake who waits for it."""
        with self._changed:
            change()
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], deadline_s: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, deadline_s):
                raise TimeoutError(f"the fake upstream waited {deadline_s} s in vain; it saw {len(self.seen)} requests")

    def begin(self, request: Heard, connection: int, now_ns: int) -> Seen:
        seen = Seen(len(self.seen) + 1, connection, now_ns, request)
        self.note(lambda: self.seen.append(seen))
        return seen

    def strikes(self, no: int) -> WireFault | None:
        """The fault for request number `no`, if it is to be struck."""
        script = self.script
        return script.fault if script.fault is not None and script.fault.strikes(no - script.since) else None

    def next_steps(self, seen: Seen) -> list[Step]:
        """What to play for this request; takes the next reply from the queue, the last one stays."""
        script = self.script
        with self._changed:
            says = self._queue.popleft() if len(self._queue) > 1 else self._queue[0]
        if isinstance(says, RawBytes):
            return [Send(says.data)] if says.keep_open else [Send(says.data), Close()]
        said = says if isinstance(says, Reply | Refusal) else says(seen.asked)
        reply = answer(said, seen.request.target, seen.body)
        if script.framing:
            reply = msgspec.structs.replace(reply, framing=script.framing)
        return steps(reply, self.strikes(seen.no), script.split, script.seed)

"""Active health probes: a worker asks by itself whether a provider is there.

    every_s (± a tenth) ──> GET path ──answer below 500──> well
                                      └─5xx, or nothing──> once more after AGAIN_S ──bad too──> ill

A probe opens and closes no circuit: that a list of models can be read does not mean that chat works, nor the other way round. It decides
two things only. A provider that is ill is tried last, so its half-open circuits are not tried with a request that another one could
take. And when it is well again, its open circuits need not wait any longer for their first try.

Each worker looks for itself, at times of its own, because it needs the answer itself: nothing is passed between workers. There is one
probe under way for an upstream at most, and none of a worker that drains.
"""

from collections.abc import Callable, Iterable

from setpoint.domain.faults import Fault
from setpoint.domain.plan import HealthProbe, Timeouts
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.drive import NEWS, Drive
from setpoint.gateway.published import Line
from setpoint.gateway.upstream import Call
from setpoint.wire.standing import BAD, GOOD

PROBE_TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=5.0, idle_s=5.0, unary_total_s=5.0, stream_total_s=5.0)
AGAIN_S = 1.0
"""After a first bad answer: one lost packet is no illness."""
BAD_MAX = 2
"""Bad answers in a row that make a provider ill."""
JITTER = 0.1
ALIVE_BELOW = 500


class _Unread:
    """Takes an answer that nobody reads."""

    __slots__ = ()

    def feed(self, data: bytes) -> None: ...


class LineProbe:
    """The probe of one upstream, for as long as its line is in use."""

    __slots__ = ("_bad", "_deadlines", "_drive", "_line", "_probe", "_uniform")

    def __init__(self, line: Line, probe: HealthProbe, deadlines: Deadlines, uniform: Callable[[], float]) -> None:
        self._line = line
        self._probe = probe
        self._deadlines = deadlines
        self._uniform = uniform
        self._bad = 0
        self._drive = Drive()
        self._drive.start(self._run())

    def stop(self) -> None:
        """Hang up, and ask no more."""
        self._drive.cancel()

    async def _run(self) -> None:
        wait_s = self._uniform() * self._probe.every_s  # workers start together and need not ask together
        while True:
            await self._wait(wait_s)
            wait_s = self._judge(alive=await self._ask())

    def _judge(self, *, alive: bool) -> float:
        """What the answer changes; seconds until the next probe."""
        line = self._line
        if alive:
            if line.ill:
                for _, _, breaker in line.breakers():
                    breaker.hasten(self._deadlines.now_s())
            self._bad, line.ill, line.health = 0, False, GOOD
        else:
            self._bad += 1
            if self._bad >= BAD_MAX:
                line.ill, line.health = True, BAD
        every_s = self._probe.every_s
        if self._bad == 1:
            return min(AGAIN_S, every_s)
        return every_s * (1 + JITTER * (2 * self._uniform() - 1))

    async def _ask(self) -> bool:
        line, path = self._line, self._probe.path
        key = None if line.keys is None else line.keys.keys[0]
        head = line.build_head("GET", path, "content-type: application/json", key=key)
        credential = line.credential if key is None else key.credential
        if credential is not None:
            proof = await credential.lines(self._drive, "GET", line.upstream.base_path + path, b"")
            if isinstance(proof, Fault):
                return False
            head += proof
        call = Call(self._drive, (head + b"\r\n", b""), PROBE_TIMEOUTS, 0, _Unread())
        call.relay_all = True
        line.pool.send(call)
        try:
            while not call.over:
                await NEWS
        finally:
            if not call.over:
                call.abort()
        return call.fault is None and call.status < ALIVE_BELOW

    async def _wait(self, wait_s: float) -> None:
        until_s = self._deadlines.now_s() + wait_s
        timer = self._deadlines.timer(lambda _: self._drive.resume())
        timer.set(until_s)
        try:
            while self._deadlines.now_s() < until_s:
                await NEWS
        finally:
            timer.clear()


class HealthProbes:
    """All of a worker's."""

    def __init__(self, deadlines: Deadlines, uniform: Callable[[], float]) -> None:
        self._deadlines = deadlines
        self._uniform = uniform
        self._running: dict[Line, LineProbe] = {}

    def __len__(self) -> int:
        return len(self._running)

    def follow(self, lines: Iterable[Line]) -> None:
        """These upstreams are in use now: probe those that want it, and no others."""
        wanted = {line: line.upstream.probe for line in lines if line.upstream.probe is not None}
        for line in [line for line in self._running if line not in wanted]:
            self._running.pop(line).stop()
        for line, probe in wanted.items():
            if line not in self._running:
                self._running[line] = LineProbe(line, probe, self._deadlines, self._uniform)

    def stop(self) -> None:
        """The worker drains."""
        self.follow(())

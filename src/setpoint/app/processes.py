"""One supervised service as the supervisor sees it: the processes of its lives, one after the other.

A service has at most one current process. While it is being replaced there is also a successor, which takes over the moment it says
`ready`; only then the old one is told to drain and becomes a retiring process. So during a roll there is never a moment without a server.

A process counts as gone when it has been reaped. One whose pid was never heard (its fork failed) is gone when its line closes.
"""

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

from setpoint.runtime.clock import Clock
from setpoint.runtime.line_channel import LineChannel
from setpoint.runtime.log import Log
from setpoint.runtime.poll_loop import PollLoop, Timer
from setpoint.runtime.restart import Deaths, died, started
from setpoint.runtime.service import Event, Life, State, after

LINGER_S = 2.0
"""How long a process may go on after its end of the line closed; then it is killed."""


@dataclass(frozen=True, slots=True)
class Born:
    """What a launch gives back. `pid` is None when the process will say it itself; `commands` is the zygote's second line;
    `first_line` is the birth certificate that a fresh interpreter waits for."""

    pid: int | None
    commands: socket.socket | None = None
    first_line: str | None = None


Launch = Callable[[socket.socket], Born]
"""Starts a process that holds the given end of a socket pair. Raises OSError."""


class Process:
    """One life of a service."""

    def __init__(self, service: "Service", loop: PollLoop, launch: Launch) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self.born = launch(theirs)
            except OSError:
                ours.close()
                raise
        self.pid = self.born.pid
        self.ready = False
        self.acked = ""
        self.pinged = False
        self._service, self._loop = service, loop
        self._channel = LineChannel(loop, ours, self._line, self._closed)
        self._line_open = True
        if self.born.first_line:
            self.send(self.born.first_line)

    def send(self, line: str) -> None:
        self._channel.send(line)

    def hang_up(self) -> None:
        self._channel.end()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """The pid is ours until it is reaped, so it cannot be somebody else's."""
        if self.pid:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return
        elif number is signal.SIGKILL:
            self._channel.close()
            self._closed()

    def reaped(self) -> None:
        self._line_open = False
        self._channel.close()
        if self.born.commands:
            self.born.commands.close()
        self.pid = None
        self._service.gone(self)

    def _line(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "pid":
            self.pid = int(rest)
            self._service.named(self)
        else:
            self._service.heard(self, word, rest)

    def _closed(self) -> None:
        if not self._line_open:
            return
        self._line_open = False
        if self.pid is None:
            self.reaped()
        else:
            self._loop.call_after(LINGER_S, self.kill)


@dataclass(frozen=True, slots=True)
class Tree:
    """What a service needs of the supervisor."""

    loop: PollLoop
    clock: Clock
    log: Log
    heard: Callable[["Service", Process, str, str], None]
    """Words that mean nothing here."""
    changed: Callable[[], None]
    """A service became ready, or one of its processes is gone."""
    named: Callable[[Process], None]


class Service:
    """A supervised service: wanted or not, with a record of its lives."""

    def __init__(self, name: str, launch: Launch, tree: Tree, ready_s: float, needs: tuple[str, ...] = ()) -> None:
        self.name, self.needs = name, needs
        self.life = Life()
        self.wanted = True
        self.current: Process | None = None
        self.successor: Process | None = None
        self.retiring: list[Process] = []
        self._launch, self._tree, self._ready_s = launch, tree, ready_s
        self._deaths = Deaths()
        self._restart: Timer | None = None
        self._goodbye = "stop 5"
        self._replaced: Callable[[bool], None] | None = None

    @property
    def processes(self) -> list[Process]:
        return [p for p in (self.current, self.successor, *self.retiring) if p]

    @property
    def is_due(self) -> bool:
        """Whether it should be started as soon as what it needs is there."""
        return self.wanted and self.current is None and self._restart is None

    @property
    def is_ready(self) -> bool:
        return self.current is not None and self.current.ready

    @property
    def has_settled(self) -> bool:
        """Whether its first start is over, for good or bad."""
        return self.is_ready or self._deaths.in_a_row > 0

    def start(self) -> None:
        if self.life.state is State.failed:
            self._meet(Event.restarted)
        self._deaths = started(self._deaths, self._tree.clock.now_s())
        try:
            self.current = self._new_process()
        except OSError as error:
            self._tree.log.error("cannot start", service=self.name, error=str(error))  # noqa: TRY400  the reason is one line; a trace says no more
            self._wait_for_restart()

    def replace(self, goodbye: str, done: Callable[[bool], None]) -> None:
        """Starts a successor; says `goodbye` to the present process once the successor is ready. `done` hears whether it came to that."""
        self._goodbye, self._replaced = goodbye, done
        try:
            self.successor = self._new_process()
        except OSError as error:
            self._tree.log.error("cannot start a successor", service=self.name, error=str(error))  # noqa: TRY400  as above
            self._finish_replacement(False)

    def stop(self, goodbye: str, hang_up: bool = False) -> None:
        """Tells every process to end, and starts no other. After hanging up, nothing more can be said to them."""
        self.wanted = False
        self._meet(Event.stop)
        if self._restart:
            self._restart.cancel()
        for process in self.processes:
            process.send(goodbye)
            if hang_up:
                process.hang_up()
        if not self.processes:
            self._meet(Event.exited)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        for process in self.processes:
            process.kill(number)

    def ping(self) -> None:
        """One health check: the last ping must have been answered by now."""
        process = self.current
        if not process or not process.ready:
            return
        if process.pinged:
            self._meet(Event.check_failed)
            self._tree.log.warning("health check not answered", service=self.name, in_a_row=self.life.failed_checks)
            if self.life.state is State.failed:
                process.kill()
                return
        process.pinged = True
        process.send("ping")

    def heard(self, process: Process, word: str, rest: str) -> None:
        if word == "ready":
            self._became_ready(process)
        elif word == "pong":
            process.pinged = False
            self._meet(Event.check_passed)
        else:
            self._tree.heard(self, process, word, rest)

    def named(self, process: Process) -> None:
        self._tree.named(process)

    def gone(self, process: Process) -> None:
        if process in self.retiring:
            self.retiring.remove(process)
        elif process is self.successor:
            self.successor = None
            self._finish_replacement(False)
        elif process is self.current:
            self.current = None
            self._meet(Event.exited)
            if self.wanted:
                self._wait_for_restart()
        self._tree.changed()

    def _new_process(self) -> Process:
        process = Process(self, self._tree.loop, self._launch)
        self._tree.loop.call_after(self._ready_s, lambda: self._check_ready(process))
        return process

    def _check_ready(self, process: Process) -> None:
        if not process.ready and process in self.processes:
            self._tree.log.error("not ready in time, killed", service=self.name, ready_s=self._ready_s)
            process.kill()

    def _became_ready(self, process: Process) -> None:
        process.ready = True
        if process is self.successor:
            self._take_over(process)
        self._meet(Event.ready)
        self._tree.log.info("ready", service=self.name, pid=process.pid)
        self._tree.changed()

    def _take_over(self, successor: Process) -> None:
        old, self.current, self.successor = self.current, successor, None
        if old:
            self.retiring.append(old)
            old.send(self._goodbye)
        self._finish_replacement(True)

    def _finish_replacement(self, succeeded: bool) -> None:
        done, self._replaced = self._replaced, None
        if done:
            done(succeeded)

    def _wait_for_restart(self) -> None:
        self._deaths, delay_s = died(self._deaths, self._tree.clock.now_s())
        self._tree.log.warning("died; starting again", service=self.name, in_a_row=self._deaths.in_a_row, delay_s=delay_s)
        self._restart = self._tree.loop.call_after(delay_s, self._restart_now)

    def _restart_now(self) -> None:
        self._restart = None
        self._tree.changed()

    def _meet(self, event: Event) -> None:
        self.life = after(self.life, event, self._tree.clock.now_s())

"""The small event loop and the lines over it, with real sockets and a clock that the test sets."""

import signal
import socket
from collections.abc import Iterator

import pytest

from setpoint.runtime import line_channel
from setpoint.runtime.clock import SystemClock
from setpoint.runtime.line_channel import LineChannel
from setpoint.runtime.poll_loop import PollLoop


class SetClock:
    """Each look at it moves it, so that a loop with nothing to wait for goes on."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        self.time_s += 0.001
        return self.time_s

    def mono_ns(self) -> int:
        return int(self.time_s * 1e9)

    def wall_ns(self) -> int:
        return int(self.time_s * 1e9)


@pytest.fixture
def loop() -> Iterator[PollLoop]:
    loop = PollLoop(SystemClock())
    yield loop
    loop.close()


def test_timers_run_in_order_of_their_time_and_cancelled_ones_never() -> None:
    loop = PollLoop(SetClock())
    ran: list[str] = []
    loop.call_after(0.03, lambda: ran.append("c"))
    loop.call_after(0.04, loop.stop)
    loop.call_after(0.02, lambda: ran.append("b"))
    loop.call_after(0.01, lambda: ran.append("a"))
    loop.call_after(0.015, lambda: ran.append("never")).cancel()
    loop.run()
    loop.close()
    assert ran == ["a", "b", "c"]


def test_a_periodic_call_comes_again() -> None:
    loop = PollLoop(SetClock())
    count: list[int] = []

    def come() -> None:
        count.append(1)
        if len(count) == 3:
            loop.stop()

    loop.call_every(0.01, come)
    loop.run()
    loop.close()
    assert len(count) == 3


def test_a_signal_becomes_a_call_and_the_old_handler_comes_back(loop: PollLoop) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    restore = loop.on_signals({signal.SIGUSR1: loop.stop})
    signal.raise_signal(signal.SIGUSR1)
    loop.run()
    restore()
    assert signal.getsignal(signal.SIGUSR1) is before


def channel(loop: PollLoop) -> tuple[LineChannel, socket.socket, list[str]]:
    ours, theirs = socket.socketpair()
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        if line in ("stop", "<closed>"):
            loop.stop()

    return LineChannel(loop, ours, hear, lambda: hear("<closed>")), theirs, heard


def test_lines_arrive_whole_however_they_are_cut(loop: PollLoop) -> None:
    made, theirs, heard = channel(loop)
    for piece in (b"rea", b"dy\npo", b"ng\n\nsto", b"p\n"):
        theirs.send(piece)
    loop.run()
    made.close()
    theirs.close()
    assert heard == ["ready", "pong", "", "stop"]


def test_the_last_words_are_heard_before_the_end(loop: PollLoop) -> None:
    made, theirs, heard = channel(loop)
    theirs.send(b"drained\n")
    theirs.close()
    made.send("too late")
    loop.run()
    assert heard == ["drained", "<closed>"]


def test_what_does_not_fit_the_socket_is_sent_later(loop: PollLoop) -> None:
    made, theirs, _ = channel(loop)
    line = "x" * 3_000_000
    made.send(line)
    received = bytearray()

    def read() -> None:
        received.extend(theirs.recv(65_536))
        if len(received) == len(line) + 1:
            loop.stop()

    loop.watch(theirs, read)
    loop.run()
    made.close()
    theirs.close()
    assert received == line.encode() + b"\n"


def test_a_peer_that_does_not_read_is_given_up(loop: PollLoop) -> None:
    made, theirs, heard = channel(loop)
    made.send("x" * (line_channel.UNSENT_BYTES_MAX + 10_000_000))
    theirs.close()
    assert heard == ["<closed>"]


def test_a_line_without_end_is_given_up(loop: PollLoop) -> None:
    _, theirs, heard = channel(loop)

    def pour() -> None:
        theirs.send(b"x" * 65_536)

    loop.watch(theirs, None, pour)
    loop.run()
    loop.watch(theirs, None)
    theirs.close()
    assert heard == ["<closed>"]

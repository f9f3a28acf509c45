"""Lines of text over a stream socket, without ever blocking: the way parent and children talk.

A line that does not fit the kernel's buffer waits in memory; a peer that does not read for `UNSENT_BYTES_MAX` is treated as gone.
"""

import socket
from collections.abc import Callable

from setpoint.runtime.poll_loop import PollLoop

LINE_BYTES_MAX = 1024 * 1024
UNSENT_BYTES_MAX = 4 * 1024 * 1024


class LineChannel:
    """One end of a conversation in a `PollLoop`. `closed` is called once, when the other end is gone or broke the rules."""

    def __init__(self, loop: PollLoop, sock: socket.socket, line: Callable[[str], None], closed: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._loop, self._sock, self._line, self._closed = loop, sock, line, closed
        self._heard = bytearray()
        self._unsent = bytearray()
        self._open = True
        loop.watch(sock, self._readable)

    def send(self, line: str) -> None:
        """Queues one line; nothing happens when the channel is closed."""
        if not self._open:
            return
        self._unsent += line.encode() + b"\n"
        self._flush()

    def end(self) -> None:
        """Says that nothing more will come; what the other end still says is heard."""
        if self._open and not self._unsent:
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Ends the conversation without calling `closed`."""
        if self._open:
            self._open = False
            self._loop.watch(self._sock, None)
            self._sock.close()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._heard += data
        self._hand_over()
        if not data or len(self._heard) > LINE_BYTES_MAX:
            self._gone()

    def _hand_over(self) -> None:
        *lines, rest = self._heard.split(b"\n")
        self._heard = bytearray(rest)
        for line in lines:
            if self._open:
                self._line(line.decode("utf-8", "replace"))

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:  # what it said before it went is still to be read; reading then meets the end
            self._unsent.clear()
            return
        del self._unsent[:sent]
        if len(self._unsent) > UNSENT_BYTES_MAX:
            self._gone()
        else:
            self._loop.watch(self._sock, self._readable, self._flush if self._unsent else None)

    def _gone(self) -> None:
        if self._open:
            self.close()
            self._closed()

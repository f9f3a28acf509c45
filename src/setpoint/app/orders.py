"""The supervisor's lines in a service that has no event loop."""

import select

from setpoint.app.service_context import ServiceContext


class Orders:
    """Listens between two pieces of work."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._heard = b""
        context.ctl.setblocking(False)

    def say_stop(self, wait_s: float) -> bool:
        """Waits up to `wait_s` for a line; answers pings. True: stop, or the supervisor is gone."""
        readable, _, _ = select.select([self._context.ctl], [], [], wait_s)
        if not readable:
            return False
        try:
            said = self._context.ctl.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True
        *lines, self._heard = (self._heard + said).split(b"\n")
        words = [line.split()[0] for line in lines if line.split()]
        if b"ping" in words:
            self._context.tell("pong")
        return not said or b"stop" in words

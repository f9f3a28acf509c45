"""A stream of server-sent events as the JSON list that streamGenerateContent gives to clients that did not ask for `alt=sse`."""

from setpoint.wire.bodies import is_complete_json
from setpoint.wire.sse import EVENT_BYTES_MAX, SseDecoder


class GeminiArrayFramer:
    """Turns event bytes, cut anywhere, into `[{…}`, `,\\r\\n{…}` and `]`. An error event is one more object."""

    __slots__ = ("_begun", "_ended", "_sse")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._sse = SseDecoder(event_bytes_max)
        self._begun = False
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        return b"".join([self._item(event.data) for event in self._sse.feed(data)])

    def finish(self) -> bytes:
        """The stream ended: the list is closed, empty if nothing came. Nothing may be fed afterwards."""
        if self._ended:
            return b""
        self._ended = True
        rest = b"".join([self._item(event.data) for event in self._sse.finish() if is_complete_json(event.data)])
        return rest + (b"\n]\n" if self._begun else b"[]\n")

    def _item(self, data: bytes) -> bytes:
        if not data.lstrip().startswith(b"{"):
            return b""  # a terminal of another dialect, such as [DONE]
        before = b"\n,\r\n" if self._begun else b"["
        self._begun = True
        return before + data

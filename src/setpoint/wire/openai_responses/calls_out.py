"""Calls of a streamed answer, one after the other: functions as their arguments come, custom calls when they are whole."""

from setpoint.domain.stream import ToolCallDelta, ToolCallStarted
from setpoint.wire.call_queue import CallQueue, QueuedCall
from setpoint.wire.openai_responses.custom_tools import input_of, kind_of_beginning
from setpoint.wire.openai_responses.events_out import EventWriter
from setpoint.wire.openai_responses.items_out import custom_call_item, function_call_item, proof_item
from setpoint.wire.openai_responses.thoughts import OF_NEXT
from setpoint.wire.openai_responses.words import item_id


class CallWriter:
    """`core` makes the ids; it is set when the answer begins."""

    __slots__ = ("_events", "_kind", "_queue", "core")

    def __init__(self, events: EventWriter) -> None:
        self._events = events
        self._queue = CallQueue()
        self._kind = ""
        self.core = ""

    @property
    def is_open(self) -> bool:
        return self._queue.current is not None

    def start(self, event: ToolCallStarted) -> None:
        closed, call = self._queue.start(event)
        if closed is not None:
            self._close(closed)
        if call is not None:
            self._open(call)

    def add(self, event: ToolCallDelta) -> None:
        """Raises LateArguments for a call that is closed."""
        call = self._queue.add(event)
        if call is None:
            return
        self._send(call)
        while (waiting := self._queue.next_if_whole()) is not None:
            self._close(call)
            call = waiting
            self._open(call)

    def settle(self, status: str) -> None:
        """Something else follows: the open call is closed, and those that wait are written whole."""
        while (call := self._queue.current) is not None:
            self._close(call, status)
            if (waiting := self._queue.next()) is not None:
                self._open(waiting)

    def _open(self, call: QueuedCall) -> None:
        """Announced when it is known whether it is a custom call, which the first few characters of the arguments say."""
        if call.started.signature:
            proof = proof_item(item_id("rs", self.core, self._events.no), OF_NEXT + call.started.signature)
            self._events.whole_item(proof)
        self._kind = ""
        self._send(call)

    def _send(self, call: QueuedCall) -> None:
        if not self._kind:
            self._kind = kind_of_beginning(call.text())
            if self._kind == "function":
                self._announce(call)
        if self._kind == "function" and (text := call.unsent()):
            self._events.deltas(text)

    def _announce(self, call: QueuedCall) -> None:
        given_id = item_id("fc", self.core, self._events.no)
        started = call.started
        self._events.open_item("call", given_id, function_call_item(given_id, started.id, started.name, "", "in_progress"))
        self._events.set_delta(b"response.function_call_arguments.delta")

    def _close(self, call: QueuedCall, status: str = "completed") -> None:
        text, started = call.text(), call.started
        custom = input_of(text) if self._kind == "custom" else None
        if custom is not None:
            self._custom_call(started, custom, status)
            return
        if self._kind != "function":
            self._announce(call)
        if rest := call.unsent():
            self._events.deltas(rest)
        elif not text:
            text = "{}"
            self._events.deltas(text)
        self._events.emit(b"response.function_call_arguments.done", self._events.at(name=started.name, arguments=text))
        self._events.close_item(function_call_item(self._events.item_id, started.id, started.name, text, status))

    def _custom_call(self, started: ToolCallStarted, text: str, status: str) -> None:
        given_id = item_id("ctc", self.core, self._events.no)
        self._events.open_item("call", given_id, custom_call_item(given_id, started.id, started.name, "", "in_progress"))
        self._events.set_delta(b"response.custom_tool_call_input.delta")
        self._events.deltas(text)
        self._events.emit(b"response.custom_tool_call_input.done", self._events.at(input=text))
        self._events.close_item(custom_call_item(given_id, started.id, started.name, text, status))

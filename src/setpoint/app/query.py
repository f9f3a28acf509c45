"""The query process: answers the engine's questions about traces. It may be killed at any time; nothing is lost with it.

A thread per connection, a bounded number of them; SQLite gives the interpreter up while it searches. A question carries its time limit:
searches look at the clock and stop. What cannot look (unpacking a segment) is bounded by the size of a row group; should a question
outlive its time by far all the same, the process ends itself and the supervisor starts another.
"""

import os
import resource
import socket
import threading
from pathlib import Path

import msgspec

from setpoint.adapters.files.posix import PosixFiles
from setpoint.adapters.sqlite.stored_traces import SqliteStoredTraces
from setpoint.analytics.query import TraceQueries
from setpoint.analytics.query_frames import FRAME_BYTES_MAX, LENGTH, Answer, Find, Get, Question, Tail, decode_question, frame
from setpoint.app.data_directory import socket_path
from setpoint.app.lazy_segments import LazyStoredSegments
from setpoint.app.orders import Orders
from setpoint.app.service_context import ServiceContext
from setpoint.domain.faults import Fault, FaultKind
from setpoint.ports.catalog import StoreError
from setpoint.ports.trace_store import TimeUp
from setpoint.runtime.clock import Clock, SystemClock
from setpoint.runtime.log import Log

SOCKET = "query.sock"
CONNECTIONS_MAX = 16
TIME_S_MAX = 30.0
HUNG_S = 10.0
"""After its time was up, how long a question may go on before the process ends itself."""
HUNG_EXIT = 70
MEMORY_BYTES_MAX = 2 * 1024 * 1024 * 1024
"""Address space; what needs more fails alone, here, instead of drawing the machine's memory."""


class QueryServer:
    """Listens on a Unix socket until closed."""

    def __init__(self, data_dir: Path, clock: Clock, log: Log) -> None:
        self._data_dir, self._clock, self._log = data_dir, clock, log
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._deadlines: dict[int, float] = {}
        """When the question of each busy thread must be answered, monotonic seconds."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = socket_path(data_dir, SOCKET)
        Path(path).unlink(missing_ok=True)
        self._listener.bind(path)
        self._listener.listen(64)

    def start(self) -> None:
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def is_hung(self) -> bool:
        now_s = self._clock.now_s()
        return any(now_s > deadline_s + HUNG_S for deadline_s in list(self._deadlines.values()))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._places.acquire(blocking=False):
                threading.Thread(target=self._serve, args=(connection,), name="query", daemon=True).start()
            else:
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        me = threading.get_ident()
        traces = SqliteStoredTraces(self._data_dir / "traces", lambda: self._is_over(me))
        segments = LazyStoredSegments(PosixFiles(), self._data_dir / "traces", self._data_dir / "tmp")
        queries = TraceQueries(PosixFiles(), self._data_dir / "spool", traces, segments)
        try:
            while (question := _receive(connection)) is not None:
                self._deadlines[me] = self._clock.now_s() + min(question.time_s, TIME_S_MAX)
                answer = self._answer(queries, question)
                del self._deadlines[me]
                connection.sendall(frame(answer))
        except (OSError, msgspec.DecodeError) as error:
            self._log.debug("a reader's connection ended", error=repr(error))
        finally:
            self._deadlines.pop(me, None)
            traces.close()
            connection.close()
            self._places.release()

    def _is_over(self, thread: int) -> bool:
        return self._clock.now_s() > self._deadlines.get(thread, float("inf"))

    def _answer(self, queries: TraceQueries, question: Question) -> Answer:
        try:
            return _ask(queries, question)
        except TimeUp:
            message = "the query took too long; narrow it with from and to, or with more filters"
            return Answer(fault=Fault(FaultKind.overloaded, message))
        except (StoreError, OSError, MemoryError) as error:
            self._log.warning("a query failed", error=repr(error))
            return Answer(fault=Fault(FaultKind.internal, "traces could not be read; the log of the query process says why"))
        except Exception as error:  # noqa: BLE001  one bad trace must not end the other readers' connections; it is logged and answered
            self._log.error("a query met a bug", error=repr(error))
            return Answer(fault=Fault(FaultKind.internal, "traces could not be read; the log of the query process says why"))


def _ask(queries: TraceQueries, question: Question) -> Answer:
    match question:
        case Get(id=trace_id):
            found = queries.get(trace_id)
            return Answer(fault=found) if isinstance(found, Fault) else Answer(body=found)
        case Find(query=query):
            return Answer(body=queries.find(query))
        case Tail(since_n=since_n, query=query):
            return Answer(page=queries.tail(since_n, query))


def _receive(connection: socket.socket) -> Question | None:
    header = _exactly(connection, LENGTH.size)
    if header is None:
        return None
    (length,) = LENGTH.unpack(header)
    data = _exactly(connection, length) if length <= FRAME_BYTES_MAX else None
    return None if data is None else decode_question(data)


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)


def run(context: ServiceContext) -> None:
    """Blocks until the supervisor says stop or is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    server = QueryServer(context.data_dir, SystemClock(), context.log)
    server.start()
    supervisor = Orders(context)
    context.tell("ready")
    while not supervisor.say_stop(1.0):
        if server.is_hung():
            context.log.error("a query does not end; the process is replaced")
            os._exit(HUNG_EXIT)
    server.close()

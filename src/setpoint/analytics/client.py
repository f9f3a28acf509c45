"""The engine's side of the query process: the port `trace_store.TraceReader` over its Unix socket.

A few connections are kept, one question at a time on each; who finds all of them busy waits for one, inside his own time limit. A
question that was not answered in time costs its connection, because its answer may still come. The query process may be killed at any
moment: then the fault says that it is restarting, and the next question opens a new connection.
"""

import asyncio
from dataclasses import dataclass

import msgspec

from setpoint.analytics.query_frames import FRAME_BYTES_MAX, LENGTH, Answer, Find, Get, Question, Tail, decode_answer, frame
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.trace_query import TraceQuery
from setpoint.ports.trace_store import TailPage

CONNECTIONS_MAX = 8
TIME_S = 10.0
GRACE_S = 1.0
"""The query process stops by itself when the time is up; this much later it counts as hung."""


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class TraceClient:
    """Belongs to one event loop."""

    def __init__(self, socket_path: str, time_s: float = TIME_S) -> None:
        self._path, self._time_s = socket_path, time_s
        self._idle: list[_Connection] = []
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)

    async def get(self, trace_id: str) -> bytes | Fault:
        answer = await self._ask(Get(trace_id, self._time_s))
        return answer if isinstance(answer, Fault) else answer.body or b""

    async def find(self, query: TraceQuery) -> bytes | Fault:
        answer = await self._ask(Find(query, self._time_s))
        return answer if isinstance(answer, Fault) else answer.body or b""

    async def tail(self, since_n: int | None, query: TraceQuery) -> TailPage | Fault:
        answer = await self._ask(Tail(since_n, query, self._time_s))
        return answer if isinstance(answer, Fault) else answer.page or TailPage((), since_n or 1)

    async def close(self) -> None:
        while self._idle:
            await _close(self._idle.pop())

    async def _ask(self, question: Question) -> Answer | Fault:
        try:
            async with asyncio.timeout(self._time_s + GRACE_S), self._turns:
                answer = await self._exchange(question)
        except TimeoutError:
            return Fault(
                FaultKind.overloaded, "the query took too long; narrow it with from and to, or ask for fewer traces", retry_after_s=1.0
            )
        except (OSError, EOFError, msgspec.DecodeError):
            return Fault(FaultKind.engine_down, "the query process is restarting; try again in a second", retry_after_s=1.0)
        return answer.fault or answer

    async def _exchange(self, question: Question) -> Answer:
        """On a kept connection once more with a new one, because the process may have been restarted since."""
        while self._idle:
            try:
                return await self._exchange_on(self._idle.pop(), question)
            except (OSError, EOFError):
                continue
        return await self._exchange_on(_Connection(*await asyncio.open_unix_connection(self._path)), question)

    async def _exchange_on(self, connection: _Connection, question: Question) -> Answer:
        done = False
        try:
            connection.writer.write(frame(question))
            await connection.writer.drain()
            (length,) = LENGTH.unpack(await connection.reader.readexactly(LENGTH.size))
            if length > FRAME_BYTES_MAX:
                raise EOFError
            answer = decode_answer(await connection.reader.readexactly(length))
            done = True
        finally:
            if done:
                self._idle.append(connection)
            else:
                connection.writer.close()
        return answer


async def _close(connection: _Connection) -> None:
    connection.writer.close()
    try:
        await connection.writer.wait_closed()
    except OSError:
        # The other side was gone before us.
        return

"""One turn of the loop: all records that became ready in it are written at once, then the answers leave.

The promise "no trace of an answered request is lost, even by kill -9" needs an order, not a sync: a record must be in the page cache
(one `write` to the spool) before the last byte of its answer is handed to the client's socket. Writing for each answer would cost a system
call a request; so what ends an answer is kept until the end of the turn, and all records of the turn go out in one block. Under load a turn
has many, at rest it has one and nobody waits for it.
"""

from collections.abc import Callable, Iterator
from typing import Protocol


class RecordSink(Protocol):
    """The worker's spool; see `gateway.spool`."""

    def append(self, heads: list[bytes], tails: list[bytes], bodies: list[bytes]) -> bool: ...


class Turn:
    """Collects records and what may be sent once they are written. `on_written` and `on_loss` are told how many records were, and
    were not.
    """

    def __init__(
        self,
        sink: RecordSink,
        soon: Callable[[Callable[[], None]], object],
        on_written: Callable[[int], None],
        on_loss: Callable[[int], None],
    ) -> None:
        self._sink = sink
        self._soon = soon
        self._on_written = on_written
        self._on_loss = on_loss
        self._heads: list[bytes] = []
        self._tails: list[bytes] = []
        self._bodies: list[bytes] = []
        self._then: list[Callable[[], None]] = []
        self._due = False

    def add(self, head: bytes, tail: bytes, prompt: bytes, answer: bytes, then: Callable[[], None] | None = None) -> None:
        """Write a record at the end of this turn, then call `then`."""
        self._heads.append(head)
        self._tails.append(tail)
        if prompt:
            self._bodies.append(prompt)
        if answer:
            self._bodies.append(answer)
        if then is not None:
            self._then.append(then)
        if not self._due:
            self._due = True
            self._soon(self.flush)

    def flush(self) -> None:
        """Write what was collected. Loses nothing silently: what the spool refuses is counted, and the answers still leave."""
        self._due = False
        heads, tails, bodies, then = self._heads, self._tails, self._bodies, self._then
        if not heads:
            return
        self._heads, self._tails, self._bodies, self._then = [], [], [], []
        if self._sink.append(heads, tails, bodies):
            self._on_written(len(heads))
        else:
            self._on_loss(len(heads))
        if then:
            self._go(iter(then))

    def _go(self, acts: Iterator[Callable[[], None]]) -> None:
        """A bug in one must not keep the others' answers from leaving."""
        try:
            for act in acts:
                act()
        except BaseException:
            self._soon(lambda: self._go(acts))
            raise

"""Driving a coroutine without a task.

An exchange is one coroutine through all stages. Between its start and its end it waits once or twice, always for an upstream, so a
task with its futures, contexts and extra trips through the loop would cost more than the stages themselves (13 µs a request against
5.4 µs). A `Drive` steps the coroutine by hand instead:

    start ──send──> runs until it waits ──resume (from a callback)──> runs on ──> ends

Whoever makes the coroutine wait promises to call `resume` when there is news; the coroutine looks at the news itself, and waits again if
it is not what it needs. So a callback that comes early, twice or while the coroutine runs does no harm. `cancel` throws `Cancelled` into
the waiting coroutine; stages clean up in `finally` as with any cancellation, and must not wait any more after it.
"""

from collections.abc import Coroutine, Generator
from typing import Any


class Cancelled(BaseException):
    """The client is gone; nobody will read the answer. Derives from BaseException as asyncio's own does: it is not an error."""


class News:
    """Something to wait for: `await news` comes back at the next `resume` of the drive that runs the coroutine."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


NEWS = News()
"""Stateless, so one is enough: `await NEWS`."""


class Drive:
    """Steps one coroutine; see the module's text."""

    __slots__ = ("_cancel", "_coroutine", "_running")

    def __init__(self) -> None:
        self._coroutine: Coroutine[Any, None, None] | None = None
        self._running = False
        self._cancel = False

    @property
    def done(self) -> bool:
        return self._coroutine is None

    def start(self, coroutine: Coroutine[Any, None, None]) -> None:
        self._coroutine = coroutine
        self.resume()

    def resume(self) -> None:
        """Run on until the next wait. Without effect when it is running, or done."""
        coroutine = self._coroutine
        if coroutine is None or self._running:
            return
        self._running = True
        try:
            coroutine.send(None)
        except StopIteration:
            self._coroutine = None
        except BaseException:
            self._coroutine = None
            raise
        finally:
            self._running = False
        if self._cancel:
            self.cancel()

    def cancel(self) -> None:
        """Throw `Cancelled` where the coroutine waits; when it is running, as soon as it waits."""
        coroutine = self._coroutine
        if coroutine is None:
            return
        if self._running:
            self._cancel = True
            return
        self._running = True
        self._cancel = False
        try:
            coroutine.throw(Cancelled())
        except (StopIteration, Cancelled):
            pass
        finally:
            self._coroutine = None
            self._running = False

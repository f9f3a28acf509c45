"""One coarse timer wheel for every deadline of a process.

A gateway has a deadline for each connection, nearly all of which are moved or dropped before they come. So moving must be
nearly free and precision may be coarse. The wheel is a ring of slots, each one tick wide; a timer lies in the slot of its deadline
modulo the ring:

        slot  0    1    2    3   ...  511
              ·   [a]   ·  [b,c] ...   ·          advance(now) looks into the slots whose time has come, takes out what is due,
                        ^                         and puts the rest where their deadline is now
                       now

- **Moving a deadline away is one store**: the timer stays in its slot; when that comes up, the wheel sees the new deadline and
  moves the timer there. A stream that pushes its idle deadline at each chunk touches the ring once per old deadline.
- **Moving it nearer** takes it out of its slot and puts it into the right one.
- A deadline further than one turn stays in its slot and is looked at once a turn (25.6 s at 50 ms): no hierarchy needed, 20
  minutes are 47 looks.
- A timer never fires early; it fires in the first `advance` at or after its deadline rounded up to a tick.
- An empty wheel needs no `advance`: the driver stops its loop timer while `len(wheel)` is 0, so idle costs nothing.

Left out: periodic timers, and order finer than the deadline itself (due timers come sorted by it, then by when they were queued).

Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 6.
"""

from collections.abc import Callable
from math import ceil, inf
from operator import attrgetter

TICK_S = 0.05
SLOTS = 512

_by_deadline = attrgetter("at_s")


class Timer:
    """One deadline that can be set, moved and cleared any number of times; made by `TimerWheel.timer`.

    `at_s` is the deadline, infinite while there is none. A timer in the ring keeps its callback alive: clear it when its owner ends.
    `slot_no` and `queued_s` are the wheel's: where it lies, and for which deadline it was put there.
    """

    __slots__ = ("_callback", "_wheel", "at_s", "queued_s", "slot_no")

    def __init__(self, wheel: "TimerWheel", callback: Callable[[float], None]) -> None:
        self.at_s = inf
        self._wheel = wheel
        self._callback = callback
        self.queued_s = inf
        self.slot_no = -1

    def set(self, at_s: float) -> None:
        """Arm, or move: fire at `at_s`, forget any earlier deadline."""
        self.at_s = at_s
        if at_s < self.queued_s:
            self._wheel.queue(self)

    def clear(self) -> None:
        """Fire no more, and leave the ring."""
        self.at_s = inf
        if self.slot_no >= 0:
            self._wheel.remove(self)

    def rest(self) -> None:
        """Fire no more, but stay in the ring until the slot comes up: cheaper than `clear` for a timer that is set again soon."""
        self.at_s = inf

    def fire(self, now_s: float) -> None:
        """Call back, unless an earlier callback of the same turn cleared or moved this timer."""
        if self.at_s <= now_s and self.slot_no < 0:
            self.at_s = inf
            self._callback(now_s)


class TimerWheel:
    """The ring. `len` is the number of timers in it, those at rest included."""

    __slots__ = ("_count", "_mask", "_now_tick", "_slots", "tick_s")

    def __init__(self, tick_s: float = TICK_S, slots: int = SLOTS) -> None:
        if slots < 2 or slots & (slots - 1):
            raise ValueError(f"a wheel needs a power of two of slots, not {slots}")
        self.tick_s = tick_s
        self._mask = slots - 1
        self._slots: list[dict[Timer, None]] = [{} for _ in range(slots)]
        self._now_tick = -1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def timer(self, callback: Callable[[float], None]) -> Timer:
        """A timer without a deadline; `callback` gets the `now_s` of the turn that fires it."""
        return Timer(self, callback)

    def advance(self, now_s: float) -> list[Timer]:
        """Turn to `now_s` and return the due timers, earliest deadline first; the caller `fire`s each."""
        target = int(now_s / self.tick_s)
        first = max(self._now_tick + 1, target - self._mask)
        self._now_tick = max(self._now_tick, target)
        due: list[Timer] = []
        if self._count:
            for tick in range(first, target + 1):
                if self._slots[tick & self._mask]:
                    self._empty_slot(tick & self._mask, now_s, due)
            due.sort(key=_by_deadline)
        return due

    def queue(self, timer: Timer) -> None:
        """Put a timer into the slot of its deadline (`Timer.set` calls this when it must)."""
        if timer.slot_no >= 0:
            self.remove(timer)
        tick = max(ceil(timer.at_s / self.tick_s), self._now_tick + 1)
        timer.slot_no = slot_no = tick & self._mask
        timer.queued_s = timer.at_s
        self._slots[slot_no][timer] = None
        self._count += 1

    def remove(self, timer: Timer) -> None:
        """Take a timer out of its slot."""
        del self._slots[timer.slot_no][timer]
        timer.slot_no = -1
        timer.queued_s = inf
        self._count -= 1

    def _empty_slot(self, slot_no: int, now_s: float, due: list[Timer]) -> None:
        waiting = self._slots[slot_no]
        self._slots[slot_no] = {}
        self._count -= len(waiting)
        for timer in waiting:
            timer.slot_no = -1
            timer.queued_s = inf
            if timer.at_s <= now_s:
                due.append(timer)
            elif timer.at_s < inf:
                self.queue(timer)

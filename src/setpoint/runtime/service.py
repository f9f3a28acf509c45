"""The life of one supervised service, as a pure table.

    Initializing --ready--> Running --check_failed--> Degraded --check_passed--> Running
         |                     |                          |
         |                     +---------exited-----------+
         +--exited--> Failed <-------(also a third failed check in a row)
                        |
                        +--restarted--> Initializing
    any state --stop--> ShuttingDown --exited--> Stopped

`Degraded` means alive, but its last health check failed or its restarts come too often; it may still do its work. A service that
fails is restarted for ever, because a gateway that gives up is worse than one that tries once a minute; the
delay before a restart is `restart.delay_s`.
"""

from dataclasses import dataclass, replace
from enum import Enum

FAILED_CHECKS_MAX = 3
"""Health checks that may fail in a row before the service counts as failed."""


class State(Enum):
    """Where a service is in its life; the value is what people and the API see."""

    initializing = "Initializing"
    running = "Running"
    degraded = "Degraded"
    failed = "Failed"
    shutting_down = "ShuttingDown"
    stopped = "Stopped"


class Event(Enum):
    """What can happen to a service."""

    ready = "ready"
    check_passed = "check_passed"
    check_failed = "check_failed"
    exited = "exited"
    restarted = "restarted"
    stop = "stop"


_TABLE: dict[tuple[State, Event], State] = {
    (State.initializing, Event.ready): State.running,
    (State.initializing, Event.exited): State.failed,
    (State.running, Event.check_failed): State.degraded,
    (State.running, Event.exited): State.failed,
    (State.degraded, Event.check_passed): State.running,
    (State.degraded, Event.exited): State.failed,
    (State.failed, Event.restarted): State.initializing,
    (State.shutting_down, Event.exited): State.stopped,
}


@dataclass(frozen=True, slots=True)
class Life:
    """A service's state and what is counted about it. Times are monotonic seconds."""

    state: State = State.initializing
    since_s: float = 0.0
    restarts: int = 0
    failed_checks: int = 0


def after(life: Life, event: Event, now_s: float) -> Life:
    """The life after `event`; an event that means nothing in this state changes nothing."""
    failed_checks = _failed_checks(life, event)
    state = _next_state(life.state, event, failed_checks)
    restarts = life.restarts + (event is Event.restarted and state is not life.state)
    since_s = life.since_s if state is life.state else now_s
    return replace(life, state=state, since_s=since_s, restarts=restarts, failed_checks=failed_checks)


def _failed_checks(life: Life, event: Event) -> int:
    if event is Event.check_failed:
        return life.failed_checks + 1
    return life.failed_checks if event is Event.stop else 0


def _next_state(state: State, event: Event, failed_checks: int) -> State:
    if event is Event.stop:
        return state if state is State.stopped else State.shutting_down
    if event is Event.check_failed and failed_checks >= FAILED_CHECKS_MAX and state in (State.running, State.degraded):
        return State.failed
    return _TABLE.get((state, event), state)


def overall(states: list[State]) -> State:
    """The state of a whole tree: as bad as its worst part, except that a failed part only degrades the tree."""
    if any(s is State.shutting_down for s in states):
        return State.shutting_down
    if any(s in (State.failed, State.degraded) for s in states):
        return State.degraded
    if any(s is State.initializing for s in states):
        return State.initializing
    return State.running if states else State.stopped

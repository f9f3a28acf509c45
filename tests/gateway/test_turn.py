"""Records before answers, all of a turn at once, nothing lost silently."""

from collections.abc import Callable

import pytest

from setpoint.gateway.turn import Turn
from setpoint.wire.spool import HEAD_BYTES


class Sink:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.good = True
        self.blocks: list[tuple[list[bytes], list[bytes], list[bytes]]] = []

    def append(self, heads: list[bytes], tails: list[bytes], bodies: list[bytes]) -> bool:
        self.log.append(f"write {len(heads)}")
        self.blocks.append((heads, tails, bodies))
        return self.good


class Turned:
    """A turn, and what it asked to be called soon."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.soon: list[Callable[[], None]] = []
        self.sink = Sink(self.log)
        self.turn = Turn(self.sink, self.soon.append, lambda n: self.log.append(f"written {n}"), lambda n: self.log.append(f"lost {n}"))

    def add(self, name: str, prompt: bytes = b"", answer: bytes = b"") -> None:
        self.turn.add(name.encode(), b"t" + name.encode(), prompt, answer, lambda: self.log.append(f"send {name}"))

    def end(self) -> None:
        soon, self.soon[:] = list(self.soon), []
        for callback in soon:
            callback()


def test_all_records_of_a_turn_are_one_write_and_come_before_every_answer() -> None:
    t = Turned()
    t.add("a")
    t.add("b")
    assert (t.log, len(t.soon)) == ([], 1)
    t.end()
    assert t.log == ["write 2", "written 2", "send a", "send b"]


def test_bodies_are_in_order_and_empty_ones_left_out() -> None:
    t = Turned()
    t.add("a", b"pa", b"")
    t.add("b", b"", b"ab")
    t.turn.add(b"c", b"tc", b"pc", b"ac")
    t.end()
    assert t.sink.blocks == [([b"a", b"b", b"c"], [b"ta", b"tb", b"tc"], [b"pa", b"ab", b"pc", b"ac"])]


def test_what_the_spool_refuses_is_counted_and_the_answers_still_leave() -> None:
    t = Turned()
    t.sink.good = False
    t.add("a")
    t.add("b")
    t.end()
    assert t.log == ["write 2", "lost 2", "send a", "send b"]


def test_what_an_answer_adds_goes_into_the_next_turn() -> None:
    t = Turned()
    t.turn.add(b"h" * HEAD_BYTES, b"", b"", b"", lambda: t.add("next"))
    t.end()
    assert t.log == ["write 1", "written 1"]
    t.end()
    assert t.log[2:] == ["write 1", "written 1", "send next"]


def test_flushing_twice_writes_once() -> None:
    t = Turned()
    t.add("a")
    t.turn.flush()
    t.end()
    assert t.log == ["write 1", "written 1", "send a"]


def test_a_bug_in_one_answer_does_not_keep_the_others() -> None:
    t = Turned()

    def bug() -> None:
        raise RuntimeError("a bug")

    t.add("a")
    t.turn.add(b"x", b"", b"", b"", bug)
    t.add("b")
    with pytest.raises(RuntimeError, match="a bug"):
        t.end()
    t.end()
    assert t.log == ["write 3", "written 3", "send a", "send b"]

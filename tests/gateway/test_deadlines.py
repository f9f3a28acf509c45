"""The wheel that turns itself, only while it holds something, and past any one callback's bug."""

from tests.gateway.network import TICK_S, virtual_loop

from setpoint.gateway.deadlines import Deadlines


def test_deadlines_fire_at_most_a_tick_late_and_never_early() -> None:
    with virtual_loop() as loop:
        deadlines = Deadlines(loop)
        fired: list[float] = []
        for after_s in (0.01, 0.5, 3.0, 40.0):
            deadlines.timer(fired.append).set(loop.time() + after_s)
        began_s = loop.time()
        loop.advance(41)
        for after_s, at_s in zip((0.01, 0.5, 3.0, 40.0), fired, strict=True):
            assert after_s <= at_s - began_s <= after_s + 2 * TICK_S


def test_an_empty_wheel_does_not_turn() -> None:
    with virtual_loop() as loop:
        deadlines = Deadlines(loop)
        timer = deadlines.timer(lambda _: None)
        turns = [deadlines._turning is not None]
        timer.set(loop.time() + 1)
        turns.append(deadlines._turning is not None)
        loop.advance(2)
        assert [*turns, deadlines._turning is not None] == [False, True, False]


def test_a_bug_in_one_callback_does_not_take_the_others_deadlines_with_it() -> None:
    with virtual_loop() as loop:
        deadlines = Deadlines(loop)
        fired: list[str] = []

        def bug(_: float) -> None:
            raise RuntimeError("a bug")

        due_s = loop.time() + 1
        deadlines.timer(lambda _: fired.append("before")).set(due_s)
        deadlines.timer(bug).set(due_s)
        deadlines.timer(lambda _: fired.append("after")).set(due_s)
        deadlines.timer(lambda _: fired.append("later")).set(due_s + 1)
        loop.advance(3)
        assert fired == ["before", "after", "later"]
        assert [str(context["exception"]) for context in loop.errors] == ["a bug"]
        loop.errors.clear()


def test_one_that_is_cleared_by_another_of_the_same_turn_does_not_fire() -> None:
    with virtual_loop() as loop:
        deadlines = Deadlines(loop)
        fired: list[str] = []
        second = deadlines.timer(lambda _: fired.append("second"))
        deadlines.timer(lambda _: second.clear()).set(loop.time() + 1)
        second.set(loop.time() + 1)
        loop.advance(2)
        assert fired == []


def test_a_stopped_wheel_is_still() -> None:
    with virtual_loop() as loop:
        deadlines = Deadlines(loop)
        fired: list[float] = []
        deadlines.timer(fired.append).set(loop.time() + 1)
        deadlines.stop()
        loop.advance(2)
        assert fired == []

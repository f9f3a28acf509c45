"""Stepping a coroutine by hand: whatever comes early, late or in between does no harm."""

from collections.abc import Callable

import pytest

from setpoint.gateway.drive import NEWS, Cancelled, Drive


def test_it_runs_at_once_and_goes_on_at_each_resume() -> None:
    seen: list[int] = []

    async def steps() -> None:
        for no in range(3):
            seen.append(no)
            await NEWS

    drive = Drive()
    drive.start(steps())
    assert (seen, drive.done) == ([0], False)
    drive.resume()
    drive.resume()
    assert (seen, drive.done) == ([0, 1, 2], False)
    drive.resume()
    assert drive.done
    drive.resume()
    drive.cancel()
    assert seen == [0, 1, 2]


def test_news_that_come_while_it_runs_do_not_run_it_again() -> None:
    drive = Drive()
    ran: list[str] = []

    async def work() -> None:
        drive.resume()
        ran.append("once")
        await NEWS
        ran.append("twice")

    drive.start(work())
    assert ran == ["once"]
    drive.resume()
    assert ran == ["once", "twice"]


def test_whoever_waits_looks_at_the_news_itself_and_waits_again() -> None:
    ready = False
    over = False

    async def work() -> None:
        nonlocal over
        while not ready:
            await NEWS
        over = True

    drive = Drive()
    drive.start(work())
    for _ in range(5):
        drive.resume()
    assert not over
    ready = True
    drive.resume()
    assert over


def test_a_cancel_is_thrown_where_it_waits_and_cleans_up() -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await NEWS
        finally:
            cleaned.append("yes")

    drive = Drive()
    drive.start(work())
    drive.cancel()
    assert (cleaned, drive.done) == (["yes"], True)


def test_a_cancel_while_it_runs_comes_as_soon_as_it_waits() -> None:
    drive = Drive()
    seen: list[str] = []

    async def work() -> None:
        drive.cancel()
        seen.append("ran on")
        try:
            await NEWS
        except Cancelled:
            seen.append("cancelled")
            raise

    drive.start(work())
    assert (seen, drive.done) == (["ran on", "cancelled"], True)


def test_a_cancel_while_it_runs_to_its_end_is_nothing() -> None:
    drive = Drive()

    async def work() -> None:
        drive.cancel()

    drive.start(work())
    assert drive.done


def test_a_coroutine_may_end_quietly_when_cancelled() -> None:
    async def work() -> None:
        try:
            await NEWS
        except Cancelled:
            return

    drive = Drive()
    drive.start(work())
    drive.cancel()
    assert drive.done


def test_who_would_wait_on_after_a_cancel_is_let_go() -> None:
    async def work() -> None:
        try:
            await NEWS
        except Cancelled:
            await NEWS

    drive = Drive()
    drive.start(work())
    drive.cancel()
    assert drive.done


@pytest.mark.parametrize("push", [Drive.resume, Drive.cancel])
def test_a_bug_comes_out_to_whoever_pushed_and_the_drive_is_done(push: Callable[[Drive], None]) -> None:
    async def work() -> None:
        try:
            await NEWS
        finally:
            raise RuntimeError("a bug")

    drive = Drive()
    drive.start(work())
    with pytest.raises(RuntimeError, match="a bug"):
        push(drive)
    assert drive.done


def test_cancelled_is_not_an_error_that_a_broad_except_could_swallow() -> None:
    assert not issubclass(Cancelled, Exception)

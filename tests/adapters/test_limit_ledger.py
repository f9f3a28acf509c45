"""The limit ledger shared by workers: what it promises, in virtual time, over several opens and over processes."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.adapters.mmap import limit_ledger
from setpoint.adapters.mmap.byte_lock import is_locked, lock_command, try_lock, unlock, unlock_command
from setpoint.adapters.mmap.limit_ledger import BUSY_S, IDLE_S, LEASES_MAX, TICK_RETURNS_MAX, MmapLimitLedger, lease_tokens
from setpoint.adapters.mmap.limit_table import COLUMNS, HEADER_BYTES, SET_BYTES, WAYS
from setpoint.kit.token_bucket import limit_per_minute
from setpoint.ports.limit_ledger import UNLIMITED, LimitLedger

SLOW_RPM = 60
FAST_RPM, FAST_BURST = 60_000, 72_000


@contextlib.contextmanager
def workers(path: Path, count: int, slots: int = 1024) -> Iterator[list[MmapLimitLedger]]:
    opened = [MmapLimitLedger(path, column, slots) for column in range(count)]
    try:
        yield opened
    finally:
        for ledger in opened:
            ledger.close()


@contextlib.contextmanager
def held_by_another_process(path: Path, slots: int = 1024) -> Iterator[None]:
    """Every set of the table locked through an open file of its own."""
    fd = os.open(path, os.O_RDWR)
    for set_no in range(slots // WAYS):
        assert try_lock(fd, lock_command(HEADER_BYTES + set_no * SET_BYTES))
    try:
        yield
    finally:
        os.close(fd)


def grants(ledger: LimitLedger, scope: int, rpm: int, burst: int, now_s: float, asked: int) -> int:
    return sum(ledger.take(scope, rpm, burst, now_s).allowed for _ in range(asked))


def test_the_burst_is_granted_and_the_next_is_refused(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        assert grants(ledger, 1, SLOW_RPM, 10, 100.0, 10) == 10
        refusal = ledger.take(1, SLOW_RPM, 10, 100.0)
    assert (refusal.allowed, refusal.remaining, refusal.reset_s) == (False, 0, 10.0)
    assert refusal.retry_after_s == pytest.approx(1.0)


def test_remaining_and_reset_count_down_with_each_request(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        seen = [ledger.take(1, SLOW_RPM, 5, 0.0) for _ in range(5)]
    assert [grant.remaining for grant in seen] == [4, 3, 2, 1, 0]
    assert [grant.reset_s for grant in seen] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_scopes_do_not_share_a_bucket(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        assert grants(ledger, 1, SLOW_RPM, 3, 0.0, 9) == 3
        assert grants(ledger, 2, SLOW_RPM, 3, 0.0, 9) == 3


def test_workers_share_a_slow_limit_exactly(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 4) as ledgers:
        assert sum(grants(ledger, 1, SLOW_RPM, 10, 0.0, 5) for ledger in ledgers) == 10


def test_no_limit_is_always_granted(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        assert ledger.take(1, 0, 0, 0.0) is UNLIMITED


def test_a_changed_limit_holds_from_the_next_request(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        assert grants(ledger, 1, SLOW_RPM, 10, 0.0, 20) == 10
        assert grants(ledger, 1, FAST_RPM, 10, 0.1, 20) == 10
        assert grants(ledger, 1, SLOW_RPM, 2, 10.0, 20) == 2


def test_a_worker_cannot_lease_all_of_a_small_burst() -> None:
    assert lease_tokens(limit_per_minute(100_000, 5)) == 1
    assert lease_tokens(limit_per_minute(599, 1_000)) == 1
    assert lease_tokens(limit_per_minute(100_000, 120_000)) == 83


def test_a_worker_never_holds_more_than_its_lease(tmp_path: Path) -> None:
    """Seen from another worker, which draws single tokens: what is missing from the bucket beyond what was granted."""
    lease = lease_tokens(limit_per_minute(FAST_RPM, FAST_BURST))
    with workers(tmp_path / "l", 2) as [busy, other]:
        other.drain(0.0)
        for granted in range(1, 4 * lease):
            assert busy.take(1, FAST_RPM, FAST_BURST, 0.0).allowed
            held = FAST_BURST - 2 * granted - other.take(1, FAST_RPM, FAST_BURST, 0.0).remaining
            assert 0 <= held < lease


def test_an_unused_lease_goes_back_after_a_second(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 2) as [idle, other]:
        idle.take(1, FAST_RPM, FAST_BURST, 0.0)
        idle.tick(IDLE_S - 0.01)
        assert idle.statistics(0.0).leases == 1
        grants(other, 1, FAST_RPM, FAST_BURST, 0.0, 5_000)
        idle.tick(IDLE_S)
        assert idle.statistics(0.0).leases == 0
        other.drain(IDLE_S)
        assert other.take(1, FAST_RPM, FAST_BURST, IDLE_S).remaining == FAST_BURST - 5_001 + 1_000 - 1


def test_one_tick_returns_a_bounded_number_of_leases_and_the_next_ones_the_rest(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        for scope in range(1, 2 * TICK_RETURNS_MAX + 2):
            ledger.take(scope, FAST_RPM, FAST_BURST, 0.0)
        left = []
        for _ in range(3):
            ledger.tick(IDLE_S)
            left.append(ledger.statistics(0.0).leases)
    assert left == [TICK_RETURNS_MAX + 1, 1, 0]


def test_draining_returns_every_lease_and_keeps_deciding(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 2) as [leaving, other]:
        leaving.take(1, FAST_RPM, FAST_BURST, 0.0)
        leaving.drain(0.0)
        assert leaving.statistics(0.0).is_shutting_down
        assert other.take(1, FAST_RPM, FAST_BURST, 0.0).remaining == FAST_BURST - 2
        assert leaving.take(1, FAST_RPM, FAST_BURST, 0.0).allowed
        other.drain(0.0)
        assert other.take(1, FAST_RPM, FAST_BURST, 0.0).remaining == FAST_BURST - 4


def test_a_busy_lock_spends_the_lease_then_a_little_on_credit_then_refuses(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        ledger.take(1, FAST_RPM, FAST_BURST, 0.0)
        with held_by_another_process(tmp_path / "l"):
            assert grants(ledger, 1, FAST_RPM, FAST_BURST, 0.0, 200) == 49 + 10
            assert ledger.take(1, FAST_RPM, FAST_BURST, 0.0).retry_after_s == BUSY_S
            assert ledger.statistics(0.0).operation_timeouts > 0
        assert ledger.take(1, FAST_RPM, FAST_BURST, 0.0).remaining == FAST_BURST - 1 - 59 - 1


def test_credit_is_charged_when_the_lock_is_free_again(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        with held_by_another_process(tmp_path / "l"):
            assert grants(ledger, 1, SLOW_RPM, 10, 0.0, 5) == 1
        assert grants(ledger, 1, SLOW_RPM, 10, 0.0, 20) == 9


def test_the_lock_belongs_to_the_open_file_and_dies_with_it(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(8))
    one, two = (os.open(tmp_path / "f", os.O_RDWR) for _ in range(2))
    assert try_lock(one, lock_command(3))
    assert not try_lock(two, lock_command(3))
    assert try_lock(two, lock_command(4))
    assert is_locked(two, lock_command(3))
    unlock(two, unlock_command(3))
    assert not try_lock(two, lock_command(3))
    os.close(one)
    assert try_lock(two, lock_command(3))
    os.close(two)


def test_a_full_set_lets_go_of_a_full_bucket_first(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1, slots=WAYS) as [ledger]:
        for scope in range(1, WAYS + 1):
            grants(ledger, scope, SLOW_RPM, 10, 0.0, 1 if scope == 7 else 10)
        assert grants(ledger, 99, SLOW_RPM, 10, 1.0, 20) == 10
        assert ledger.statistics(1.0).evictions == 0
        assert ledger.statistics(1.0).total_clients == WAYS


def test_a_newcomer_that_displaces_a_spent_bucket_starts_with_its_debt(tmp_path: Path) -> None:
    """Turning up under many names gains nothing once the set is full."""
    with workers(tmp_path / "l", 1, slots=WAYS) as [ledger]:
        for scope in range(1, WAYS + 1):
            assert grants(ledger, scope, SLOW_RPM, 10, 0.0, 10) == 10
        assert sum(grants(ledger, scope, SLOW_RPM, 10, 0.0, 10) for scope in range(1000, 1500)) == 0
        assert ledger.statistics(0.0).evictions == 500


def test_scopes_that_hold_streams_are_never_displaced(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1, slots=WAYS) as [ledger]:
        assert all(ledger.open_stream(scope, 5, 0.0) for scope in range(1, WAYS + 1))
        assert grants(ledger, 99, SLOW_RPM, 10, 0.0, 20) == 10
        assert not ledger.open_stream(99, 5, 0.0)
        assert [ledger.streams(scope) for scope in range(1, WAYS + 1)] == [1] * WAYS


def test_a_worker_remembers_a_bounded_number_of_scopes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LEASES_MAX == 16_384
    monkeypatch.setattr(limit_ledger, "LEASES_MAX", 8)
    with workers(tmp_path / "l", 1) as [ledger]:
        for scope in range(1, 100):
            ledger.take(scope, FAST_RPM, FAST_BURST, 0.0)
        assert ledger.statistics(0.0).leases == 8
        assert ledger.take(1, FAST_RPM, FAST_BURST, 0.0).remaining == FAST_BURST - 2


def test_streams_are_counted_over_workers_up_to_the_limit(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 3) as [one, two, three]:
        assert one.open_stream(1, 3, 0.0)
        assert one.open_stream(1, 3, 0.0)
        assert two.open_stream(1, 3, 0.0)
        assert not three.open_stream(1, 3, 0.0)
        one.close_stream(1)
        assert three.open_stream(1, 3, 0.0)
        assert three.streams(1) == 3


def test_a_stream_before_the_first_request_leaves_the_bucket_full(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1) as [ledger]:
        assert ledger.open_stream(1, 3, 0.0)
        assert grants(ledger, 1, SLOW_RPM, 10, 0.0, 20) == 10


def test_the_streams_of_a_dead_worker_are_forgotten(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 2) as [living, dead]:
        for scope in (1, 2, 3):
            assert living.open_stream(scope, 9, 0.0)
            assert dead.open_stream(scope, 9, 0.0)
        living.reset_column(1)
        assert [living.streams(scope) for scope in (1, 2, 3)] == [1, 1, 1]


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    with workers(tmp_path / "l", 1), pytest.raises(ValueError, match="remove it while nothing runs"):
        MmapLimitLedger(tmp_path / "l", 0, 2048)


@pytest.mark.parametrize(("column", "slots"), [(0, 100), (0, 16), (COLUMNS, 1024), (-1, 1024)])
def test_impossible_shapes_are_refused(tmp_path: Path, column: int, slots: int) -> None:
    with pytest.raises(ValueError, match=r"must be|outside"):
        MmapLimitLedger(tmp_path / "l", column, slots)


steps = st.lists(st.tuples(st.floats(0.0, 0.3), st.integers(0, 3), st.integers(1, 120), st.booleans()), max_size=40)


@settings(max_examples=150, deadline=None)
@given(rpm=st.sampled_from([1, 60, 599, 1_200, 10_000, 100_000]), burst=st.integers(1, 400), steps=steps)
def test_overshoot_is_at_most_one_lease_a_worker(
    tmp_path_factory: pytest.TempPathFactory, rpm: int, burst: int, steps: list[tuple[float, int, int, bool]]
) -> None:
    """Any interleaving of four workers, busy locks included, over every span of the run; and without those a refusal's promise is kept."""
    path = tmp_path_factory.mktemp("ledger") / "l"
    limit = limit_per_minute(rpm, burst)
    slack = 4 * lease_tokens(limit) + 0.01 * rpm + 0.01
    history: list[tuple[float, int]] = []
    now_s = 1000.0
    with workers(path, 4, WAYS) as ledgers:
        for pause_s, worker, asked, busy in steps:
            now_s += pause_s
            with held_by_another_process(path, WAYS) if busy else contextlib.nullcontext():
                history.append((now_s, grants(ledgers[worker], 5, rpm, burst, now_s, asked)))
            ledgers[worker].tick(now_s)
        answer = ledgers[0].take(5, rpm, burst, now_s)
        if not answer.allowed and not any(busy for *_, busy in steps):
            assert ledgers[0].take(5, rpm, burst, now_s + answer.retry_after_s).allowed
    for first in range(len(history)):
        granted = 0
        for at_s, count in history[first:]:
            granted += count
            assert granted <= burst + limit.rate_per_s * (at_s - history[first][0]) + slack


HAMMER = """
import pathlib, sys, time
from setpoint.adapters.mmap.limit_ledger import MmapLimitLedger
path, column, rpm, burst = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
ledger = MmapLimitLedger(path, column, 1024)
print("ready", flush=True)
sys.stdin.readline()
granted, first, last = 0, time.monotonic(), 0.0
until = first + 0.5
while (last := time.monotonic()) < until:
    granted += ledger.take(7, rpm, burst, last).allowed
print(granted, first, last, flush=True)
sys.stdin.readline()
"""


LOCKER = """
import os, sys
from setpoint.adapters.mmap.byte_lock import lock_command, try_lock
fd = os.open(sys.argv[1], os.O_RDWR)
print(try_lock(fd, lock_command(int(sys.argv[2]))), flush=True)
sys.stdin.read()
"""


def test_a_worker_killed_with_the_lock_in_its_hand_stops_nobody(tmp_path: Path) -> None:
    """While it lives and holds the only set, the others have their credit; at its death the kernel lets go."""
    with workers(tmp_path / "l", 1, slots=WAYS) as [survivor]:
        command = [sys.executable, "-c", LOCKER, str(tmp_path / "l"), str(HEADER_BYTES)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == "True\n"
            assert [survivor.take(1, SLOW_RPM, 10, 0.0).allowed for _ in range(2)] == [True, False]
            holder.kill()
            holder.wait(5)
        assert grants(survivor, 1, SLOW_RPM, 10, 0.0, 20) == 9


def hammering(path: Path, column: int, rpm: int, burst: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HAMMER, str(path), str(column), str(rpm), str(burst)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("rpm", "burst"), [(500, 100), (60_000, 500)])
def test_four_processes_stay_within_the_limit_and_one_lease_each(tmp_path: Path, rpm: int, burst: int) -> None:
    """Real processes, real locks, as fast as they can for half a second; one is then killed with its lease."""
    processes = [hammering(tmp_path / "l", column, rpm, burst) for column in range(4)]
    try:
        streams = [(process.stdin, process.stdout) for process in processes if process.stdin and process.stdout]
        assert [out.readline() for _, out in streams] == ["ready\n"] * 4
        for into, _ in streams:
            into.write("go\n")
            into.flush()
        results = [out.readline().split() for _, out in streams]
        processes[0].send_signal(signal.SIGKILL)
        assert processes[0].wait(5) == -signal.SIGKILL
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    granted = sum(int(row[0]) for row in results)
    span_s = max(float(row[2]) for row in results) - min(float(row[1]) for row in results)
    limit = limit_per_minute(rpm, burst)
    fair = burst + limit.rate_per_s * span_s
    assert granted <= fair * 1.01 + 4 * lease_tokens(limit)
    assert granted >= burst
    with workers(tmp_path / "l", 1) as [survivor]:
        assert survivor.take(8, rpm, burst, float(results[0][2])).allowed

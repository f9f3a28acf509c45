"""Pages of numbers in a shared file: whose they are, and what survives a worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from setpoint.adapters.mmap.gauges import GaugeFile
from setpoint.wire.gauge_page import ATTEMPTS, BOOT, IN_FLIGHT, LIVES, PAGES, PID
from setpoint.wire.prometheus_text import render_prometheus

OWNER = """
import os, pathlib, sys
from setpoint.adapters.mmap.gauges import GaugeFile
from setpoint.wire.gauge_page import ATTEMPTS, IN_FLIGHT
number, page = GaugeFile(pathlib.Path(sys.argv[1])).claim(2, 2**64 - 1, os.getpid(), 1)
for _ in range(1000):
    page[ATTEMPTS] += 1
page[IN_FLIGHT] = 9
print(number, flush=True)
sys.stdin.read()
"""


def test_a_killed_workers_counters_go_on_and_its_gauges_begin_again(tmp_path: Path) -> None:
    reader = GaugeFile(tmp_path / "g")
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "g")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == "2\n"
        [seen] = reader.seen()
        assert (seen.live, seen.page[ATTEMPTS], seen.page[IN_FLIGHT], seen.page[PID], seen.page[BOOT]) == (True, 1000, 9, worker.pid, -1)
        worker.kill()
        worker.wait(5)
    [seen] = reader.seen()
    assert not seen.live
    assert "setpoint_in_flight_requests 0\n" in render_prometheus(reader.seen())
    number, page = reader.claim(2, 7, os.getpid(), 1)
    assert (number, page[ATTEMPTS], page[IN_FLIGHT], page[LIVES], page[BOOT]) == (2, 1000, 0, 2, 7)
    assert [seen.live for seen in reader.seen()] == [True]
    reader.close()


def test_two_lives_in_one_slot_have_a_page_each(tmp_path: Path) -> None:
    leaving, successor, third = (GaugeFile(tmp_path / "g") for _ in range(3))
    assert [opened.claim(3, 1, 1, 1)[0] for opened in (leaving, successor, third)] == [3, 3 + PAGES // 2, 0]
    leaving.close()
    assert third.claim(3, 1, 1, 1)[0] == 3
    for opened in (successor, third):
        opened.close()


def test_when_every_page_is_taken_a_claim_says_so(tmp_path: Path) -> None:
    opened = GaugeFile(tmp_path / "g")
    assert sorted(opened.claim(slot, 1, 1, 1)[0] for slot in range(PAGES)) == list(range(PAGES))
    with pytest.raises(RuntimeError, match="lower the number of workers"):
        opened.claim(0, 1, 1, 1)
    opened.close()


def test_only_the_pages_of_the_dead_are_swept(tmp_path: Path) -> None:
    sweeper, living, dead = (GaugeFile(tmp_path / "g") for _ in range(3))
    sweeper.claim(0, 1, 1, 1)
    living.claim(1, 1, 1, 1)
    dead.claim(2, 1, 1, 1)
    dead.close()
    swept: list[int] = []

    def note(number: int) -> None:
        swept.append(number)
        assert living.claim(number, 1, 1, 1)[0] != number, "nobody can take a page while it is swept"

    sweeper.each_dead(note)
    assert swept == [2]
    assert living.claim(2, 1, 1, 1)[0] == 2
    for opened in (sweeper, living):
        opened.close()


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g").write_bytes(b"short")
    with pytest.raises(ValueError, match="remove it while nothing runs"):
        GaugeFile(tmp_path / "g")

"""The spool writer keeps every block it says it kept, and says so when it did not."""

from pathlib import Path
from typing import Any

import pytest

from setpoint.adapters.files.posix import PosixFiles
from setpoint.domain.trace import RecordTail
from setpoint.gateway import spool
from setpoint.gateway.spool import REOPEN_PAUSE_S, ROTATE_IDLE_S, SpoolWriter
from setpoint.testing.clock import SettableClock
from setpoint.testing.crash_points import CrashFiles, CrashPoints, Event
from setpoint.wire.spool import FILE_HEADER_BYTES, HEAD, KIND_CLOSE, Block, decode_file_header, encode_tail, read_block, records

TAIL = encode_tail(RecordTail(route="r"))


def head(no: int, prompt_len: int = 0, answer_len: int = 0) -> bytes:
    request_id = no.to_bytes(16, "big")
    return HEAD.pack(2, 0, 1, 1, 200, 1, request_id, bytes(16), 1, 2, 3, 4, 5, *[0] * 7, 0, False, 0, len(TAIL), prompt_len, answer_len)


def blocks(path: Path) -> list[Block]:
    data, at, found = path.read_bytes(), FILE_HEADER_BYTES, []
    boot = int(path.stem.split("-")[1], 16)
    while (block := read_block(data, at, boot)) is not None:
        found.append(block)
        at = block.end
    return found


def ids(folder: Path) -> list[int]:
    """Of all records in all files, in order."""
    whole = [block for path in sorted(folder.glob("*.sp")) for block in blocks(path) if block.kind != KIND_CLOSE]
    return [int.from_bytes(record.head.request_id, "big") for block in whole for record in records(block)]


class Setup:
    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder, self.clock, self.points = folder, SettableClock(), CrashPoints()
        self.writer = SpoolWriter(CrashFiles(self.points), folder, 3, 0xABC, self.clock, **more)

    def append(self, *numbers: int) -> bool:
        return self.writer.append([head(no) for no in numbers], [TAIL] * len(numbers), [])

    def strike(self, *events: Event) -> None:
        """The next calls meet these events."""
        self.points.plan = {self.points.calls + at: event for at, event in enumerate(events)}

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.sp"))


def test_a_turn_is_one_block_with_its_records_in_order(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    body = [b"ask", b"answer", b"more"]
    assert here.writer.append([head(1, 3, 6), head(2, 4, 0)], [TAIL, TAIL], body)
    (block,) = blocks(here.files()[0])
    assert [(r.seq, r.prompt, r.answer) for r in records(block)] == [(0, b"ask", b"answer"), (1, b"more", b"")]
    assert decode_file_header(here.files()[0].read_bytes()[:64]).boot == 0xABC  # type: ignore[union-attr]
    assert here.files()[0].name == "w03-0000000000000abc-000000.sp"


@pytest.mark.parametrize("event", ["short", "enospc", "eio", "late"])
def test_a_block_that_failed_goes_to_the_next_file_with_the_same_number(tmp_path: Path, event: Event) -> None:
    here = Setup(tmp_path)
    assert here.append(1)
    here.strike(event)
    assert here.append(2)
    assert here.append(3)
    assert ids(tmp_path) == [1, 2, 3]
    assert [block.first_seq for block in blocks(here.files()[1])] == [1, 2]
    assert here.writer.lost == 0


def test_a_block_that_fails_twice_is_lost_and_its_numbers_are_spent(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.points.wrong = lambda: "enospc"
    assert not here.append(1, 2)
    assert here.writer.lost == 2
    here.points.quiet()
    here.clock.advance(REOPEN_PAUSE_S)
    assert here.append(3)
    assert ids(tmp_path) == [3]
    assert blocks(here.files()[-1])[0].first_seq == 2


def test_a_full_disk_costs_no_new_file_at_every_answer(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.points.wrong = lambda: "enospc"
    here.append(1)
    calls = here.points.calls
    assert not here.append(2)
    assert here.points.calls == calls


def test_a_damaged_file_keeps_its_lock_until_there_is_another(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.points.wrong = lambda: "enospc"
    here.append(1)
    files = PosixFiles()
    fd = files.open_read(here.files()[0])
    assert not files.is_lock_free(fd)
    here.points.quiet()
    here.clock.advance(REOPEN_PAUSE_S)
    here.append(2)
    assert files.is_lock_free(fd)
    files.close(fd)


def test_a_full_file_is_closed_and_another_begun(tmp_path: Path) -> None:
    here = Setup(tmp_path, rotate_bytes=300)
    for no in range(5):
        assert here.append(no)
    assert len(here.files()) > 1
    assert blocks(here.files()[0])[-1].kind == KIND_CLOSE
    assert ids(tmp_path) == [0, 1, 2, 3, 4]


def test_an_idle_file_is_closed_only_if_it_holds_records(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.clock.advance(ROTATE_IDLE_S)
    here.writer.tick()
    assert len(here.files()) == 1
    here.append(1)
    here.clock.advance(ROTATE_IDLE_S)
    here.writer.tick()
    assert [block.kind for block in blocks(here.files()[0])] == [1, KIND_CLOSE]


def test_close_ends_the_file_and_takes_nothing_more(tmp_path: Path) -> None:
    here = Setup(tmp_path)
    here.append(1)
    here.writer.close()
    assert blocks(here.files()[0])[-1].kind == KIND_CLOSE
    assert not here.append(2)


def test_sync_always_brings_the_block_to_the_disk_before_it_says_so(tmp_path: Path) -> None:
    here = Setup(tmp_path, sync="always")
    here.strike("go", "eio")  # the write, then its sync
    assert here.append(1)
    assert len(here.files()) == 2
    assert ids(tmp_path)[-1] == 1


def test_a_file_that_ingest_removed_before_it_was_locked_is_replaced(tmp_path: Path) -> None:
    """Between open and lock a file looks like a dead writer's."""

    class Racing(PosixFiles):
        raced = False

        def lock_now(self, fd: int) -> bool:
            if not self.raced:
                self.raced = True
                next(tmp_path.glob("*.sp")).unlink()
            return super().lock_now(fd)

    writer = SpoolWriter(Racing(), tmp_path, 0, 1, SettableClock())
    assert writer.append([head(1)], [TAIL], [])
    assert ids(tmp_path) == [1]


def test_a_turn_that_fits_no_block_becomes_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "RECORDS_MAX", 2)
    here = Setup(tmp_path)
    bodies = [b"", b"one", b"two", b"", b"three", b"four"]
    lengths = [(0, 3), (3, 0), (5, 4)]
    assert here.writer.append([head(no, *lengths[no]) for no in range(3)], [TAIL] * 3, bodies)
    found = [record for block in blocks(here.files()[0]) for record in records(block)]
    assert [(r.seq, r.prompt, r.answer) for r in found] == [(0, b"", b"one"), (1, b"two", b""), (2, b"three", b"four")]


def test_a_record_that_fits_no_block_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "BLOCK_BYTES_MAX", 1000)
    here = Setup(tmp_path)
    assert not here.writer.append([head(1, 2000, 0)], [TAIL], [bytes(2000)])
    assert here.writer.lost == 1

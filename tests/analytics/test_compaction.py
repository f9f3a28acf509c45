"""Which segments are merged, and which files nobody needs."""

from setpoint.analytics.compaction import MERGE_ROWS_MAX, MERGE_SEGMENTS_MIN, SMALL_ROWS, mergeable, surplus_files
from setpoint.ports.catalog import Segment


def segment(seq: int, rows: int = 10, day: str = "2026-01-01") -> Segment:
    return Segment(seq, day, rows, seq << 20, (seq << 20) + rows - 1, 1, 1, b"", b"")


def test_too_few_small_segments_are_left_alone() -> None:
    assert mergeable([segment(no) for no in range(MERGE_SEGMENTS_MIN - 1)]) == ()


def test_enough_small_neighbours_are_merged_in_order() -> None:
    segments = [segment(no) for no in range(MERGE_SEGMENTS_MIN)]
    assert mergeable(reversed(segments)) == tuple(segments)


def test_a_big_segment_between_them_parts_the_run() -> None:
    """Merging over it would make ranges overlap."""
    segments = [segment(no, SMALL_ROWS if no == 5 else 10) for no in range(12)]
    assert mergeable(segments) == ()


def test_segments_of_two_days_are_never_merged() -> None:
    segments = [segment(no, day=f"2026-01-0{1 + no % 2}") for no in range(MERGE_SEGMENTS_MIN + 2)]
    assert mergeable(segments) == ()


def test_a_merge_stays_below_its_limit_of_rows() -> None:
    segments = [segment(no, SMALL_ROWS // 2) for no in range(40)]
    assert sum(part.rows for part in mergeable(segments)) <= MERGE_ROWS_MAX


def test_files_without_a_segment_are_surplus() -> None:
    names = [("2026-01-01", 1, "1.meta"), ("2026-01-01", 2, "2.meta"), ("2026-01-02", 1, "1.meta")]
    assert surplus_files(names, [segment(1)]) == [("2026-01-01", "2.meta"), ("2026-01-02", "1.meta")]

"""The benchmark's own arithmetic: ratios, verdicts, regressions, the configuration it starts, the answers it reads."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tools.bench_figures import Figure, Goal
from tools.bench_inside import Cost, Ingest, Inside
from tools.bench_load import Ask, Counts
from tools.bench_procs import Memory, Usage

from setpoint.app.settings import load_settings
from setpoint.testing.fake_upstream import FakeUpstream
from tools import bench_figures, bench_inside, bench_kit, bench_load, bench_ours, bench_procs, bench_report, bench_run, bench_traces

ROOT = Path(__file__).resolve().parent.parent.parent
MEGABYTE = 1_000_000


def row(gateway: str, case: str, c: int, **metrics: float) -> dict[str, Any]:
    return {"gateway": gateway, "case": case, "c": c, "non2xx": 0, "errors": 0, **metrics}


# ---------------------------------------------------------------------------------------------------------------- ratios and verdicts


def test_a_ratio_is_ours_by_theirs_of_the_same_cell() -> None:
    rows = [row("ours", "unary", 32, rps=8000.0), row("nginx", "unary", 32, rps=10000.0), row("nginx", "unary", 1, rps=1.0)]
    [figure] = bench_figures.ratios(rows, ["rps"])
    assert (figure.subject, figure.against, figure.ratio) == ("unary c=32", "nginx", 0.8)


def test_a_cell_that_only_one_of_two_has_gives_no_ratio() -> None:
    rows = [row("ours", "messages", 32, rps=8000.0), row("tensorzero", "unary", 32, rps=10.0), row("direct", "messages", 32, rps=10.0)]
    assert bench_figures.ratios(rows, ["rps", "per_cpu_s"]) == []


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(1.0, "met"), (1.3, "met"), (0.99, "above the floor"), (0.5, "above the floor"), (0.49, "missed")],
)
def test_a_unary_relay_is_held_against_the_goal_and_the_floor(ratio: float, verdict: str) -> None:
    rows = [row("ours", "unary", 32, rps=ratio * 1000), row("nginx", "unary", 32, rps=1000.0)]
    assert [figure.verdict for figure in bench_figures.ratios(rows, ["rps"])] == [verdict]


@pytest.mark.parametrize(("value", "verdict"), [(59.9, "met"), (60.0, "met"), (60.1, "missed")])
def test_where_lower_is_better_the_goal_is_the_most_that_is_allowed(value: float, verdict: str) -> None:
    assert Figure("memory", "MB", value, "lower", goal=Goal(60.0)).verdict == verdict


def test_without_a_goal_there_is_no_verdict() -> None:
    assert Figure("cachehit c=1", "requests/s", 1.0, "higher", "nginx", 2.0).verdict == ""


def test_streams_are_judged_by_cpu_and_not_by_a_rate_that_the_load_caps() -> None:
    assert bench_figures.goal_of("stream", "rps", "nginx") is None
    assert bench_figures.goal_of("stream", "per_cpu_s", "nginx") == Goal(0.8)


def test_a_cache_hit_is_held_against_our_own_relay_at_the_same_connections() -> None:
    rows = [row("ours", "unary", 32, rps=100.0), row("ours", "cachehit", 32, rps=160.0), row("ours", "cachehit", 1, rps=9.0)]
    [figure] = bench_figures.cache_ratios(rows)
    assert (figure.ratio, figure.verdict) == (1.6, "met")


def test_added_latency_is_what_is_beyond_the_direct_way() -> None:
    rows = [row("direct", "unary", 1, p50=0.1), row("ours", "unary", 1, p50=0.4), row("nginx", "unary", 1, p50=0.2)]
    [figure] = bench_figures.added_latency(rows)
    assert figure.ratio == pytest.approx(3.0)
    assert figure.verdict == "missed"


def test_added_latency_needs_the_direct_way() -> None:
    assert bench_figures.added_latency([row("ours", "unary", 1, p50=0.4), row("nginx", "unary", 1, p50=0.2)]) == []


def test_only_our_own_failures_count() -> None:
    rows = [row("ours", "unary", 1) | {"non2xx": 2, "errors": 1}, row("litellm", "unary", 1) | {"errors": 50}]
    assert bench_figures.failed(rows) == 3


def test_the_table_names_each_figure_once_with_goal_and_verdict() -> None:
    table = bench_figures.render(
        [Figure("unary c=32", "requests/s", 812.4, "higher", "nginx", 1000.0, Goal(1.0, 0.5)), Figure("start", "s", 0.5, "lower")]
    )
    head, first, second = table.splitlines()
    assert head.split() == ["what", "measure", "ours", "against", "theirs", "ratio", "goal"]
    assert first.split() == ["unary", "c=32", "requests/s", "812", "nginx", "1000", "0.81", "≥", "1", "above", "the", "floor"]
    assert second.split() == ["start", "s", "0.50"]


# ------------------------------------------------------------------------------------------------------------------------- baseline


RELAY = Figure("unary c=32", "requests per CPU-second", 800.0, "higher", "nginx", 1000.0)
CPU = Figure("unary c=32", "CPU µs per request", 60.0, "lower", "nginx", 40.0)


def test_a_run_does_not_regress_against_itself() -> None:
    assert bench_figures.regressions([RELAY, CPU], bench_figures.ratios_by_key([RELAY, CPU]), 0.1, strict=True) == []


def test_ratios_of_wall_time_regress_only_when_asked_for() -> None:
    wall = replace(RELAY, measure="requests/s")
    assert bench_figures.regressions([wall], {wall.key: 9.0}, 0.1) == []
    assert len(bench_figures.regressions([wall], {wall.key: 9.0}, 0.1, strict=True)) == 1


@pytest.mark.parametrize(("ours", "regressed"), [(730.0, False), (710.0, True), (2000.0, False)])
def test_a_rate_regresses_when_it_falls_by_more_than_the_tolerance(ours: float, regressed: bool) -> None:
    before = bench_figures.ratios_by_key([RELAY])
    assert bool(bench_figures.regressions([replace(RELAY, ours=ours)], before, 0.1)) is regressed


@pytest.mark.parametrize(("ours", "regressed"), [(65.0, False), (67.0, True), (10.0, False)])
def test_a_cost_regresses_when_it_grows_by_more_than_the_tolerance(ours: float, regressed: bool) -> None:
    before = bench_figures.ratios_by_key([CPU])
    assert bool(bench_figures.regressions([replace(CPU, ours=ours)], before, 0.1)) is regressed


def test_absolute_figures_and_cells_that_the_baseline_lacks_are_not_compared() -> None:
    alone = Figure("start", "s", 9.0, "lower")
    assert bench_figures.regressions([alone, RELAY], {alone.key: 0.1}, 0.1) == []


@pytest.mark.parametrize(("was", "missing", "failed", "status"), [(0.8, 0, 0, 0), (0.9, 0, 0, 1), (0.8, 1, 0, 1), (0.8, 0, 1, 1)])
def test_the_exit_status_tells_of_regressions_lost_traces_and_failed_requests(
    tmp_path: Path, was: float, missing: int, failed: int, status: int
) -> None:
    baseline = tmp_path / "before.json"
    baseline.write_text(json.dumps({"ratios": {RELAY.key: was}}))
    traces = bench_traces.TraceSet(10, 10 - missing, missing, 0, 0, 0, 0, 0.1)
    outcome = bench_run.Outcome([RELAY], inside=seen(traces=traces), failed=failed)
    assert bench_run.verdict(outcome, baseline, 0.1) == status


# ------------------------------------------------------------------------------------------------------------------- configuration


def test_the_script_starts_on_the_given_port_with_a_fresh_data_directory_and_leaves_its_pid(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    fake = tmp_path / "setpoint"
    fake.write_text('#!/bin/sh\necho "$SETPOINT_ADMIN_KEY"\nfor word in "$@"; do echo "$word"; done\n')
    fake.chmod(0o755)
    script = folder / "start.sh"
    script.write_text(bench_ours.launcher(fake, folder, ["a.b=c d"]))
    runs = [subprocess.run(["sh", script, "4711"], capture_output=True, text=True, check=True).stdout.splitlines() for _ in range(2)]
    key, *words = runs[0]
    assert key == bench_ours.KEY
    assert words[:5] == ["serve", "-c", "setpoint.yaml", "--set", "server.port=4711"]
    assert words[-2:] == ["--set", "a.b=c d"]
    data = [next(word.partition("=")[2] for word in run if word.startswith("storage.data_dir=")) for run in runs]
    assert data[0] != data[1]
    assert all(Path(place).parent == folder for place in data)
    assert (folder / "pid").read_text().strip().isdigit()


def test_what_is_set_beside_the_file_is_valid_and_keeps_every_default_feature_on(tmp_path: Path) -> None:
    ours = bench_ours.prepare(tmp_path / "ours")
    settings = load_settings(ours.folder / "setpoint.yaml", {"SETPOINT_ADMIN_KEY": bench_ours.KEY}, ours.settings)
    assert settings.workers == 1
    assert settings.keys.required
    assert settings.observability.capture.prompts
    assert settings.observability.capture.answers
    assert settings.cache.mode == "deterministic"
    assert settings.limits.roles["admin"].rpm == bench_ours.RATE


def test_limits_are_raised_and_not_switched_off() -> None:
    assert f"limits.roles.admin.rpm={bench_ours.RATE}" in bench_ours.overrides(9090)
    assert bench_ours.RATE > 0


def test_settings_and_keys_of_the_person_who_measures_are_left_out() -> None:
    environ = {"SETPOINT_SERVER__PORT": "1", "GEMINI_API_KEY": "x", "PATH": "/bin"}
    assert bench_ours.clean_environment(environ) == {"PATH": "/bin"}


def test_the_file_system_is_that_of_the_nearest_mount() -> None:
    mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n"
    assert bench_ours.file_system_of(Path("/tmp/x"), mounts) == "tmpfs"
    assert bench_ours.file_system_of(Path("/tmpx"), mounts) == "ext4"


def test_the_kit_is_found_where_the_environment_says_or_beside_the_checkout(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    assert bench_kit.find_kit({}, root) is None
    for place in (tmp_path / "shared", tmp_path / "elsewhere"):
        (place / "bench").mkdir(parents=True)
        (place / "bench" / "compare.py").touch()
    assert bench_kit.find_kit({}, root) == (tmp_path / "shared/bench").resolve()
    assert bench_kit.find_kit({"SETPOINT_SHARED": str(tmp_path / "elsewhere")}, root) == (tmp_path / "elsewhere/bench").resolve()


def test_only_what_is_missing_is_to_be_installed(tmp_path: Path) -> None:
    assert bench_kit.missing(tmp_path, ["nginx", "tensorzero"]) == ["upstream", "nginx", "tensorzero"]
    (tmp_path / "upstream").touch()
    assert bench_kit.missing(tmp_path, ["nginx", "tensorzero"]) == ["tensorzero"]


# ----------------------------------------------------------------------------------------------------------------------------- load


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_is_complete_by_its_length_or_by_its_last_chunk(answer: bytes, *, whole: bool) -> None:
    assert bench_load.complete(answer) is whole


@pytest.mark.parametrize("unique", [True, False])
def test_the_length_that_a_request_states_is_that_of_its_body(*, unique: bool) -> None:
    ask = Ask("chat", "/v1/chat/completions", "m", b"", unique=unique)
    head, tail = ask.message(80, "k", "run")
    first, _, body = (head + (b"00000001" if unique else b"") + tail).partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in first


def test_the_load_sends_what_was_asked_checks_each_answer_and_counts_those_without_an_id() -> None:
    ask = Ask("chat", "/v1/chat/completions", "gpt-4o-mini", b'"usage"')
    with FakeUpstream() as upstream:
        counts = bench_load.drive(upstream.port, "k", [ask], connections=3, seconds=10, total=20)
    assert (counts.done, counts.failed, counts.without_id) == (20, 0, 20)


def test_ids_are_compared_as_sets_and_an_id_that_comes_twice_is_told() -> None:
    found = bench_traces.judged(Counts(done=3, trace_ids=["a", "b", "c"]), ["b", "c", "d", "d"], 0.1)
    assert (found.equal, found.missing, found.extra, found.doubled) == (2, 1, 1, 1)
    assert not bench_report.sound(found)
    assert bench_report.sound(bench_traces.judged(Counts(done=2, trace_ids=["a", "b"]), ["b", "a"], 0.1))


# --------------------------------------------------------------------------------------------------------------------------- inside


def test_cpu_that_was_put_off_is_part_of_the_cost_of_a_request() -> None:
    cost = Cost("chat", requests=1000, during_s={"w0": 0.05, "ingest": 0.01}, after_s={"ingest": 0.02})
    assert cost.cpu_us == pytest.approx(80)
    assert list(cost.by_process_us()) == ["w0", "ingest"]
    assert cost.by_process_us()["ingest"] == pytest.approx((10, 20))


def test_cpu_is_what_each_process_used_between_two_readings_new_ones_from_their_start() -> None:
    before = {1: Usage("setpoint", 1.0), 2: Usage("w0", 2.0)}
    after = {1: Usage("setpoint", 1.5), 3: Usage("w0", 0.25)}
    assert bench_procs.spent(before, after) == {"setpoint": 0.5, "w0": 0.25}


def test_a_translated_request_is_held_against_the_same_upstream_untranslated() -> None:
    costs = [Cost("chat", 100, during_s={"w0": 0.005}), Cost("messages → OpenAI", 100, during_s={"w0": 0.0125})]
    crossed = [figure for figure in bench_report.figures_of(seen(costs=costs)) if figure.against == "own chat"]
    assert [figure.verdict for figure in crossed] == ["missed"]
    assert crossed[0].ratio == pytest.approx(0.4)


def test_traces_of_an_earlier_load_that_are_stored_during_a_later_one_do_not_make_it_dearer() -> None:
    plain = Cost("chat", 100, during_s={"w0": 0.005, "setpoint-ingest": 0.001})
    crossed = Cost("messages → OpenAI", 100, during_s={"w0": 0.005}, after_s={"setpoint-ingest": 0.05})
    [figure] = [f for f in bench_report.figures_of(seen(costs=[plain, crossed], ingest=Ingest(200, 200, 0.051))) if f.against == "own chat"]
    assert figure.ratio == pytest.approx(1.0)


def test_memory_is_proportional_where_the_kernel_tells_and_says_so_where_not() -> None:
    known = [Memory("setpoint-w0", 50 * MEGABYTE, 20 * MEGABYTE), Memory("setpoint", 40 * MEGABYTE, 10 * MEGABYTE)]
    hidden = [*known[:1], replace(known[1], pss=None)]
    assert bench_report.megabytes(known) == 30
    assert bench_report.megabytes(hidden) == 90
    assert {f.measure for f in bench_report.figures_of(seen(idle=hidden)) if "memory" in f.subject} == {"MB idle, RSS"}


def test_with_simulated_models_only_what_they_speak_is_asked() -> None:
    assert {ask.model for ask in bench_inside.asks(simulated=True)} == {"sim/echo"}
    assert {ask.name for ask in bench_inside.asks(simulated=False)} >= set(bench_report.CROSSED) | set(bench_report.CROSSED.values())


def seen(**parts: Any) -> Inside:
    return Inside(worker_s=[0.5], tree_s=[1.0], **parts)


def test_this_process_is_found_with_its_cpu_time_and_memory() -> None:
    assert bench_procs.cpu_by_pid(os.getpid())[os.getpid()].cpu_s > 0
    assert bench_procs.memory_of(os.getpid())[0].rss > MEGABYTE


def test_a_process_that_is_not_the_one_we_started_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        bench_procs.stop_stray(other.pid, "/a/folder/of/ours")
        assert other.poll() is None
        bench_procs.stop(other)
        assert other.returncode == -15


def test_the_script_explains_itself() -> None:
    shown = subprocess.run([sys.executable, "tools/bench.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--baseline" in shown
    assert "--quick" in shown

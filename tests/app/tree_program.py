"""Runs a process tree for a test: `tree_program.py DATA_DIR PORT [SERVICE...]`. Services are those of the real tree by name."""

import json
import sys
from pathlib import Path

from setpoint.app.supervisor import serve
from setpoint.app.tree import ENGINE, ConfigSource, ServiceSpec, TlsFiles, TreeOptions
from setpoint.runtime.log import Log


def main() -> int:
    given = json.loads(sys.argv[1])
    stub = ServiceSpec("ingest", "stub_service:run", nice=19, oom_score_adj=400, writes=True)
    tls = given.get("tls")
    options = TreeOptions(
        data_dir=Path(given["data_dir"]),
        port=given["port"],
        metrics_port=None,
        workers=given.get("workers", 2),
        worker_entry=given.get("worker_entry", "stub_worker:run"),
        services=(stub, ENGINE) if given.get("engine") else (stub,),
        tls=TlsFiles(Path(tls[0]), Path(tls[1])) if tls else None,
        stop_s=given.get("stop_s", 10.0),
        drain_s=given.get("drain_s", 5.0),
        check_interval_s=given.get("check_interval_s", 30.0),
        config=ConfigSource(Path(given["config"])) if "config" in given else ConfigSource(),
        log_level="debug",
        kek=b"k" * 32,
        pepper=b"p" * 32,
    )
    return serve(options, Log("supervisor", "debug"), lambda bound, shown: print("started", bound[0].port, flush=True), say)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""What the process tree is made of: which services, what each needs first, and how kind each is to the machine.

    supervisor
    ├─ zygote ─ forks ─ worker-0 .. worker-n     nice 0: the traffic
    ├─ engine                                    nice 10: management
    ├─ ingest, query                             nice 19: traces in, answers out
    ├─ sim                                       nice 0: the simulated models
    └─ local                                     optional: a small real model

Workers are never second to anything: under memory pressure the kernel takes the others first.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from setpoint.runtime.log import Level


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One supervised process. `entry` is `module:function`, called with a `ServiceContext`."""

    name: str
    entry: str
    nice: int = 0
    oom_score_adj: int = 0
    needs: tuple[str, ...] = ()
    has_keys: bool = False
    """Whether it is given the keyring."""
    writes: bool = False
    """Whether it writes to the data directory: then it holds the directory's lock with the supervisor."""
    publishes: bool = False
    """Whether it makes the snapshot that workers need."""
    answers_ping: bool = False
    """Whether a missing `pong` counts as a failed health check."""
    outlives: bool = False
    """Whether it may outlive the supervisor for a while, because draining workers need it."""
    ready_s: float = 30.0
    """It is killed and started again when it is not ready by then."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificate chain and its key lie (PEM)."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """What the settings were made from, so that a child or a reload makes the same ones."""

    path: Path | None = None
    overrides: tuple[str, ...] = ()
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """Everything the supervisor decides by."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8080
    metrics_port: int | None = 9090
    workers: int = 2
    tls: TlsFiles | None = None
    kek: bytes = b""
    pepper: bytes = b""
    fsync_ms: int = 100
    spool_sync: Literal["interval", "always"] = "interval"
    drain_s: float = 22.0
    """How long workers may take to finish at a stop; the rest of the deadline belongs to the services behind them."""
    stop_s: float = 30.0
    roll_drain_s: float = 610.0
    """How long a replaced worker may live on for its streams: the longest stream deadline and a little."""
    check_interval_s: float = 30.0
    worker_entry: str = "setpoint.app.worker:run"
    worker_oom_score_adj: int = 0
    services: tuple[ServiceSpec, ...] = field(default=())
    config: ConfigSource = field(default_factory=ConfigSource)
    log_level: Level = "info"
    log_pretty: bool = False


ZYGOTE = ServiceSpec("zygote", "setpoint.app.zygote:run", has_keys=True, answers_ping=True)
ENGINE = ServiceSpec(
    "engine", "setpoint.app.engine:run", nice=10, oom_score_adj=300, has_keys=True, writes=True, publishes=True, answers_ping=True
)
INGEST = ServiceSpec("ingest", "setpoint.app.ingest:run", nice=19, oom_score_adj=400, writes=True, answers_ping=True, ready_s=900.0)
"""It is ready once it has read what a crash left in the spools, which may be much."""
QUERY = ServiceSpec("query", "setpoint.app.query:run", nice=19, oom_score_adj=600)
SIM = ServiceSpec("sim", "setpoint.app.sim:run", oom_score_adj=200, answers_ping=True, outlives=True)
LOCAL_MODEL = ServiceSpec("local", "setpoint.app.local_model:run", nice=5, oom_score_adj=500, ready_s=120.0)
EMBEDDED: tuple[ServiceSpec, ...] = (ENGINE, INGEST, QUERY, SIM)
"""What a tree on one machine runs beside its workers."""

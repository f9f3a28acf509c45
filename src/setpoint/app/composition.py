"""From settings to a process tree: which services run, with which options."""

from importlib.util import find_spec
from pathlib import Path

from setpoint.adapters.local_model.packages import is_installed as local_model_is_installed
from setpoint.app.settings import Settings
from setpoint.app.tree import ENGINE, INGEST, LOCAL_MODEL, QUERY, SIM, ConfigSource, ServiceSpec, TlsFiles, TreeOptions
from setpoint.kit.sealing import Keyring
from setpoint.runtime.log import Level


def services(settings: Settings) -> tuple[ServiceSpec, ...]:
    """What runs beside the workers. The local model runs where it is installed."""
    wanted = [ENGINE, INGEST, QUERY]
    if _is_on(settings, "sim"):
        wanted.append(SIM)
    if _is_on(settings, "local") and local_model_is_installed():
        wanted.append(LOCAL_MODEL)
    return tuple(spec for spec in wanted if find_spec(spec.entry.partition(":")[0]))


def tree_options(settings: Settings, keyring: Keyring, source: ConfigSource, level: Level, pretty: bool) -> TreeOptions:
    """Everything the supervisor needs to know of `settings`."""
    tls = settings.server.tls
    return TreeOptions(
        data_dir=settings.data_dir,
        host=settings.host,
        port=settings.server.port,
        metrics_port=settings.server.metrics_port,
        workers=settings.workers,
        tls=TlsFiles(Path(tls.cert), Path(tls.key)) if tls.cert and tls.key else None,
        kek=keyring.kek,
        pepper=keyring.pepper,
        fsync_ms=settings.storage.spool.fsync_ms,
        spool_sync=settings.storage.spool.sync,
        drain_s=settings.server.drain_s,
        services=services(settings),
        config=source,
        log_level=level,
        log_pretty=pretty,
    )


def _is_on(settings: Settings, provider: str) -> bool:
    entry = settings.providers.get(provider)
    return entry is None or entry.enabled

"""What can be configured, and how it is read.

Defaults, then the file (YAML or TOML), then environment variables (`SETPOINT_SERVER__PORT=8080`), then flags (`--set server.port=8080`):
the later one wins. The variables that vendors' SDKs use (`OPENAI_API_KEY`, `OPENAI_API_BASE`) switch a provider on and fill in what the
file leaves open. All mistakes are reported at once. `setpoint init` writes these settings as a commented file (`app.config_template`).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from setpoint.app.layers import Reading, Secret, Tree, decode_struct, read_text, read_tree, resolve
from setpoint.app.litellm import convert, is_litellm
from setpoint.app.presets import PRESETS, Preset
from setpoint.app.vendor_variables import lay_vendors
from setpoint.control.draft import Problem
from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.plan import (
    AuthStyle,
    BreakerLimits,
    CachePolicy,
    DialectName,
    HealthProbe,
    Hedge,
    Hosting,
    HybridWeights,
    Limits,
    Priority,
    Retries,
    Strategy,
    StreamLimits,
    Timeouts,
)
from setpoint.domain.principal import Role

Environment = Literal["development", "staging", "production"]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

KEY_FILE = "setpoint.key"
"""Beside the configuration file, unless `security.key_file` says otherwise."""
ADMIN_KEY_CHARS_MIN = 16
"""Outside of development, where a key like sk-1234 on loopback does no harm."""
WORKERS_BY_ENVIRONMENT: dict[Environment, int] = {"development": 2, "staging": 2, "production": 4}


class Service(msgspec.Struct, frozen=True):
    """`environment` is the profile: how careful the defaults are."""

    name: str = "setpoint"
    environment: Environment = "development"


class Tls(msgspec.Struct, frozen=True):
    """PEM files. `terminated_in_front` says that a proxy before Setpoint speaks TLS, so that production may listen without it."""

    cert: str | None = None
    key: str | None = None
    terminated_in_front: bool = False


class Server(msgspec.Struct, frozen=True):
    """Where to listen. `host` is loopback in development and every address else; `workers` depends on the environment too."""

    host: str | None = None
    port: Port = 8080
    metrics_port: Port | None = 9090
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] | None = None
    tls: Tls = Tls()
    drain_s: Seconds = 22.0
    """How long workers may finish what they hold at a stop."""


class StatedPrice(msgspec.Struct, frozen=True):
    """US dollars per million tokens. A class that is left out costs what the price table's rules say it falls back to."""

    input: Seconds = 0.0
    output: Seconds = 0.0
    cached_read: Seconds | None = None
    cache_write: Seconds | None = None


class StatedKey(msgspec.Struct, frozen=True):
    """One of several keys. Without a label it is called by its number, from 1."""

    key: Secret | None = None
    label: str = ""
    weight: float = 1.0


class Provider(msgspec.Struct, frozen=True):
    """An upstream: an endpoint and a credential. What is left out comes from the preset, which the name chooses by itself."""

    enabled: bool = True
    preset: str | None = None
    dialect: DialectName | None = None
    base_url: str | None = None
    api_key: Secret | None = None
    api_keys: tuple[StatedKey, ...] = ()
    """Several, used in turn, instead of `api_key`. A text stands for a key without a label."""
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    auth: AuthStyle | None = None
    also: tuple[DialectName, ...] | None = None
    hosting: Hosting | None = None
    region: str = ""
    project: str = ""
    api_version: str = ""
    capabilities: Capabilities | None = None
    """What it does differently in its dialects. Members that are left out are as in the preset."""
    unix_path: str | None = None
    headers: dict[str, str] = {}
    connections_max: int = 1024
    breaker: BreakerLimits = BreakerLimits()
    probe: HealthProbe | None = None
    ca_file: str | None = None
    prices: dict[str, StatedPrice] = {}
    """By model name at this provider."""


class RouteTarget(msgspec.Struct, frozen=True):
    """One place to send to. Written as `provider/model` text when there is no weight."""

    upstream: str = ""
    model: str = ""
    weight: float = 1.0
    match: str | tuple[str, ...] = ()
    """With strategy model: the names that go here, with `*` and `?`."""


class FallbackSettings(msgspec.Struct, frozen=True):
    """Targets that are tried for one reason only, behind the route's own."""

    error: tuple[str | RouteTarget, ...] = ()
    context_window: tuple[str | RouteTarget, ...] = ()
    content_filter: tuple[str | RouteTarget, ...] = ()
    refusal: tuple[str | RouteTarget, ...] = ()


class RouteSettings(msgspec.Struct, frozen=True):
    """Where requests for one model name go."""

    targets: tuple[str | RouteTarget, ...] = ()
    strategy: Strategy = "failover"
    hybrid: HybridWeights = HybridWeights()
    fallbacks: FallbackSettings | None = None
    timeouts: Literal["auto", "guarded", "long"] | Timeouts = "auto"
    """auto: guarded, or long where the model is known to think before it answers, or is asked to."""
    retries: Literal["default", "aggressive", "conservative", "none"] | Retries = "default"
    cache: CachePolicy | None = None
    """None: as the section `cache` says."""
    untranslated: Literal["report", "refuse"] = "report"
    """What to do when a target's dialect cannot say all that was asked."""
    hedge: Hedge | None = None
    stream: StreamLimits = StreamLimits()
    on_client_gone: Literal["abort", "drain"] = "abort"
    continuation: Literal["off", "auto"] = "off"
    priority: Priority | None = None
    """When a worker is overloaded: requests of this class, whatever key and header say."""


class Cache(msgspec.Struct, frozen=True):
    """What is cached where a route says nothing of its own, and how much memory of each worker it may take."""

    mode: Literal["off", "deterministic", "all"] = "deterministic"
    ttl_s: float = 300.0
    bytes_max: int = Limits().cache_bytes_max
    entry_bytes_max: int = Limits().cache_entry_bytes_max


class RoleRate(msgspec.Struct, frozen=True):
    """Requests a minute, and how many at once after a pause; 0 means no limit. A burst that is left out is 1.2 × rpm."""

    rpm: int = 0
    burst: int | None = None
    priority: Priority | None = None
    """The highest class its requests can have when a worker is overloaded. None: as the role has it."""


class LimitSettings(msgspec.Struct, frozen=True):
    """Rates by role, and the bounds of one worker. Roles that are left out keep their own figure."""

    roles: dict[Role, RoleRate] = {}
    body_bytes_max: int = Limits().body_bytes_max
    bodies_bytes_max: int = Limits().bodies_bytes_max
    head_bytes_max: int = Limits().head_bytes_max
    head_s: float = Limits().head_s
    body_s: float = Limits().body_s
    idle_s: float = Limits().idle_s
    connections_max: int = Limits().connections_max
    in_flight_max: int = Limits().in_flight_max
    answer_bytes_max: int = Limits().answer_bytes_max
    held_bytes_max: int = Limits().held_bytes_max
    delay_max_s: float = Limits().delay_max_s


class Keys(msgspec.Struct, frozen=True):
    """Gateway keys. `admin` gives a fixed admin key for automation; without it the first start makes one and shows it once."""

    required: bool = True
    admin: Secret | None = None


class Spool(msgspec.Struct, frozen=True):
    """When trace records are forced to the disk: every `fsync_ms`, or before each answer."""

    sync: Literal["interval", "always"] = "interval"
    fsync_ms: Count = 100


class Storage(msgspec.Struct, frozen=True):
    """`data_dir` is a directory on a local disk; relative to the configuration file."""

    data_dir: str = "setpoint-data"
    spool: Spool = Spool()


class CaptureSettings(msgspec.Struct, frozen=True):
    """What of prompts and answers a trace keeps; `bytes_max` a side, the rest is length and hash."""

    prompts: bool = True
    answers: bool = True
    bytes_max: int = 262_144


class Log(msgspec.Struct, frozen=True):
    """A format that is left out is pretty in development and json else."""

    level: Literal["debug", "info", "warn", "error"] = "info"
    format: Literal["json", "pretty"] | None = None


class Observability(msgspec.Struct, frozen=True):
    """What is seen of the traffic."""

    capture: CaptureSettings = CaptureSettings()
    log: Log = Log()


class Security(msgspec.Struct, frozen=True):
    """Where the key-encryption key and the pepper come from: a file outside the data directory, or `key` (base64 of 64 bytes)."""

    key_file: str | None = None
    key: Secret | None = None


class Sections(msgspec.Struct, frozen=True):
    """What a configuration file may hold."""

    service: Service = Service()
    server: Server = Server()
    providers: dict[str, Provider] = {}
    routes: dict[str, str | list[str] | RouteSettings] = {}
    cache: Cache = Cache()
    limits: LimitSettings = LimitSettings()
    keys: Keys = Keys()
    storage: Storage = Storage()
    observability: Observability = Observability()
    security: Security = Security()


class Settings(Sections, frozen=True):
    """Everything that was configured, with paths made absolute. `notices` are for a person to read at the start."""

    notices: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """Loopback in development, so that nothing is offered to a network by accident."""
        return self.server.host or ("127.0.0.1" if self.service.environment == "development" else "0.0.0.0")  # noqa: S104

    @property
    def workers(self) -> int:
        return self.server.workers or WORKERS_BY_ENVIRONMENT[self.service.environment]

    @property
    def log_pretty(self) -> bool:
        """Pretty in development unless said otherwise."""
        return (self.observability.log.format or ("pretty" if self.service.environment == "development" else "json")) == "pretty"

    @property
    def data_dir(self) -> Path:
        return Path(self.storage.data_dir)


class SettingsError(Exception):
    """The settings cannot be used. `problems` is all that is wrong, and the text lists it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "the configuration has a problem" if count == 1 else f"the configuration has {count} problems"
        super().__init__("\n  ".join([f"{head}:", *map(str, self.problems)]))


def load_settings(path: Path | None, environ: Mapping[str, str], overrides: Iterable[str] = (), profile: str | None = None) -> Settings:
    """Settings from file, environment and `a.b=value` overrides. Raises SettingsError with everything that is wrong.

    Relative paths in the settings are relative to the file, or to the working directory without one.
    """
    reading = Reading()
    folder = (path.parent if path else Path()).resolve()
    if path is not None:
        read_tree(path, reading)
    notices = _translate(reading) if is_litellm(reading.tree) else []
    _lay_environment(reading, environ)
    _lay_overrides(reading, overrides, profile)
    resolve(reading, environ, folder)
    notices += lay_vendors(reading, environ)
    _spell_out_keys(reading.tree)
    sections = _with_capabilities(decode_struct(Sections, reading.tree, "", reading), reading.tree)
    reading.problems.extend(_cross_problems(sections, folder))
    if reading.problems:
        raise SettingsError(reading.problems)
    return Settings(**msgspec.structs.asdict(_absolute(sections, folder)), notices=tuple(notices))


def _translate(reading: Reading) -> list[str]:
    """A LiteLLM file into our form; returns what to tell the person who brought it."""
    made = convert(reading.tree)
    reading.tree = made.tree
    for where, what in made.wrong:
        reading.complain(where, what)
    return made.notices


def _spell_out_keys(tree: Tree) -> None:
    providers = tree.get("providers")
    for entry in providers.values() if isinstance(providers, dict) else ():
        if isinstance(entry, dict) and isinstance(keys := entry.get("api_keys"), list):
            entry["api_keys"] = [{"key": key} if isinstance(key, str) else key for key in keys]


def _lay_environment(reading: Reading, environ: Mapping[str, str]) -> None:
    for name, value in sorted(environ.items()):
        if name.startswith("SETPOINT_") and "__" in name:
            reading.put(tuple(name.removeprefix("SETPOINT_").lower().split("__")), read_text(value, name, reading), name)


def _lay_overrides(reading: Reading, overrides: Iterable[str], profile: str | None) -> None:
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not all(name.split(".")):
            reading.complain(f"--set {name}", "expected section.name=value")
            continue
        reading.put(tuple(name.split(".")), read_text(value, f"--set {name}", reading), f"--set {name}")
    if profile is not None:
        reading.put(("service", "environment"), profile, "--profile")


def _with_capabilities(settings: Sections, tree: Tree) -> Sections:
    """Lays the capabilities that were written over those of the preset."""
    providers = dict(settings.providers)
    for key, entry in tree["providers"].items() if providers else ():
        name, provider = str(key), providers.get(str(key))
        if provider is not None and provider.capabilities is not None:
            made = provider.capabilities
            written = {member: getattr(made, member) for member in made.__struct_fields__ if member in entry["capabilities"]}
            known = capabilities_of(name, msgspec.structs.replace(provider, capabilities=None))
            providers[name] = msgspec.structs.replace(provider, capabilities=msgspec.structs.replace(known, **written))
    return msgspec.structs.replace(settings, providers=providers)


def _cross_problems(settings: Sections, folder: Path) -> Iterable[Problem]:
    """What is wrong only when two settings are seen together."""
    for name, provider in settings.providers.items():
        if provider.preset is not None and provider.preset not in PRESETS:
            yield Problem(f"providers.{name}.preset", f"{provider.preset!r} is not a preset; there are: {', '.join(PRESETS)}")
        elif provider.enabled and provider.preset is None and name not in PRESETS and not (provider.base_url or provider.unix_path):
            yield Problem(f"providers.{name}", f"is not a provider known by name ({', '.join(PRESETS)}); give it a base_url, or a preset")
        if name == "sim" and msgspec.structs.replace(provider, enabled=True) != Provider():
            yield Problem(f"providers.{name}", "takes nothing but `enabled`; address and prices of the simulated models are their own")
        yield from _aws_problems(name, provider)
        if provider.api_key is not None and provider.api_keys:
            yield Problem(f"providers.{name}.api_keys", "stands beside api_key; write all keys into api_keys")
        if provider.ca_file is not None and not (folder / Path(provider.ca_file).expanduser()).is_file():
            yield Problem(f"providers.{name}.ca_file", f"there is no file {provider.ca_file}")
    tls = settings.server.tls
    if (tls.cert is None) != (tls.key is None):
        yield Problem("server.tls", "needs both cert and key, or neither")
    if settings.service.environment == "production" and tls.cert is None and not tls.terminated_in_front:
        yield Problem("server.tls", "production listens with TLS: set cert and key, or terminated_in_front: true if a proxy does that")
    yield from _secret_problems(settings, folder)


def _aws_problems(name: str, provider: Provider) -> Iterable[Problem]:
    given = {"access_key_id": provider.access_key_id, "secret_access_key": provider.secret_access_key}
    missing = [member for member, value in given.items() if value is None]
    if len(missing) == 1:
        yield Problem(f"providers.{name}.{missing[0]}", "is missing; access_key_id and secret_access_key belong together")
    if len(missing) < 2 and preset_of(name, provider).auth != "aws":
        yield Problem(f"providers.{name}.access_key_id", "is for `preset: bedrock`; others take an api_key")
    if provider.session_token is not None and missing:
        yield Problem(f"providers.{name}.session_token", "goes with access_key_id and secret_access_key")


def _secret_problems(settings: Sections, folder: Path) -> Iterable[Problem]:
    chars = len(settings.keys.admin.reveal()) if settings.keys.admin is not None else ADMIN_KEY_CHARS_MIN
    if chars < (1 if settings.service.environment == "development" else ADMIN_KEY_CHARS_MIN):
        yield Problem("keys.admin", f"is shorter than {ADMIN_KEY_CHARS_MIN} characters; make one with `openssl rand -hex 32`")
    data_dir = (folder / Path(settings.storage.data_dir).expanduser()).resolve()
    key_file = settings.security.key_file or KEY_FILE
    if settings.security.key is None and (folder / Path(key_file).expanduser()).resolve().is_relative_to(data_dir):
        yield Problem("security.key_file", "lies in the data directory, where a copy of that directory would hold key and lock together")


def _absolute(settings: Sections, folder: Path) -> Sections:
    def absolute(name: str | None) -> str | None:
        return str((folder / Path(name).expanduser()).resolve()) if name else None

    replace = msgspec.structs.replace
    tls = replace(settings.server.tls, cert=absolute(settings.server.tls.cert), key=absolute(settings.server.tls.key))
    return replace(
        settings,
        server=replace(settings.server, tls=tls),
        storage=replace(settings.storage, data_dir=absolute(settings.storage.data_dir)),
        security=replace(settings.security, key_file=absolute(settings.security.key_file)),
        providers={
            name: replace(provider, ca_file=absolute(provider.ca_file), unix_path=absolute(provider.unix_path))
            for name, provider in settings.providers.items()
        },
    )


HOSTING: dict[str, Hosting] = {"azure": "azure", "bedrock": "bedrock", "vertex": "vertex"}
"""Presets that are clouds. Every other provider is reached at its vendor's own paths."""


def preset_of(name: str, provider: Provider) -> Preset:
    """The preset that `provider` takes its defaults from."""
    return PRESETS[_preset_name(name, provider)]


def hosting_of(name: str, provider: Provider) -> Hosting:
    """Whose doors it stands behind."""
    return provider.hosting or HOSTING.get(_preset_name(name, provider), "vendor")


def capabilities_of(name: str, provider: Provider) -> Capabilities:
    """What it does differently: as written, or as its preset says, which speaks of the preset's own dialect."""
    preset = preset_of(name, provider)
    return provider.capabilities or (preset.can if provider.dialect in {None, preset.dialect} else STANDARD)


def _preset_name(name: str, provider: Provider) -> str:
    """A preset that does not exist is complained of elsewhere."""
    chosen = provider.preset or name
    return chosen if chosen in PRESETS else "openai-compatible"

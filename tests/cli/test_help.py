"""What a person sees who asks for help, however the command is run."""

import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "setpoint", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, env={"PYTHONPATH": str(SRC), "COLUMNS": "100"}, timeout=60)


@pytest.mark.parametrize("words", [["serve"], ["keys"], ["keys", "create"], ["local"], ["traces", "list"]])
def test_help_is_plain_and_offers_nothing_but_the_command(words: list[str]) -> None:
    shown = run(*words, "-h")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: ")
    assert "completion" not in shown.stdout

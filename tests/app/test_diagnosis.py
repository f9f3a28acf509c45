"""What the doctor finds."""

import base64
from pathlib import Path

from setpoint.app.data_directory import take
from setpoint.app.diagnosis import examine
from setpoint.app.key_file import mark_of
from setpoint.app.tree import ConfigSource


def test_a_key_file_of_another_data_directory_is_found(tmp_path: Path) -> None:
    config, key = tmp_path / "setpoint.yaml", tmp_path / "setpoint.key"
    config.write_text("storage: {data_dir: data}\nserver: {port: 0, metrics_port: 0}\n")
    directory = take(tmp_path / "data")
    directory.claim(mark_of(b"p" * 32))
    directory.close()
    for pepper, verdict in ((b"p", "ok"), (b"q", "wrong")):
        key.write_bytes(base64.b64encode(b"k" * 32 + pepper * 32))
        key.chmod(0o600)
        found = {finding.check: finding for finding in examine(ConfigSource(config))}
        assert found["key file"].verdict == verdict

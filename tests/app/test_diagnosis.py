"""What the doctor finds."""

import base64
import socket
from pathlib import Path

import pytest
from tests.gateway.accounts import service_account

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


def test_providers_are_reached_where_they_are_and_so_is_a_token_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        if address[0].startswith("bedrock"):
            raise OSError(111, "Connection refused")
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    (tmp_path / "sa.json").write_text(service_account())
    config = tmp_path / "setpoint.yaml"
    config.write_text(
        "server: {port: 0, metrics_port: 0}\nproviders:\n  vertex: {api_key: 'file:sa.json', region: europe-west1}\n"
        "  bedrock: {region: eu-west-1, api_key: ABSK}\n  broken: {preset: vertex, api_key: '{}'}\n"
    )
    found = {finding.check: finding for finding in examine(ConfigSource(config), providers=True)}
    assert {
        ("europe-west1-aiplatform.googleapis.com", 443),
        ("oauth2.googleapis.com", 443),
        ("bedrock-runtime.eu-west-1.amazonaws.com", 443),
    } <= set(asked)
    assert found["provider vertex"].verdict == found["token server of vertex"].verdict == "ok"
    assert found["provider bedrock"].verdict == "wrong"
    assert "the account cannot be used" in found["token server of broken"].found

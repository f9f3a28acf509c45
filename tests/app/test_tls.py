"""The TLS context: what it speaks, and files that cannot be used."""

import ssl
from pathlib import Path

from setpoint.app.tls import problem_with, server_context
from setpoint.app.tree import TlsFiles
from setpoint.testing.certificates import self_signed


def files_in(folder: Path) -> TlsFiles:
    made = self_signed()
    (folder / "cert.pem").write_bytes(made.cert_pem)
    (folder / "key.pem").write_bytes(made.key_pem)
    return TlsFiles(folder / "cert.pem", folder / "key.pem")


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    context = server_context(files_in(tmp_path))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert problem_with(files_in(tmp_path)) == ""


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.key.unlink()
    assert str(files.key) in problem_with(files)


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.key.write_bytes(self_signed().key_pem)
    assert "cannot be used together" in problem_with(files)
    files.key.write_text("garbage")
    assert "cannot be used together" in problem_with(files)

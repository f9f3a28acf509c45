"""The key file: the two secrets that protect the data directory, kept outside it.

Whoever copies the data directory gets sealed credentials and digests of gateway keys; without this file they are noise. Losing the
file means entering provider credentials again and issuing new gateway keys, so it belongs in a backup, but not in the same one.
"""

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from setpoint.app.settings import Settings
from setpoint.kit.sealing import KEYRING_BYTES, Keyring, key_digest

NAME = "setpoint.key"


class KeyFileError(Exception):
    """The keys cannot be had; the message says what to do."""


def path_of(settings: Settings, config: Path | None) -> Path:
    """Where the key file lies: as set, else beside the configuration file, else in the working directory."""
    if settings.security.key_file:
        return Path(settings.security.key_file)
    return (config.parent if config else Path()).resolve() / NAME


def load(settings: Settings, config: Path | None) -> Keyring:
    """The keyring from `security.key` or from the key file. Raises KeyFileError."""
    if settings.security.key is not None:
        return _decode(settings.security.key.reveal(), "security.key")
    path = path_of(settings, config)
    try:
        text = path.read_text("ascii")
    except (OSError, ValueError) as error:
        raise KeyFileError(f"cannot read the key file {path} ({error}). Restore it from your backup, or set security.key_file.") from error
    _check_mode(path)
    return _decode(text, str(path))


def load_or_make(settings: Settings, config: Path | None) -> Keyring:
    """Like `load`; makes the file for a data directory that holds nothing sealed yet. Raises KeyFileError."""
    path = path_of(settings, config)
    if settings.security.key is None and not path.exists():
        if (settings.data_dir / "control" / "control.db").exists():
            raise KeyFileError(
                f"{settings.data_dir} was sealed with a key file that is not at {path}. Restore it from your backup or set "
                "security.key_file; a new one could not open what is there."
            )
        make(path)
    return load(settings, config)


def make(path: Path) -> None:
    """Writes a new key file that only this user can read. Raises KeyFileError when there is one, or it cannot be written."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} is there already; it is not replaced, because what it sealed would be lost.") from None
    except OSError as error:
        raise KeyFileError(f"cannot write the key file {path}: {error.strerror}. Set security.key_file to a path you can write.") from error
    with os.fdopen(fd, "wb") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEYRING_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def mark_of(pepper: bytes) -> str:
    """What a data directory keeps of the key file that it belongs to."""
    return key_digest(pepper, b"setpoint data directory").hex()


def _decode(text: str, source: str) -> Keyring:
    try:
        return Keyring.from_bytes(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError) as error:
        raise KeyFileError(f"{source} does not hold the base64 of {KEYRING_BYTES} bytes ({error}).") from error


def _check_mode(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"the key file {path} can be read by other users; run `chmod 600 {path}`.")

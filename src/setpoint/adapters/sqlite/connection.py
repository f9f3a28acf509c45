"""Opening SQLite files the same way everywhere."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from setpoint.ports.catalog import StoreError

BUSY_S = 10.0

Connect = Callable[[str], sqlite3.Connection]
"""Makes a connection from a file name or `file:` URI; a test hands in one that fails or dies on demand."""


def connect(name: str) -> sqlite3.Connection:
    """Autocommit: transactions are opened in so many words."""
    return sqlite3.connect(name, timeout=BUSY_S, isolation_level=None, check_same_thread=False, uri=name.startswith("file:"))


def open_to_write(path: Path, schema: str, synchronous: str, connect: Connect = connect) -> sqlite3.Connection:
    """A write-ahead-logged file with its tables made. `synchronous` is FULL (a commit is on disk) or NORMAL (a checkpoint is)."""
    with store_errors(path.name):
        db = connect(str(path))
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.executescript(schema)
        return db


def open_to_read(path: Path) -> sqlite3.Connection:
    """For another process than the writer. FileNotFoundError when there is no such file."""
    if not path.exists():
        raise FileNotFoundError(path)
    db = connect(f"file:{path}?mode=ro")
    db.execute("PRAGMA query_only=1")
    return db


@contextmanager
def transaction(db: sqlite3.Connection, what: str) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT; rolled back on any exception. SQLite's errors become StoreError."""
    with store_errors(what):
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            _roll_back(db)
            raise


def _roll_back(db: sqlite3.Connection) -> None:
    try:
        if db.in_transaction:
            db.execute("ROLLBACK")
    except sqlite3.Error:
        # SQLite has rolled back by itself after a full disk or an I/O error.
        return


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{what}: {error}") from error

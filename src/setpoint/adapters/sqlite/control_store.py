"""The port `control_store` in `control/control.db`: WAL, synchronous=FULL, one connection.

SQLAlchemy Core without its ORM, so that the same statements will serve the database servers. Every transaction begins IMMEDIATE: a
transaction that reads first and writes later could otherwise meet another writer half way.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from setpoint.domain.gateway_key import GatewayKey, KeySecret
from setpoint.domain.principal import Role
from setpoint.ports.control_store import AuditEntry, ControlStoreError, Progress

FORMAT = 1
BUSY_S = 10

_tables = MetaData()
_keys = Table(
    "gateway_keys",
    _tables,
    Column("key_no", Integer, primary_key=True),
    Column("public_id", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("project", String, nullable=False),
    Column("rpm", Integer, nullable=False),
    Column("burst", Integer, nullable=False),
    Column("created_s", Integer, nullable=False),
    Column("expires_s", Integer, nullable=False),
    Column("revoked_s", Integer, nullable=False),
    Column("rotated_s", Integer, nullable=False),
    Column("origin", String, nullable=False),
    sqlite_autoincrement=True,
)
_secrets = Table(
    "key_secrets",
    _tables,
    Column("digest", LargeBinary, primary_key=True),
    Column("key_no", Integer, nullable=False, index=True),
    Column("expires_s", Integer, nullable=False),
)
_audit = Table(
    "audit",
    _tables,
    Column("seq", Integer, primary_key=True),
    Column("at_ns", Integer, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("detail", String, nullable=False),
    sqlite_autoincrement=True,
)
_facts = Table("facts", _tables, Column("name", String, primary_key=True), Column("value", String, nullable=False))


class SqliteControlStore:
    """Opens or makes the file. Raises ControlStoreError when it cannot, or when a later version wrote it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = _engine(path)
        with self._transaction() as db:
            _prepare(db, path)

    def find_keys(self, after: int = 0, limit: int | None = None, role: Role | None = None) -> list[GatewayKey]:
        wanted = select(_keys).where(_keys.c.key_no > after).order_by(_keys.c.key_no).limit(limit)
        if role is not None:
            wanted = wanted.where(_keys.c.role == role)
        with self._transaction() as db:
            return [_key(row) for row in db.execute(wanted)]

    def key(self, public_id: str) -> GatewayKey | None:
        with self._transaction() as db:
            row = db.execute(select(_keys).where(_keys.c.public_id == public_id)).one_or_none()
        return None if row is None else _key(row)

    def secrets(self) -> list[tuple[GatewayKey, KeySecret]]:
        with self._transaction() as db:
            alive = {row.key_no: _key(row) for row in db.execute(select(_keys).where(_keys.c.revoked_s == 0))}
            rows = db.execute(select(_secrets)).all()
        return [(alive[row.key_no], _secret(row)) for row in rows if row.key_no in alive]

    def secret_count(self) -> int:
        with self._transaction() as db:
            return db.execute(select(func.count()).select_from(_secrets)).scalar_one()

    def secrets_of(self, key_no: int) -> list[KeySecret]:
        with self._transaction() as db:
            return [_secret(row) for row in db.execute(select(_secrets).where(_secrets.c.key_no == key_no))]

    def add_key(self, key: GatewayKey, digest: bytes, audit: AuditEntry) -> GatewayKey:
        values = msgspec.structs.asdict(key)
        del values["key_no"]
        with self._transaction() as db:
            inserted = db.execute(insert(_keys).values(values)).inserted_primary_key
            assert inserted is not None
            numbered = msgspec.structs.replace(key, key_no=inserted[0])
            db.execute(insert(_secrets).values(digest=digest, key_no=numbered.key_no, expires_s=0))
            _note(db, audit)
            _raise_revision(db)
        return numbered

    def put_key(self, key: GatewayKey, secrets: Sequence[KeySecret], audit: AuditEntry) -> None:
        with self._transaction() as db:
            changed = db.execute(update(_keys).where(_keys.c.key_no == key.key_no).values(msgspec.structs.asdict(key)))
            if changed.rowcount != 1:
                raise ControlStoreError(f"there is no key number {key.key_no}")
            db.execute(delete(_secrets).where(_secrets.c.key_no == key.key_no))
            if secrets:
                db.execute(insert(_secrets), [msgspec.structs.asdict(secret) for secret in secrets])
            _note(db, audit)
            _raise_revision(db)

    def audit(self, limit: int) -> list[AuditEntry]:
        with self._transaction() as db:
            return [_entry(row) for row in db.execute(select(_audit).order_by(_audit.c.seq.desc()).limit(limit))]

    def record(self, audit: AuditEntry) -> None:
        with self._transaction() as db:
            _note(db, audit)

    def revision(self) -> int:
        return int(self._fact("revision", "0"))

    def epoch(self) -> int:
        return int(self._fact("epoch", "1"))

    def progress(self) -> Progress:
        return msgspec.json.decode(self._fact("progress", "{}"), type=Progress)

    def set_progress(self, progress: Progress) -> None:
        with self._transaction() as db:
            _set_fact(db, "progress", msgspec.json.encode(progress).decode())

    def close(self) -> None:
        self._engine.dispose()

    def _fact(self, name: str, otherwise: str) -> str:
        with self._transaction() as db:
            return _get_fact(db, name, otherwise)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise ControlStoreError(f"{self._path}: {cause}") from error


def _engine(path: Path) -> Engine:
    """One connection, lent to one thread at a time: the pool is the queue of writers."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=BUSY_S,
        connect_args={"timeout": BUSY_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # the driver opens no transactions by itself
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _prepare(db: Connection, path: Path) -> None:
    found = db.execute(text("PRAGMA user_version")).scalar_one()
    if found not in {0, FORMAT}:
        raise ControlStoreError(f"{path} has format {found}, this version reads format {FORMAT}; use the version that wrote it")
    _tables.create_all(db)
    db.execute(text(f"PRAGMA user_version={FORMAT}"))


def _raise_revision(db: Connection) -> None:
    _set_fact(db, "revision", str(int(_get_fact(db, "revision", "0")) + 1))


def _get_fact(db: Connection, name: str, otherwise: str) -> str:
    value = db.execute(select(_facts.c.value).where(_facts.c.name == name)).scalar_one_or_none()
    return otherwise if value is None else str(value)


def _set_fact(db: Connection, name: str, value: str) -> None:
    if db.execute(update(_facts).where(_facts.c.name == name).values(value=value)).rowcount == 0:
        db.execute(insert(_facts).values(name=name, value=value))


def _note(db: Connection, audit: AuditEntry) -> None:
    values = msgspec.structs.asdict(audit) | {"detail": json.dumps(audit.detail, sort_keys=True)}
    del values["seq"]
    db.execute(insert(_audit).values(values))


def _key(row: Row[Any]) -> GatewayKey:
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, GatewayKey)  # noqa: SLF001 - public API


def _secret(row: Row[Any]) -> KeySecret:
    return KeySecret(row.digest, row.key_no, row.expires_s)


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(row.at_ns, row.actor, row.action, row.subject, json.loads(row.detail), row.seq)

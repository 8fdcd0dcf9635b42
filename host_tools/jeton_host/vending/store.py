"""The SQLite file of a point of sale: its tables, transactions and rows."""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

from jeton.sts import tokens
from jeton_host.errors import BusyError, VendingError
from jeton_host.vending import tid
from jeton_host.vending.pan import make_drn, with_zeros
from jeton_host.vending.records import Issued, MeterKey, MeterRecord, iso_text

SCHEMA = 2
BUSY_S = 30.0  # how long to wait for a locked file

_TABLES = """
CREATE TABLE IF NOT EXISTS meters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    drn TEXT NOT NULL UNIQUE,
    ea INTEGER NOT NULL,
    tables TEXT NOT NULL,
    kct INTEGER NOT NULL,
    mfr_code INTEGER NOT NULL,
    profile TEXT NOT NULL,
    made TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS keys (
    meter INTEGER NOT NULL REFERENCES meters(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    dkga INTEGER NOT NULL,
    kt INTEGER NOT NULL,
    sgc TEXT NOT NULL,
    ti INTEGER NOT NULL,
    krn INTEGER NOT NULL,
    ken INTEGER NOT NULL,
    bdt TEXT NOT NULL,
    given BLOB,
    since TEXT NOT NULL,
    PRIMARY KEY (meter, number)
);
CREATE TABLE IF NOT EXISTS issues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    meter INTEGER NOT NULL REFERENCES meters(id) ON DELETE CASCADE,
    key INTEGER NOT NULL,
    bdt TEXT NOT NULL,
    cls INTEGER NOT NULL,
    sub INTEGER NOT NULL,
    tid INTEGER,
    token TEXT NOT NULL,
    at TEXT NOT NULL,
    what TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_tid ON issues (meter, bdt, tid) WHERE tid IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_token ON issues (token);
"""
# present: the number of the key that the meter is known to have. In a file of format 1 this is not
# known: the first key.
_FORMAT_2 = "ALTER TABLE meters ADD COLUMN present INTEGER NOT NULL DEFAULT 1;"


class Store:
    """The SQLite file of a point of sale; safe for several threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open_now = threading.local()

    @contextmanager
    def together(self) -> Iterator[sqlite3.Connection]:
        """Make everything that this thread issues inside one transaction; yield its connection.

        A caller can then write records of its own to the same file: either both the record and its
        token are saved, or neither.
        """
        with self._transaction() as db:
            self._open_now.db = db
            try:
                yield db
            finally:
                self._open_now.db = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection with the write lock; commit at the end, roll back on an error."""
        outer = getattr(self._open_now, "db", None)
        if outer is not None:
            yield outer
            return
        with self._connection(write=True) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        outer = getattr(self._open_now, "db", None)
        if outer is not None:
            yield outer
            return
        with self._connection(write=False) as db:
            yield db

    @contextmanager
    def _connection(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        db = None
        try:
            db = self._open(write)
            yield db
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # primary result code
            locked = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            raise (BusyError if locked else VendingError)(
                f"point of sale file {self.path}: {error}; nothing was issued"
            ) from None
        except OSError as error:
            raise VendingError(
                f"point of sale file {self.path}: {error.strerror or error}"
            ) from None
        finally:
            if db is not None:
                db.close()

    def _open(self, write: bool) -> sqlite3.Connection:
        if write:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # The file can contain a decoder key: only its owner may read it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            target: str = str(self.path)
        else:
            # Reading must not create the file.
            target = str(self.path) if self.path.exists() else ":memory:"
        db = sqlite3.connect(target, timeout=BUSY_S, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            db.close()
            raise VendingError(
                f"point of sale file {self.path} was written by a newer Jeton (format {version}): "
                "update Jeton"
            )
        if version < SCHEMA:
            _set_up(db)
        return db


def _set_up(db: sqlite3.Connection) -> None:
    """Create the tables, or bring those of an older format to the present one."""
    db.execute("BEGIN IMMEDIATE")
    # Another process may have done it since the format was read.
    if db.execute("PRAGMA user_version").fetchone()[0] < SCHEMA:
        for statement in (_TABLES + _FORMAT_2).split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA}")
    db.execute("COMMIT")


def next_drn(db: sqlite3.Connection) -> str:
    """Return a DRN of maker 00 that no meter of this file has or had."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'meters'").fetchone()
    serial = (row["seq"] if row else 0) + 1
    while db.execute("SELECT 1 FROM meters WHERE drn = ?", (make_drn(serial),)).fetchone():
        serial += 1
    return make_drn(serial)


def meter_id(db: sqlite3.Connection, name: str) -> int:
    """Return the row number of a meter."""
    return int(db.execute("SELECT id FROM meters WHERE name = ?", (name,)).fetchone()["id"])


def insert_key(db: sqlite3.Connection, meter: int, key: MeterKey) -> None:
    """Add a key of the meter with row number `meter`."""
    values = asdict(key) | {"meter": meter, "since": iso_text(key.since)}
    db.execute(
        "INSERT INTO keys VALUES (:meter, :number, :dkga, :kt, :sgc, :ti, :krn, :ken, :bdt,"
        " :given, :since)",
        values,
    )


def key_of_row(row: sqlite3.Row) -> MeterKey:
    """Return the key in a row of the table `keys`."""
    return MeterKey(
        number=row["number"],
        dkga=row["dkga"],
        kt=row["kt"],
        sgc=row["sgc"],
        ti=row["ti"],
        krn=row["krn"],
        ken=row["ken"],
        bdt=row["bdt"],
        since=_parse_iso(row["since"]),
        given=row["given"],
    )


def keys_of(db: sqlite3.Connection, name: str) -> list[MeterKey]:
    """Return the keys of a meter, newest first."""
    rows = db.execute(
        "SELECT keys.* FROM keys JOIN meters ON meters.id = keys.meter"
        " WHERE name = ? ORDER BY number DESC",
        (name,),
    )
    return [key_of_row(row) for row in rows]


def record_of(db: sqlite3.Connection, name: str) -> MeterRecord:
    """Return a meter with its newest key; raise VendingError if there is none of this name."""
    row = db.execute("SELECT * FROM meters WHERE name = ?", (name,)).fetchone()
    if row is None:
        known = [r["name"] for r in db.execute("SELECT name FROM meters ORDER BY name LIMIT 9")]
        hint = f"; it has {', '.join(known)}" if known else "; it is empty, see: jeton new"
        drn = with_zeros(name) if name.isascii() and name.isdigit() else ""
        near = db.execute("SELECT name FROM meters WHERE drn = ?", (drn,)).fetchone()
        if near:
            hint = (
                f"; a spreadsheet or a program may have removed leading zeros: meter "
                f"{near['name']} has the number {drn}"
            )
        raise VendingError(f"the point of sale has no meter {name!r}{hint}")
    key, *earlier = db.execute(
        "SELECT * FROM keys WHERE meter = ? ORDER BY number DESC", (row["id"],)
    )
    present = next((old for old in earlier if old["number"] == row["present"]), key)
    return MeterRecord(
        name=row["name"],
        drn=row["drn"],
        ea=row["ea"],
        tables=row["tables"],
        kct=row["kct"],
        mfr_code=row["mfr_code"],
        profile=row["profile"],
        made=date.fromisoformat(row["made"]),
        key=key_of_row(key),
        present=key_of_row(present),
    )


def issued_of_row(db: sqlite3.Connection, row: sqlite3.Row) -> Issued:
    """Return the token in a row of the table `issues`, joined with the meter name as `owner`."""
    meter = record_of(db, row["owner"])
    key = key_of_row(
        db.execute(
            "SELECT * FROM keys WHERE meter = ? AND number = ?", (row["meter"], row["key"])
        ).fetchone()
    )
    fields = json.loads(row["fields"])
    section = fields.pop("section", None)
    return Issued(
        meter=meter.name,
        drn=meter.drn,
        token=row["token"],
        cls=row["cls"],
        sub=row["sub"],
        name=tokens.layout(row["cls"], row["sub"], meter.ea)[0],
        what=row["what"],
        tid=row["tid"],
        issued=None if row["tid"] is None else tid.tid_time(row["tid"], row["bdt"]),
        at=_parse_iso(row["at"]),
        fields=fields,
        key=key,
        section=section,
    )


def _parse_iso(text: str) -> datetime:
    return datetime.fromisoformat(text)

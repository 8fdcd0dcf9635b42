"""What the vending service does behind its addresses: orders, each done once, and faults."""

import json
import math
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from jeton.sts import tokens as layouts
from jeton_host.errors import BusyError, VendingError
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterRecord
from jeton_host.vending.service.messages import Faults, KeyChange, Management, Purchase

_ORDERS = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    idempotency TEXT UNIQUE,
    kind TEXT NOT NULL,
    meter TEXT NOT NULL,
    asked TEXT NOT NULL,
    answer TEXT NOT NULL
)
"""


def read_faults(given: Mapping[str, Any]) -> Faults:
    """Return faults from their names and values; raise VendingError if one is not valid."""
    try:
        return Faults(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise VendingError(
            f"fault {name} is not valid: {first['msg'].lower()}; the faults are "
            + ", ".join(Faults.model_fields)
        ) from None


class Refused(Exception):
    """A request that the service refuses, with an HTTP status and headers."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None):
        super().__init__(why)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(slots=True)
class ActiveFaults:
    """The faults that are set now; counted faults are used up. Safe for several threads."""

    faults: Faults = field(default_factory=Faults)
    _until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, faults: Faults) -> Faults:
        """Replace the faults, from now on; return them."""
        with self._lock:
            self.faults = faults.model_copy()
            self._until = time.monotonic() + faults.out_of_service_s
        return self.shown()

    def shown(self) -> Faults:
        """Return the faults that are set, with the remaining seconds of an outage."""
        with self._lock:
            left = max(0.0, self._until - time.monotonic())
            return self.faults.model_copy(update={"out_of_service_s": round(left, 3)})

    def out_of_service(self) -> int | None:
        """Return after how many seconds to retry during an outage; None: serve the request."""
        with self._lock:
            left = self._until - time.monotonic()
            if left > 0:
                return math.ceil(left)
            return self.faults.retry_after_s if self._use("out_of_service_requests") else None

    def use_one(self, name: str) -> bool:
        """Use one of a counted fault; return whether one was left."""
        with self._lock:
            return self._use(name)

    def _use(self, name: str) -> bool:
        left: int = getattr(self.faults, name)
        setattr(self.faults, name, max(0, left - 1))
        return left > 0


class Backend:
    """The operations of the service on a point of sale."""

    def __init__(self, pos: PointOfSale, active_faults: ActiveFaults):
        self.pos = pos
        self.active_faults = active_faults
        with pos.together() as db:
            db.execute(_ORDERS)

    def meter(self, text: str) -> MeterRecord:
        """Return a meter by name, DRN or PAN; raise Refused (404) if there is none."""
        try:
            return self.pos.find_meter(text)
        except BusyError:
            raise
        except VendingError as error:
            raise Refused(404, str(error)) from None

    def order(
        self,
        kind: str,
        meter: str,
        asked: BaseModel,
        key: str | None,
        do: Callable[[], dict[str, Any]],
    ) -> JSONResponse:
        """Do an order once for each idempotency key, and return the answer."""
        if self.active_faults.faults.ignore_idempotency:
            key = None
        request = json.dumps([kind, meter, asked.model_dump(mode="json")], sort_keys=True)
        with self.pos.together() as db:
            found = db.execute("SELECT * FROM orders WHERE idempotency = ?", (key,)).fetchone()
            if found is not None and found["asked"] != request:
                raise Refused(
                    422, "this Idempotency-Key was used for another order: use a new one"
                )
            answer = json.loads(found["answer"]) if found else self._new(db, kind, meter, do)
            if not found:
                row = (answer["id"], key, kind, meter, request, json.dumps(answer))
                db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", row)
        if self.active_faults.use_one("lost_answers"):
            raise Refused(504, "the vending service gave no answer in time")
        headers = {"Idempotent-Replayed": "true"} if found else {}
        return JSONResponse(answer, 200 if found else 201, headers)

    def _new(
        self, db: sqlite3.Connection, kind: str, meter: str, do: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        answer = {"id": secrets.token_hex(16)} | do()
        if kind == "purchase":
            before = db.execute(
                "SELECT answer FROM orders WHERE kind = ? AND meter = ? ORDER BY rowid DESC",
                (kind, meter),
            ).fetchone()
            if before is not None and self.active_faults.use_one("repeated_tokens"):
                last = json.loads(before["answer"])
                answer |= {name: last[name] for name in ("token", "grouped", "tid")}
        return answer

    def buy(self, meter: MeterRecord, order: Purchase) -> dict[str, Any]:
        """Sell credit for a meter."""
        keys = self.pos.keys_of(meter.name)
        old = keys[1] if self.active_faults.faults.old_key and len(keys) > 1 else None
        old = None if order.krn is not None else old
        issued = self.pos.credit(
            meter.name,
            str(order.kwh),
            at=order.at,
            key=old,
            krn=order.krn,
            anyway=order.anyway,
        )
        return {
            "kwh": str(layouts.amount_value(issued.fields["amount"]) / 10),
            "paid": order.paid,
        } | issued_answer(issued)

    def manage(self, meter: MeterRecord, order: Management) -> dict[str, Any]:
        """Issue a management token for a meter."""
        pos, name, value, at, krn = self.pos, meter.name, order.value, order.at, order.krn
        if order.kind == "test":
            tests = value if isinstance(value, list) else [_whole(value)]
            return issued_answer(pos.test(name, tests, at=at, anyway=order.anyway))
        if isinstance(value, list):
            raise VendingError(f"the value of {order.kind} must not be a list")
        if order.kind == "power-limit":
            return issued_answer(pos.power_limit(name, _whole(value), at=at, krn=krn))
        if order.kind == "unbalance-limit":
            return issued_answer(pos.unbalance_limit(name, _whole(value), at=at, krn=krn))
        if order.kind == "tariff":
            return issued_answer(pos.tariff(name, _whole(value), at=at, krn=krn))
        if order.kind == "clear-credit":
            register = "electricity" if value is None else value
            return issued_answer(
                pos.clear_credit(name, register, at=at, krn=krn, anyway=order.anyway)
            )
        return issued_answer(pos.clear_tamper(name, at=at, krn=krn))

    def change(self, meter: MeterRecord, order: KeyChange) -> dict[str, Any]:
        """Issue a key change for a meter."""
        sections = self.pos.key_change(meter.name, **order.model_dump())
        return {
            "meter": meter.name,
            "drn": meter.drn,
            "tokens": [section.token for section in sections],
            "grouped": [section.grouped for section in sections],
            "from": sections[0].key.as_dict(),
            "to": self.pos.meter(meter.name).key.as_dict(),
        }

    def orders(self, kind: str, **where: str) -> list[dict[str, Any]]:
        """Return the orders of a kind, oldest first."""
        with self.pos.together() as db:
            query = "SELECT answer FROM orders WHERE kind = ?"
            for name in where:
                query += f" AND {name} = ?"
            rows = db.execute(query + " ORDER BY rowid", (kind, *where.values())).fetchall()
        return [json.loads(row["answer"]) for row in rows]


def issued_answer(issued: Issued) -> dict[str, Any]:
    """Return an issued token as an answer of the service."""
    return issued.as_dict() | {"grouped": issued.grouped}


def _whole(value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise VendingError("the value must be a whole number")
    return int(text)

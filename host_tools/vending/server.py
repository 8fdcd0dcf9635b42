"""A vending service over HTTP for tests: a point of sale that can be told to fail.

It vends with the published test keys unless told otherwise. What may be asked of it twice takes an
Idempotency-Key: the answer to a key is written in the transaction that issues the token, so that
neither a retry nor a crash brings a second one. Whoever reaches it may vend, and set its faults.
"""

import asyncio
import contextlib
import csv
import io
import json
import math
import secrets
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal, Self

from host_tools import __version__
from host_tools.errors import BusyError, JetonError, VendingError
from host_tools.vending.explain import explain
from host_tools.vending.keys import VendingKeys
from host_tools.vending.pos import BUSY_S, Issued, MeterRecord, PointOfSale
from jeton.sts import tokens as layouts
from jeton.sts.results import NAMES, SECTION

try:
    import uvicorn
    from fastapi import APIRouter, Body, FastAPI, Header, Query, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.openapi.docs import get_swagger_ui_html
    from fastapi.responses import HTMLResponse, JSONResponse
    from fastapi.staticfiles import StaticFiles
    from pydantic import (
        BaseModel,
        ConfigDict,
        Field,
        StrictBool,
        StrictFloat,
        StrictInt,
        ValidationError,
    )
    from starlette.exceptions import HTTPException
    from swagger_ui_bundle import swagger_ui_path
except ImportError as error:
    raise VendingError(
        f"the vending service needs {error.name}: pip install 'jeton[server]'"
    ) from None

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
_ALWAYS = ("/admin", "/docs", "/openapi.json", "/static")  # also when it is out of service
_START_S = 10.0
_LONGEST_S = 3600.0

Text = Annotated[str, Field(max_length=200)]
Number = Annotated[str, Field(max_length=64)] | StrictInt | StrictFloat
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Asked again under the same key, it gives the same answer and does nothing.",
    ),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewMeter(_Model):
    """A meter to register; what is left out is as in `jeton new`."""

    name: Text | None = Field(default=None, description="By default its number.")
    drn: Text | None = Field(default=None, description="11 or 13 digits; by default the next one.")
    ea: int = 7
    dkga: int | None = None
    sgc: Text = "201457"
    ti: int = 1
    krn: int = 1
    kt: int = 2
    bdt: Text = "14"
    ken: int = 255
    kct: int | None = None
    profile: Text = "generic"
    made: date | None = None


class Purchase(_Model):
    """A purchase of energy."""

    kwh: Number = Field(description="What lies between steps of a token is rounded up.")
    paid: Text | None = Field(default=None, description="Kept as it is.")
    at: datetime | None = Field(
        default=None, description="When the token is issued, now by default."
    )


class KeyChange(_Model):
    """A key change; what is left out stays as it is."""

    krn: int | None = None
    bdt: Text | None = None
    ti: int | None = None
    sgc: Text | None = None
    ken: int | None = None
    kt: int | None = None
    dkga: int | None = None
    three: bool | None = None
    at: datetime | None = None


class Management(_Model):
    """A management token; `value` is W, a register, a rate or a list of tests, by its kind."""

    kind: Literal[
        "power-limit", "unbalance-limit", "clear-credit", "clear-tamper", "tariff", "test"
    ]
    value: Text | int | list[int] | None = None
    at: datetime | None = None


_Wh = Annotated[StrictInt, Field(ge=-(10**15), le=10**15)]
_Tid = Annotated[StrictInt, Field(ge=0, lt=1 << 24)]


class MeterStatus(BaseModel):
    """What a meter shows, as far as it says why a token is refused; the rest is not looked at."""

    krn: Annotated[StrictInt, Field(ge=0, le=9)] = 1
    kt: Annotated[StrictInt, Field(ge=0, le=3)] = 2
    ti: Annotated[StrictInt, Field(ge=0, le=99)] = 1
    ken: Annotated[StrictInt, Field(ge=0, le=255)] = 255
    kct: Annotated[StrictInt, Field(ge=0, le=4)] = 2
    sgc: Annotated[str, Field(pattern="^[0-9]{6}$")] = "000000"
    bdt: Literal["93", "14", "35"] | None = None
    profile: Text | None = None
    clock: datetime | None = None
    lock_until: datetime | None = None
    tamper: StrictBool = False
    credit_wh: _Wh = 0
    emergency_debt_wh: _Wh = 0
    advance_debt_wh: _Wh = 0
    tid_newest: _Tid | None = None
    tid_oldest: _Tid | None = None
    pending: list[StrictInt] = []

    def shown(self) -> dict[str, Any]:
        """Return what was said, as `Status.as_dict` has it."""
        found = self.model_dump(exclude_unset=True)
        for name in ("clock", "lock_until"):
            if moment := found.get(name):
                zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                found[name] = zoned.isoformat()
        if "credit_wh" in found:  # with what is owed, it says whether more can be held
            found = {"emergency_debt_wh": 0, "advance_debt_wh": 0} | found
        return found


class Question(_Model):
    """A token to explain, for a meter if one is named."""

    token: Text
    meter: Text | None = None
    status: MeterStatus | None = Field(
        None, description="What the meter shows (`jeton status --json`): then the answer is sure."
    )


class Faults(_Model):
    """What goes wrong with the service; each is off by default."""

    out_of_service_s: float = Field(
        default=0, ge=0, le=_LONGEST_S, description="From now on 503, for so long."
    )
    out_of_service_requests: int = Field(
        default=0, ge=0, le=1_000_000, description="503 to so many requests."
    )
    retry_after_s: int = Field(
        default=1, ge=0, le=3600, description="Retry-After, where it counts requests."
    )
    slow_s: float = Field(
        default=0, ge=0, le=60, description="Each answer is late by that, and done in time."
    )
    lost_answers: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="So many orders are done, and answered with 504.",
    )
    repeated_tokens: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="So many purchases are answered with the token of the meter's last one.",
    )
    ignore_idempotency: bool = Field(
        default=False, description="An order that is repeated is done again."
    )
    old_key: bool = Field(
        default=False, description="It vends on the key before the last key change."
    )


class Error(BaseModel):
    """What was wrong, in one line."""

    error: str


class Health(BaseModel):
    """That it serves."""

    status: Literal["ok"]
    version: str
    meters: int


class KeyIdentity(BaseModel):
    """What identifies a decoder key."""

    dkga: int
    kt: int
    sgc: str
    ti: int
    krn: int
    ken: int
    bdt: str


class MeterAnswer(KeyIdentity):
    """A meter, and the key that its next token is for."""

    name: str
    drn: str
    pan: str
    ea: int
    tables: str
    kct: int
    mfr_code: int
    profile: str
    made: date


class Registered(MeterAnswer):
    """A meter that was registered."""

    id: str


class TokenAnswer(BaseModel):
    """A token that was issued; those for any meter name no key."""

    meter: str
    drn: str
    token: str
    grouped: str
    cls: int = Field(alias="class")
    subclass: int
    name: str
    what: str
    rounded_from: str | None
    at: str
    tid: int | None
    issued: str | None
    fields: dict[str, Any]
    section: int | None = Field(default=None, description="Of a key change, from 1.")
    dkga: int | None = None
    kt: int | None = None
    sgc: str | None = None
    ti: int | None = None
    krn: int | None = None
    ken: int | None = None
    bdt: str | None = None
    test_key: bool | None = None


class Issue(TokenAnswer):
    """A token that was ordered."""

    id: str


class Sale(Issue):
    """A purchase."""

    kwh: str = Field(description="What the token brings.")
    paid: str | None


class KeyChanged(BaseModel):
    """The tokens of a key change, in order."""

    id: str
    meter: str
    drn: str
    tokens: list[str]
    grouped: list[str]
    before: KeyIdentity = Field(alias="from")
    after: KeyIdentity = Field(alias="to")


class GuessAnswer(BaseModel):
    """What a token under no known key may be."""

    cause: str
    text: str
    sure: bool
    plausible: bool


class CaseAnswer(BaseModel):
    """What comes of a token if so many key changes were entered."""

    condition: str = Field(alias="if")
    result: str | None
    cause: str
    text: str


class Explained(BaseModel):
    """What a token is and what becomes of it."""

    summary: str
    result: str | None
    cause: str
    details: list[str]
    meter: str | None
    issued: str | None
    cls: int | None = Field(default=None, alias="class")
    subclass: int | None = None
    name: str | None = None
    fields: dict[str, Any] | None = None
    guesses: list[GuessAnswer] | None = None
    cases: list[CaseAnswer] | None = None


_Responses = dict[int | str, dict[str, Any]]


def _errors(*which: int) -> _Responses:
    said = {
        404: "There is no such thing",
        422: "It will not do",
        503: "Out of service, or its file is locked: again after Retry-After",
        504: "No answer in time; what was ordered may be done",
    }
    return {status: {"model": Error, "description": said[status]} for status in which}


def _once(model: type[BaseModel]) -> _Responses:
    again = {"model": model, "description": "Done before, under this Idempotency-Key"}
    return {200: again} | _errors(504)


def read_faults(given: Mapping[str, Any]) -> Faults:
    """Return the faults by their names, or raise VendingError."""
    try:
        return Faults(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise VendingError(
            f"fault {name} will not do: {first['msg'].lower()}; there are "
            + ", ".join(Faults.model_fields)
        ) from None


class _Refused(Exception):
    """An answer other than what was asked for."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None):
        super().__init__(why)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(slots=True)
class _Trouble:
    """The faults that are set, as they are used up; safe across threads."""

    faults: Faults = field(default_factory=Faults)
    _until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, faults: Faults) -> Faults:
        with self._lock:
            self.faults = faults.model_copy()
            self._until = time.monotonic() + faults.out_of_service_s
        return self.shown()

    def shown(self) -> Faults:
        with self._lock:
            left = max(0.0, self._until - time.monotonic())
            return self.faults.model_copy(update={"out_of_service_s": round(left, 3)})

    def out_of_service(self) -> int | None:
        """Return the seconds to retry after where this request is not served, else None."""
        with self._lock:
            left = self._until - time.monotonic()
            if left > 0:
                return math.ceil(left)
            return self.faults.retry_after_s if self._use("out_of_service_requests") else None

    def strikes(self, name: str) -> bool:
        """Use up one of a fault that is counted; return whether there was one."""
        with self._lock:
            return self._use(name)

    def _use(self, name: str) -> bool:
        left: int = getattr(self.faults, name)
        setattr(self.faults, name, max(0, left - 1))
        return left > 0


class _Shop:
    """What the service does, behind its addresses."""

    def __init__(self, pos: PointOfSale, trouble: _Trouble):
        self.pos = pos
        self.trouble = trouble
        with pos.together() as db:
            db.execute(_ORDERS)

    def meter(self, text: str) -> MeterRecord:
        try:
            return self.pos.find_meter(text)
        except BusyError:
            raise
        except VendingError as error:
            raise _Refused(404, str(error)) from None

    def order(
        self,
        kind: str,
        meter: str,
        asked: BaseModel,
        key: str | None,
        do: Callable[[], dict[str, Any]],
    ) -> JSONResponse:
        """Do what is asked for, once for each idempotency key, and answer."""
        if self.trouble.faults.ignore_idempotency:
            key = None
        request = json.dumps([kind, meter, asked.model_dump(mode="json")], sort_keys=True)
        with self.pos.together() as db:
            found = db.execute("SELECT * FROM orders WHERE idempotency = ?", (key,)).fetchone()
            if found is not None and found["asked"] != request:
                raise _Refused(
                    422, "this Idempotency-Key was used for another order: take a new one"
                )
            answer = json.loads(found["answer"]) if found else self._new(db, kind, meter, do)
            if not found:
                row = (answer["id"], key, kind, meter, request, json.dumps(answer))
                db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", row)
        if self.trouble.strikes("lost_answers"):
            raise _Refused(504, "the vending service gave no answer in time")
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
            if before is not None and self.trouble.strikes("repeated_tokens"):
                last = json.loads(before["answer"])
                answer |= {name: last[name] for name in ("token", "grouped", "tid")}
        return answer

    def buy(self, meter: MeterRecord, order: Purchase) -> dict[str, Any]:
        keys = self.pos.keys_of(meter.name)
        old = keys[1] if self.trouble.faults.old_key and len(keys) > 1 else None
        issued = self.pos.credit(meter.name, str(order.kwh), at=order.at, key=old)
        return {
            "kwh": str(layouts.amount_value(issued.fields["amount"]) / 10),
            "paid": order.paid,
        } | _told(issued)

    def manage(self, meter: MeterRecord, order: Management) -> dict[str, Any]:
        pos, name, value, at = self.pos, meter.name, order.value, order.at
        if order.kind == "test":
            tests = value if isinstance(value, list) else [_whole(value)]
            return _told(pos.test(name, tests, at=at))
        if isinstance(value, list):
            raise VendingError(f"the value of {order.kind} is no list")
        if order.kind == "power-limit":
            return _told(pos.power_limit(name, _whole(value), at=at))
        if order.kind == "unbalance-limit":
            return _told(pos.unbalance_limit(name, _whole(value), at=at))
        if order.kind == "tariff":
            return _told(pos.tariff(name, _whole(value), at=at))
        if order.kind == "clear-credit":
            return _told(pos.clear_credit(name, "electricity" if value is None else value, at=at))
        return _told(pos.clear_tamper(name, at=at))

    def change(self, meter: MeterRecord, order: KeyChange) -> dict[str, Any]:
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


def _told(issued: Issued) -> dict[str, Any]:
    return issued.as_dict() | {"grouped": issued.grouped}


def _whole(value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise VendingError("the value must be a whole number")
    return int(text)


def issued_csv(entries: Sequence[Issued], records: Mapping[str, MeterRecord]) -> str:
    """Return tokens, oldest first, as a file for `jeton check-tokens`.

    Each is expected to do what it was issued for. A meter is described with the key of its first
    token: the key changes are among the rows.
    """
    out = io.StringIO(newline="")
    sheet = csv.writer(out)
    setup = ("dkga", "sgc", "ti", "krn", "kt", "ken", "bdt")
    sheet.writerow(["meter", "token", "expected kWh", "expected result", "ea", *setup])
    first: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        record = records[entry.meter]
        if entry.meter not in first:
            own = (e.key for e in entries[number:] if e.meter == entry.meter and e.cls != 1)
            first[entry.meter] = next(own, record.key).as_dict()
        kwh, result = "", NAMES[1]
        if (entry.cls, entry.sub) == (0, 0):
            kwh, result = str(layouts.amount_value(entry.fields["amount"]) / 10), ""
        elif entry.section is not None:
            later = (e for e in entries[number + 1 :] if e.meter == entry.meter)
            after = next(later, None)
            if after is not None and after.section and after.key.number == entry.key.number:
                result = NAMES[SECTION[entry.section - 1]]
        row = [entry.drn, entry.token, kwh, result, record.ea]
        sheet.writerow([*row, *(first[entry.meter][name] for name in setup)])
    return out.getvalue()


_TYPES = {
    "string": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
    "literal": "{expected}",
    "date": "a date such as 2026-01-31",
    "datetime": "a time such as 2026-01-31T07:20:00Z",
}
_WRONG = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "json_invalid": "it is no JSON",
    "string_too_long": "must be at most {max_length} characters long",
    "string_too_short": "must be at least {min_length} character long",
    "string_pattern_mismatch": "must be 6 digits",  # a supply group code: there is no other
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be below {lt:g}",
    "finite_number": "must be a finite number",
}


def _field(error: Mapping[str, Any]) -> str:
    """Return the field that is wrong, without which of its types it is not."""
    parts = [part for part in error["loc"][1:] if isinstance(part, str)]
    return ".".join(parts[: 2 if parts[:1] == ["status"] else 1]) or "the body"


def _misshaped(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return in one line what is wrong with the first field that is."""
    where = _field(errors[0])
    types: dict[str, None] = {}
    for error in errors:
        if _field(error) != where:
            continue
        kind, about = str(error["type"]), error.get("ctx", {})
        if kind in _WRONG:
            return f"{where}: {_WRONG[kind].format_map(about)}"
        name = kind.split("_")[0]
        types.setdefault(_TYPES.get(name, "as /docs has it").format_map(about))
    if _TYPES["float"] in types:
        types.pop(_TYPES["int"], None)
    return f"{where}: must be {' or '.join(types)}"


def make_app(pos: PointOfSale, trouble: _Trouble | None = None) -> FastAPI:
    """Return the service over a point of sale."""
    shop = _Shop(pos, trouble or _Trouble())
    app = FastAPI(
        title="Jeton vending service",
        version=__version__,
        description="Issues STS tokens under test keys, and fails as it is told to.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.ending = asyncio.Event()  # then no answer is late any more
    app.mount("/static", StaticFiles(directory=swagger_ui_path), name="static")

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/static/swagger-ui-bundle.js",
            swagger_css_url="/static/swagger-ui.css",
            swagger_favicon_url="/static/favicon-32x32.png",
            swagger_ui_parameters={"validatorUrl": None},
        )

    @app.exception_handler(_Refused)
    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, _Refused)
        return JSONResponse({"error": str(error)}, error.status, error.headers)

    @app.exception_handler(JetonError)
    def wrong(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(BusyError)
    def busy(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": "1"})

    @app.exception_handler(RequestValidationError)
    def misshaped(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"error": _misshaped(error.errors())[:300]}, 422)

    @app.exception_handler(HTTPException)
    def none_such(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        said = {404: "there is no such address", 405: f"it does not take {request.method}"}
        why = said.get(error.status_code, str(error.detail))
        return JSONResponse({"error": why}, error.status_code, error.headers)

    @app.middleware("http")
    async def fail(request: Request, serve: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path.startswith(_ALWAYS):
            return await serve(request)
        wait_s = shop.trouble.out_of_service()
        if wait_s is None:
            answer = await serve(request)
        else:
            said = {"error": f"out of service: try again in {wait_s} s"}
            answer = JSONResponse(said, 503, {"Retry-After": str(wait_s)})
        if late_s := shop.trouble.faults.slow_s:  # what was asked for is done by now
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(app.state.ending.wait(), late_s)
        return answer

    _add_meters(app, shop)
    _add_tokens(app, shop)
    _add_admin(app, shop)
    return app


def _add_meters(app: FastAPI, shop: _Shop) -> None:
    routes = APIRouter(tags=["meters and orders"], responses=_errors(422, 503))
    pos = shop.pos

    @routes.get("/health", summary="Say whether it serves", response_model=Health)
    def health() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "meters": len(pos.meters())}

    @routes.post(
        "/meters",
        status_code=201,
        summary="Register a meter",
        response_model=Registered,
        responses=_once(Registered),
    )
    def add_meter(order: NewMeter, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        def do() -> dict[str, Any]:
            wanted = order.model_dump()
            name, drn = wanted.pop("name"), wanted.pop("drn")
            return pos.add_meter(name or drn or pos.next_drn(), drn=drn, **wanted).as_dict()

        return shop.order("meter", order.name or order.drn or "", order, idempotency_key, do)

    @routes.get("/meters", summary="List the meters", response_model=list[MeterAnswer])
    def list_meters() -> list[dict[str, Any]]:
        return [record.as_dict() for record in pos.meters()]

    @routes.get(
        "/meters/{meter}",
        summary="Show a meter, by name, DRN or PAN",
        response_model=MeterAnswer,
        responses=_errors(404),
    )
    def show_meter(meter: str) -> dict[str, Any]:
        return shop.meter(meter).as_dict()

    @routes.post(
        "/meters/{meter}/purchases",
        status_code=201,
        summary="Sell energy",
        response_model=Sale,
        responses=_once(Sale) | _errors(404),
    )
    def purchase(
        meter: str, order: Purchase, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        record = shop.meter(meter)
        return shop.order(
            "purchase", record.name, order, idempotency_key, lambda: shop.buy(record, order)
        )

    @routes.get(
        "/meters/{meter}/purchases",
        summary="List what was sold to a meter",
        response_model=list[Sale],
        response_model_exclude_unset=True,
        responses=_errors(404),
    )
    def purchases(meter: str) -> list[dict[str, Any]]:
        return shop.orders("purchase", meter=shop.meter(meter).name)

    @routes.get(
        "/purchases/{number}",
        summary="Look a purchase up",
        response_model=Sale,
        response_model_exclude_unset=True,
        responses=_errors(404),
    )
    def look_up(number: str) -> dict[str, Any]:
        found = shop.orders("purchase", id=number)
        if not found:
            raise _Refused(404, "there is no such purchase")
        return found[0]

    @routes.post(
        "/meters/{meter}/key-change",
        status_code=201,
        summary="Change a meter's key",
        response_model=KeyChanged,
        responses=_once(KeyChanged) | _errors(404),
    )
    def key_change(
        meter: str, order: KeyChange, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        record = shop.meter(meter)
        return shop.order(
            "key-change", record.name, order, idempotency_key, lambda: shop.change(record, order)
        )

    @routes.post(
        "/meters/{meter}/management",
        status_code=201,
        summary="Issue another token",
        response_model=Issue,
        responses=_once(Issue) | _errors(404),
    )
    def management(
        meter: str, order: Management, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        record = shop.meter(meter)
        return shop.order(
            "management", record.name, order, idempotency_key, lambda: shop.manage(record, order)
        )

    app.include_router(routes)


def _add_tokens(app: FastAPI, shop: _Shop) -> None:
    routes = APIRouter(tags=["tokens"], responses=_errors(422, 503))
    Meter = Annotated[str | None, Query(description="Of this meter only.")]

    def entries(meter: str | None, token: str | None = None) -> list[Issued]:
        name = None if meter is None else shop.meter(meter).name
        return shop.pos.issued(name, token=token)

    @routes.get(
        "/tokens",
        summary="List what was issued, oldest first",
        response_model=list[TokenAnswer],
        response_model_exclude_unset=True,
        responses=_errors(404),
    )
    def list_tokens(meter: Meter = None, token: str | None = None) -> list[dict[str, Any]]:
        return [_told(entry) for entry in entries(meter, token)]

    @routes.get(
        "/tokens.csv",
        summary="What was issued, as a file for jeton check-tokens",
        response_class=Response,
        responses=_errors(404) | {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    def table(meter: Meter = None) -> Response:
        records = {record.name: record for record in shop.pos.meters()}
        return Response(issued_csv(entries(meter), records), media_type="text/csv")

    @routes.post(
        "/explain",
        summary="Say what a token is, and why a meter would refuse it",
        response_model=Explained,
        response_model_exclude_unset=True,
        responses=_errors(404),
    )
    def why(question: Annotated[Question, Body()]) -> dict[str, Any]:
        name = None if question.meter is None else shop.meter(question.meter).name
        status = question.status.shown() if question.status else {}
        return explain(question.token, pos=shop.pos, meter=name, status=status).as_dict()

    app.include_router(routes)


def _add_admin(app: FastAPI, shop: _Shop) -> None:
    routes = APIRouter(prefix="/admin", tags=["faults, for tests"], responses=_errors(422))

    @routes.get("/faults", summary="Show what goes wrong")
    def faults() -> Faults:
        return shop.trouble.shown()

    @routes.put("/faults", summary="Let things go wrong; what is left out goes well")
    def set_faults(wanted: Faults) -> Faults:
        return shop.trouble.set(wanted)

    @routes.delete("/faults", summary="Let all go well")
    def clear_faults() -> Faults:
        return shop.trouble.set(Faults())

    app.include_router(routes)


class _Server(uvicorn.Server):
    """Says when it has started, and keeps nobody waiting for an answer when it ends."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event):
        super().__init__(config)
        self.ready = threading.Event()
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending.set()
        await super().shutdown(sockets=sockets)


class VendServer:
    """The service in a thread of this program; a context manager.

    `path`: its SQLite file, by default a temporary one. `port`: 0 takes a free one; `url` has it.
    `keys`: the vending keys to use, by default those of $JETON_KEYS and the published test keys.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: VendingKeys | None = None,
        faults: Faults | None = None,
    ):
        self._ends = contextlib.ExitStack()
        self._wanted = path
        self._address = (host, port)
        self._keys = keys
        self._trouble = _Trouble()
        self._trouble.set(faults or Faults())
        self.url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Begin to serve; `url` is then known."""
        with contextlib.ExitStack() as ends:
            path = self._wanted
            if path is None:
                folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="jeton-"))
                path = Path(folder) / "pos.sqlite"
            self.pos = PointOfSale(path, keys=self._keys)
            app = make_app(self.pos, self._trouble)
            line = ends.enter_context(_listen(*self._address))
            ends.enter_context(_serving(app, line))
            host, port = line.getsockname()[:2]
            self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            self._ends = ends.pop_all()
        return self

    def set_faults(self, **faults: Any) -> None:
        """Let things go wrong, by the names of Faults; what is left out goes well."""
        self._trouble.set(read_faults(faults))

    def close(self) -> None:
        """Answer what was asked, then end; a temporary file is gone then."""
        self._ends.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError, TypeError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise VendingError(f"the vending service cannot listen at {host}:{port}: {why}") from None


@contextlib.contextmanager
def _serving(app: FastAPI, line: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        # An order may have to wait for the file; after that it is answered.
        timeout_graceful_shutdown=math.ceil(BUSY_S) + 5,
    )
    server = _Server(config, app.state.ending)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [line]}, name="jeton-vend-server", daemon=True
    )
    thread.start()
    try:
        if not server.ready.wait(_START_S):
            raise VendingError("the vending service does not start")
        yield
    finally:
        server.should_exit = True
        thread.join()

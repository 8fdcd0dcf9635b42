"""A vending service over HTTP for tests: a point of sale with faults that a test can set.

By default it vends with the published test keys. Requests that issue something accept an
Idempotency-Key: the answer is saved under this key in the transaction that issues the token, so
that neither a retry nor a crash issues a second one. There is no access control: any client can
vend and set faults.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from jeton_host import __version__
from jeton_host.errors import BusyError, JetonError, UnusableError
from jeton_host.vending.explain import Receipt, explain
from jeton_host.vending.issued_csv import issued_csv
from jeton_host.vending.pan import padded
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued
from jeton_host.vending.service.backend import ActiveFaults, Backend, Refused, issued_answer
from jeton_host.vending.service.messages import (
    Entered,
    Explained,
    Faults,
    Health,
    IdempotencyKey,
    Issue,
    KeyChange,
    KeyChanged,
    Management,
    MeterAnswer,
    NewMeter,
    Purchase,
    Question,
    Registered,
    Sale,
    TokenAnswer,
    error_responses,
    idempotency,
)

_ALWAYS = ("/admin", "/docs", "/openapi.json", "/static")  # served also during an outage
_MeterName = Annotated[
    str,
    Path(
        description="Its name, DRN or PAN.",
        openapi_examples={"home": {"value": "home"}},
    ),
]
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
    "json_invalid": "it is not JSON",
    "string_too_long": "must be at most {max_length} characters long",
    "string_too_short": "must be at least {min_length} character long",
    "string_pattern_mismatch": "must be 6 digits",  # the supply group code is the only one
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be below {lt:g}",
    "finite_number": "must be a finite number",
}


def _field(error: Mapping[str, Any]) -> str:
    """Return the name of the wrong field, without the types that pydantic adds to it."""
    parts = [part for part in error["loc"][1:] if isinstance(part, str)]
    return ".".join(parts[: 2 if parts[:1] == ["status"] else 1]) or "the body"


def _invalid_text(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return one line: the first wrong field, and what is wrong with it."""
    where = _field(errors[0])
    types: dict[str, None] = {}
    for error in errors:
        if _field(error) != where:
            continue
        kind, about = str(error["type"]), error.get("ctx", {})
        if kind in _WRONG:
            return f"{where}: {_WRONG[kind].format_map(about)}"
        name = kind.split("_")[0]
        types.setdefault(_TYPES.get(name, "as described in /docs").format_map(about))
    if _TYPES["float"] in types:
        types.pop(_TYPES["int"], None)
    return f"{where}: must be {' or '.join(types)}"


def make_app(pos: PointOfSale, active_faults: ActiveFaults | None = None) -> FastAPI:
    """Return the HTTP application for a point of sale."""
    backend = Backend(pos, active_faults or ActiveFaults())
    # Its page needs no other server: it comes with the files of Swagger UI.
    app = FastAPIOffline(
        title="Jeton vending service",
        version=__version__,
        description="Issues STS tokens under test keys, with faults that a test can set. To try "
        "it, register a meter, then sell energy to it: the examples fit together.",
        redoc_url=None,
        static_url="/static",
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.state.ending = asyncio.Event()  # set at the end: delayed answers are sent at once

    @app.get("/", include_in_schema=False)
    def start() -> RedirectResponse:
        return RedirectResponse("/docs")

    @app.exception_handler(Refused)
    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return JSONResponse({"error": str(error)}, error.status, error.headers)

    @app.exception_handler(JetonError)
    def wrong(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(UnusableError)
    def unusable(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, UnusableError)
        return JSONResponse({"error": str(error.with_way('send "anyway": true'))}, 422)

    @app.exception_handler(BusyError)
    def busy(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": "1"})

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"error": _invalid_text(error.errors())[:300]}, 422)

    @app.exception_handler(HTTPException)
    def none_such(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        texts = {
            404: "there is no such address",
            405: f"this address does not support {request.method}",
        }
        why = texts.get(error.status_code, str(error.detail))
        return JSONResponse({"error": why}, error.status_code, error.headers)

    @app.middleware("http")
    async def fail(request: Request, serve: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path.startswith(_ALWAYS):
            return await serve(request)
        wait_s = backend.active_faults.out_of_service()
        if wait_s is None:
            answer = await serve(request)
        else:
            body = {"error": f"out of service: try again in {wait_s} s"}
            answer = JSONResponse(body, 503, {"Retry-After": str(wait_s)})
        if late_s := backend.active_faults.faults.slow_s:  # the request itself is done by now
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(app.state.ending.wait(), late_s)
        return answer

    _add_meters(app, backend)
    _add_tokens(app, backend)
    _add_admin(app, backend)
    return app


def _add_meters(app: FastAPI, backend: Backend) -> None:
    routes = APIRouter(tags=["meters and orders"], responses=error_responses(422, 503))
    pos = backend.pos

    @routes.get("/health", summary="Show whether the service runs", response_model=Health)
    def health() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, "meters": len(pos.meters())}

    @routes.post(
        "/meters",
        status_code=201,
        summary="Register a meter",
        response_model=Registered,
        responses=idempotency(Registered),
    )
    def add_meter(order: NewMeter, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        def do() -> dict[str, Any]:
            wanted = order.model_dump()
            name, drn = wanted.pop("name"), wanted.pop("drn")
            added = pos.add_meter(name or drn or pos.next_drn(), drn=drn, **wanted)
            warning = padded(added.drn)
            return added.as_dict() | ({"warning": warning} if warning else {})

        return backend.order("meter", order.name or order.drn or "", order, idempotency_key, do)

    @routes.get("/meters", summary="List the meters", response_model=list[MeterAnswer])
    def list_meters() -> list[dict[str, Any]]:
        return [record.as_dict() for record in pos.meters()]

    @routes.get(
        "/meters/{meter}",
        summary="Show a meter, by name, DRN or PAN",
        response_model=MeterAnswer,
        responses=error_responses(404),
    )
    def show_meter(meter: _MeterName) -> dict[str, Any]:
        return backend.meter(meter).as_dict()

    @routes.post(
        "/meters/{meter}/purchases",
        status_code=201,
        summary="Sell energy",
        response_model=Sale,
        responses=idempotency(Sale) | error_responses(404),
    )
    def purchase(
        meter: _MeterName, order: Purchase, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        record = backend.meter(meter)
        return backend.order(
            "purchase", record.name, order, idempotency_key, lambda: backend.buy(record, order)
        )

    @routes.get(
        "/meters/{meter}/purchases",
        summary="List the purchases of a meter",
        response_model=list[Sale],
        response_model_exclude_unset=True,
        responses=error_responses(404),
    )
    def purchases(meter: _MeterName) -> list[dict[str, Any]]:
        return backend.orders("purchase", meter=backend.meter(meter).name)

    @routes.get(
        "/purchases/{number}",
        summary="Show one purchase",
        response_model=Sale,
        response_model_exclude_unset=True,
        responses=error_responses(404),
    )
    def look_up(number: str) -> dict[str, Any]:
        found = backend.orders("purchase", id=number)
        if not found:
            raise Refused(404, "there is no such purchase")
        return found[0]

    @routes.post(
        "/meters/{meter}/key-change",
        status_code=201,
        summary="Change a meter's key",
        response_model=KeyChanged,
        responses=idempotency(KeyChanged) | error_responses(404),
    )
    def key_change(
        meter: _MeterName, order: KeyChange, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        record = backend.meter(meter)
        return backend.order(
            "key-change",
            record.name,
            order,
            idempotency_key,
            lambda: backend.change(record, order),
        )

    @routes.post(
        "/meters/{meter}/key-change/entered",
        summary="Note that the codes of a key change were entered, or which key the meter has",
        response_model=MeterAnswer,
        responses=error_responses(404),
    )
    def entered(meter: _MeterName, order: Entered) -> dict[str, Any]:
        shown = order.model_dump()
        return pos.entered(backend.meter(meter).name, shown.pop("tokens"), **shown).as_dict()

    @routes.post(
        "/meters/{meter}/management",
        status_code=201,
        summary="Issue a management token",
        response_model=Issue,
        responses=idempotency(Issue) | error_responses(404),
    )
    def management(
        meter: _MeterName, order: Management, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        record = backend.meter(meter)
        return backend.order(
            "management",
            record.name,
            order,
            idempotency_key,
            lambda: backend.manage(record, order),
        )

    app.include_router(routes)


def _add_tokens(app: FastAPI, backend: Backend) -> None:
    routes = APIRouter(tags=["tokens"], responses=error_responses(422, 503))
    Meter = Annotated[str | None, Query(description="Only the tokens of this meter.")]

    def entries(meter: str | None, token: str | None = None) -> list[Issued]:
        name = None if meter is None else backend.meter(meter).name
        return backend.pos.issued(name, token=token)

    @routes.get(
        "/tokens",
        summary="List the issued tokens, oldest first",
        response_model=list[TokenAnswer],
        response_model_exclude_unset=True,
        responses=error_responses(404),
    )
    def list_tokens(meter: Meter = None, token: str | None = None) -> list[dict[str, Any]]:
        return [issued_answer(entry) for entry in entries(meter, token)]

    @routes.get(
        "/tokens.csv",
        summary="Return the issued tokens as a file for jeton check-tokens",
        response_class=Response,
        responses=error_responses(404)
        | {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    def table(meter: Meter = None) -> Response:
        records = {record.name: record for record in backend.pos.meters()}
        return Response(issued_csv(entries(meter), records), media_type="text/csv")

    @routes.post(
        "/explain",
        summary="Explain what a token is, and why a meter would refuse it",
        response_model=Explained,
        response_model_exclude_unset=True,
        responses=error_responses(404),
    )
    def why(question: Annotated[Question, Body()]) -> dict[str, Any]:
        name = None if question.meter is None else backend.meter(question.meter).name
        status = question.status.shown() if question.status else {}
        receipt = Receipt(question.sgc, question.krn, question.ti, question.bdt)
        return explain(
            question.token,
            pos=backend.pos,
            meter=name,
            status=status,
            receipt=receipt if receipt.as_dict() else None,
        ).as_dict()

    app.include_router(routes)


def _add_admin(app: FastAPI, backend: Backend) -> None:
    routes = APIRouter(prefix="/admin", tags=["faults, for tests"], responses=error_responses(422))

    @routes.get("/faults", summary="Show the faults that are set")
    def faults() -> Faults:
        return backend.active_faults.shown()

    @routes.put("/faults", summary="Set faults; a fault that is not given is cleared")
    def set_faults(wanted: Faults) -> Faults:
        return backend.active_faults.set(wanted)

    @routes.delete("/faults", summary="Clear all faults")
    def clear_faults() -> Faults:
        return backend.active_faults.set(Faults())

    app.include_router(routes)

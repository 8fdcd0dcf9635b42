"""A vending service over HTTP for tests: a point of sale that can be told to fail.

It vends with the published test keys unless told otherwise. What may be asked of it twice takes an
Idempotency-Key: the answer to a key is written in the transaction that issues the token, so that
neither a retry nor a crash brings a second one. Whoever reaches it may vend, and set its faults.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from swagger_ui_bundle import swagger_ui_path

from jeton_host import __version__
from jeton_host.errors import BusyError, JetonError
from jeton_host.vending.explain import explain
from jeton_host.vending.issued_csv import issued_csv
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued
from jeton_host.vending.service.messages import (
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
from jeton_host.vending.service.shop import Refused, Shop, Trouble, issued_answer

_ALWAYS = ("/admin", "/docs", "/openapi.json", "/static")  # also when it is out of service
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


def make_app(pos: PointOfSale, trouble: Trouble | None = None) -> FastAPI:
    """Return the service over a point of sale."""
    shop = Shop(pos, trouble or Trouble())
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

    @app.exception_handler(Refused)
    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
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


def _add_meters(app: FastAPI, shop: Shop) -> None:
    routes = APIRouter(tags=["meters and orders"], responses=error_responses(422, 503))
    pos = shop.pos

    @routes.get("/health", summary="Say whether it serves", response_model=Health)
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
            return pos.add_meter(name or drn or pos.next_drn(), drn=drn, **wanted).as_dict()

        return shop.order("meter", order.name or order.drn or "", order, idempotency_key, do)

    @routes.get("/meters", summary="List the meters", response_model=list[MeterAnswer])
    def list_meters() -> list[dict[str, Any]]:
        return [record.as_dict() for record in pos.meters()]

    @routes.get(
        "/meters/{meter}",
        summary="Show a meter, by name, DRN or PAN",
        response_model=MeterAnswer,
        responses=error_responses(404),
    )
    def show_meter(meter: str) -> dict[str, Any]:
        return shop.meter(meter).as_dict()

    @routes.post(
        "/meters/{meter}/purchases",
        status_code=201,
        summary="Sell energy",
        response_model=Sale,
        responses=idempotency(Sale) | error_responses(404),
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
        responses=error_responses(404),
    )
    def purchases(meter: str) -> list[dict[str, Any]]:
        return shop.orders("purchase", meter=shop.meter(meter).name)

    @routes.get(
        "/purchases/{number}",
        summary="Look a purchase up",
        response_model=Sale,
        response_model_exclude_unset=True,
        responses=error_responses(404),
    )
    def look_up(number: str) -> dict[str, Any]:
        found = shop.orders("purchase", id=number)
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
        responses=idempotency(Issue) | error_responses(404),
    )
    def management(
        meter: str, order: Management, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        record = shop.meter(meter)
        return shop.order(
            "management", record.name, order, idempotency_key, lambda: shop.manage(record, order)
        )

    app.include_router(routes)


def _add_tokens(app: FastAPI, shop: Shop) -> None:
    routes = APIRouter(tags=["tokens"], responses=error_responses(422, 503))
    Meter = Annotated[str | None, Query(description="Of this meter only.")]

    def entries(meter: str | None, token: str | None = None) -> list[Issued]:
        name = None if meter is None else shop.meter(meter).name
        return shop.pos.issued(name, token=token)

    @routes.get(
        "/tokens",
        summary="List what was issued, oldest first",
        response_model=list[TokenAnswer],
        response_model_exclude_unset=True,
        responses=error_responses(404),
    )
    def list_tokens(meter: Meter = None, token: str | None = None) -> list[dict[str, Any]]:
        return [issued_answer(entry) for entry in entries(meter, token)]

    @routes.get(
        "/tokens.csv",
        summary="What was issued, as a file for jeton check-tokens",
        response_class=Response,
        responses=error_responses(404)
        | {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    def table(meter: Meter = None) -> Response:
        records = {record.name: record for record in shop.pos.meters()}
        return Response(issued_csv(entries(meter), records), media_type="text/csv")

    @routes.post(
        "/explain",
        summary="Say what a token is, and why a meter would refuse it",
        response_model=Explained,
        response_model_exclude_unset=True,
        responses=error_responses(404),
    )
    def why(question: Annotated[Question, Body()]) -> dict[str, Any]:
        name = None if question.meter is None else shop.meter(question.meter).name
        status = question.status.shown() if question.status else {}
        return explain(question.token, pos=shop.pos, meter=name, status=status).as_dict()

    app.include_router(routes)


def _add_admin(app: FastAPI, shop: Shop) -> None:
    routes = APIRouter(prefix="/admin", tags=["faults, for tests"], responses=error_responses(422))

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

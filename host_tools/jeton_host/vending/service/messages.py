"""Requests and answers of the vending service, as pydantic models."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

_MAX_OUTAGE_S = 3600.0

Text = Annotated[str, Field(max_length=200)]
Number = Annotated[str, Field(max_length=64)] | StrictInt | StrictFloat
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A repeated request with the same key gets the same answer and does nothing.",
    ),
]


_KRN = (
    "Issue under the meter's key with this KRN, as long as the codes of a key change are not "
    "entered; by default under the newest key."
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _example(body: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a request with the example that its page shows."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class NewMeter(_Model):
    """A meter to register; the defaults are those of `jeton new`."""

    model_config = _example({"name": "home"})

    name: Text | None = Field(default=None, description="By default the DRN.")
    drn: Text | None = Field(
        default=None, description="11 or 13 digits; by default the next free one."
    )
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

    model_config = _example({"kwh": 12.5})

    kwh: Number = Field(description="Rounded up to an amount that a token can contain.")
    paid: Text | None = Field(default=None, description="Saved without change.")
    krn: int | None = Field(default=None, description=_KRN)
    at: datetime | None = Field(default=None, description="The time of issue; by default now.")
    anyway: bool = Field(
        default=False, description="Issue a token that the meter always refuses, for a test."
    )


class KeyChange(_Model):
    """A key change; a parameter that is not given does not change."""

    model_config = _example({"krn": 2})

    krn: int | None = None
    bdt: Text | None = None
    ti: int | None = None
    sgc: Text | None = None
    ken: int | None = None
    kt: int | None = None
    dkga: int | None = None
    three: bool | None = None
    at: datetime | None = None


class Entered(_Model):
    """Which key a meter has now; without a value, the codes of all key changes were entered."""

    model_config = _example({})

    tokens: list[Text] = Field(default=[], description="The codes that the meter accepted.")
    krn: int | None = Field(default=None, description="What the meter shows; also the next ones.")
    ti: int | None = None
    sgc: Text | None = None
    kt: int | None = None
    ken: int | None = None
    bdt: Text | None = None


class Management(_Model):
    """A management token; `kind` decides whether `value` is W, a register, a rate or tests."""

    model_config = _example({"kind": "power-limit", "value": 5000})

    kind: Literal[
        "power-limit", "unbalance-limit", "clear-credit", "clear-tamper", "tariff", "test"
    ]
    value: Text | int | list[int] | None = None
    krn: int | None = Field(default=None, description=_KRN)
    at: datetime | None = None
    anyway: bool = Field(
        default=False, description="Issue a token that the meter always refuses, for a test."
    )


_Wh = Annotated[StrictInt, Field(ge=-(10**15), le=10**15)]
_Tid = Annotated[StrictInt, Field(ge=0, lt=1 << 24)]


class MeterStatus(BaseModel):
    """The parts of a meter's status that can explain a refused token; others are ignored."""

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
    missing: list[StrictInt] = []
    provisioned: StrictBool = True

    def shown(self) -> dict[str, Any]:
        """Return the given fields, in the format of `Status.as_dict`."""
        found = self.model_dump(exclude_unset=True)
        for name in ("clock", "lock_until"):
            if moment := found.get(name):
                zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                found[name] = zoned.isoformat()
        if "credit_wh" in found:  # credit and debts decide whether the register overflows
            found = {"emergency_debt_wh": 0, "advance_debt_wh": 0} | found
        return found


class Question(_Model):
    """A token to explain, for one meter or for any known meter."""

    model_config = _example({"token": "0000 0000 0001 5099 7584"})

    token: Text
    meter: Text | None = None
    sgc: Annotated[str, Field(pattern="^[0-9]{6}$")] | None = Field(
        None, description="What the receipt of the token says: the SGC."
    )
    krn: Annotated[StrictInt, Field(ge=1, le=9)] | None = None
    ti: Annotated[StrictInt, Field(ge=0, le=99)] | None = None
    bdt: Literal["93", "14", "35"] | None = None
    status: MeterStatus | None = Field(
        None,
        description="The status of the meter (`jeton status --json`): makes the answer certain.",
    )


class Faults(_Model):
    """The faults of the service; each is off by default."""

    model_config = _example({"slow_s": 2})

    out_of_service_s: float = Field(
        default=0, ge=0, le=_MAX_OUTAGE_S, description="Answer 503 for so many seconds from now."
    )
    out_of_service_requests: int = Field(
        default=0, ge=0, le=1_000_000, description="Answer 503 to so many requests."
    )
    retry_after_s: int = Field(
        default=1, ge=0, le=3600, description="Retry-After of out_of_service_requests."
    )
    slow_s: float = Field(
        default=0, ge=0, le=60, description="Do each request at once, but send its answer late."
    )
    lost_answers: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Do so many orders, but answer 504.",
    )
    repeated_tokens: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Answer so many purchases with the token of the meter's previous purchase.",
    )
    ignore_idempotency: bool = Field(default=False, description="Do a repeated order again.")
    old_key: bool = Field(
        default=False, description="Vend with the key before the last key change."
    )


class Error(BaseModel):
    """An error, in one line."""

    error: str


class Health(BaseModel):
    """The state of the service."""

    status: Literal["ok"]
    version: str
    meters: int


class KeyIdentity(BaseModel):
    """The parameters that identify a decoder key."""

    dkga: int
    kt: int
    sgc: str
    ti: int
    krn: int
    ken: int
    bdt: str


class MeterAnswer(KeyIdentity):
    """A meter, with the key for its next token."""

    name: str
    drn: str
    pan: str
    ea: int
    tables: str
    kct: int
    mfr_code: int
    profile: str
    made: date
    pending_from: KeyIdentity | None = Field(
        description="As long as the codes of a key change are not entered: the meter's key."
    )


class Registered(MeterAnswer):
    """A meter that was registered."""

    id: str
    warning: str | None = Field(default=None, description="What may be wrong with its number.")


class TokenAnswer(BaseModel):
    """An issued token; a test token is for any meter and has no key fields."""

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
    section: int | None = Field(default=None, description="Section of a key change, from 1.")
    dkga: int | None = None
    kt: int | None = None
    sgc: str | None = None
    ti: int | None = None
    krn: int | None = None
    ken: int | None = None
    bdt: str | None = None
    test_key: bool | None = None


class Issue(TokenAnswer):
    """A token that an order issued."""

    id: str


class Sale(Issue):
    """A purchase."""

    kwh: str = Field(description="The energy that the token contains.")
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
    """One guess about a token that matches no known key."""

    cause: str
    text: str
    sure: bool
    plausible: bool
    certainty: str


class CaseAnswer(BaseModel):
    """The result of a token if `condition` is true: which key changes were entered."""

    condition: str = Field(alias="if")
    result: str | None
    cause: str
    text: str


class Explained(BaseModel):
    """What a token is, and what a meter does with it."""

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
    tokens: list["Explained"] | None = None


_Responses = dict[int | str, dict[str, Any]]


def error_responses(*which: int) -> _Responses:
    """Return the error answers of a path, by HTTP status, for its OpenAPI description."""
    texts = {
        404: "Not found",
        422: "The request is not valid",
        503: "Out of service, or the file is locked: try again after Retry-After",
        504: "No answer in time; the order may have been done",
    }
    return {status: {"model": Error, "description": texts[status]} for status in which}


def idempotency(model: type[BaseModel]) -> _Responses:
    """Return the additional answers of a path that accepts an Idempotency-Key."""
    again = {"model": model, "description": "Done before with this Idempotency-Key"}
    return {200: again} | error_responses(504)

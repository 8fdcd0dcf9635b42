"""The messages of the vending service, as pydantic models."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

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


def error_responses(*which: int) -> _Responses:
    """Return the errors of a path, by their status, for its OpenAPI description."""
    said = {
        404: "There is no such thing",
        422: "It will not do",
        503: "Out of service, or its file is locked: again after Retry-After",
        504: "No answer in time; what was ordered may be done",
    }
    return {status: {"model": Error, "description": said[status]} for status in which}


def idempotency(model: type[BaseModel]) -> _Responses:
    """Return the further answers of a path that takes an Idempotency-Key."""
    again = {"model": model, "description": "Done before, under this Idempotency-Key"}
    return {200: again} | error_responses(504)

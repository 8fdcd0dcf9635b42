"""The commands that issue, explain and convert tokens: vend, explain, decode, encode, derive."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from typer.core import TyperGroup

from jeton.sts import digits
from jeton.sts.results import GOOD, NAMES
from jeton_host.cli import complete
from jeton_host.cli.options import NUMBERS, TOKENS, Json
from jeton_host.cli.tokens import tokens_of
from jeton_host.errors import BoardError, UnusableError, VendingError
from jeton_host.meter import Meter
from jeton_host.terminal.parse import shortened
from jeton_host.vending import batch, shown, tid
from jeton_host.vending.keys import load_keys
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterRecord

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="DATETIME",
        help="The time of issue, UTC if it has no zone: '2026-04-01 07:20'. Default: now.",
    ),
]
Krn = Annotated[
    str | None,
    typer.Option(
        help="Issue under the meter's key with this KRN, as long as the codes of a key change are "
        "not entered. Default: under the newest key."
    ),
]
Keys = Annotated[
    str | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help="Your vending keys, a JSON file. Default: $JETON_KEYS. The published test keys are "
        "used for all keys that it lacks.",
    ),
]

Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="Issue it although the meter refuses each such token."),
]

_AMOUNT = re.compile(r"([0-9]{1,12}(?:[.,][0-9]{1,6})?) ?(?:kwh)?", re.IGNORECASE)

_PROGRESS_AFTER_S = 1.0  # seconds until the bar is shown


def register(app: typer.Typer) -> None:
    """Add the vending commands to the command `jeton`."""
    app.add_typer(_vend, name="vend", rich_help_panel=TOKENS)
    app.command("explain", rich_help_panel=TOKENS)(explain_command)
    app.command("decode", rich_help_panel=TOKENS)(decode_command)
    app.command("encode", rich_help_panel=TOKENS)(encode_command)
    app.command("derive", rich_help_panel=TOKENS)(derive_command)


class _Kinds(TyperGroup):
    """The kinds of token; an amount in place of a kind gets an error that names `credit`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of a kind; a usage error if there is none."""
        amount = _AMOUNT.fullmatch(args[0])
        if amount is not None:
            name, number = ctx.params["name"], amount[1].replace(",", ".")
            if self.get_command(ctx, name) is not None:  # `jeton vend credit 12.5`
                ctx.fail(f"The name of the meter is missing: `jeton vend NAME {name} {number}`")
            ctx.fail(
                f"{shortened(args[0])} is not a kind of token: did you mean "
                f"`jeton vend {name} credit {number}`?"
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; name its option in the error about a token that the meter cannot use."""
        try:
            return super().invoke(ctx)
        except UnusableError as error:
            raise error.with_way("give --anyway") from None


_vend = typer.Typer(
    cls=_Kinds,
    no_args_is_help=True,
    help="Issue a token for a meter, and keep it in the history.\n\n"
    "Example:\n\n- `jeton vend home credit 12.5`",
)


@_vend.callback()
def _vend_for(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="The name of the meter, as in `jeton list`.",
            autocompletion=complete.meter,
        ),
    ],
) -> None:
    ctx.obj = name


@_vend.command("credit", context_settings=NUMBERS)
def _credit(
    ctx: typer.Context,
    amount: Annotated[
        str,
        typer.Argument(help="kWh (m³, or minutes of time); rounded up to the next step of 0.1."),
    ],
    kind: Annotated[str, typer.Option(help="electricity, water, gas or time.")] = "electricity",
    krn: Krn = None,
    at: At = None,
    anyway: Anyway = False,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Sell energy.

    Example:

    - `jeton vend home credit 12.5`
    """
    pos = _pos(keys)
    issued = pos.credit(ctx.obj, amount, kind=kind, krn=_krn(krn), at=_at(at), anyway=anyway)
    _one(issued, json_)


@_vend.command("currency", context_settings=NUMBERS)
def _currency(
    ctx: typer.Context,
    amount: Annotated[
        str, typer.Argument(help="Amount in the base currency; a negative amount is deducted.")
    ],
    kind: Annotated[str, typer.Option(help="electricity, water, gas or time.")] = "electricity",
    krn: Krn = None,
    at: At = None,
    anyway: Anyway = False,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Sell credit in a currency, for meters that count money.

    The meters of Jeton count kWh: they refuse it, and --anyway is needed.

    Example:

    - `jeton vend home currency 1500 --anyway`
    """
    pos = _pos(keys)
    issued = pos.currency(ctx.obj, amount, kind=kind, krn=_krn(krn), at=_at(at), anyway=anyway)
    _one(issued, json_)


@_vend.command("power-limit", context_settings=NUMBERS)
def _power_limit(
    ctx: typer.Context,
    watts: Annotated[str, typer.Argument(help="The limit, W.")],
    krn: Krn = None,
    at: At = None,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Set the maximum power.

    Example:

    - `jeton vend home power-limit 5000`
    """
    _one(_pos(keys).power_limit(ctx.obj, watts, krn=_krn(krn), at=_at(at)), json_)


@_vend.command("unbalance-limit", context_settings=NUMBERS)
def _unbalance_limit(
    ctx: typer.Context,
    watts: Annotated[str, typer.Argument(help="The limit, W.")],
    krn: Krn = None,
    at: At = None,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Set the maximum unbalance between phases.

    Example:

    - `jeton vend home unbalance-limit 2000`
    """
    _one(_pos(keys).unbalance_limit(ctx.obj, watts, krn=_krn(krn), at=_at(at)), json_)


@_vend.command("clear-credit", context_settings=NUMBERS)
def _clear_credit(
    ctx: typer.Context,
    register_: Annotated[
        str,
        typer.Argument(metavar="[REGISTER]", help="0 to 7, a name like electricity, or all."),
    ] = "electricity",
    krn: Krn = None,
    at: At = None,
    anyway: Anyway = False,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Clear a credit register.

    Examples:

    - `jeton vend home clear-credit`
    - `jeton vend home clear-credit all`
    """
    pos = _pos(keys)
    issued = pos.clear_credit(ctx.obj, register_, krn=_krn(krn), at=_at(at), anyway=anyway)
    _one(issued, json_)


@_vend.command("clear-tamper")
def _clear_tamper(
    ctx: typer.Context, krn: Krn = None, at: At = None, keys: Keys = None, json_: Json = False
) -> None:
    """Clear the tamper condition.

    Example:

    - `jeton vend home clear-tamper`
    """
    _one(_pos(keys).clear_tamper(ctx.obj, krn=_krn(krn), at=_at(at)), json_)


@_vend.command("tariff", context_settings=NUMBERS)
def _tariff(
    ctx: typer.Context,
    rate: Annotated[str, typer.Argument(help="0 to 65535; the utility defines its meaning.")],
    krn: Krn = None,
    at: At = None,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Set the tariff rate.

    Example:

    - `jeton vend home tariff 3`
    """
    _one(_pos(keys).tariff(ctx.obj, _int(rate, "a tariff rate"), krn=_krn(krn), at=_at(at)), json_)


@_vend.command("water-factor", context_settings=NUMBERS)
def _water_factor(
    ctx: typer.Context,
    factor: Annotated[str, typer.Argument(help="0 to 65535.")],
    krn: Krn = None,
    at: At = None,
    anyway: Anyway = False,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Set the factor of a water meter. An electricity meter refuses it: --anyway is needed.

    Example:

    - `jeton vend home water-factor 10 --anyway`
    """
    pos, number = _pos(keys), _int(factor, "a water factor")
    issued = pos.water_factor(ctx.obj, number, krn=_krn(krn), at=_at(at), anyway=anyway)
    _one(issued, json_)


@_vend.command("extended", context_settings=NUMBERS)
def _extended(
    ctx: typer.Context,
    index: Annotated[str, typer.Argument(help="0 to 63.")],
    value: Annotated[str, typer.Argument(help="0 to 1023.")],
    krn: Krn = None,
    at: At = None,
    anyway: Anyway = False,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Write a value with the extended token set, which no meter here has: --anyway is needed.

    Example:

    - `jeton vend home extended 1 5 --anyway`
    """
    pos = _pos(keys)
    number, word = _int(index, "an index"), _int(value, "a value")
    issued = pos.extended_write(ctx.obj, number, word, krn=_krn(krn), at=_at(at), anyway=anyway)
    _one(issued, json_)


@_vend.command("test", context_settings=NUMBERS)
def _test(
    ctx: typer.Context,
    numbers: Annotated[
        list[str] | None, typer.Argument(help="Numbers of tests, 1 to 18; 0 is all. Default: 0.")
    ] = None,
    maker: Annotated[str, typer.Option(help="Maker code; 0 is valid for each meter.")] = "0",
    four_digits: Annotated[
        bool, typer.Option("--four-digits", help="Use the token format for 4-digit maker codes.")
    ] = False,
    at: At = None,
    anyway: Anyway = False,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Start tests or displays of the meter. This token needs no key.

    Example:

    - `jeton vend home test 4 5`
    """
    wanted = [_int(number, "a test") for number in numbers or ["0"]]
    code = _int(maker, "a maker code")
    issued = _pos(keys).test(
        ctx.obj,
        wanted,
        mfr_code=code,
        four_digits=four_digits,
        at=_at(at),
        anyway=anyway,
    )
    _one(issued, json_)


@_vend.command("key-change", context_settings=NUMBERS)
def _key_change(
    ctx: typer.Context,
    krn: Annotated[str | None, typer.Option(help="New key revision number, 1 to 9.")] = None,
    bdt: Annotated[str | None, typer.Option(help="New base date: 93, 14 or 35.")] = None,
    ti: Annotated[str | None, typer.Option(help="New tariff index, 00 to 99.")] = None,
    sgc: Annotated[str | None, typer.Option(help="New supply group code, 6 digits.")] = None,
    ken: Annotated[str | None, typer.Option(help="New key expiry number, 0 to 255.")] = None,
    kt: Annotated[str | None, typer.Option(help="New key type: 0, 1 or 2.")] = None,
    dkga: Annotated[str | None, typer.Option(help="New key derivation: 2 or 4.")] = None,
    three: Annotated[
        bool | None,
        typer.Option("--three/--two", help="EA07: three tokens, which include the SGC, or two."),
    ] = None,
    at: At = None,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Change the meter's key. A value that you do not give stays the same.

    Example:

    - `jeton vend home key-change --krn 2 --bdt 14`
    """
    pos = _pos(keys)
    sections = pos.key_change(
        ctx.obj,
        krn=_optional(krn, "a KRN"),
        bdt=bdt,
        ti=_optional(ti, "a tariff index"),
        sgc=sgc,
        ken=_optional(ken, "a KEN"),
        kt=_optional(kt, "a key type"),
        dkga=_optional(dkga, "a DKGA"),
        three=three,
        at=_at(at),
    )
    meter = pos.meter(ctx.obj)
    if json_:
        _print_json(
            {
                "meter": ctx.obj,
                "tokens": [section.token for section in sections],
                "from": sections[0].key.as_dict(),
                "to": meter.key.as_dict(),
                "sections": [section.as_dict() for section in sections],
            }
        )
        return
    for section in sections:
        typer.echo(section.grouped)
    typer.echo(
        f"Key change of meter {meter.name} (DRN {meter.drn}), {len(sections)} tokens: "
        f"from {sections[0].key} to {meter.key}."
    )


@_vend.command("entered", context_settings=NUMBERS)
def _entered(
    ctx: typer.Context,
    codes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CODE]", help="The codes that the meter accepted."),
    ] = None,
    krn: Annotated[str | None, typer.Option(help="The KRN that the meter shows.")] = None,
    ti: Annotated[str | None, typer.Option(help="The tariff index that it shows.")] = None,
    sgc: Annotated[str | None, typer.Option(help="The supply group code that it shows.")] = None,
    ken: Annotated[str | None, typer.Option(help="The key expiry number that it shows.")] = None,
    kt: Annotated[str | None, typer.Option(help="The key type that it shows.")] = None,
    bdt: Annotated[str | None, typer.Option(help="The base date of its key.")] = None,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Note that the codes of a key change were entered: the change is no longer pending.

    `jeton enter` does this by itself. Without codes: all codes of the point of sale were entered.
    Give codes that another vending system issued, or what the meter shows, if another system
    changed the key.

    Examples:

    - `jeton vend home entered`
    - `jeton vend home entered --krn 3`
    """
    record = _pos(keys).entered(
        ctx.obj,
        tokens_of(codes) if codes else (),
        krn=_krn(krn),
        ti=_optional(ti, "a tariff index"),
        sgc=sgc,
        ken=_optional(ken, "a KEN"),
        kt=_optional(kt, "a key type"),
        bdt=bdt,
    )
    if json_:
        _print_json(record.as_dict())
        return
    pending = f", change to {record.key} pending" if record.pending else ""
    typer.echo(f"Meter {record.name} (DRN {record.drn}) has {record.present}{pending}.")


@_vend.command("keys")
def _list_keys(ctx: typer.Context, json_: Json = False) -> None:
    """List the keys of the meter, newest first, and the codes of a pending key change.

    Example:

    - `jeton vend home keys`
    """
    pos = _pos(None)
    record = pos.meter(ctx.obj)
    found = pos.keys_of(ctx.obj)
    before, codes = record.present.number, dict[int, list[str]]()
    for entry in pos.issued(ctx.obj):
        if entry.section and entry.key.number >= before:
            codes.setdefault(entry.key.number + 1, []).append(entry.token)
    if json_:
        listed = [
            key.as_dict()
            | {
                "present": key.number == before,
                "pending": key.number > before,
                "codes": codes.get(key.number, []),
            }
            for key in found
        ]
        _print_json({"meter": ctx.obj, "keys": listed})
        return
    for key in found:
        state = "in the meter" if key.number == before else "earlier"
        if key.number > before:
            waiting = ", ".join(map(digits.grouped, codes.get(key.number, [])))
            state = f"change pending, codes {waiting}" if waiting else "change pending"
        typer.echo(f"{key}: {state}")


@_vend.command("history")
def _history(ctx: typer.Context, json_: Json = False) -> None:
    """List the tokens issued for the meter.

    Example:

    - `jeton vend home history`
    """
    entries = _pos(None).issued(ctx.obj)
    if json_:
        _print_json({"meter": ctx.obj, "issued": [entry.as_dict() for entry in entries]})
        return
    for entry in entries:
        typer.echo(
            f"{entry.at:%Y-%m-%d %H:%M}  {entry.grouped}  KRN {entry.key.krn}  {entry.what}"
        )


def explain_command(
    token: Annotated[
        list[str], typer.Argument(metavar="TOKEN", help="20 digits, with or without spaces.")
    ],
    meter: Annotated[
        str | None,
        typer.Option(
            "--meter",
            metavar="NAME",
            help="The meter that refused the token.",
            autocompletion=complete.meter,
        ),
    ] = None,
    sgc: Annotated[str | None, typer.Option(help="The SGC on the receipt, 6 digits.")] = None,
    krn: Annotated[str | None, typer.Option(help="The KRN on the receipt, 1 to 9.")] = None,
    ti: Annotated[
        str | None, typer.Option(help="The tariff index on the receipt, 00 to 99.")
    ] = None,
    bdt: Annotated[
        str | None, typer.Option(help="The base date on the receipt: 93, 14 or 35.")
    ] = None,
    keys: Keys = None,
    json_: Json = False,
) -> None:
    """Explain what a token is, and why a meter would refuse it.

    With --meter, the command copies the record of a meter of `jeton new` and enters the token into
    this copy; the meter does not change. Otherwise it uses the data of the point of sale.

    Examples:

    - `jeton explain 5649 3153 7254 5031 3471`
    - `jeton explain '7063 0503 4700 2872 6114' --meter home`
    - `jeton explain '7063 0503 4700 2872 6114' --meter home --sgc 201475 --krn 1`
    """
    from jeton_host.vending.explain import Receipt, explain

    digits_ = " ".join(token)
    receipt = Receipt(sgc, _optional(krn, "a KRN"), _optional(ti, "a tariff index"), bdt)
    pos = _pos(keys)
    with _live(pos, meter) as (live, no_answer):
        found = explain(
            digits_, pos=pos, meter=meter, receipt=receipt if receipt.as_dict() else None, **live
        )
    if no_answer:
        found = replace(found, details=(*found.details, no_answer))
    if json_:
        _print_json(found.as_dict())
    elif found.cause == "not-a-token" and not found.details:
        raise VendingError(found.summary.rstrip("."))
    else:
        typer.echo(found.summary)
        for detail in found.details:
            typer.echo(f"  {detail}")
    good = [NAMES[number] for number in GOOD]
    if found.cause == "not-a-token" or any(one.result not in good for one in found.tokens):
        raise typer.Exit(1)


@contextmanager
def _live(pos: PointOfSale, name: str | None) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the arguments of `explain` from a named meter, and why the meter gave none, if so."""
    from jeton_host.meters import named as meters

    if name is not None:
        pos.meter(name)
    kept = name is not None and any(meter.name == name for meter in meters.all_meters())
    if not kept:
        yield {}, ""
        return
    assert name is not None
    try:
        meter = Meter.open(name)
    except BoardError as error:
        yield {}, f"The meter did not answer: {error}."
        return
    states = {"UsedError": "Used", "OldError": "Old"}
    with meter:
        status = meter.status().as_dict()
        if status.get("fault"):
            yield {}, f"The meter could not be used: {status['fault']}."
            return
        # A replacement for a meter may have the verbs only.
        snapshot = meter.snapshot() if hasattr(meter, "snapshot") else None
        if snapshot is not None:
            yield {"snapshot": snapshot}, ""
            return
        live = {
            "status": status,
            "tid_state": lambda number: states.get(meter.rpc("tid", number), "Valid"),
            "events": [event.as_dict() for event in meter.events()],
        }
        yield live, ""


# A list, because the shell splits a JSON object without quotes into several arguments. Typer's
# error for extra arguments would print them, and they may contain a key.
Input = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="A file, or a JSON object. Default, and -: standard input.",
    ),
]
Lines = Annotated[
    bool, typer.Option("--jsonl", help="Read and write one JSON object a line, in the same order.")
]
JsonAnyway = Annotated[bool, typer.Option("--json", help="No effect: the output is always JSON.")]


def decode_command(file: Input = None, jsonl: Lines = False, json_: JsonAnyway = False) -> None:
    """Decode tokens with a decoder key.

    The input is `{"token": "20 digits", "decoder_key": "hex", "ea": 7}`; the result has
    authentication, class, subclass, name and fields. For class 1, which needs no key, the 20
    digits are enough.

    Examples:

    - `jeton decode token.json`
    - `jeton decode 0000 0000 0001 5099 7584`
    - `jeton decode --jsonl tokens.jsonl`
    """
    token = "".join(file or ())
    if not jsonl and digits.is_digits(digits.clean(token)):
        file = [json.dumps({"token": token})]
    _convert(file, jsonl, batch.decode_row)


def encode_command(file: Input = None, jsonl: Lines = False, json_: JsonAnyway = False) -> None:
    """Encode tokens from their fields.

    The input is `{"class": 0, "subclass": 0, "decoder_key": "hex", "ea": 7, "fields": {"rnd": 5,
    "tid": 85740, "amount": 1}}`; the result is `{"token": "20 digits"}`. Class 1 needs no key.

    Examples:

    - `jeton encode fields.json`
    - `jeton encode --jsonl fields.jsonl`
    """
    _convert(file, jsonl, batch.encode_row)


def derive_command(file: Input = None, jsonl: Lines = False, json_: JsonAnyway = False) -> None:
    """Derive decoder keys from a vending key.

    The input is `{"dkga": 4, "ea": 7, "vk": "hex", "pan": "18 digits", "kt": 2, "sgc": "201457",
    "ti": "01", "krn": 1, "bdt": "14"}`; the result is `{"decoder_key": "hex"}`.

    Examples:

    - `jeton derive key.json`
    - `jeton derive --jsonl keys.jsonl`
    """
    _convert(file, jsonl, batch.derive_row)


def _convert(given: list[str] | None, jsonl: bool, row: batch.RowConverter) -> None:
    if given and len(given) > 1:
        raise VendingError(
            f"{len(given)} arguments, but one file or one JSON object is needed: put quotes "
            "around the object, '{…}'"
        )
    file = given[0] if given else None
    if jsonl:
        with _source(file) as (source, size), _progress(size) as tick:
            sys.stdout.flush()
            bad = batch.run(source, sys.stdout.buffer, row, tick)
        if bad:
            raise typer.Exit(1)
        return
    if file is not None and file.lstrip().startswith("{"):
        text = file.encode("utf-8", "surrogateescape")
    else:
        with _source(file) as (source, _):
            text = source.read()
    if not text.strip():
        raise VendingError(
            "the input is empty: give a JSON object, or --jsonl and one object a line"
        )
    _print_json(row(batch.parse(text)))


@contextmanager
def _source(file: str | None) -> Iterator[tuple[BinaryIO, int | None]]:
    """Yield the input and, for a file, its size in bytes."""
    if file is None or file == "-":
        yield sys.stdin.buffer, None
        return
    if any(char in file for char in '{}[]"\0'):
        # Do not print the argument: it can contain a key. For other arguments, see shown.path.
        raise VendingError(
            "this is not a file name: give one JSON object '{…}' without --jsonl, or a file "
            "or standard input with one object a line and --jsonl"
        )
    path = Path(file)
    try:
        source = path.open("rb")
        with source:
            yield source, path.stat().st_size or None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise VendingError(f"{shown.path(file)}: {error.strerror or 'unreadable'}") from None


@contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int], None] | None]:
    """Yield a function that counts bytes on a progress bar; None if no bar is to be shown.

    The bar appears only on a terminal, for a batch that takes longer than a second.
    """
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    bar = Progress(
        BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    )
    task = bar.add_task("", total=size)
    began = time.monotonic()
    shown = False

    def tick(count: int) -> None:
        nonlocal shown
        bar.advance(task, count)
        if not shown and time.monotonic() - began > _PROGRESS_AFTER_S:
            shown = True
            bar.start()

    try:
        yield tick
    finally:
        if shown:
            bar.stop()


def _pos(keys: str | None) -> PointOfSale:
    return PointOfSale(keys=load_keys(keys))


def _at(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return tid.utc(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise VendingError(
            f"{text!r} is not a date and time: write for example '2026-04-01 07:20' (UTC)"
        ) from None


def _int(text: str, what: str) -> int:
    number = text.strip()
    if not (number.removeprefix("-").isascii() and number.removeprefix("-").isdigit()):
        raise VendingError(f"{what} must be a whole number, not {text!r}")
    if len(number) > 12:
        raise VendingError(f"{what} of {len(number)} digits is out of range")
    return int(number)


def _krn(text: str | None) -> int | None:
    return _optional(text, "a KRN")


def _optional(text: str | None, what: str) -> int | None:
    return None if text is None else _int(text, what)


def _pending(record: MeterRecord, issued: Issued) -> str:
    """Return a line about the pending key change of a meter for a token, "" if there is none."""
    if not record.pending or issued.key.number < record.present.number:
        return ""
    if issued.key.number == record.present.number:
        return "A key change is pending: enter this token before its codes."
    return (
        "A key change is pending: enter its codes before this token (`jeton vend "
        f"{record.name} keys` lists them). `--krn {record.present.krn}` issues for the key that "
        "the meter still has."
    )


def _one(issued: Issued, as_json: bool) -> None:
    record = PointOfSale().meter(issued.meter)
    if as_json:
        pending = record.present.as_dict() if record.pending else None
        _print_json(issued.as_dict() | {"tokens": [issued.token], "pending_from": pending})
        return
    typer.echo(issued.grouped)
    what = issued.summary[:1].upper() + issued.summary[1:]
    if issued.cls == 1:
        typer.echo(f"{what}.")
        return
    test = " (a published test key)" if issued.test_key else ""
    typer.echo(
        f"{what} for meter {issued.meter} (DRN {issued.drn}), issued "
        f"{issued.issued:%Y-%m-%d %H:%M} UTC (TID {issued.tid}), under {issued.key}{test}."
    )
    if note := _pending(record, issued):
        typer.echo(note)


def _print_json(found: dict[str, Any]) -> None:
    typer.echo(json.dumps(found, ensure_ascii=False))

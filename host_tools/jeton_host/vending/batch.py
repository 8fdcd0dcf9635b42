"""Batches for `jeton decode`, `encode` and `derive`: JSON lines in, JSON lines out, in order.

Each line is one object. A faulty line gives {"error": "…"} at its place, and the batch continues;
empty lines are skipped. Input and output are in blocks, for speed; each block read is answered at
once, so that a program at the other end of a pipe does not wait.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, BinaryIO

from jeton_host.errors import VendingError
from jeton_host.vending import ciphers, keys, tokens

RowConverter = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Converts one object to its answer; raises VendingError."""

_BLOCK = 1 << 16  # bytes
_MAX_LINE = 1 << 20  # bytes

_NAMES = {
    "decode": ("token", "decoder_key", "ea", "tables"),
    "encode": ("class", "subclass", "decoder_key", "ea", "tables", "fields"),
    "derive": ("dkga", "ea", "vk", "pan", "kt", "sgc", "ti", "krn", "bdt"),
}


def decode_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Answer {"token", "decoder_key", "ea"} with authentication, class, subclass, name, fields."""
    _check_names(row, "decode")
    token = _text(row, "token")
    key, ea = _key_and_ea(row)
    return tokens.decode(token, key=key, ea=ea, tables=_tables(row)).as_dict()


def encode_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Answer {"class", "subclass", "decoder_key", "ea", "fields"} with {"token"}."""
    _check_names(row, "encode")
    cls, sub = _whole(row, "class"), _whole(row, "subclass")
    fields = row.get("fields")
    if not isinstance(fields, dict):
        raise VendingError("fields is missing" if fields is None else "fields must be an object")
    key, ea = _key_and_ea(row)
    token = tokens.encode(cls, sub, fields, key=key, ea=ea, tables=_tables(row))
    return {"token": token}


def derive_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Answer {"dkga", "ea", "vk", "pan", "kt", "sgc", "ti", "krn", "bdt"} with {"decoder_key"}.

    DKGA02 needs neither `bdt`, which it does not use, nor `ea`, which is always 7.
    """
    _check_names(row, "derive")
    dkga = keys.check_dkga(_whole(row, "dkga"))
    ea = _whole(row, "ea") if dkga != 2 or "ea" in row else 7
    vk = keys.parse_hex(_text(row, "vk"), "vk")
    parameters = keys.KeyParameters(
        dkga=dkga,
        ea=ea,
        pan=_text(row, "pan"),
        kt=_whole(row, "kt"),
        sgc=_text(row, "sgc"),
        ti=_tariff_index(row),
        krn=_whole(row, "krn"),
        bdt=_base_date(row) if dkga != 2 or "bdt" in row else "93",
    )
    return {"decoder_key": keys.derive(vk, parameters).hex()}


ROWS: dict[str, RowConverter] = {"decode": decode_row, "encode": encode_row, "derive": derive_row}


def answer(line: bytes, row: RowConverter) -> dict[str, Any]:
    """Return the answer to one line; {"error": …} if the line is faulty."""
    try:
        return row(parse(line))
    except VendingError as error:
        return {"error": str(error)}


def parse(line: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a line, or raise VendingError."""
    try:
        value = json.loads(
            line.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once
        )
    except UnicodeDecodeError:
        raise VendingError("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise VendingError(f"not JSON: {error.msg} at column {error.pos + 1}") from None
    except RecursionError:
        raise VendingError("not an object of this kind: nested too deeply") from None
    except ValueError:
        raise VendingError("not JSON: a number is too long") from None
    if not isinstance(value, dict):
        raise VendingError("a line must be a JSON object, like {…}")
    return value


def run(
    source: BinaryIO, sink: BinaryIO, row: RowConverter, tick: Callable[[int], None] | None = None
) -> int:
    """Write the answer to each line of `source` to `sink`; return the number of faulty lines.

    `tick` is called after each block read, with its number of bytes.
    """
    bad = 0
    for block, size in _blocks(source):
        out = []
        for line in block:
            if line is None:
                found: dict[str, Any] = {"error": f"line longer than {_MAX_LINE} bytes"}
            elif not line.strip():
                continue
            else:
                found = answer(line, row)
            if "error" in found:
                bad += 1
            out.append(json.dumps(found))
        if out:
            sink.write(("\n".join(out) + "\n").encode("ascii"))
            sink.flush()
        if tick is not None:
            tick(size)
    return bad


def _blocks(source: BinaryIO) -> Iterator[tuple[list[bytes | None], int]]:
    """Yield the complete lines of each block (None for a line too long) and its bytes."""
    read = getattr(source, "read1", source.read)
    rest = b""
    dropping = False
    first = True
    while chunk := read(_BLOCK):
        if first:
            chunk, first = chunk.removeprefix(b"\xef\xbb\xbf"), False
        lines: list[bytes | None] = list((rest + chunk).split(b"\n"))
        last = lines.pop()
        assert last is not None
        if dropping and lines:
            lines[0], dropping = None, False
        if len(last) > _MAX_LINE or dropping:
            rest, dropping = b"", True
        else:
            rest = last
        yield lines, len(chunk)
    if rest or dropping:
        yield [None if dropping else rest], 0


def _check_names(row: Mapping[str, Any], what: str) -> None:
    """Refuse a name that looks like a misspelt known one; ignore all other unknown names."""
    known = _NAMES[what]
    for name in row:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.75)
            if near:
                raise VendingError(f"unknown name {name[:40]!r}: did you mean {near[0]}?")


def _whole(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if type(value) is not int:
        raise VendingError(
            f"{name} is missing" if value is None else f"{name} must be a whole number"
        )
    return value


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if type(value) is not str:
        raise VendingError(f"{name} is missing" if value is None else f"{name} must be text")
    return value


def _tables(row: Mapping[str, Any]) -> str:
    return _text(row, "tables") if "tables" in row else "certified"


def _tariff_index(row: Mapping[str, Any]) -> int:
    value = row.get("ti")
    return value if type(value) is int else keys.parse_ti(_text(row, "ti"))


def _base_date(row: Mapping[str, Any]) -> str:
    value = row.get("bdt")
    return f"{value:02d}" if type(value) is int else _text(row, "bdt")


def _key_and_ea(row: Mapping[str, Any]) -> tuple[bytes | None, int]:
    """Return the decoder key, if there is one, and the EA; by default from the key's length."""
    key = None
    if row.get("decoder_key") is not None:
        key = _hex_key(_text(row, "decoder_key"))
    if row.get("ea") is not None:
        ea = ciphers.check_ea(_whole(row, "ea"))
    else:
        ea = 11 if key is not None and len(key) == ciphers.KEY_BYTES[11] else 7
    if key is not None:
        ciphers.check_key(key, ea)
    return key, ea


@lru_cache(maxsize=1024)
def _hex_key(text: str) -> bytes:
    return keys.parse_hex(text, "decoder_key")


def _no_constant(name: str) -> None:
    raise VendingError(f"{name} is not a number in JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise VendingError("the same name is twice in one object")
    return found

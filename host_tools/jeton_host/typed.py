"""Checks arguments against annotations: a wrong type is an error with a one-line message.

The packages typeguard and beartype do the same, but importing one takes longer than a whole
command.
"""

import functools
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from jeton_host.errors import WrongTypeError, WrongValueError

_F = TypeVar("_F", bound=Callable[..., Any])
_C = TypeVar("_C", bound=type)
_LONGEST = 60  # characters of a value in a message
_HALF = re.compile("[\ud800-\udfff]")  # half of a surrogate pair: no encoding accepts it
_LONGEST_PATH = 4096  # characters
_WORDS: dict[Any, str] = {
    bool: "True or False",
    bytes: "bytes",
    date: "a date",
    datetime: "a datetime",
    Decimal: "a Decimal",
    float: "a number",
    int: "a whole number",
    re.Pattern: "a pattern",
    Mapping: "a mapping",
    Path: "a path",
    PathLike: "a path",
    Sequence: "a list",
    list: "a list",
    str: "a text",
    timedelta: "a timedelta",
    tuple: "a tuple",
}


def typed(function: _F) -> _F:
    """Return a function that raises an error for an argument that can never be right.

    WrongTypeError for a wrong type. WrongValueError for a number that is not finite or has more
    than 63 bits, for a text with half of a surrogate pair, and for a text that cannot be a path.

    Annotations that are classes, unions, lists or tuples are checked. For any other annotation,
    such as a protocol, a type variable or `Annotated`, every value is accepted. A bool is not
    accepted as an int, and a datetime is not accepted as a date.
    """
    inner: Any = inspect.unwrap(function)
    code = inner.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    takes_more = bool(code.co_flags & inspect.CO_VARKEYWORDS)
    hints: dict[str, Any] = {}

    @functools.wraps(function)
    def checked(*arguments: Any, **named: Any) -> Any:
        if not hints:
            hints.update(typing.get_type_hints(inner, include_extras=True))
            hints.setdefault("return", None)
        given = zip(names[: code.co_argcount], arguments, strict=False)
        for name, value in (*given, *named.items()):
            if name not in names and not takes_more:
                raise WrongTypeError(
                    f"{function.__name__} has no argument {name}; there are {', '.join(names)}"
                )
            hint = hints.get(name, Any)
            if hint is not Any and not fits(value, hint):
                raise WrongTypeError(f"{name} must be {words(hint)}, not {_shown(value)}")
            if hint is not Any and (wanted := _never_right(value, hint)):
                raise WrongValueError(f"{name} must be {wanted}, not {_shown(value)}")
        return function(*arguments, **named)

    return typing.cast(_F, checked)


def typed_methods(kind: _C) -> _C:
    """Decorate the public methods and the constructor of a class with `typed`."""
    for name, value in list(vars(kind).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(value, classmethod):
            setattr(kind, name, classmethod(typed(value.__func__)))
        elif isinstance(value, types.FunctionType):
            setattr(kind, name, typed(value))
    return kind


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value fits an annotation, as far as `typed` checks it."""
    origin = typing.get_origin(hint)
    if hint is Any or origin is typing.Annotated:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in typing.get_args(hint))
    if origin in (Sequence, list, tuple):
        return _all_fit(value, origin, typing.get_args(hint))
    kind = origin or hint
    if kind is None:
        return value is None
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is date:
        return isinstance(value, date) and not isinstance(value, datetime)
    return isinstance(value, kind)


def _all_fit(value: Any, kind: Any, parts: tuple[Any, ...]) -> bool:
    wanted = list | tuple if kind is tuple else kind  # JSON has no tuples
    if not isinstance(value, wanted) or isinstance(value, str | bytes):
        return False
    if kind is tuple and parts[-1:] != (...,):
        return len(value) == len(parts) and all(map(fits, value, parts))
    return not parts or all(fits(item, parts[0]) for item in value)


def words(hint: Any) -> str:
    """Return an annotation as words for a message, such as "a whole number"."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [words(one) for one in parts if one is not types.NoneType]
        return " or ".join(dict.fromkeys(kinds))
    if origin in (Sequence, list):
        return f"a list, each item {words(parts[0])}" if parts else "a list"
    if origin is tuple and parts[-1:] != (...,):
        return f"({', '.join(words(part) for part in parts)})"
    kind = origin or hint
    return _WORDS.get(kind) or f"of type {getattr(kind, '__name__', kind)}"


def _never_right(value: Any, hint: Any = Any) -> str:
    """Return what a value must be that no function takes as it is; "" for any other value."""
    if isinstance(value, int) and abs(value) >> 63:
        return "a number of at most 63 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if isinstance(value, str) and _HALF.search(value):
        return "a text without half characters"
    if isinstance(value, str) and Path in typing.get_args(hint) and not _is_path(value):
        return f"a path of at most {_LONGEST_PATH} characters without NUL"
    if isinstance(value, list | tuple):
        return next(filter(None, map(_never_right, value)), "")
    return ""


def _is_path(text: str) -> bool:
    return len(text) <= _LONGEST_PATH and "\0" not in text


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) >> 256:
        return f"a number of {value.bit_length()} bits"  # Python refuses to print the longest
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

"""Tests of the check of arguments against annotations, and of its messages."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest

from jeton_host import JetonError, PointOfSale, VendServer, VirtualBoard, explain, make_config
from jeton_host.errors import WrongTypeError, WrongValueError
from jeton_host.typed import fits, typed, typed_methods, words


class Port(Protocol):
    def read(self) -> bytes: ...


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "hint", "good"),
    [
        (5, int, True),
        (True, int, False),
        (5.0, int, False),
        (5, float, True),
        (True, float, False),
        ("5", str, True),
        (b"5", str, False),
        (None, str | None, True),
        (None, str, False),
        (NOW, datetime, True),
        (NOW, date, False),
        (NOW.date(), date, True),
        (NOW.date(), datetime, False),
        (Decimal(1), str | int | Decimal, True),
        ([1], str | int | Decimal, False),
        ({}, Mapping[str, Any], True),
        ([], Mapping[str, Any], False),
        ([(1, 2)], Sequence[tuple[int, int]], True),
        ([[1, 2]], Sequence[tuple[int, int]], True),
        ([(1, "2")], Sequence[tuple[int, int]], False),
        ([(1, 2, 3)], Sequence[tuple[int, int]], False),
        ("12", Sequence[tuple[int, int]], False),
        ((1, 2, 3), tuple[int, ...], True),
        ((1, "2"), tuple[int, ...], False),
        (5, Port, True),
        (5, Any, True),
    ],
)
def test_fits_returns_whether_a_value_has_the_type(value: Any, hint: Any, good: bool) -> None:
    assert fits(value, hint) is good


def test_words_describe_types() -> None:
    assert words(str | Path | None) == "a text or a path"
    assert words(Sequence[tuple[int, int]]) == "a list, each item (a whole number, a whole number)"
    assert words(PointOfSale) == "of type PointOfSale"


def test_a_typed_function_refuses_wrong_types() -> None:
    @typed
    def add(one: int, *, two: "int" = 2) -> int:
        """Add."""
        return one + two

    assert add(1) == 3
    assert add(1, two=5) == 6
    assert add.__doc__ == "Add."
    with pytest.raises(WrongTypeError, match=r"^two must be a whole number, not '5'$"):
        add(1, two="5")  # type: ignore[arg-type]
    with pytest.raises(WrongTypeError, match=r"^add has no argument three; there are one, two$"):
        add(1, three=5)  # type: ignore[call-arg]
    with pytest.raises(WrongTypeError, match=r"^one must be a whole number, not '11111.*…$"):
        add("1" * 1000)  # type: ignore[arg-type]


def test_typed_methods_refuse_wrong_types() -> None:
    @typed_methods
    class One:
        def __init__(self, size: int) -> None:
            self.size = size

        @classmethod
        def open(cls, size: int) -> Any:
            return cls(size)

        def _own(self, size: Any) -> Any:
            return size

        def grow(self, by: int = 1) -> int:
            return self.size + by

    assert One.open(1).grow() == 2
    assert One(1)._own("x") == "x"
    for call in (lambda: One("1"), lambda: One.open("1"), lambda: One(1).grow("1")):  # type: ignore
        with pytest.raises(WrongTypeError):
            call()


def test_public_calls_refuse_wrong_types(tmp_path: Path) -> None:
    pos: Any = PointOfSale(tmp_path / "pos.sqlite")
    pos.add_meter("home")
    board: Any = VirtualBoard
    server: Any = VendServer
    ask: Any = explain
    config: Any = make_config
    for call in (
        lambda: pos.add_meter("x", ea="7"),
        lambda: pos.add_meter("x", made="2020-01-01"),
        lambda: pos.add_meter("x", nonsense=1),
        lambda: pos.credit("home", "1", at="now"),
        lambda: pos.key_change("home", krn="2"),
        lambda: pos.test("home", "x"),
        lambda: pos.find_meter(5),
        lambda: PointOfSale(5),  # type: ignore[arg-type]
        lambda: board(heap=5),
        lambda: server(tmp_path / "pos.sqlite", port="a"),
        lambda: ask(5, pos=pos),
        lambda: config(profile=5),
        lambda: config(nonsense=5),
    ):
        with pytest.raises(JetonError) as caught:
            call()
        assert isinstance(caught.value, WrongTypeError)
        assert "\n" not in str(caught.value)
    assert [meter.name for meter in pos.meters()] == ["home"]
    assert pos.issued() == []


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1 << 63, "63 bits"),
        (-(10**400), "63 bits"),
        (float("nan"), "a finite number"),
        (float("inf"), "a finite number"),
        ("a\ud800", "half characters"),
        ([1, [float("nan")]], "a finite number"),
    ],
)
def test_values_that_can_never_be_right_are_refused(value: Any, wanted: str) -> None:
    @typed
    def call(value: int | float | str | list[Any]) -> None:
        raise AssertionError("called")

    with pytest.raises(WrongValueError, match=f"value must be .*{wanted}"):
        call(value)


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_texts_that_cannot_be_a_path_are_refused(path: str) -> None:
    with pytest.raises(WrongValueError, match="link must be a path of at most 4096 characters"):
        VirtualBoard(link=path)


def test_wrong_boards_and_ticks_are_refused() -> None:
    with pytest.raises(JetonError, match="there is no board 'xxx"):
        VirtualBoard(board="x" * 5000).start()
    with pytest.raises(WrongValueError, match="tick_s must be 0 s or more"):
        VirtualBoard(tick_s=-1)


def test_a_message_is_one_line_of_limited_length() -> None:
    assert str(JetonError("no meter 'a\nb'")) == "no meter 'a\\nb'"
    assert len(str(JetonError("x" * 100_000))) < 2100

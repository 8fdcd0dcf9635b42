"""The pytest plugin: meters as fixtures, on virtual boards or on those named with --meter.

It is loaded in every pytest run if Jeton is installed: until a test requests a meter, only pytest
is imported.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jeton_host.testing.meter_pos import MeterPos, PoolMeter
    from jeton_host.testing.pool import MeterPool

_FIXTURES = ("meter", "meter_pos", "meter_street")
_VIRTUAL = "virtual"
_WITH_PARTS = "esp32_lcd2004"  # a virtual board with pins
_PLACES = pytest.StashKey[Sequence[str]]()
_BENCH = pytest.StashKey["MeterPool"]()
_METERS = pytest.StashKey[dict[str, "PoolMeter"]]()
_SECTIONS = pytest.StashKey[list[tuple[str, str]]]()  # reports of meters open in a teardown
_FREE = pytest.StashKey[dict[str, str]]()  # on the controller: worker -> board
_USED = pytest.StashKey[dict[str, list[str]]]()

_MARKERS = (
    "meter_profile(name): the profile of this test's meter",
    "needs_board: needs a board named with --meter, not a new virtual one",
    "virtual_only: needs its own virtual board, for example for power cuts",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options --meter…"""
    group = parser.getgroup("jeton", "meters (Jeton)")
    group.addoption(
        "--meter",
        action="append",
        metavar="WHERE",
        help="where meters are: virtual (new boards, the default), a serial port, auto (the "
        "only one on USB), a MAC, the name of a served meter, or socket://HOST:PORT; given "
        "several times, each worker of pytest-xdist gets one",
    )
    group.addoption(
        "--meter-profile", default="generic", metavar="NAME", help="profile of the meters"
    )
    group.addoption(
        "--meter-board",
        metavar="NAME",
        help=f"kind of the virtual boards: {_VIRTUAL}, or, with --meter-wires, {_WITH_PARTS}",
    )
    group.addoption(
        "--meter-image", metavar="DIR", help="keep the flash of failed tests' virtual boards"
    )
    group.addoption(
        "--meter-wires",
        metavar="WHERE",
        help="press keys and read the display through wires: the port of the adapter board, or "
        "models",
    )
    group.addoption(
        "--meter-erase",
        action="store_true",
        help="also use a board that is a meter of the point of sale, and erase its credit and key",
    )
    group.addoption(
        "--meter-timeout",
        type=float,
        default=4.5,
        metavar="SECONDS",
        help="longest silence of a board (default 4.5)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and find where this process has its meters."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    places = list(config.getoption("--meter") or [_VIRTUAL])
    named = [place for place in places if place != _VIRTUAL]
    if len(set(named)) < len(named):
        raise pytest.UsageError("--meter names the same board twice")
    if "" in places:
        raise pytest.UsageError("--meter is empty: give virtual, a port, a MAC or auto")
    _check_options(config)
    _check_root(config, named)
    if len(named) > 1:
        _check_same(named)
    given = getattr(config, "workerinput", {}).get("jeton_meter")
    config.stash[_PLACES] = [given] if given else places
    config.stash[_FREE] = {}
    config.stash[_USED] = {}


def _check_options(config: pytest.Config) -> None:
    """Refuse impossible options before tests are collected."""
    timeout = config.getoption("--meter-timeout")
    if not (timeout > 0 and math.isfinite(timeout)):
        raise pytest.UsageError(f"--meter-timeout is {timeout:g}: give seconds, more than 0")
    if config.getoption("--meter-wires") and config.getoption("--meter-board") == _VIRTUAL:
        raise pytest.UsageError(
            f"--meter-wires needs pins, which --meter-board={_VIRTUAL} lacks: leave that out, "
            f"or name a board with parts, such as {_WITH_PARTS}"
        )
    folder = config.getoption("--meter-image")
    if folder is None:
        return
    path = Path(folder).absolute()
    while not os.path.lexists(path):  # the folder is created when the first flash is kept
        path = path.parent
    if not folder or not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        what = "is not a folder" if not path.is_dir() else "cannot be written to"
        why = f"{path} {what}" if folder else "name a folder"
        raise pytest.UsageError(f"--meter-image {folder!r} is not usable: {why}")


def _check_same(named: Sequence[str]) -> None:
    """Refuse a board that is named twice, as far as that is known without opening it."""
    from jeton_host.meters import ports

    known: dict[str, str] = {}
    for place in named:
        device = ports.seen(place)
        if device is not None and known.setdefault(device, place) != place:
            raise pytest.UsageError(
                f"--meter names the same board twice: {known[device]} and {place} are {device}"
            )


def _check_root(config: pytest.Config, places: Sequence[str]) -> None:
    """Refuse to run if pytest took a port for the root folder of the tests.

    Pytest looks for its configuration before it knows --meter, and then takes a path after a space
    for that of a test.
    """
    here, root = config.invocation_params.dir, config.rootpath
    for place in places:
        if root in Path(place).absolute().parents and root not in (here, *here.parents):
            raise pytest.UsageError(
                f"pytest took {root} for the folder of the tests: write --meter={place}, without "
                "a space, or name the tests"
            )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Release the boards."""
    if _BENCH in config.stash:
        config.stash[_BENCH].close()


# Workers of pytest-xdist


def _workers(config: pytest.Config) -> int:
    """Return how many workers this process controls, 0 if none."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        return 0
    count = 0
    for spec in config.getoption("tx", None) or []:
        number, star, _ = str(spec).partition("*")
        count += int(number) if star and number.isdigit() else 1
    return count


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse more workers than boards, before any board is opened."""
    places, workers = session.config.stash[_PLACES], _workers(session.config)
    if workers > len(places) and places != [_VIRTUAL]:
        boards = "1 board" if len(places) == 1 else f"{len(places)} boards"
        raise pytest.UsageError(
            f"--meter names {boards} for {workers} workers: name one for each, or run -n "
            f"{len(places)}"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Assign a board to a worker."""
    places, held = node.config.stash[_PLACES], node.config.stash[_FREE]
    if places != [_VIRTUAL]:
        free = [place for place in places if place not in held.values()]
        free += [place for place in places if place == _VIRTUAL]
        held[node.gateway.id] = node.workerinput["jeton_meter"] = free[0]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Free the board of a worker that has ended, and collect its description."""
    node.config.stash[_FREE].pop(node.gateway.id, None)
    used = getattr(node, "workeroutput", {}).get("jeton_boards")
    if used:
        node.config.stash[_USED][node.gateway.id] = used


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the controller the descriptions of this worker's boards."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None and _BENCH in session.config.stash:
        output["jeton_boards"] = session.config.stash[_BENCH].used


# The header


def pytest_report_header(config: pytest.Config) -> str | None:
    """Show where the meters are, if --meter was given."""
    places = config.stash[_PLACES]
    return None if places == [_VIRTUAL] else f"meters: {', '.join(places)}"


def pytest_report_collectionfinish(
    config: pytest.Config, items: Sequence[pytest.Item]
) -> list[str]:
    """Show board, firmware and interpreter if a test uses a meter; start nothing."""
    if config.getoption("collectonly") or config.get_verbosity() < 0 or _workers(config):
        return []
    if not any(_wants(item) for item in items):
        return []
    return [f"meters: {line}" for line in _bench(config).describe()]


def _wants(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return any(name in names for name in _FIXTURES) and not item.get_closest_marker("skip")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the boards of the workers: the controller itself opens none."""
    if config.get_verbosity() < 0:
        return
    lines: dict[str, list[str]] = {}
    for worker, used in sorted(config.stash[_USED].items()):
        for line in used:
            lines.setdefault(line, []).append(worker)
    for line, workers in lines.items():
        terminalreporter.write_line(f"meters of {', '.join(workers)}: {line}")


# Markers


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that the boards of this run cannot do, with a reason."""
    places = config.stash[_PLACES]
    virtual = places[0] == _VIRTUAL
    for item in items:
        if virtual and item.get_closest_marker("needs_board"):
            why = "needs a board: name one with --meter PORT"
        elif not virtual and item.get_closest_marker("virtual_only"):
            why = f"needs its own virtual board; --meter is {places[0]}"
        else:
            continue
        item.add_marker(pytest.mark.skip(reason=why))


# Fixtures


def _bench(config: pytest.Config) -> MeterPool:
    if _BENCH not in config.stash:
        from jeton_host.testing.pool import MeterPool

        images = config.getoption("--meter-image")
        wires = config.getoption("--meter-wires")
        config.stash[_BENCH] = MeterPool(
            config.stash[_PLACES],
            kind=config.getoption("--meter-board") or (_WITH_PARTS if wires else _VIRTUAL),
            wires=wires,
            images=Path(images) if images else None,
            timeout=config.getoption("--meter-timeout"),
            erase=config.getoption("--meter-erase"),
        )
    return config.stash[_BENCH]


def _profile(request: pytest.FixtureRequest) -> str:
    marker = request.node.get_closest_marker("meter_profile")
    if marker is None:
        return str(request.config.getoption("--meter-profile"))
    if not marker.args and set(marker.kwargs) == {"name"}:
        return str(marker.kwargs["name"])
    if len(marker.args) != 1 or marker.kwargs:
        raise pytest.UsageError("meter_profile takes one name: @pytest.mark.meter_profile('ceet')")
    return str(marker.args[0])


class _OneLine:
    """Turns an error of a board or a request into a failure of one line."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        from jeton_host.errors import JetonError

        if isinstance(error, JetonError):
            raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture
def meter_config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the configuration of `meter`: a meter of the profile, with the published test keys.

    Override it to change the meter: `return meter_config | {"credit_wh": 50_000}`. If an attribute
    changes from which the key is derived, such as "krn", the key is derived again.
    """
    with _OneLine():
        return _bench(request.config).config(_profile(request))


@pytest.fixture
def meter(
    request: pytest.FixtureRequest,
    meter_config: Mapping[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PoolMeter]:
    """Give a meter that was just set up; see `jeton_host.meter.Meter`.

    It is on a temporary virtual board, or on that of --meter, which is set up again for each test.
    """
    bench = _bench(request.config)
    folder = tmp_path_factory.mktemp("meter")
    with ExitStack() as stack:
        with _OneLine():
            found = stack.enter_context(bench.meter(meter_config, folder))
        _meters(request.node)[""] = found
        stack.callback(_meters(request.node).pop, "", None)
        yield found


@pytest.fixture
def meter_pos(meter: PoolMeter) -> MeterPos:
    """Return a point of sale that vends for `meter`; see `testing.meter_pos.MeterPos`."""
    with _OneLine():
        return meter.pos


@pytest.fixture
def meter_street(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., list[PoolMeter]]]:
    """Give a function that creates a street: `meter_street(n, **changes)` -> n meters.

    Each has its own number and key, different from those of `meter` and of other streets of the
    test, a name (meter1, meter2, …) and a `pos` like `meter_pos`. `changes` are applied to every
    configuration, `profile` first; the key is derived from the changed attributes. With --meter
    there are at most as many as it names.
    """
    bench = _bench(request.config)
    streets = 0
    made = 1  # number 0 is `meter`
    with ExitStack() as stack:

        def make(count: int, *, profile: str = "", **changes: Any) -> list[PoolMeter]:
            nonlocal streets, made
            if not isinstance(count, int) or count < 1:
                raise pytest.fail.Exception(
                    f"meter_street({count!r}): a street has 1 meter or more", pytrace=False
                )
            streets += 1
            folder = tmp_path_factory.mktemp("meter_street")
            if not bench.virtual and count > len(bench.places):
                pytest.skip(f"needs {count} boards; --meter names {len(bench.places)}")
            with _OneLine():
                name = profile or _profile(request)
                first, made = made, made + count
                bench.config(name, made - 1)  # all at once
                configs = [bench.config(name, number) | changes for number in range(first, made)]
                street = stack.enter_context(bench.street(configs, folder))
            for found in street:
                name = found.name if streets == 1 else f"street{streets}-{found.name}"
                _meters(request.node)[name] = found
                stack.callback(_meters(request.node).pop, name, None)
            return street

        yield make


# Reports


def _meters(item: pytest.Item) -> dict[str, PoolMeter]:
    return item.stash.setdefault(_METERS, {})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the reports of the meters of a failed test to its report."""
    report = yield
    if report.failed and call.when != "teardown":
        report.sections += _described(item)
    elif report.failed and _SECTIONS in item.stash:  # the meters are closed now
        sections = item.stash[_SECTIONS]
        report.sections += sections
    return report


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Collect the reports when the teardown of a fixture fails, before the meters close."""
    item = request.node
    if not isinstance(item, pytest.Item):
        return (yield)
    add = fixturedef.addfinalizer

    def add_watched(finalizer: Callable[[], object]) -> None:
        def watched() -> None:
            try:
                finalizer()
            except BaseException:
                if _SECTIONS not in item.stash:
                    item.stash[_SECTIONS] = _described(item)
                raise

        add(watched)

    fixturedef.addfinalizer = add_watched  # type: ignore[method-assign]
    try:
        return (yield)
    finally:
        del fixturedef.addfinalizer


def _described(item: pytest.Item) -> list[tuple[str, str]]:
    """Return a section for each open meter of a test."""
    found = item.stash.get(_METERS, None)
    if not found:
        return []
    from jeton_host.testing.report import keep_image, report

    bench = _bench(item.config)
    lines = 24 if len(found) == 1 else 6
    sections = []
    for name, one in found.items():
        text = report(bench, one, item.nodeid, lines)
        if bench.images is not None:
            text += "\n" + keep_image(bench.images, one, item.nodeid, name)
        sections.append((f"meter {name}".strip(), text))
    return sections

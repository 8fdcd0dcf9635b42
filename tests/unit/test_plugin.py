"""Tests of the pytest plugin, as other projects use it: each test here runs its own pytest."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from jeton_host import errors
from jeton_host.errors import BoardError
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.meters import ports
from jeton_host.testing.plugin import _workers
from jeton_host.virtual.board import VirtualBoard

pytest_plugins = ["pytester"]


@pytest.fixture
def board() -> Iterator[VirtualBoard]:
    """A virtual board with a port, as of another process; its power can be cut."""
    with VirtualBoard() as one:
        yield one


@pytest.fixture
def other() -> Iterator[VirtualBoard]:
    with VirtualBoard() as one:
        yield one


def lines_with(result: pytest.RunResult, text: str) -> list[str]:
    return [line for line in result.outlines if text in line]


# Fresh virtual meters

_PURCHASE = """
import pytest
from jeton_host.client.answers import TokenResult

def test_purchase(meter, meter_pos):
    issued = meter_pos.credit("12.5")
    assert issued.drn == meter_pos.drn == meter.status().drn
    assert meter.enter(issued.token).result is TokenResult.ACCEPT
    assert meter.status().credit_wh == 62_500
    assert meter.enter(issued.token).result is TokenResult.USED
    assert [one.token for one in meter_pos.issued()] == [issued.token]

def test_another_meter(meter, meter_config):
    assert meter.status().credit_wh == meter_config["credit_wh"] == 50_000
    assert meter.status().profile == "generic"

@pytest.mark.meter_profile("ceet")
def test_profile(meter, meter_pos):
    assert meter.status().profile == meter_pos.record.profile == "ceet"
    for section in meter_pos.key_change(krn=2):
        result = meter.enter(section.token)
    assert meter.status().krn == 2
    assert meter.enter(meter_pos.credit(1).token).good

def test_street(meter_street):
    street = meter_street(3, credit_wh=1000)
    assert len({meter.status().drn for meter in street}) == 3
    assert [meter.name for meter in street] == ["meter1", "meter2", "meter3"]
    token = street[1].pos.credit(2).token
    assert [meter.enter(token).good for meter in street] == [False, True, False]
    assert [meter.status().credit_wh for meter in street] == [1000, 3000, 1000]

@pytest.mark.meter_profile(name="ceet")
def test_profile_by_name(meter):
    assert meter.status().profile == "ceet"

@pytest.mark.virtual_only
def test_power(meter):
    meter.power_cut()
    meter.power_on()
    assert meter.status().credit_wh == 50_000

@pytest.mark.needs_board
def test_board(meter):
    assert False
"""
_CONFIG = """
import pytest

@pytest.fixture
def meter_config(meter_config):
    return meter_config | {"credit_wh": 50_000}
"""


def test_each_test_gets_a_new_virtual_meter(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(_CONFIG)
    pytester.makepyfile(_PURCHASE)
    result = pytester.runpytest_inprocess("-rs", "--strict-markers")
    result.assert_outcomes(passed=6, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "meters: board virtual, firmware 0.2.0 (*), MicroPython 1.*",
            "SKIPPED * needs a board: name one with --meter PORT",
        ]
    )


def test_the_meters_of_a_test_have_different_numbers_and_keys(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(meter, meter_pos, meter_street):
            all_of_them = [meter, *meter_street(2), *meter_street(1, profile="ceet")]
            assert len({one.status().drn for one in all_of_them}) == 4
            assert len({one.config["decoder_key"] for one in all_of_them}) == 4
            assert not all_of_them[1].enter(meter_pos.credit(1).token).good
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize("count", [0, -1])
def test_a_street_needs_one_meter_or_more(pytester: pytest.Pytester, count: int) -> None:
    pytester.makepyfile(f"def test_it(meter_street): meter_street({count})")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    assert f"meter_street({count}): a street has 1 meter or more" in result.outlines


def test_options_set_profile_and_board(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(meter):
            assert (meter.status().profile, meter.info().board) == ("onee", "esp32_lcd2004")
            assert len(meter.display().lines) == 4
        """
    )
    result = pytester.runpytest_inprocess(
        "--meter-profile=onee", "--meter-board=esp32_lcd2004", "-p", "no:xdist"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["meters: board esp32_lcd2004, firmware *"])


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--meter-profile=absent", "there is no profile 'absent'"), ("--meter-board=x", "x")],
)
def test_an_unknown_profile_or_board_is_reported_in_one_line(
    pytester: pytest.Pytester, option: str, expected: str
) -> None:
    pytester.makepyfile("def test_it(meter): pass")
    result = pytester.runpytest_inprocess(option)
    result.assert_outcomes(errors=1)
    assert "Traceback" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*ERROR at setup of test_it*", f"*{expected}*"])


def test_a_virtual_board_that_does_not_start_is_reported_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JETON_MICROPYTHON", "/nowhere")
    pytester.makepyfile(
        """
        def test_one(meter): pass
        def test_two(meter): pass
        def test_street(meter_street): meter_street(2)
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=2, failed=1)
    assert len([line for line in result.outlines if line.startswith("no MicroPython found")]) == 1
    again = "not tried: there is no board at virtual"
    assert len([line for line in result.outlines if line.startswith((again, f"E   {again}"))]) == 2


def test_a_meter_can_have_a_given_key_or_ea11(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(params=[
            {"decoder_key": "0123456789abcdef"},
            {"kt": 0, "decoder_key": "0011223344556677"},
            {"ea": 11, "kct": 4, "decoder_key": "00112233445566778899aabbccddeeff"},
        ])
        def meter_config(meter_config, request):
            return meter_config | request.param

        def test_it(meter, meter_pos):
            result = meter.enter(meter_pos.credit(1).token) if meter.status().kt else None
            assert result is None or result.good
            assert meter_pos.pos.decoder_key(meter_pos.record).hex() == meter.config["decoder_key"]
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=3)


# The report of a failed test


def test_a_failed_test_shows_its_meter_and_keeps_its_flash(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(meter, meter_pos):
            meter.enter(meter_pos.credit("7.5").token)
            assert meter.status().credit_wh == 0

        def test_good(meter):
            pass

        def test_street(meter_street):
            first, second = meter_street(2)
            second.set_tamper()
            assert second.enter("0" * 20).good
        """
    )
    result = pytester.runpytest_inprocess("--meter-image=kept")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*- meter -*",
            "display:",
            "  |Accepted        |",
            "  |+7.5 kWh        |",
            "status:",
            "*credit_wh=7500*",
            "last events:",
            "*token amount_wh=7500 name=Accept*",
            "serial line:",
            "*> print(meter.rpc(*enter*",
            '*< {"ok": *',
            "its flash is kept at *",
            "*- meter meter1 -*",
            "*- meter meter2 -*",
            "*tamper on=True*",
        ]
    )
    key = meters.make_config()["decoder_key"]
    assert key not in result.stdout.str()
    assert '"decoder_key": "(hidden)"' in result.stdout.str()
    kept = sorted(path.name for path in (pytester.path / "kept").iterdir())
    assert [name.rpartition("-test_")[2] for name in kept] == [
        "it.img",
        "street-meter1.img",
        "street-meter2.img",
    ]
    (image,) = (pytester.path / "kept").glob("*test_it.img")
    with VirtualBoard(image) as again, Meter.open(again.path) as meter:
        assert meter.status().credit_wh == 7500
        assert meter.events()[-1].kind == "power_up"


def test_the_report_of_a_meter_without_power_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(meter):\n    meter.power_cut()\n    meter.status()\n")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- meter -*", "no answer: the board has no power*"])


def test_a_failed_teardown_of_a_fixture_shows_the_meter(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def bought(meter, meter_pos):
            meter.enter(meter_pos.credit("7.5").token)
            yield
            assert meter.status().credit_wh == 0

        @pytest.fixture
        def street(meter_street, request):
            first, second = meter_street(2)
            request.addfinalizer(lambda: first.enter("no token").nothing)

        def test_it(bought): pass
        def test_street(street): pass
        def test_well(meter): pass
        """
    )
    result = pytester.runpytest_inprocess("--meter-image=kept")
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_it*",
            "*- meter -*",
            "  |+7.5 kWh        |",
            "its flash is kept at *",
            "*ERROR at teardown of test_street*",
            "*- meter meter1 -*",
            "*- meter meter2 -*",
        ]
    )
    assert len(list((pytester.path / "kept").iterdir())) == 3


def test_the_report_of_a_closed_meter_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(meter):\n    meter.close()\n    assert 0\n")
    result = pytester.runpytest_inprocess("--meter-image=kept")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*- meter -*", "the test has closed it", "its flash is gone: the test has closed it"]
    )
    result.stdout.no_fnmatch_line("*not a virtual board*")
    result.stdout.no_fnmatch_line("no answer*")


# Named boards

_ON_A_BOARD = """
import pytest

def test_first(meter, meter_pos):
    assert meter.enter(meter_pos.credit(5).token).good
    meter.set_rate(0)
    meter.set_load(500)
    meter.set_tamper()
    meter.language()

def test_second(meter, meter_pos):
    status = meter.status()
    assert (status.credit_wh, status.load_w, status.tamper, status.rate) == (0, 0, False, 1)
    assert [event.kind for event in meter.events()][:1] == ["provisioned"]
    assert meter.enter(meter_pos.credit(5).token).good

@pytest.mark.needs_board
def test_third(meter):
    assert meter.board is None

@pytest.mark.virtual_only
def test_fourth(meter):
    assert False

def test_street(meter_street):
    (meter,) = meter_street(1)
    assert meter.enter(meter.pos.credit(1).token).good
    meter_street(2)
"""


def test_a_named_board_is_set_up_again_for_each_test(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    pytester.makepyfile(_ON_A_BOARD)
    result = pytester.runpytest_inprocess(f"--meter={board.path}", "-rs")
    result.assert_outcomes(passed=3, skipped=2)
    result.stdout.fnmatch_lines(
        [
            f"meters: {board.path}",
            f"meters: board virtual at {board.path}, firmware 0.2.0 (????????????????), Micro*",
            f"SKIPPED * needs its own virtual board; --meter is {board.path}",
            "SKIPPED * needs 2 boards; --meter names 1",
        ]
    )
    with Meter.open(board.path) as meter:  # the port is free again
        assert meter.status().rate == 1


def test_a_lock_left_by_a_test_is_removed(pytester: pytest.Pytester, board: VirtualBoard) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(meter, number):
            assert not meter.locked
            meter.timeout = 60
            meter.lock("some code")
            assert meter.locked

        def test_timeout(meter):
            assert meter.timeout == 4.5
            meter.lock("some code")
        """
    )
    pytester.runpytest_inprocess(f"--meter={board.path}").assert_outcomes(passed=3)
    with Meter.open(board.path) as meter:
        assert not meter.locked


def test_another_program_can_use_a_released_port(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    pytester.makepyfile(
        """
        from jeton_host.meter import Meter

        def test_it(meter):
            meter.set_load(5)
            meter.release()
            with Meter.open(meter.port) as other:
                assert other.set_load(6).load_w == 6
            assert meter.status().load_w == 6
        """
    )
    pytester.runpytest_inprocess(f"--meter={board.path}").assert_outcomes(passed=1)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_the_image_of_a_named_board_cannot_be_kept(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    pytester.makepyfile("def test_it(meter): assert 0")
    result = pytester.runpytest_inprocess(f"--meter={board.path}", "--meter-image=kept")
    result.stdout.fnmatch_lines([f"the flash of the board at {board.path} cannot be kept*"])
    assert not (pytester.path / "kept").exists()


def test_a_board_can_be_named_by_mac_and_by_meter_name(
    pytester: pytest.Pytester, board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb = [
        ports.Port("/dev/none", True, "", "aa"),
        ports.Port(board.path, True, "", "A0:B1:C2:D3:E4:F5"),
    ]
    monkeypatch.setattr(ports, "usb_ports", lambda: usb)
    pytester.makepyfile("def test_it(meter): assert meter.status().provisioned")
    pytester.runpytest_inprocess("--meter", "a0b1c2d3e4f5").assert_outcomes(passed=1)
    meters.create("home", meters.make_config())
    result = pytester.runpytest_inprocess("--meter", "home")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["meter home has no port: it is not served*"])
    with meters.NamedBoard(meters.find("home")):
        erase = pytester.runpytest_inprocess("--meter", "home", "--meter-erase")
        erase.assert_outcomes(passed=1)


@contextlib.contextmanager
def bridge(port: str) -> Iterator[str]:
    """Serve a serial port over TCP, as ser2net does; yield the URL."""
    line = os.open(port, os.O_RDWR | os.O_NOCTTY)
    server = socket.create_server(("127.0.0.1", 0))
    stop, stopped = socket.socketpair()

    def carry() -> None:
        while True:
            ready, _, _ = select.select([server, stopped], [], [])
            if stopped in ready:
                return
            client, _ = server.accept()
            with client:
                while True:
                    ready, _, _ = select.select([client, line, stopped], [], [])
                    if stopped in ready:
                        return
                    if line in ready:
                        client.sendall(os.read(line, 4096))
                    if client in ready:
                        data = client.recv(4096)
                        if not data:
                            break
                        os.write(line, data)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
    finally:
        stop.send(b"!")
        thread.join()
        for end in (server, stop, stopped):
            end.close()
        os.close(line)


def test_a_board_can_be_reached_over_tcp(pytester: pytest.Pytester, board: VirtualBoard) -> None:
    pytester.makepyfile(_ON_A_BOARD)
    with bridge(board.path) as url:
        result = pytester.runpytest_inprocess("--meter", url)
        result.assert_outcomes(passed=3, skipped=2)
        result.stdout.fnmatch_lines([f"meters: board virtual at {url}, firmware 0.2.0 (*"])


# Boards that fail

_MANY = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(meter, number):
    assert meter.status().provisioned

def test_without_a_meter():
    pass
"""


def test_a_board_that_another_process_holds_is_reported_once(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    pytester.makepyfile(_MANY)
    with Meter.open(board.path):
        result = pytester.runpytest_inprocess(f"--meter={board.path}")
    result.assert_outcomes(errors=6, passed=1)
    said = f"port {board.path} is in use by another program"
    assert "Traceback" not in result.stdout.str()
    assert (
        len([line for line in result.outlines if line.startswith("not tried: there is no board")])
        == 6 - 1
    )
    assert len([line for line in result.outlines if line.startswith(said)]) == 1


_LOSES_POWER = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(meter, number):
    if number == 2:
        open("ask", "w").close()
        open("done").close()
    assert meter.status().provisioned
"""


def test_a_board_that_loses_power_is_reported_once(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    pytester.makepyfile(_LOSES_POWER)
    for name in ("ask", "done"):
        os.mkfifo(pytester.path / name)

    def cut_power() -> None:
        (pytester.path / "ask").open().close()
        board.power_cut()
        (pytester.path / "done").open("w").close()

    power_thread = threading.Thread(target=cut_power)
    power_thread.start()
    result = pytester.runpytest_inprocess(f"--meter={board.path}", "--meter-timeout=0.5")
    power_thread.join()
    result.assert_outcomes(passed=2, failed=1, errors=3)
    result.stdout.fnmatch_lines(
        [
            f"E * the board at {board.path} does not answer within 0.5 s: it sent nothing",
            "*- meter -*",
            f"no answer: the board at {board.path} does not answer within 0.5 s: *",
            "serial line:",
        ]
    )
    again = f"not tried: the board at {board.path} stopped answering in "
    assert len([line for line in result.outlines if line.startswith(again)]) == 3


def test_a_port_that_disappears_is_reported_once(pytester: pytest.Pytester) -> None:
    meters.create("home", meters.make_config())
    command = [sys.executable, "-m", "jeton_host", "serve", "home"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        pytester.makepyfile(
            f"""
            import os, pytest

            @pytest.mark.parametrize("number", range(4))
            def test_it(meter, number):
                if number == 1:
                    os.kill({process.pid}, 9)
                    os.waitid(os.P_PID, {process.pid}, os.WEXITED | os.WNOWAIT)
                assert meter.status().provisioned
            """
        )
        result = pytester.runpytest_inprocess(f"--meter={port}", "--meter-timeout=0.5")
    result.assert_outcomes(passed=1, failed=1, errors=2)
    assert len([line for line in result.outlines if line.startswith("not tried: ")]) == 2


def test_a_refused_configuration_does_not_damage_the_board(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def meter_config(meter_config, request):
            return meter_config | request.param

        @pytest.mark.parametrize("meter_config", [{"drn": "1"}, {}], indirect=True)
        def test_it(meter):
            assert meter.status().provisioned
        """
    )
    result = pytester.runpytest_inprocess(f"--meter={board.path}")
    result.assert_outcomes(passed=1, errors=1)


# Workers of xdist

_WHERE = """
import os, pytest

@pytest.mark.parametrize("number", range(8))
def test_it(meter, number):
    assert meter.status().provisioned
    with open(os.environ["PYTEST_XDIST_WORKER"], "a") as file:
        file.write(meter.port + "\\n")
"""


def test_each_worker_has_its_own_board(
    pytester: pytest.Pytester, board: VirtualBoard, other: VirtualBoard
) -> None:
    pytester.makepyfile(_WHERE)
    result = pytester.runpytest_inprocess(
        f"--meter={board.path}", f"--meter={other.path}", "-n2", "--dist=each"
    )
    result.assert_outcomes(passed=16)
    used = [set((pytester.path / f"gw{n}").read_text().split()) for n in range(2)]
    assert used == [{board.path}, {other.path}]
    result.stdout.fnmatch_lines(
        [
            f"meters of gw0: board virtual at {board.path}, firmware 0.2.0 (*",
            f"meters of gw1: board virtual at {other.path}, firmware 0.2.0 (*",
        ]
    )


def test_a_board_that_another_process_holds_fails_only_its_worker(
    pytester: pytest.Pytester, board: VirtualBoard, other: VirtualBoard
) -> None:
    pytester.makepyfile(_WHERE)
    with Meter.open(other.path):
        result = pytester.runpytest_inprocess(
            f"--meter={board.path}", f"--meter={other.path}", "-n2", "--dist=each"
        )
    result.assert_outcomes(passed=8, errors=8)
    said = f"port {other.path} is in use by another program"
    assert len([line for line in result.outlines if line.startswith(said)]) == 1
    assert (
        len([line for line in result.outlines if line.startswith("not tried: there is no board")])
        == 7
    )


def test_a_replacement_worker_gets_the_board(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    pytester.makepyfile(
        """
        import os

        def test_dies(meter):
            os._exit(1)

        def test_it(meter):
            assert meter.status().provisioned
        """
    )
    result = pytester.runpytest_inprocess(f"--meter={board.path}", "-n1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"meters of gw1: board virtual at {board.path}, *"])


def test_more_workers_than_boards_are_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_MANY)
    result = pytester.runpytest_inprocess("--meter=/dev/a", "--meter=/dev/b", "-n3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line] == [
        "ERROR: --meter names 2 boards for 3 workers: name one for each, or run -n 2"
    ]


# Invalid options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--meter=/dev/a", "--meter=/dev/a"], "--meter names the same board twice"),
        (["--meter="], "--meter is empty"),
        (["--meter-timeout=0"], "--meter-timeout is 0: give seconds, more than 0"),
        (["--meter-timeout=nan"], "--meter-timeout is nan: "),
        (["--meter-image="], "--meter-image '' is not usable: name a folder"),
        (
            ["--meter-image=/dev/null/x"],
            "--meter-image '/dev/null/x' is not usable: /dev/null is no",
        ),
        (
            ["--meter-board=virtual", "--meter-wires=models"],
            "--meter-wires needs pins, which --meter-board=virtual lacks: ",
        ),
    ],
)
def test_invalid_options_are_usage_errors(
    pytester: pytest.Pytester, options: list[str], expected: str
) -> None:
    result = pytester.runpytest_inprocess(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {expected}*"])


def test_a_board_named_twice_in_different_ways_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb = [ports.Port("/dev/none", True, "", "A0:B1:C2:D3:E4:F5")]
    monkeypatch.setattr(ports, "usb_ports", lambda: usb)
    for other in ("a0b1c2d3e4f5", "auto"):
        result = pytester.runpytest_inprocess("--meter=/dev/none", f"--meter={other}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert [line for line in result.errlines if line] == [
            f"ERROR: --meter names the same board twice: /dev/none and {other} are /dev/none"
        ]
    meters.create("home", meters.make_config())
    with meters.NamedBoard(meters.find("home")) as board:
        port = board.path
        result = pytester.runpytest_inprocess("--meter=home", f"--meter={port}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: * home and {port} are *"])
    (pytester.path / "test_it.py").write_text("def test_it(): pass")
    result = pytester.runpytest_inprocess("--meter=home", "--meter=/dev/none")
    result.assert_outcomes(passed=1)


def test_a_port_taken_as_a_test_path_is_reported(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    """pytest does that if the option has no "=" before its value and no test is named."""
    pytester.makepyfile("def test_it(meter): pass")
    result = pytester.runpytest_subprocess("--meter", board.path)
    result.stderr.fnmatch_lines([f"ERROR: pytest took * write --meter={board.path}, *"])
    pytester.runpytest_subprocess(".", "--meter", board.path).assert_outcomes(passed=1)


# Cost of the plugin


def test_nothing_is_imported_or_opened_without_need(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            ours = {name for name in sys.modules if name.partition(".")[0] == "jeton_host"}
            assert ours == {"jeton_host", "jeton_host.testing", "jeton_host.testing.plugin"}
            assert not {"serial", "mpremote", "sqlite3", "jeton"} & set(sys.modules)
        """
    )
    result = pytester.runpytest_subprocess("--meter=/dev/nowhere")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["meters: /dev/nowhere"])


def test_collecting_tests_opens_no_board(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(meter): pass")
    result = pytester.runpytest_inprocess("--meter=/dev/nowhere", "--collect-only")
    assert result.ret == 0
    assert not lines_with(result, "no board")


def test_workers_are_counted(pytestconfig: pytest.Config) -> None:
    class Options:
        def __init__(self, **values: object) -> None:
            self.values = values

        def getoption(self, name: str, default: object = None) -> object:
            return self.values.get(name, default)

    assert _workers(Options(dist="no", tx=["popen"])) == 0  # type: ignore[arg-type]
    assert _workers(Options(dist="load", tx=["2*popen", "ssh=x"])) == 3  # type: ignore[arg-type]


def test_the_errors_of_boards_have_the_right_base_classes() -> None:

    assert issubclass(errors.OutOfOrderError, BoardError)
    assert issubclass(errors.NeverCameError, AssertionError)

"""labgrid with a real coordinator, exporter and ser2net, on served virtual boards."""

import re
from pathlib import Path

import pytest
from farm_support import Farm

ENVIRONMENT = """
targets:
  main:
    resources:
      RemotePlace: {{name: {place}}}
    drivers:
      JetonMeterDriver: {{}}
      {power}
      JetonStrategy: {{{options}}}
imports: [{imports}]
"""
CONFTEST = """
import pytest
@pytest.fixture
def meter(strategy):
    strategy.transition("running")
    return strategy.meter
@pytest.fixture
def meter_pos(meter):
    return meter.pos
"""
PURCHASE = """
def test_purchase(meter, meter_pos):
    assert meter.port.startswith("rfc2217://127.0.0.1:"), meter.port
    before = meter.status()
    assert before.credit_wh == 0
    assert meter.enter(meter_pos.credit("12.5").token).name == "Accept"
    assert meter.status().credit_wh == 12500
    assert meter.status().switch == "closed"
    meter.reset()
    assert meter.status().credit_wh == 12500
def test_fresh_again(meter):
    assert meter.status().credit_wh == 0
"""


def environment(
    farm: Farm, place: str = "one", options: str = "erase_meter: true", power: str = "",
    imports: str = "jeton_host.testing.labgrid",
) -> None:  # fmt: skip
    (farm.folder / "env.yaml").write_text(
        ENVIRONMENT.format(place=place, options=options, power=power, imports=imports)
    )


def write_tests(farm: Farm, source: str) -> None:
    (farm.folder / "conftest.py").write_text(CONFTEST)
    (farm.folder / "test_it.py").write_text(source)


@pytest.fixture
def acquired(farm: Farm) -> Farm:
    for place in farm.ports:
        farm.client(place, "acquire")
    return farm


def test_an_acquired_place_runs_a_purchase(farm: Farm) -> None:
    environment(farm)
    write_tests(farm, PURCHASE)
    refused = farm.test("--lg-env", "env.yaml", "test_it.py")
    assert refused.status == 1
    assert "is not acquired" in refused.out
    assert farm.client("one", "acquire").out == "acquired place one\n"
    done = farm.test("--lg-env", "env.yaml", "test_it.py")
    assert (done.status, "2 passed" in done.out) == (0, True), done.out
    assert farm.client("one", "release").out == "released place one\n"


def test_a_place_of_another_user_is_refused_in_one_line(farm: Farm) -> None:
    farm.client("one", "acquire")
    other = {"LG_USERNAME": "ana", "LG_HOSTNAME": "laptop"}
    refused = farm.client("one", "acquire", **other)
    assert refused.status == 1
    assert refused.out.startswith("labgrid-client: Error: Place one is already acquired by")
    assert refused.out.count("\n") == 1
    assert farm.client("two", "acquire", **other).status == 0, "the other place is free"
    assert farm.client("two", "release", **other).status == 0
    farm.client("one", "release")


def test_two_places_work_at_the_same_time(acquired: Farm) -> None:
    from labgrid import Environment

    path = acquired.folder / "two.yaml"
    path.write_text(
        "targets:\n"
        + "".join(
            f"  {place}:\n    resources:\n      RemotePlace: {{name: {place}}}\n"
            "    drivers:\n      JetonMeterDriver: {}\n      JetonStrategy: {erase_meter: true}\n"
            for place in acquired.ports
        )
        + "imports: [jeton_host.testing.labgrid]\n"
        + f"options: {{coordinator_address: '{acquired.env['LG_COORDINATOR']}'}}\n"
    )
    env = Environment(str(path))
    try:
        found = [env.get_target(place).get_driver("JetonStrategy") for place in acquired.ports]
        for strategy, watts in zip(found, (1000, 3000), strict=True):
            strategy.transition("running")
            assert strategy.meter.enter(strategy.pos.credit("8").token).good
            strategy.meter.set_load(watts)
        for strategy in found:
            strategy.meter.advance(3600)
        left = [strategy.meter.status().credit_wh for strategy in found]
        assert left == [pytest.approx(7000, abs=5), pytest.approx(5000, abs=15)]
        found[0].transition("off")
        assert found[1].meter.status().provisioned
        found[0].transition("running")
        assert found[0].meter.status().credit_wh == 0, "the meter is a new one"
    finally:
        env.cleanup()


def failed_output(farm: Farm) -> str:
    write_tests(farm, "def test_it(meter):\n    meter.status()\n")
    done = farm.test("--lg-env", "env.yaml", "test_it.py")
    assert done.status == 1, done.out
    return re.sub(r"\s+", " ", done.out)


def test_a_meter_with_a_history_is_kept(acquired: Farm) -> None:
    from jeton_host import Meter, make_config

    with Meter(str(acquired.ports["two"])) as meter:
        meter.provision(make_config(drn="00000000125") | {"credit_wh": 700})
    environment(acquired, "two", "profile: ceet")
    done = failed_output(acquired)
    with Meter(str(acquired.ports["two"])) as meter:
        assert meter.status().credit_wh == 700
    assert "there is meter 00000000125" in done
    assert "erase_meter: true" in done


def test_other_firmware_of_a_virtual_board_is_reported(acquired: Farm) -> None:
    from jeton_host import Meter

    with Meter(str(acquired.ports["two"])) as meter:
        firmware = meter.run("print(open('/firmware.id').read())")
        meter.run("with open('/firmware.id', 'w') as file:\n file.write('0123abc\\n')")
        try:
            environment(acquired, "two")
            assert "has firmware 0123abc" in failed_output(acquired)
        finally:
            meter.run(f"with open('/firmware.id', 'w') as file:\n file.write({firmware!r})")


POWER = """
import attr
from labgrid.driver import Driver
from labgrid.factory import target_factory
from labgrid.protocol import PowerProtocol
@target_factory.reg_driver
@attr.s(eq=False)
class FilePowerDriver(Driver, PowerProtocol):
    def note(self, what):
        with open("power.txt", "a") as file:
            file.write(what + " ")
    @Driver.check_active
    def on(self):
        self.note("on")
    @Driver.check_active
    def off(self):
        self.note("off")
    @Driver.check_active
    def cycle(self):
        self.note("cycle")
"""


def test_power_is_switched_if_the_place_has_a_driver(acquired: Farm) -> None:
    (acquired.folder / "power.py").write_text(POWER)
    environment(
        acquired, power="FilePowerDriver: {}", imports="jeton_host.testing.labgrid, power.py"
    )
    write_tests(
        acquired,
        "def test_it(strategy):\n"
        "    strategy.transition('off')\n"
        "    strategy.transition('flashed')\n"
        "    strategy.transition('provisioned')\n"
        "    assert strategy.meter.status().provisioned\n"
        "    strategy.transition('off')\n",
    )
    done = acquired.test("--lg-env", "env.yaml", "test_it.py")
    assert done.status == 0, done.out
    assert (acquired.folder / "power.txt").read_text() == "off on off "


def test_a_local_port_works_without_a_coordinator(farm: Farm) -> None:
    """The environment has a RawSerialPort of this computer and no coordinator."""
    for place in farm.ports:
        farm.client(place, "release")
    (farm.folder / "env.yaml").write_text(
        "targets:\n  main:\n    resources:\n"
        f"      RawSerialPort: {{port: {farm.ports['one']}}}\n"
        "    drivers:\n      JetonMeterDriver: {timeout: 6}\n"
        "      JetonStrategy: {erase_meter: true}\n"
        "imports: [jeton_host.testing.labgrid]\n"
    )
    write_tests(farm, PURCHASE.replace('meter.port.startswith("rfc2217://127.0.0.1:")', "1"))
    done = farm.test("--lg-env", "env.yaml", "test_it.py")
    assert (done.status, "2 passed" in done.out) == (0, True), done.out


def test_the_pytest_plugin_works_on_an_exported_port(acquired: Farm) -> None:
    shown = acquired.client("one", "show").out
    port = re.search(r"'port': (\d+)", shown)
    assert port, shown
    folder = acquired.folder / "alone"
    folder.mkdir()
    (folder / "test_it.py").write_text(
        "def test_it(meter, meter_pos):\n"
        "    assert meter.enter(meter_pos.credit('5').token).good\n"
        "    meter.set_load(2000)\n"
        "    meter.advance_until(switch='open')\n"
    )
    done = acquired.test(
        "--meter", f"rfc2217://127.0.0.1:{port[1]}", "--rootdir", str(folder), str(folder)
    )
    assert (done.status, "1 passed" in done.out) == (0, True), done.out


def test_an_unknown_protocol_of_the_driver_is_reported(tmp_path: Path, farm: Farm) -> None:
    from labgrid import Target
    from labgrid.resource import NetworkSerialPort

    from jeton_host import BoardError
    from jeton_host.testing.labgrid import JetonMeterDriver

    target = Target("main")
    NetworkSerialPort(target, None, host="[::1]", port=7001, protocol="raw")
    driver = JetonMeterDriver(target, None)
    assert driver.url == "socket://[::1]:7001"
    driver.port.protocol = "carrier pigeon"
    with pytest.raises(BoardError, match="carrier pigeon"):
        _ = driver.url

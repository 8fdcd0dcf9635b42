"""Tests of the types of record and settings: they are current, and mypy finds wrong uses."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jeton.profile import Profile
from jeton.state import State
from jeton_host.firmware import profiles
from jeton_host.firmware import types as firmware_types
from jeton_host.paths import firmware_dir

CONFIG = Path(__file__).parents[2] / "pyproject.toml"
_KINDS = {"int": int, "bool": bool, "str": str, "bytes": bytes, "bytearray": bytearray}

# mypy must report an error in each line that ends with "# wrong", and in no other.
LINES = """
from jeton import credit
from jeton.meter import Meter
from jeton.profile import Profile
from jeton.state import State


def record(state: State, meter: Meter) -> None:
    state.warned = 1
    state.wraned = 1  # wrong
    state.warned = "yes"  # wrong
    state.drn = b"00000000000"
    state.drn = "00000000000"  # wrong
    state.events[0] = 1
    state.event[0] = 1  # wrong
    state.load_steps = b""
    meter.state.credit_wh += 1
    meter.state.credit += 1  # wrong
    credit.mute(state)
    credit.mute(meter)  # wrong


def settings(profile: Profile, meter: Meter) -> None:
    print(profile.credit_low_wh, profile.codes_list, profile.codes_show, profile.language)
    print(profile.credit_lo_wh)  # wrong
    print(profile.codes_shows)  # wrong
    print(profile.credit_emergency_wh + 1)
    print(profile.credit_low_wh + 1)  # wrong
    print(meter.profile.supply_tamper)
    print(meter.profile.tamper)  # wrong
"""


def mypy(*paths: Path, config: Path = CONFIG) -> set[tuple[str, int]]:
    """Return (file, line) of each error that mypy finds."""
    # Other settings would invalidate the cache of `make lint`.
    cache = str(CONFIG.parent / ".mypy_cache" / ("" if config == CONFIG else "tests"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            str(config),
            "--cache-dir",
            cache,
            *map(str, paths),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=CONFIG.parent,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(.*?):(\d+): error:", done.stdout, re.MULTILINE)
    assert bool(found) == bool(done.returncode), done.stdout
    return {(Path(file).name, int(line)) for file, line in found}


def marked(name: str, source: str) -> set[tuple[str, int]]:
    """Return (file, line) of the lines that must be errors."""
    return {
        (name, number)
        for number, line in enumerate(source.splitlines(), 1)
        if line.endswith("# wrong")
    }


def test_the_types_are_current() -> None:
    hint = f"{firmware_types.path().name} differs from the tables: run make types"
    assert firmware_types.path().read_text(encoding="utf-8") == firmware_types.source(), hint


def test_a_record_has_the_typed_fields() -> None:
    state = State()
    typed = dict(firmware_types.record())
    assert set(typed) == set(vars(state))
    for name, kind in typed.items():
        assert type(getattr(state, name)) is _KINDS[kind.split(" ")[0]], name


@pytest.mark.parametrize("name", profiles.shipped())
def test_a_profile_has_the_typed_settings(name: str) -> None:
    profile = Profile(profiles.port, name)
    typed = dict(firmware_types.settings())
    own = {"languages", "language", "rtl", "_words"}  # set by the constructor
    assert set(typed) == set(vars(profile)) - own
    for setting, kind in typed.items():
        value = getattr(profile, setting)
        if value is None:
            assert kind.endswith(" | None"), setting
        elif kind.startswith("Literal"):
            assert f'"{value}"' in kind, setting
        elif kind.startswith("list"):
            one = _KINDS[kind[5:].split("]")[0]]
            assert all(type(each) is one for each in value), setting
        else:
            assert type(value) is _KINDS[kind.split(" ")[0]], setting


def test_a_misspelt_field_is_a_type_error(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(LINES)
    assert mypy(snippet) == marked("snippet.py", LINES)


def test_a_misspelt_field_in_the_firmware_is_a_type_error(tmp_path: Path) -> None:
    shutil.copytree(firmware_dir() / "jeton", tmp_path / "jeton")
    config = tmp_path / "mypy.ini"
    lines = ["[mypy]", f"mypy_path = {tmp_path}", "check_untyped_defs = true"]
    config.write_text("\n".join([*lines, "ignore_missing_imports = true"]))
    wrong = set()
    for module, right, other in (
        ("credit", "state.warned |= MUTED", "state.wraned |= MUTED"),
        ("timeline", "meter.state.load_w = watts", "meter.state.load = watts"),
        ("screens", "profile.screens_page_s % len", "profile.screen_page_s % len"),
        # Also in the modules of the record and of the meter.
        ("state", "self.rows, self.cols = 2, 16", "self.rows, self.cols = 2, None"),
        ("operations", "state.unbalance_w = unbalance_w", "state.unbalanced_w = unbalance_w"),
    ):
        path = tmp_path / "jeton" / f"{module}.py"
        text = path.read_text()
        assert text.count(right) == 1, module
        path.write_text(text.replace(right, other))
        wrong.add((path.name, text[: text.index(right)].count("\n") + 1))
    assert mypy(tmp_path / "jeton", config=config) == wrong

"""Tests of the public names of `jeton_host`, its errors, and the cost of its import."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import jeton_host


def test_every_public_name_exists() -> None:
    assert sorted(jeton_host.__all__) == list(jeton_host.__all__)
    for name in jeton_host.__all__:
        assert getattr(jeton_host, name) is not None
        assert name in dir(jeton_host)
    places = [name for names in jeton_host._PLACES.values() for name in names]
    assert sorted([*places, "__version__"]) == list(jeton_host.__all__)


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Meters'"):
        jeton_host.Meters  # noqa: B018


def test_importing_jeton_host_imports_no_other_module_of_it() -> None:
    program = (
        "import sys; before = set(sys.modules); import jeton_host\n"
        "print(*sorted(set(sys.modules) - before - {'typing'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert [name for name in done.stdout.split() if name.startswith("jeton")] == ["jeton_host"]


def _errors() -> set[type[Exception]]:
    found = set()
    for module in pkgutil.walk_packages(jeton_host.__path__, "jeton_host."):
        if module.name.endswith(("__main__", ".labgrid")) or "_data" in module.name:
            continue
        for _, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, Exception) and value.__module__.startswith("jeton_host."):
                found.add(value)
    return found


def test_errors_of_jeton_have_public_names() -> None:
    for error in _errors():
        # Except errors of the command line, which other programs never get.
        if issubclass(error, jeton_host.JetonError) and not error.__module__.startswith(
            "jeton_host.cli."
        ):
            assert getattr(jeton_host, error.__name__) is error


def test_a_star_import_works_without_the_extra_server() -> None:
    program = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name == "fastapi" else find(name, *more)
from jeton_host import *
assert Meter
assert "VendServer" not in dir()
"""
    subprocess.run([sys.executable, "-c", program], check=True)

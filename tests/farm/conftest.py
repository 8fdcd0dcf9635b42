"""Fixtures of the labgrid tests. labgrid is not installed for other tests: use `make farm`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from farm_support import Farm, missing, served_farm

WHY = missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if WHY and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=WHY))


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory, _session_home: None) -> Iterator[Farm]:
    folder = tmp_path_factory.mktemp("farm")
    # The exporter accepts only ports below /dev.
    with served_farm(folder, Path(f"/dev/shm/jeton-{os.getpid()}"), ("one", "two")) as served:
        yield served

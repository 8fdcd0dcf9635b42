"""Tests of the archive of compiled modules, as the host writes it and the board reads it."""

import zlib
from dataclasses import replace

import pytest

from jeton_host.errors import BoardError
from jeton_host.firmware import archive, boards
from jeton_host.firmware import build as firmware_build

MODULES = {"board.mpy": b"one", "jeton/meter.mpy": b"three", "jeton/sts/crc.mpy": b"M\x06"}


def test_an_archive_is_read_as_it_was_written() -> None:
    made = archive.pack(dict(reversed(MODULES.items())))
    assert made == archive.pack(MODULES) == archive.unpack(made.content)
    assert made.modules == MODULES
    content = made.content
    index = content[10 : 10 + int.from_bytes(content[8:10], "little")]
    found = {index[at : at + 4]: index[at + 4 : at + 7] for at in range(0, len(index), 7)}
    for name, module in MODULES.items():
        start = int.from_bytes(found[zlib.crc32(f"/{name}".encode()).to_bytes(4, "big")], "big")
        assert content[start : start + len(module)] == module
    for folder in ("/", "/jeton", "/jeton/sts"):
        assert found[zlib.crc32(folder.encode()).to_bytes(4, "big")] == b"\0\0\0"


def test_every_byte_of_an_archive_is_checked() -> None:
    content = archive.pack(MODULES).content
    start = len(archive.pack(MODULES).head)
    modules = sum(map(len, MODULES.values()))
    for at in (*range(start), *range(start + modules, len(content))):
        damaged = content[:at] + bytes((content[at] ^ 0x81,)) + content[at + 1 :]
        with pytest.raises(BoardError, match="archive of the firmware is damaged"):
            archive.unpack(damaged)
    for end in range(0, len(content), 7):
        with pytest.raises(BoardError, match="archive of the firmware is damaged"):
            archive.unpack(content[:end])


def test_two_names_with_one_crc_are_refused() -> None:
    """The CRC-32 of "plumless" and "buckeroo" is the same; the same text after each keeps that."""
    assert zlib.crc32(b"plumless.mpy") == zlib.crc32(b"buckeroo.mpy")
    crcs = {zlib.crc32(f"/{name}".encode()) for name in ("plumless.mpy", "buckeroo.mpy")}
    assert len(crcs) == 1  # the text before it keeps it too, as both have the same length
    with pytest.raises(BoardError, match="rename one of them"):
        archive.pack({"plumless.mpy": b"", "buckeroo.mpy": b""})


def test_the_read_size_of_a_board_is_in_its_boot_py() -> None:
    board = boards.load("esp32_oled")
    assert b"readsize=128)" in firmware_build.sources(board, native=True)["boot.py"]
    large = replace(board, read_size=512)
    assert b"readsize=512)" in firmware_build.sources(large, native=True)["boot.py"]
    assert not large.problems()
    assert replace(board, read_size=100).problems() == [
        "esp32_oled: READ_SIZE is 100, not one of (32, 64, 128, 256, 512)"
    ]


def test_the_check_of_a_lock_needs_no_archive() -> None:
    for name in boards.names():
        contents = firmware_build.sources(name, native=True)
        spare = {n: source for n, source in contents.items() if n.startswith("lib/")}
        del spare["lib/jeton_pack.mpy"]
        assert {"lib/drivers/shut.mpy", "lib/board.mpy", "lib/jeton/state.mpy"} <= set(spare)
        assert "lib/jeton/meter.mpy" not in spare
        for file, source in spare.items():
            assert contents[file.replace("lib/", "fw/", 1)] == source

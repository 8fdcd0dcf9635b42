"""Tests of the transcript of a serial line: both directions, in order, and no key."""

from jeton_host.client.transcript import Transcript


def test_the_transcript_omits_the_control_bytes_of_the_raw_repl() -> None:
    line = Transcript()
    line.sent(b"\x05A\x01")
    line.received(b"R\x01 \x00\x01")
    line.sent(b"print(meter.rpc('[\"dis")
    line.received(b"\x01")
    line.sent(b"play\"]'))\x04")
    line.received(b'\x04{"ok": 1}\r\n\x04\x04>')
    line.received(b"jeton: display: nothing answers\r\n")
    assert line.lines() == [
        "> print(meter.rpc('[\"display\"]'))",
        '< {"ok": 1}',
        "< jeton: display: nothing answers",
    ]
    assert line.lines(1) == ["< jeton: display: nothing answers"]


def test_a_key_sent_in_pieces_is_hidden() -> None:
    line = Transcript()
    line.hide("0123456789ABCDEF")
    line.sent(b"\x05A\x01")
    line.sent(b"{'decoder_key': '01234567")
    line.received(b"\x01")
    line.sent(b"89abcdef'}\x04")
    line.received(b"0123456789abcdef\r\n")
    assert line.lines() == ["> {'decoder_key': '(hidden)'}", "< (hidden)"]


def test_a_transcript_without_its_beginning_shows_no_part_of_a_key() -> None:
    line = Transcript()
    line.hide("0123456789abcdef")
    line.sent(b"\x05A\x01{'decoder_key': '01234567")
    line.received(b"\x01")
    line.sent(b"89abcdef'}")
    for number in range(31):
        line.received(b"\x01")
        line.sent(b"\x05A\x01 %d" % number)
    assert "89abcdef" not in " ".join(line.lines(1000))
    assert line.lines(1) != []


def test_the_transcript_keeps_a_limited_amount() -> None:
    line = Transcript()
    for number in range(100_000):
        line.received(b"%d\r\n" % number)
    shown = line.lines(10**6)
    assert shown == []  # a transcript begins with a request; all requests were dropped
    line.sent(b"\x05A\x01x\x04")
    assert line.lines() == ["> x"]
    assert sum(len(data) for _, data in line._chunks) < 70_000

"""What a serial line carried last: both directions, in order, and no key."""

from jeton_host.client.transcript import Transcript


def test_both_directions_without_what_steers_the_raw_repl() -> None:
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


def test_a_key_is_hidden_however_it_was_cut() -> None:
    line = Transcript()
    line.hide("0123456789ABCDEF")
    line.sent(b"\x05A\x01")
    line.sent(b"{'decoder_key': '01234567")
    line.received(b"\x01")
    line.sent(b"89abcdef'}\x04")
    line.received(b"0123456789abcdef\r\n")
    assert line.lines() == ["> {'decoder_key': '(hidden)'}", "< (hidden)"]


def test_what_was_cut_off_at_the_beginning_tells_no_half_key() -> None:
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


def test_much_is_forgotten() -> None:
    line = Transcript()
    for number in range(100_000):
        line.received(b"%d\r\n" % number)
    told = line.lines(10**6)
    assert told == []  # nothing was asked since: it begins with a request
    line.sent(b"\x05A\x01x\x04")
    assert line.lines() == ["> x"]
    assert sum(len(octets) for _, octets in line._chunks) < 70_000

"""Each code that reads input from outside, as a function of bytes that raises if the code fails.

`make fuzz` runs a coverage-guided fuzzer on these targets (fuzz.py); test_targets.py runs them
with inputs from Hypothesis. TARGETS contains valid inputs to begin with.
"""

import io
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import both_support as support
from jeton import load, reading, setup
from jeton import state as states
from jeton.console import Console
from jeton.meter import Meter
from jeton.sts import digits
from jeton.sts.decoder import decode as decode_token
from jeton.sts.keys import cipher
from jeton_host.checking import check as checking
from jeton_host.checking import rows as check_rows
from jeton_host.client import loads
from jeton_host.errors import JetonError
from jeton_host.firmware import profiles
from jeton_host.vending import batch, keys, tokens
from jeton_host.vending.pos import PointOfSale

KEY = "87f3ecbb2e46b48f"
_SHORT = 2000  # characters: longer errors are of no use to a person


def _message(error: Exception) -> str:
    """Check that an error is one short line, for people; return it."""
    text = str(error)
    assert text.strip()
    assert "\n" not in text.strip()
    assert len(text) < _SHORT, text[:300]
    return text


class Clock:
    rate = 1

    def __init__(self) -> None:
        self.seconds = support.T0

    def now(self) -> int:
        return self.seconds

    def set(self, seconds: int) -> None:
        self.seconds = seconds

    def advance(self, seconds: int) -> None:
        self.seconds += seconds

    def linger(self, seconds: int) -> None:
        pass


_CIPHERS = [(7, cipher(7, support.KEY)), (11, cipher(11, support.KEY11))]
_TOKENS = [
    support.credit(2000),
    support.class1(0),
    support.class1(4, sub=1),
    *support.key_change(),
]


def decoder(data: bytes) -> None:
    """Decode digits with the firmware and with the point of sale."""
    text = data.decode("utf-8", "surrogateescape")
    for ea, decrypt in _CIPHERS:
        result, token, message = decode_token(text, decrypt, ea)
        assert 1 <= result <= 18
        assert token is not None or message or result == 13
    for key in (None, support.KEY):
        try:
            tokens.decode(text, key=key).as_dict()
        except JetonError as error:
            _message(error)
    if len(data) >= 9:
        cls, block = data[0] & 3, data[1:9]
        assert digits.split(digits.join(cls, block)) == (cls, block)


@cache
def _console() -> Console:
    meter = Meter(support.Store(), support.profiles)
    meter.start()
    made = Console(meter, Clock(), dict)
    made.rpc(json.dumps(["provision", support.configuration(clock=support.T0)]))
    return made


def console(data: bytes) -> None:
    """Send lines to the console; afterwards the meter must still take a good token."""
    one = _console()
    for line in data.split(b"\n")[:20]:
        answer = one.rpc(line.decode("utf-8", "replace"))
        assert "\n" not in answer
        value = json.loads(answer)
        assert set(value) in ({"ok"}, {"error"})
        if "error" in value and KEY.encode() not in line:
            assert KEY not in answer
    one.rpc(json.dumps(["provision", support.configuration(clock=support.T0)]))
    entered = json.loads(one.rpc(json.dumps(["enter", _TOKENS[0]])))
    assert entered["ok"]["name"] == "Accept", entered


def state(data: bytes) -> None:
    """Unpack a record as read from the flash."""
    try:
        found = reading.unpack(data)
    except ValueError as error:
        _message(error)
        return
    again = reading.unpack(found.pack())
    assert again.pack() == found.pack()
    store = support.Store()
    store.save([data])
    meter = Meter(store, support.profiles)
    meter.start()
    if not meter.fault:
        meter.status(found.clock)
        meter.display(found.clock)


def load_steps(data: bytes) -> None:
    """Pack the steps of a load from JSON."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    repeat_s = value.get("repeat_s", 0) if isinstance(value, dict) else 0
    steps = value.get("steps") if isinstance(value, dict) else value
    if type(repeat_s) is not int:
        return
    try:
        packed = load.packed(steps, repeat_s)
    except ValueError as error:
        _message(error)
        return
    assert len(packed) == 8 * len(steps)


_FOLDER = tempfile.TemporaryDirectory(prefix="jeton-")


def _file(data: bytes, name: str) -> Path:
    path = Path(_FOLDER.name) / name
    path.write_bytes(data)
    return path


def csv(data: bytes) -> None:
    """Read a load from a CSV file."""
    try:
        steps, _ = loads.from_csv(_file(data, "load.csv"))
    except JetonError as error:
        _message(error)
        return
    assert steps
    assert all(0 <= watts <= 0xFFFFFFFF for _, watts in steps)
    assert all(a[0] < b[0] for a, b in pairwise(steps))


def issued_tokens(data: bytes) -> None:
    """Read a file for `jeton check-tokens` and find the meters of its rows."""
    try:
        rows = check_rows.read(data).rows
    except JetonError as error:
        _message(error)
        return
    combined = checking._CombinedPos(
        PointOfSale(_file(b"", "unused.sqlite").with_name("no.sqlite"))
    )
    meters, wrong = checking._meter_rows(rows, combined, {}, datetime(2026, 1, 1, tzinfo=UTC))
    assert len(wrong) + sum(len(meter.rows) for meter in meters) == len(rows)
    for checked in wrong:
        assert checked.why
        assert "\n" not in checked.why


def profile(data: bytes) -> None:
    """Check a user's profile, as `jeton profile check` does."""
    path = _file(data, "mine.json")
    try:
        value = profiles.read(path)
    except JetonError as error:
        _message(error)
        return
    wrong = list(profiles.problems(value, path))
    for problem in wrong:
        assert "\n" not in problem
        assert len(problem) < _SHORT
    if not wrong:
        profiles.settings_for_board(value)
        for language in value["languages"]:
            profiles.messages_for_board(value, language)


def provisioning(data: bytes) -> None:
    """Check the configuration of a meter."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        setup.configured(value, support.profiles).pack()
    except ValueError as error:
        text = _message(error)
        key = value.get("decoder_key") if isinstance(value, dict) else None
        if isinstance(key, str) and len(key) > 8:
            others = [other for name, other in value.items() if name != "decoder_key"]
            assert key in str(others) or key not in text


def _batch(data: bytes, row: batch.RowConverter) -> None:
    sink = io.BytesIO()
    batch.run(io.BytesIO(data), sink, row)
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    answers = sink.getvalue().splitlines()
    assert len(answers) == len(lines)
    for line, answer in zip(lines, answers, strict=True):
        value = json.loads(answer)
        if "error" in value:
            assert len(value["error"]) < _SHORT
            for secret in (KEY, "ababababababababab949494949494949401234567"):
                if secret.encode() in line.lower():
                    assert secret not in value["error"].lower()


def batch_decode(data: bytes) -> None:
    """Run `jeton decode --jsonl`."""
    _batch(data, batch.decode_row)


def batch_encode(data: bytes) -> None:
    """Run `jeton encode --jsonl`."""
    _batch(data, batch.encode_row)


def batch_derive(data: bytes) -> None:
    """Run `jeton derive --jsonl`."""
    _batch(data, batch.derive_row)


def key_file(data: bytes) -> None:
    """Read a file of vending keys."""
    try:
        keys._read_keys(_file(data, "keys.json"), test=True)
    except JetonError as error:
        _message(error)


def _json(*values: object) -> bytes:
    return "\n".join(json.dumps(value) for value in values).encode()


_ROW = {"token": _TOKENS[0], "decoder_key": KEY, "ea": 7}
_FIELDS = {"rnd": 5, "tid": 2000, "amount": 100}
_PARAMETERS = {"dkga": 4, "ea": 7, "vk": "abababababababab949494949494949401234567"}
_PARAMETERS |= {"pan": "600727000000000009", "kt": 2, "sgc": "201457", "ti": 1, "krn": 1}
_DKGA02 = _PARAMETERS | {"dkga": 2, "vk": "abababababababab"}

# Target -> valid inputs to begin with.
TARGETS: dict[Callable[[bytes], None], list[bytes]] = {
    decoder: [token.encode() for token in _TOKENS] + [b"1311 3787 9479-0158 6604"],
    console: [
        _json(["info"], ["status"], ["enter", _TOKENS[0]], ["press", _TOKENS[0] + "#"]),
        _json(["load_profile", {"steps": [[0, 5], [60, 0]], "repeat_s": 600, "at": 5}]),
        _json(["load", 900], ["advance", 3600], ["events", 0, 5], ["clock", 5], ["rate", 2]),
        _json(["phases", [1, 2, 3]], ["tamper", True], ["tid", 5], ["language", "en"]),
        _json(["advance_grant", 500], ["emergency"], ["ledger"], ["history"], ["consume", 5]),
        _json(["provision", support.configuration()], ["reports"], ["acknowledge", 1], ["led"]),
    ],
    state: [support.new_meter()[1].record, states.State().pack()],
    load_steps: [_json([[0, 5], [60, 0]]), _json({"steps": [[0, 5]], "repeat_s": 60})],
    csv: [b"time,watts\n00:00,5\n01:30:05,700\n", b"0;5\n60;7.5\n", b"2026-01-01T00:00,1\n#\n"],
    issued_tokens: [
        f"meter,token,expected\n00000000018,{_TOKENS[0]},12.5\n600727000000000009,1,\n".encode(),
        f"\ufeffDRN;STS token;kWh;sgc;ti\r\n18;{_TOKENS[0]};1,5;123456;7\r\n".encode(),
        _json({"meter": "00000000018", "token": _TOKENS[0], "expected": 5, "krn": 2, "ea": 11}),
    ],
    profile: [profiles.path_of(name).read_bytes() for name in profiles.shipped()],
    provisioning: [_json(support.configuration()), _json(support.configuration(support.KEY11))],
    batch_decode: [_json(_ROW, _ROW | {"ea": 11}, {"token": _TOKENS[1]})],
    batch_encode: [_json({"class": 0, "subclass": 0, "fields": _FIELDS} | {"decoder_key": KEY})],
    batch_derive: [_json(_PARAMETERS | {"bdt": "14"}), _json(_DKGA02)],
    key_file: [Path(keys.__file__).with_name("test_keys.json").read_bytes()],
}

"""Helpers of the tests in this folder; runs in CPython and in MicroPython.

It contains its own encryption, one bit at a time as in the standard. The firmware only decrypts,
and the tests must not depend on the table-driven encryption of the point of sale.
"""

import json
import os
import sys

from jeton import state as states
from jeton.meter import Meter
from jeton.sts import digits, ea07, ea11, tokens

MICROPYTHON = sys.implementation.name == "micropython"
ROOT = sys.argv[4] if MICROPYTHON else __file__.rsplit("/", 3)[0]
T0 = 800_000_000  # some time in 2025, in seconds since 2000

KEY = bytes.fromhex("87f3ecbb2e46b48f")
KEY11 = bytes.fromhex("929bd3a415c9420a05ec5ee9f3ce91c3")
NEW = bytes.fromhex("0123456789abcdef")
NEW11 = bytes.fromhex("00112233445566778899aabbccddeeff")


def encrypt_ea07(key, block, tables=ea07.CERTIFIED):
    """Encrypt 8 bytes, a bit at a time (IEC 62055-41 6.5.4)."""
    mask = (1 << 64) - 1
    k = ~int.from_bytes(key, "big") & mask
    k = k >> 12 | (k << 52 & mask)
    b = int.from_bytes(block, "big")
    for _ in range(16):
        substituted = 0
        for i in range(16):
            box = tables.s2 if k >> (4 * i + 3) & 1 else tables.s1
            substituted |= box[b >> 4 * i & 15] << 4 * i
        b = 0
        for i in range(64):
            b |= (substituted >> i & 1) << tables.p[i]
        k = (k << 1 & mask) | k >> 63
    return b.to_bytes(8, "big")


def encrypt_ea11(key, block):
    """Encrypt 8 bytes by MISTY1 with 8 rounds (RFC 2994 2.3)."""
    ek = ea11.schedule(key)
    a = (int.from_bytes(block[:2], "big"), int.from_bytes(block[2:4], "big"))
    b = (int.from_bytes(block[4:6], "big"), int.from_bytes(block[6:], "big"))
    for k in range(0, 8, 2):
        a = ea11.fl(ek, a[0], a[1], k)
        b = ea11.fl(ek, b[0], b[1], k + 1)
        f = ea11.fo(ek, a[0], a[1], k)
        b = (b[0] ^ f[0], b[1] ^ f[1])
        f = ea11.fo(ek, b[0], b[1], k + 1)
        a = (a[0] ^ f[0], a[1] ^ f[1])
    a = ea11.fl(ek, a[0], a[1], 8)
    b = ea11.fl(ek, b[0], b[1], 9)
    return b"".join([v.to_bytes(2, "big") for v in b + a])


def encrypt(key, block, tables=ea07.CERTIFIED):
    """Encrypt with EA07 for a key of 8 bytes, else with EA11."""
    return encrypt_ea07(key, block, tables) if len(key) == 8 else encrypt_ea11(key, block)


def token(cls, sub, fields, key=KEY, tables=ea07.CERTIFIED):
    """Return the 20 digits of a token."""
    block = tokens.pack(cls, sub, fields, 7 if len(key) == 8 else 11)
    return digits.join(cls, block if cls == 1 else encrypt(key, block, tables))


def credit(tid, units=100, key=KEY, sub=0):
    return token(0, sub, {"rnd": 5, "tid": tid, "amount": tokens.amount_code(units)}, key)


def class1(*numbers, sub=0, mfr_code=0):
    """Return a token that starts these tests; test 0 sets all bits."""
    control = 0
    for n in numbers:
        control |= 1 << n - 1 if n else (1 << (36 if sub == 0 else 28)) - 1
    return token(1, sub, {"control": control, "mfr_code": mfr_code})


def pack(state):
    """Return the whole record as new bytes; a device never needs it in one piece."""
    parts = state.parts(bytearray(states.SIZE))
    states.seal(parts)
    return b"".join(parts)


states.State.pack = pack


class Store:
    """A storage port in memory; with `full` set it fails like a full flash.

    It allocates memory for the record once, so that saving leaves the heap to the meter.
    """

    def __init__(self):
        self._kept = bytearray(3200)
        self._length = None
        self.copy = self.tick = None  # a copy exists only if a test sets one
        self.saves = self.ticks = 0
        self.full = False

    @property
    def record(self):
        return None if self._length is None else bytes(self._kept[: self._length])

    @record.setter
    def record(self, data):
        self.save([data])

    def _add(self, data):
        end = self._length + len(data)
        if end > len(self._kept):
            self._kept.extend(bytes(end - len(self._kept)))
        self._kept[self._length : end] = data
        self._length = end

    def load(self, which):
        return self.record if which == 0 else self.copy if which == 1 else self.tick

    def set_aside(self):
        self._length = self.copy = self.tick = None

    def holds(self, parts, start, end):
        if self._length is None:
            return False
        kept, at = memoryview(self._kept)[: self._length], 0
        for part in parts:
            part = memoryview(part)
            if at == 0:
                if kept[:start] != part[:start] or kept[end : len(part)] != part[end:]:
                    return False
            elif kept[at : at + len(part)] != part:
                return False
            at += len(part)
        return at == self._length

    def save(self, parts):
        if self.full:
            raise OSError(28)
        self._length = 0
        for part in parts:
            self._add(part)
        self.saves += 1

    def save_tick(self, tick):
        if self.full:
            raise OSError(28)
        self.tick = bytes(tick)
        self.ticks += 1


if MICROPYTHON:
    # As on a board: beside the compiled firmware.
    _FOLDER = sys.argv[2] + "/../tree/profiles/"
    _names = os.listdir(_FOLDER)

    def _profile_file(name):
        with open(_FOLDER + name, "rb") as file:
            # As on a board: a fragmented heap has no block for the whole text.
            return json.load(file) if name.endswith(".json") else file.read()
else:
    from jeton_host.firmware import profiles as host_profiles

    _names = _files = host_profiles.board_files(host_profiles.shipped())

    def _profile_file(name):
        if name not in _files:
            raise OSError(2)
        data = _files[name]
        return json.loads(data) if name.endswith(".json") else data


# All profiles in the folder, so that the tests also run for a new one.
PROFILES = sorted([name[:-5] for name in _names if name.endswith(".json")])


def profiles(name, language=None):
    try:
        return _profile_file("%s.%s" % (name, language or "json"))
    except OSError:
        raise ValueError("no profile %s" % name)


def behaving(changes):
    """Return a profiles port with some settings changed: {"credit.low_wh": 5000}."""

    def port(name, language=None):
        data = profiles(name, language)
        if language is None:
            for path in changes or ():
                section, setting = path.split(".")
                assert setting in data[section], path
                data[section][setting] = changes[path]
        return data

    return port


def configuration(key=KEY, **config):
    """Return the configuration of a meter; `config` changes or adds values."""
    values = {
        "drn": "00000000000",
        "ea": 7 if len(key) == 8 else 11,
        "decoder_key": key.hex(),
        "sgc": "201457",
        "tid0": 1000,
    }
    values.update(config)
    return values


def new_meter(key=KEY, changes=None, **config):
    """Return (meter, its store), provisioned at T0; `changes` as for `behaving`."""
    store = Store()
    meter = Meter(store, behaving(changes))
    meter.start()
    meter.provision(configuration(key, **config), T0)
    return meter, store


def again(store, changes=None):
    """Return a new meter on the same store, as after a power cut."""
    meter = Meter(store, behaving(changes))
    meter.start()
    return meter


def key_change(key=KEY, new=NEW, krn=2, kt=2, ti=2, ken=255, ro=0, sgc=201458, three=False):
    """Return the tokens of a key change set in the order of their sections (EA11: 1, 2, 3, 4)."""
    high, low = int.from_bytes(new[:4], "big"), int.from_bytes(new[-4:], "big")
    first = {"kenho": ken >> 4, "krn": krn, "ro": ro, "kct3": int(three), "kt": kt, "nkho": high}
    found = [
        token(2, 3, first, key),
        token(2, 4, {"kenlo": ken & 15, "ti": ti, "nklo": low}, key),
    ]
    if len(key) == 16:
        middle = int.from_bytes(new[4:8], "big"), int.from_bytes(new[8:12], "big")
        found.append(token(2, 8, {"sgclo": sgc & 0xFFF, "nkmo2": middle[0]}, key))
        found.append(token(2, 9, {"sgcho": sgc >> 12, "nkmo1": middle[1]}, key))
    elif three:
        found.append(token(2, 8, {"sgc": sgc, "pad": 0}, key))
    return found


def text(meter, now):
    """Return the lines of the display without blanks at the right end."""
    return [line.rstrip() for line in meter.display(now)]


def raises(kind, function, *arguments):
    """Return the message of the error that the call must raise."""
    try:
        function(*arguments)
    except kind as error:
        return str(error)
    raise AssertionError("nothing was raised")

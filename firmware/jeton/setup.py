"""Sets a meter up: checks a configuration completely before anything is changed.

The names are those of Prism's TokenApi in lower case (DRN, EA, SGC, KRN, TI, KEN, BDT).
"""

from . import events, history, supply
from . import state as states
from .sts import keys
from .sts.digits import is_digits, luhn_ok
from .sts.tids import BYTES, MAX_TID, TidStore
from .values import shown, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import ports
    from .profile import Profile
    from .state import State

_KEYS = (
    "drn",
    "ea",
    "tables",
    "decoder_key",
    "kt",
    "sgc",
    "ti",
    "krn",
    "ken",
    "bdt",
    "kct",
    "mfr_code",
    "profile",
    "tid0",
    "tids",
    "credit_wh",
    "clock",
    "display",
    "zone_min",
    "dst",
)

_BASE_DATES = ("93", "14", "35")


def _profile_name(value):
    """Return the name of a profile: a file name of at most 16 bytes, as stored in the record."""
    good = isinstance(value, str) and 0 < len(value) <= 16
    for c in value if good else "":
        good = good and ("a" <= c <= "z" or "0" <= c <= "9" or c == "_")
    if not good:
        raise ValueError(
            "profile must be a name of 1 to 16 letters, digits and _, not %s" % shown(value)
        )
    return value


def _drn(value):
    if not isinstance(value, str) or not is_digits(value) or len(value) not in (11, 13):
        raise ValueError("drn must be 11 or 13 digits, not %s" % shown(value))
    if not luhn_ok(value):
        raise ValueError("drn %s has a wrong check digit" % value)
    return value.encode()


def _key(value, ea):
    """Return the bytes of a hexadecimal key.

    No error message contains a key: keys are write-only.
    """
    length = 2 * keys.key_bytes(ea)
    if not isinstance(value, str):
        raise ValueError("decoder_key must be a string of %d hexadecimal digits" % length)
    if len(value) != length:
        raise ValueError(
            "decoder_key has %d hexadecimal digits; EA%02d needs %d" % (len(value), ea, length)
        )
    # bytes.fromhex ignores blanks and would return a shorter key.
    for c in value:
        if c not in "0123456789abcdefABCDEF":
            raise ValueError("decoder_key must be hexadecimal digits only")
    return bytes.fromhex(value)


def _tids(value, tid0):
    store = TidStore()
    store.fill(whole("tid0", tid0, 0, MAX_TID))
    if value is None:
        return bytes(store.data)
    try:
        data = bytes.fromhex(value)
        tids = [data[i : i + 3] for i in range(0, BYTES, 3)]
        if len(data) != BYTES or tids != sorted(tids):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError("tids must be 50 identifiers, smallest first, 6 hexadecimal digits each")
    return data


def _dst(value):
    """Return the eight numbers of a rule (summer.py); None, or zeros: no rule."""
    rule = [0] * 8 if value is None else value
    good = isinstance(rule, (list, tuple)) and len(rule) == 8
    for i in range(8 if good and any(rule) else 0):
        low, high = ((1, 12), (1, 5), (0, 6), (0, 95))[i % 4]
        good = good and type(rule[i]) is int and low <= rule[i] <= high
    if not good or (any(rule) and rule[0] == rule[4]):
        raise ValueError(
            "dst must be [month, week, weekday, quarter of an hour] twice, not %s" % shown(value)
        )
    return rule


def configured(config, profiles: "ports.Profiles"):
    """Return the State of a new meter set up by `config`; raise ValueError with one line.

    `config` holds `drn` (11 or 13 digits) and `decoder_key` (hexadecimal, 64 bits for EA07, 128
    for EA11). Optional: `ea` 7 or 11; `tables` "certified" or "sample" (EA07); `kt` 0 to 2; `sgc`
    six digits; `ti` 0 to 99; `krn` 1 to 9; `ken` 0 to 255; `bdt` "93", "14" or "35" (for
    information: a meter never uses it); `kct` key change tokens supported; `mfr_code`; `profile`;
    `tid0`, the TID of the date of manufacture, which fills the store, or `tids`, the whole store
    in hexadecimal digits, for a meter that is set up again; `credit_wh`; `display` [rows,
    columns]; `zone_min`, minutes east of UTC, with `dst`, the rule for daylight saving time, eight
    numbers (summer.py), by default those of the profile. `clock` is not used here: the caller sets
    its clock.
    """
    if not isinstance(config, dict):
        raise ValueError("a configuration is a dictionary")
    for name in config:
        if name not in _KEYS:
            raise ValueError("no configuration value %s; there are: %s" % (name, ", ".join(_KEYS)))
    for name in ("drn", "decoder_key"):
        if name not in config:
            raise ValueError("the configuration needs %s" % name)
    get = config.get
    name = _profile_name(get("profile", "generic"))
    # Not a Profile, whose messages would need a large block of heap.
    settings = profiles(name)
    kct_default, max_wh = settings["key_change"]["tokens"], settings["credit"]["max_wh"]
    zone = settings["time"]
    del settings
    state = states.State()
    state.provisioned = 1
    state.profile = name.encode()
    state.drn = _drn(config["drn"])
    ea = get("ea", 7)
    if type(ea) is not int or ea not in (7, 11):
        raise ValueError("ea must be 7 or 11, not %s (EA09 is withdrawn)" % shown(ea))
    state.ea = ea
    tables = get("tables", "certified")
    if tables not in ("certified", "sample"):
        raise ValueError('tables must be "certified" or "sample", not %s' % shown(tables))
    state.sample_tables = int(tables == "sample")
    key = _key(config["decoder_key"], ea)
    state.decoder_key = key + bytes(16 - len(key))
    state.kt = whole("kt", get("kt", keys.DUTK), keys.DITK, keys.DUTK)
    sgc = get("sgc", "000000")
    if not isinstance(sgc, str) or len(sgc) != 6 or not is_digits(sgc):
        raise ValueError("sgc must be a string of six digits, not %s" % shown(sgc))
    state.sgc = int(sgc)
    state.ti = whole("ti", get("ti", 1), 0, 99)
    state.krn = whole("krn", get("krn", 1), 1, 9)
    state.ken = whole("ken", get("ken", 255), 0, 255)
    bdt = get("bdt")
    if bdt is not None and bdt not in _BASE_DATES:
        raise ValueError('bdt must be "93", "14" or "35", not %s' % shown(bdt))
    state.bdt = int(bdt) if bdt else 0
    kct = get("kct")
    if ea == 11:
        state.kct = whole("kct under EA11", 4 if kct is None else kct, 4, 4)
    else:
        state.kct = whole("kct under EA07", kct_default if kct is None else kct, 2, 3)
    state.mfr_code = whole("mfr_code", get("mfr_code", 0), 0, 0xFFFF)
    state.tids = _tids(get("tids"), get("tid0", 0))
    state.credit_wh = whole("credit_wh", get("credit_wh", 0), 0, max_wh)
    state.initial_wh = state.credit_wh
    display = get("display", [2, 16])
    if not isinstance(display, list) or len(display) not in (2, 3):
        raise ValueError("display must be [rows, columns], not %s" % shown(display))
    for value in display:
        if type(value) is not int:
            display = [0, 0]
    rows, cols, graphic = display + [0] if len(display) == 2 else display
    if rows not in (2, 4) or cols not in (16, 20) or graphic not in (0, 1):
        raise ValueError(
            "display must be 2 or 4 rows of 16 or 20 columns (and 1 if it draws dots), not %r"
            % (display,)
        )
    state.rows, state.cols, state.graphic = rows, cols, graphic
    if "zone_min" in config or "dst" in config:
        zone = config
    zone_min = zone.get("zone_min", 0)
    if whole("zone_min", zone_min, -720, 840) % 15:
        raise ValueError("zone_min must be whole quarters of an hour, not %d" % zone_min)
    state.zone = bytes([zone_min // 15 & 255] + list(_dst(zone.get("dst"))))
    return state


def begin(state: "State", profile: "Profile", now):
    """Start a new meter at `now`: its log, history and switch."""
    state.clock = now
    events.record(state, now, events.PROVISIONED)
    history.begin(state, now)
    supply.begin(state, profile, now)

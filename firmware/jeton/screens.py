"""What the display shows, as lines of text of the display's width."""

from . import supply
from .state import text
from .sts.digits import DIGITS, grouped


def kwh(energy_wh, decimals=2):
    """Return energy in kWh as displays show it, cut (never rounded up) to 1 to 3 decimals."""
    unit = 10 ** (3 - decimals)
    units = abs(energy_wh) // unit
    sign = "-" if energy_wh < 0 and units else ""
    whole, part = divmod(units, 10**decimals)
    return "%s%d.%0*d kWh" % (sign, whole, decimals, part)


def row(label, value, cols):
    """Return a line with a label on the left and a value on the right, which keeps its room."""
    if len(value) >= cols:
        return value[:cols]
    room = cols - len(value) - 1
    return label[:room] + " " * (cols - len(label[:room]) - len(value)) + value


class Screen:
    """A display of `rows` lines of `cols` characters that goes back to idle by itself."""

    def __init__(self, rows, cols):
        self.rows = rows
        self.cols = cols
        self._pages = []
        self._since = 0
        self._page_s = 1

    def show(self, pages, now, page_s):
        """Show pages (lists of lines) one after another, `page_s` seconds each, then idle."""
        self._pages = pages
        self._since = now
        self._page_s = page_s

    def next_page(self, now):
        """Go on to the next page, or to idle after the last."""
        at = self._page(now)
        self._pages = self._pages[at + 1 :] if at is not None else []
        self._since = now

    def clear(self):
        """Go to idle."""
        self._pages = []

    def shift(self, seconds):
        """Follow a clock that was set forward by `seconds` (negative: back)."""
        self._since += seconds

    def _page(self, now):
        at = max(now - self._since, 0) // self._page_s
        return at if at < len(self._pages) else None

    def deadline(self, now):
        """Return when what is shown changes next, or None on the idle screen."""
        at = self._page(now)
        return None if at is None else self._since + (at + 1) * self._page_s

    def lines(self, now, idle):
        """Return the `rows` lines at `now`: the page that is due, else `idle`."""
        at = self._page(now)
        shown = idle if at is None else self._pages[at]
        lines = [_fit(line, self.cols) for line in shown[: self.rows]]
        return lines + [" " * self.cols] * (self.rows - len(lines))


def _fit(line, cols):
    return line[:cols] + " " * (cols - len(line))


def idle(state, profile, screen):
    """Return the lines of a meter that is left alone."""
    if not state.provisioned:
        return [profile.say("not_provisioned")]
    cols = screen.cols
    load = "%d W" % supply.power_w(state) if state.switch_closed else profile.say("off")
    if screen.rows < 4:
        value = kwh(state.credit_wh)
        return [row(profile.say("credit"), load, cols), row("", value, cols)]
    return [
        row(profile.say("credit"), kwh(state.credit_wh), cols),
        row(profile.say("load"), "%d W" % supply.power_w(state), cols),
        row(profile.say("index"), kwh(state.total_wh), cols),
        row(profile.say("supply"), profile.say("on" if state.switch_closed else "off"), cols),
    ]


def entry(digits, profile, screen):
    """Return the lines while digits are keyed: a counter, and the digits scrolling leftwards."""
    cols = screen.cols
    counter = row(profile.say("token"), "%d/%d" % (len(digits), DIGITS), cols)
    keyed = grouped(digits, profile.entry_separator)
    if screen.rows >= 4 and len(digits) <= DIGITS:
        first = 3 * (4 + len(profile.entry_separator))
        return [counter, keyed[:first], keyed[first:]]
    return [counter, keyed[-cols:]]


def test_page(number, state, profile, version):
    """Return the lines of class 1 test `number`, or None if this meter does not have it.

    IEC 62055-41 6.2.3; `version` is the firmware's.
    """
    say = profile.say
    if number == 2:
        return ["8" * 40, "8" * 40, "8" * 40, "8" * 40]
    if number in (1, 6):
        value = say("ok")
        if number == 1:
            value = say("on" if state.switch_closed else "off")
    elif number == 3:
        value = kwh(state.total_wh)
    elif number == 4:
        value = "%d / %d" % (state.krn, state.kt)
    elif number == 5:
        value = "%02d" % state.ti
    elif number == 7:
        value = "%d W" % state.max_power_limit_w
    elif number == 8:
        value = say("yes" if state.tamper else "no")
    elif number == 9:
        value = "%d W" % supply.power_w(state)
    elif number == 10:
        value = version
    elif number == 11:
        value = "%d W" % state.phase_unbalance_limit_w
    elif number == 13:
        value = "%d" % state.tariff_rate
    elif number == 14:
        value = "%02d" % state.ea
    elif number == 15:
        value = "%d" % state.kct
    elif number == 16:
        value = "%06d" % state.sgc
    elif number == 17:
        value = "%d" % state.ken
    elif number == 18:
        value = text(state.drn)
    else:
        return None
    return [say("test%d" % number), value]

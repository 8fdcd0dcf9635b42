"""The content of the display, as lines of text of the display's width."""

from . import credit, supply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter

_KWH = " kWh"

# Kinds of pages.
REGISTERS, TEST, RESULT = range(3)


def kwh(energy_wh, decimals=2):
    """Return energy in kWh for a display, cut (never rounded up) to 1 to 3 decimals."""
    unit = 10 ** (3 - decimals)
    units = abs(energy_wh) // unit
    sign = "-" if energy_wh < 0 and units else ""
    whole, part = divmod(units, 10**decimals)
    return "%s%d.%0*d%s" % (sign, whole, decimals, part, _KWH)


def row(label, value, cols, rtl=False):
    """Return a line with a label at the side where reading starts and a value at the other side.

    If both do not fit, drop the unit kWh, else the label: no word is cut. Right-to-left words are
    in the order of the cells: they begin at the right.
    """
    over = len(label) + len(value) + 1 - cols
    if 0 < over <= len(_KWH) and value.endswith(_KWH):
        value = value[: -len(_KWH)]
    elif over > 0:
        label = ""
    blank = " " * (cols - len(label) - len(value))
    return value[:cols] + blank + label if rtl else label + blank + value[:cols]


class Screen:
    """A display of `rows` lines of `cols` characters that returns to the idle screen by itself."""

    def __init__(self, rows, cols, rtl=False):
        self.rows = rows
        self.cols = cols
        self.rtl = rtl
        self._pages = []
        self._since = 0
        self._first_s = self._page_s = 1
        self._kind = REGISTERS
        self.refused = None  # type: int | None  # when a key had no effect

    def show(self, pages, now, page_s, first_s=None, kind=REGISTERS):
        """Show pages (lists of lines) one after another, then the idle screen.

        Each page stays for `page_s` seconds, the first for `first_s`, if given. `kind` RESULT: the
        result of a token, which some meters flash and some protect from key presses; TEST: the
        pages of a class 1 token.
        """
        self._pages = pages
        self._since = now
        self._page_s = page_s
        self._first_s = first_s or page_s
        self._kind = kind
        self.refused = None

    def kind(self, now):
        """Return the kind of pages on the display now; REGISTERS on the idle screen."""
        return self._kind if self._page(now) is not None else REGISTERS

    def next_page(self, now):
        """Go to the next page, or to idle after the last.

        The last page of a result keeps its time: people often press Enter after a token although
        digit 20 has already entered it.
        """
        at = self._page(now)
        if self._kind == RESULT and at == len(self._pages) - 1:
            return
        self._pages = self._pages[at + 1 :] if at is not None else []
        self._since = now
        self._first_s = self._page_s

    def clear(self):
        """Return to the idle screen."""
        self._pages = []

    def shift(self, seconds):
        """Adjust to a clock that was set forward by `seconds` (negative: back)."""
        self._since += seconds

    def _page(self, now):
        at = max((now - self._since - self._first_s) // self._page_s + 1, 0)
        return at if at < len(self._pages) else None

    def deadline(self, now):
        """Return when the display changes next, or None on the idle screen."""
        at = self._page(now)
        return None if at is None else self._since + self._first_s + at * self._page_s

    def lines(self, now, idle):
        """Return the `rows` lines at `now`: the current page, else `idle`."""
        at = self._page(now)
        shown = idle if at is None else self._pages[at]
        lines = [self._fit(line) for line in shown[: self.rows]]
        return lines + [" " * self.cols] * (self.rows - len(lines))

    def _fit(self, line):
        blank = " " * (self.cols - len(line))
        return blank + line[-self.cols :] if self.rtl else line[: self.cols] + blank

    def row(self, label, value):
        """Return a line with a label and a value."""
        return row(label, value, self.cols, self.rtl)


def alarms(meter: "Meter", now):
    """Return the messages of all alarms, the most serious first."""
    state, profile = meter.state, meter.profile
    say = profile.say
    found = []
    if state.hold & supply.HOLD_LOCKED:
        found.append(say("trip_locked"))
    elif state.hold & supply.HOLD_POWER:
        found.append(say("over_power"))
    if state.hold & supply.HOLD_UNBALANCE:
        found.append(say("unbalanced"))
    if supply.waits_for_key(state, profile):
        found.append(say("reconnect"))
    if state.tamper:
        found.append(say("tampered" if state.tamper == supply.COVER else "disturbed"))
    if state.lock_until > now:
        found.append(say("wait", state.lock_until - now))
    if credit.offered(state, profile):
        found.append(say("emergency_offer"))
    if state.credit_wh <= 0:
        # Supply without credit: friendly hours, or a profile that never disconnects.
        friendly = state.switch_closed and not profile.credit_never_cut
        found.append(say("friendly" if friendly else "no_credit"))
    elif state.warned:
        found.append(say("low_credit"))
    return found


def idle(meter: "Meter", now, wanted=""):
    """Return the lines of the idle screen; several alarms alternate.

    `wanted`, the words that ask for a code of a key change, keeps its line beside them.
    """
    state, profile, screen = meter.state, meter.profile, meter.screen
    say = profile.say
    if not state.provisioned:
        return [say("not_provisioned")]
    load = "%d W" % supply.power_w(state)
    value = kwh(state.credit_wh)
    found = alarms(meter, now)
    alarm = found[now // profile.screens_page_s % len(found)] if found else ""
    top = wanted or alarm
    below = wanted and alarm
    if screen.rows >= 4:
        return [
            screen.row(say("credit"), value),
            screen.row(say("load"), load),
            top or screen.row(say("index"), kwh(state.total_wh)),
            below or screen.row(say("supply"), say("on" if state.switch_closed else "off")),
        ]
    if not state.switch_closed:
        load = say("off")
    if not top:
        return [screen.row(say("credit"), load), screen.row("", value)]
    label = load if len(load) + len(value) < screen.cols else ""
    return [top, below or screen.row(label, value)]

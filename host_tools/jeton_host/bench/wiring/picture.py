"""Draws the wires of a bench as SVG: the board in the middle, its parts at both sides.

Between board and parts are the supplies, one rail each, as on a breadboard. Wires cross rails
without contact; dots are connections.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import count

from jeton_host.bench.wiring import plan as wiring
from jeton_host.bench.wiring.plan import GND, V3, V5, Box, Connection, Header
from jeton_host.firmware.boards import Board

_PITCH = 26
_PART_W, _BEHIND_W, _BOARD_W = 170, 170, 190
_LINK = 60  # from a part to the part behind it
_RAIL, _LANE = 16, 13
_TOP = 112
_GAP = 30  # between parts
_NETS = {V5: "#d62728", V3: "#e07b00", GND: "#222222"}
_COLOURS = (
    *("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17a2b8", "#b8a000", "#3b4cc0"),
    *("#00806b", "#a6476b", "#6b8e23", "#5f6a72"),
)
_STYLE = (
    "text{font-family:DejaVu Sans,Verdana,Arial,sans-serif;font-size:12px;fill:#1b1b1b}"
    ".t{font-weight:bold}.s{font-size:10.5px;fill:#555}.h{font-size:17px;font-weight:bold}"
    ".w{fill:none;stroke-width:2.4;stroke-linejoin:round}.r{fill:none;stroke-width:4}"
    ".p{fill:#f4f6f8;stroke:#52606d;stroke-width:1.4}.b{fill:#1d4d3a;stroke:#0d2a1f}"
    ".i{fill:#fff}.g{fill:#e9edf0;stroke:#8896a3}"
)


@dataclass(frozen=True)
class _Place:
    """A part in the drawing: the top of its box, and the heights of its rows."""

    box: Box
    top: float
    heights: tuple[float, ...]

    @property
    def links(self) -> list[float]:
        """Return the heights of the wires to the part behind it."""
        assert self.box.behind
        return [self.top + 40 + i * _PITCH for i in range(len(self.box.behind.links))]

    @property
    def bottom(self) -> float:
        """Return the bottom of the box."""
        last = max(self.heights)
        if self.box.behind:
            last = max(last, *self.links)
        return last + (34 if self.box.note else 18)


class _Side:
    """One side of the drawing, left or right; x grows away from the board on both."""

    def __init__(self, board: Board, pins: Header, names: tuple[str, ...], sign: int) -> None:
        self.sign = sign
        self.pins = {name: _TOP + 40 + i * _PITCH for i, name in enumerate(names)}
        self.nets: dict[str, float] = {}
        for net in _NETS:
            label = pins.supply(net)
            found = [i for i, name in enumerate(names) if name == label or _is(name, net)]
            if found:
                self.nets[net] = _TOP + 40 + found[0] * _PITCH
        self.boxes: list[Box] = []
        self.places: list[_Place] = []

    def settle(self, height_of: dict[int, float]) -> None:
        """Place the parts, in the order of the pins that they go to."""

        def middle(box: Box) -> float:
            ys = [height_of.get(row.to, 0.0) for row in box.rows if isinstance(row.to, int)]
            return sum(ys) / len(ys)

        y = float(_TOP)
        for box in sorted(self.boxes, key=middle):
            heights = tuple(y + 40 + _PITCH / 2 + i * _PITCH for i in range(len(box.rows)))
            place = _Place(box, y, heights)
            self.places.append(place)
            y = _TOP + ((place.bottom - _TOP + _GAP) // _PITCH + 1) * _PITCH


def _is(name: str, net: str) -> bool:
    return name.split()[-1] == net


def svg(board: Board) -> str:
    """Return the picture of a bench."""
    return _Drawing(board).text()


class _Drawing:
    def __init__(self, board: Board) -> None:
        self._board = board
        self._pins = wiring.header(board)
        self._colour: dict[int | str, str] = dict(_NETS.items())
        self._out: list[str] = []
        left = _Side(board, self._pins, self._pins.left, -1)
        right = _Side(board, self._pins, self._pins.right, 1)
        self._sides = (left, right)
        height_of: dict[int, float] = {}
        for box in wiring.boxes(board):
            numbers = [row.to for row in box.rows if isinstance(row.to, int)]
            on_left = [n for n in numbers if self._pins.label(n) in left.pins]
            (left if 2 * len(on_left) > len(numbers) else right).boxes.append(box)
            for n in numbers:
                label = self._pins.label(n)
                height_of[n] = (left if label in left.pins else right).pins[label]
        for side in self._sides:
            side.settle(height_of)
        self._height_of = height_of
        for side in self._sides:
            rows = [row.to for place in side.places for row in place.box.rows]
            numbers = list(dict.fromkeys(to for to in rows if isinstance(to, int)))
            self._colour |= dict(zip(numbers, _COLOURS * 2, strict=False))

    # Places

    def _geometry(self) -> None:
        """Calculate how far lanes, rails and parts are from the board, equal on both sides."""
        self._lanes = max(len(self._wires(side)) for side in self._sides) + 1
        self._rails_at = 26 + self._lanes * _LANE
        self._parts_at = self._rails_at + 3 * _RAIL + 66
        behind = any(place.box.behind for side in self._sides for place in side.places)
        wide = self._parts_at + _PART_W + (_LINK + _BEHIND_W if behind else 0) + 24
        left_wide = wide if any(p.box.behind for p in self._sides[0].places) else (
            self._parts_at + _PART_W + 24
        )  # fmt: skip
        self._board_x = left_wide
        self._width = left_wide + _BOARD_W + wide
        ends = [place.bottom for side in self._sides for place in side.places]
        rows = max(len(self._pins.left), len(self._pins.right))
        extra = 20 + 16 * len(self._inside()) if self._pins.on_board else 0
        self._board_bottom = _TOP + 40 + rows * _PITCH + 14 + extra
        self._height = max(*ends, self._board_bottom + 40) + 62

    def _x(self, side: _Side, away: float) -> float:
        edge = self._board_x + (_BOARD_W if side.sign > 0 else 0)
        return edge + side.sign * away

    def _wires(self, side: _Side) -> list[tuple[Connection, float]]:
        return [
            (row, y)
            for place in side.places
            for row, y in zip(place.box.rows, place.heights, strict=True)
            if isinstance(row.to, int) or row.to not in _NETS
        ]

    def _inside(self) -> list[str]:
        return [f"{user}: {pins}" for user, pins in wiring.on_board(self._board).items()]

    # Strokes

    def _add(self, text: str) -> None:
        self._out.append(text)

    def _text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        kind = f' class="{kind}"' if kind else ""
        anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self._add(f'<text x="{x:g}" y="{y:g}"{kind}{anchor}>{escape(text)}</text>')

    def _box(self, x: float, y: float, w: float, h: float, kind: str, round_: int = 6) -> None:
        place = f'x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}"'
        self._add(f'<rect {place} rx="{round_}" class="{kind}"/>')

    def _line(self, points: list[tuple[float, float]], colour: str, kind: str = "w") -> None:
        path = "L".join(f"{x:g} {y:g}" for x, y in points)
        # A wire that crosses another one is drawn over it, with a light border.
        if kind == "w":
            self._add(f'<path d="M{path}" class="w" stroke="#fff" style="stroke-width:5"/>')
        self._add(f'<path d="M{path}" class="{kind}" stroke="{colour}"/>')

    def _dot(self, x: float, y: float, colour: str) -> None:
        self._add(f'<circle cx="{x:g}" cy="{y:g}" r="4" fill="{colour}"/>')

    def _resistor(self, x: float, y: float, label: str) -> None:
        self._box(x - 24, y - 9, 48, 18, "g", 3)
        self._text(x, y + 4, label, "s", "middle")

    # The drawing

    def text(self) -> str:
        """Return the drawing as SVG."""
        self._geometry()
        self._text(24, 34, f"{self._board.name}: wiring", "h")
        note = (
            "USB at the bottom. Use the names printed on your board: the order of pins can differ."
        )
        if self._pins.on_board:
            note = (
                "Display, touch panel and LEDs are on the board; the other parts go to connectors."
            )
        self._text(24, 54, note, "s")
        for side in self._sides:
            self._supplies(side)
        self._bridges()
        for side in self._sides:
            self._signals(side)
        for side in self._sides:
            for place in side.places:
                self._part(side, place)
        self._the_board()
        self._foot()
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width:g} '
            f'{self._height:g}" width="{self._width:g}" height="{self._height:g}">\n'
            f"<title>{escape(self._board.name)}: wiring</title>\n<style>{_STYLE}</style>\n"
            f'<rect width="{self._width:g}" height="{self._height:g}" fill="#fff"/>\n'
        )
        return head + "\n".join(self._out) + "\n</svg>\n"

    def _rail_x(self, side: _Side, net: str) -> float:
        return self._x(side, self._rails_at + list(_NETS).index(net) * _RAIL)

    def _needs(self, side: _Side) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for place in side.places:
            for row, y in zip(place.box.rows, place.heights, strict=True):
                if row.to in _NETS:
                    found.setdefault(str(row.to), []).append(y)
        return found

    def _supplies(self, side: _Side) -> None:
        """Draw the rails of a side, and the wires to the board's supply pins."""
        needs = self._needs(side)
        other = self._needs(self._sides[0] if side.sign > 0 else self._sides[1])
        for net, colour in _NETS.items():
            bridged = self._bridged(net)
            feeds = net in side.nets and (net in needs or (bridged and net in other))
            if net not in needs and not feeds:
                continue
            x = self._rail_x(side, net)
            ys = list(needs.get(net, []))
            if feeds:
                ys.append(side.nets[net])
            if bridged:
                ys.append(self._bridge_y(net))
            self._line([(x, min(ys)), (x, max(ys))], colour, "r")
            if not bridged:
                self._text(x, min(ys) - 6, net, "s", "middle")
            if feeds:
                y = side.nets[net]
                self._line([(self._x(side, 0), y), (x, y)], colour)
                self._dot(x, y, colour)

    def _bridged(self, net: str) -> bool:
        """Return whether a side needs a supply that only the other side's pins have."""
        return any(net in self._needs(side) and net not in side.nets for side in self._sides)

    def _bridge_y(self, net: str) -> float:
        return _TOP - 12 - 11 * list(_NETS).index(net)

    def _bridges(self) -> None:
        for net, colour in _NETS.items():
            if self._bridged(net):
                y = self._bridge_y(net)
                ends = [(self._rail_x(side, net), y) for side in self._sides]
                self._line(ends, colour, "r")
                x = self._board_x + _BOARD_W / 2 + 40 * (list(_NETS).index(net) - 1)
                self._box(x - 14, y - 8, 28, 16, "g", 3)
                self._text(x, y + 4, net, "s", "middle")

    def _signals(self, side: _Side) -> None:
        """Draw the wires of a side, each in its own lane."""
        wires = self._wires(side)
        down: list[tuple[Connection, float, float]] = []
        up: list[tuple[Connection, float, float]] = []
        around: list[tuple[Connection, float]] = []
        for row, y in wires:
            label = self._pins.label(row.to) if isinstance(row.to, int) else row.to
            end = side.pins.get(label)
            if end is None:
                around.append((row, y))
            else:
                (down if end > y else up).append((row, y, end))
        # Lanes are assigned so that wires cross only if they must: of wires that go down, the
        # upper ones use lanes near the board; of wires that go up, lanes near the parts.
        lanes = count(1)
        order = sorted(down, key=lambda w: w[1]) + sorted(up, key=lambda w: -w[1])
        done: dict[int | str, float] = {}
        for row, y, level in order:
            lane = self._x(side, 14 + next(lanes) * _LANE)
            colour = self._colour.setdefault(row.to, "#444444")
            start = self._x(side, self._parts_at)
            self._line([(start, y), (lane, y), (lane, level), (self._x(side, 0), level)], colour)
            if row.to in done:  # two parts on one bus: connect at the outermost lane
                self._dot(max((lane, done[row.to]), key=lambda x: abs(x - start)), level, colour)
            done[row.to] = lane
        for i, (row, y) in enumerate(around):
            self._around(side, row, y, 14 + next(lanes) * _LANE, i)

    def _around(self, side: _Side, row: Connection, y: float, away: float, which: int) -> None:
        """Draw a wire to the other side of the board, below the board."""
        other = self._sides[0] if side.sign > 0 else self._sides[1]
        assert isinstance(row.to, int)
        colour = self._colour[row.to]
        foot = self._board_bottom + 18 + 12 * which
        start, lane = self._x(side, self._parts_at), self._x(side, away)
        back, end = self._x(other, 14), other.pins[self._pins.label(row.to)]
        points = [(start, y), (lane, y), (lane, foot), (back, foot), (back, end)]
        self._line([*points, (self._x(other, 0), end)], colour)

    def _part(self, side: _Side, place: _Place) -> None:
        box = place.box
        near = self._x(side, self._parts_at)
        left = near if side.sign > 0 else near - _PART_W
        before = 0.0
        for row, y in zip(box.rows, place.heights, strict=True):
            colour = self._colour.get(row.to, "#444444")
            middle = near - side.sign * 40
            if row.to in _NETS:
                rail = self._rail_x(side, str(row.to))
                begins = middle if row.joins else near
                self._line([(begins, y), (rail, y)], colour)
                self._dot(rail, y, colour)
            if row.joins:
                up = near - side.sign * 10
                above = self._colour.get(self._above(box, row), "#444444")
                self._line([(middle, y), (up, y), (up, before)], above)
                self._dot(up, before, above)
            if row.through:
                self._resistor(middle, y, row.through)
            before = y
        self._box(left, place.top, _PART_W, place.bottom - place.top, "p")
        self._text(left + _PART_W / 2, place.top + 20, box.title, "t", "middle")
        if box.note:
            self._text(left + _PART_W / 2, place.bottom - 10, box.note, "s", "middle")
        for row, y in zip(box.rows, place.heights, strict=True):
            if not row.joins:
                self._pin_name(near, y, row.pin, side.sign)
        if box.behind:
            self._behind(side, place, left)

    @staticmethod
    def _above(box: Box, row: Connection) -> int | str:
        return box.rows[box.rows.index(row) - 1].to

    def _pin_name(self, edge: float, y: float, name: str, sign: int) -> None:
        """Write a pin's name inside the box with this edge."""
        self._text(edge + sign * 8, y + 4, name, "", "start" if sign > 0 else "end")

    def _behind(self, side: _Side, place: _Place, left: float) -> None:
        behind = place.box.behind
        assert behind
        far = left + _PART_W if side.sign > 0 else left
        edge = far + side.sign * _LINK
        heights = place.links
        own = {row.pin: self._colour.get(row.to) for row in place.box.rows}
        for i, ((mine, _), y) in enumerate(zip(behind.links, heights, strict=True)):
            # A signal keeps its colour through a level shifter: LV1 is HV1.
            colour = own.get(mine) or own.get(mine.replace("HV", "LV")) or _COLOURS[i]
            self._line([(far, y), (edge, y)], colour)
            self._pin_name(far, y, mine, -side.sign)
        x = edge if side.sign > 0 else edge - _BEHIND_W
        top = min(heights) - 40
        self._box(x, top, _BEHIND_W, max(heights) + 18 - top, "p")
        self._text(x + _BEHIND_W / 2, top + 20, behind.title, "t", "middle")
        for (_, theirs), y in zip(behind.links, heights, strict=True):
            self._pin_name(edge, y, theirs, side.sign)

    def _the_board(self) -> None:
        x, bottom = self._board_x, self._board_bottom
        self._box(x, _TOP, _BOARD_W, bottom - _TOP, "b", 8)
        name = self._pins.title.partition(" (")[0]
        middle = x + _BOARD_W / 2
        self._add(f'<text x="{middle:g}" y="{_TOP + 18}" class="t i" text-anchor="middle" '
                  f'style="fill:#fff">{escape(name)}</text>')  # fmt: skip
        used = {self._pins.label(n) for n in self._height_of}
        for side in self._sides:
            for i, name in enumerate(self._pins.left if side.sign < 0 else self._pins.right):
                y = _TOP + 40 + i * _PITCH
                edge = self._x(side, 0)
                net = next((n for n in _NETS if name == self._pins.supply(n) or _is(name, n)), "")
                bright = name in used or net or name.startswith("SPEAK")
                fill = "#fff" if bright else "#7fa695"
                self._add(f'<circle cx="{edge:g}" cy="{y:g}" r="5" fill="#e8c15a" '
                          f'stroke="#7a5d10"/>')  # fmt: skip
                anchor = "start" if side.sign < 0 else "end"
                self._add(
                    f'<text x="{edge - side.sign * 11:g}" y="{y + 4:g}" text-anchor="{anchor}" '
                    f'style="fill:{fill}">{escape(name)}</text>'
                )
        y = _TOP + 40 + max(len(self._pins.left), len(self._pins.right)) * _PITCH
        for line in self._inside() if self._pins.on_board else ():
            self._add(f'<text x="{x + 10:g}" y="{y + 14:g}" style="fill:#cfe3da;font-size:9px">'
                      f"{escape(line)}</text>")  # fmt: skip
            y += 16
        self._box(middle - 24, bottom - 8, 48, 18, "g", 3)
        self._text(middle, bottom + 5, "USB", "s", "middle")

    def _foot(self) -> None:
        lines = list(self._safety())
        y = self._height - 14 * len(lines) - 6
        for line in lines:
            self._text(24, y, line, "s")
            y += 14

    def _safety(self) -> Iterator[str]:
        yield "12 V at the relay's contacts, never mains voltage. Connect USB after wiring."
        names = {place.box.name for side in self._sides for place in side.places}
        if "pulses" in names:
            yield "10 kΩ: pull-up to 3V3. It is needed even without a meter at S0."
        if "tamper" in names:
            yield "Without a cover switch, connect its two wires."

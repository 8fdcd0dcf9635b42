"""The wiring of a board as Markdown tables."""

from jeton_host.bench.adapter_pins import (
    COLUMN,
    DISPLAYS,
    I2C,
    INHIBIT,
    INPUTS,
    KEYPADS,
    ROW,
    SIGNS,
)
from jeton_host.bench.wiring.plan import GND, boxes, bus_of, header, on_board, reachable
from jeton_host.errors import BoardError
from jeton_host.firmware.boards import Board

BEGIN = "<!-- from board.py, by `make wiring` -->"
END = "<!-- end of what `make wiring` writes -->"
ADAPTER = "<!-- adapter, from board.py, by `make wiring` -->"
ADAPTER_END = "<!-- end of the adapter's -->"


def table(board: Board) -> str:
    """Return the wires as a Markdown table, by part."""
    pins = header(board)
    lines = ["| part | its pin | goes to | |", "|---|---|---|---|"]
    for box in boxes(board):
        first = box.title
        above = ""
        for row in box.rows:
            to = f"GPIO{row.to}" if isinstance(row.to, int) else pins.supply(row.to)
            if isinstance(row.to, int):
                label = pins.label(row.to)
                to += f" (`{label}`)" if label != str(row.to) else ""
            pin = f"{above}, too" if row.joins else row.pin
            through = f"through {row.through}" if row.through else ""
            lines.append(f"| {first} | {pin} | {to} | {through} |")
            first, above = "", row.pin or above
        if box.behind:
            for mine, theirs in box.behind.links:
                lines.append(f"| | {mine} | {box.behind.title}: {theirs} | |")
    if pins.on_board:
        lines += ["", "On the board itself, without a wire of yours:", ""]
        lines += ["| | GPIO |", "|---|---|"]
        lines += [f"| {user} | {of} |" for user, of in on_board(board).items()]
    return "\n".join(lines)


def adapter_table(board: Board) -> str:
    """Return the wires between a board and its adapter, as a Markdown table."""

    pins, parts, within = header(board), board.parts, reachable(board)

    def gpio(number: int) -> str:
        label = pins.label(number)
        return f"GPIO{number}" + (f" (`{label}`)" if label != str(number) else "")

    rows: list[tuple[str, str, str]] = [("GND", f"`{pins.supply(GND)}`", "")]
    if "display" in within and parts["display"]["driver"] in DISPLAYS:
        sda, scl = bus_of(board, parts["display"])
        rows.append((f"GP{I2C.sda}", f"{gpio(sda)}, SDA", ""))
        rows.append((f"GP{I2C.scl}", f"{gpio(scl)}, SCL", ""))
    for name, number in INPUTS.items():
        if name in within and "pin" in parts[name]:
            rows.append((f"GP{number}", f"{gpio(parts[name]['pin'])}, {name}", "through 1 kΩ"))
    for name, number in SIGNS.items():
        if name in within:
            rows.append((f"GP{number}", f"{gpio(parts[name]['pin'])}, {name}", "through 330 Ω"))
            if parts[name].get("active", 0):
                rows.append(("", "GND", f"2.2 kΩ, from {gpio(parts[name]['pin'])}"))
    found = [("Pico", *row) for row in rows]
    if "keypad" in within and parts["keypad"]["driver"] in KEYPADS:
        found += _multiplexers(ROW, COLUMN, INHIBIT)
    lines = ["| adapter | its pin | goes to | |", "|---|---|---|---|"]
    above = ""
    for title, *rest in found:
        lines.append(f"| {'' if title == above else title} | {' | '.join(rest)} |")
        above = title
    return "\n".join(lines)


def _multiplexers(
    rows: tuple[int, int], columns: tuple[int, int], inhibit: int
) -> list[tuple[str, str, str, str]]:
    found = []
    # Pin numbers: 74HC4051 data sheet, table 2 (Nexperia).
    for title, letter, select in (("rows", "R", rows), ("columns", "C", columns)):
        name = f"74HC4051, {title}"
        found += [
            (name, "16 VCC", "Pico 3V3", "100 nF to GND"),
            (name, "8 GND, 7 VEE, 9 S2", "GND", ""),
            (name, "11 S0", f"GP{select[0]}", ""),
            (name, "10 S1", f"GP{select[1]}", ""),
            (name, "6 Ē", f"GP{inhibit}", "10 kΩ to 3V3, once for both"),
            (name, "3 Z", "3 Z of the other one", ""),
        ]
        for channel, pin in enumerate((13, 14, 15, 12)):
            found.append((name, f"{pin} Y{channel}", f"keypad {letter}{channel + 1}", ""))
    return found


def with_table(page: str, board: Board) -> str:
    """Return a board's page with its tables replaced by those of the board's data."""
    for begin, end, made in ((BEGIN, END, table), (ADAPTER, ADAPTER_END, adapter_table)):
        if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
            raise BoardError(
                f"the page of {board.name} has no place for its table: {begin} … {end}"
            )
        before, rest = page.split(begin)
        page = f"{before}{begin}\n{made(board)}\n{end}{rest.split(end)[1]}"
    return page

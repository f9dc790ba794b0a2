"""SVG: bars, lines and points, just enough for the benchmarks' plots; the same figures give the same bytes."""

import dataclasses
import html
import math
import pathlib

OURS, OTHERS = "#1b6ca8", "#9aa5b1"
COLOURS = ("#1b6ca8", "#d1495b", "#edae49", "#2e8b57", "#7b5ea7")
WIDTH = 760
FONT = "font-family='system-ui, sans-serif' font-size='12'"


def text(x: float, y: float, words: str, anchor: str = "start", extra: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {extra}>{html.escape(words)}</text>"


def short(value: float) -> str:
    """Three digits, as people write them."""
    if value == 0:
        return "0"
    if value >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def plain(value: float) -> str:
    """As a tick of an axis has it."""
    return f"{value:,.10g}"


def save(path: pathlib.Path, height: float, parts: list[str]) -> None:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' {FONT} fill='#222'>"
    path.write_text("\n".join([head, f"<rect width='{WIDTH}' height='{height:.0f}' fill='white'/>", *parts, "</svg>", ""]))


@dataclasses.dataclass
class Axis:
    """Values to places; logarithmic ones show powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = True

    def at(self, value: float) -> float:
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers]
        step = 10.0**math.floor(math.log10((self.high - self.low) / 2))
        if (self.high - self.low) / step > 8:
            step *= 5 if (self.high - self.low) / step > 20 else 2
        return [step * i for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def axis_for(values: list[float], start: float, end: float, log: bool) -> Axis:
    if log:
        low, high = 10.0**math.floor(math.log10(min(values))), 10.0**math.ceil(math.log10(max(values)))
        return Axis(low, high if high > low else low * 10, start, end)
    low, high = min(0.0, min(values)), max(values)
    return Axis(low, high * 1.08 if high > low else low + 1, start, end, False)


def bars(path: pathlib.Path, title: str, unit: str, rows: list[tuple[str, float, bool]]) -> None:
    """One bar for each (label, value, is ours), on a logarithmic axis."""
    rows = [(label, value, ours) for label, value, ours in rows if value > 0]
    if not rows:
        return
    left, top, step = 240, 40, 24
    axis = axis_for([value for _, value, _ in rows], left, WIDTH - 80, True)
    height = top + step * len(rows) + 40
    parts = [text(12, 22, f"{title}, {unit} (shorter is better)", extra="font-weight='600'")]
    for tick in axis.ticks():
        parts.append(f"<line x1='{axis.at(tick):.1f}' x2='{axis.at(tick):.1f}' y1='{top}' y2='{height - 34}' stroke='#ddd'/>")
        parts.append(text(axis.at(tick), height - 16, plain(tick), "middle"))
    for i, (label, value, ours) in enumerate(rows):
        y = top + step * i
        parts.append(text(left - 8, y + 16, label, "end", "font-weight='600'" if ours else ""))
        parts.append(f"<rect x='{left}' y='{y + 4}' width='{max(1.0, axis.at(value) - left):.1f}' height='{step - 8}' "
                     f"fill='{OURS if ours else OTHERS}'/>")
        parts.append(text(axis.at(value) + 6, y + 16, short(value)))
    save(path, height, parts)


def lines(path: pathlib.Path, panels: list[tuple[str, str, dict[str, list[tuple[float, float]]]]]) -> None:
    """Panels side by side, both axes logarithmic: (title, label of x, {series: points})."""
    panels = [panel for panel in panels if any(panel[2].values())]
    if not panels:
        return
    height, parts = 300, []
    wide = WIDTH / len(panels)
    for i, (title, label, series) in enumerate(panels):
        points = [point for values in series.values() for point in values]
        across = axis_for([x for x, _ in points], i * wide + 56, (i + 1) * wide - 70, True)
        up = axis_for([y for _, y in points], height - 50, 44, True)
        parts.append(text(i * wide + 12, 22, title, extra="font-weight='600'"))
        parts += grid(across, up, label)
        for colour, (name, values) in zip(COLOURS, series.items()):
            places = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in values)
            parts.append(f"<polyline points='{places}' fill='none' stroke='{colour}' stroke-width='2'/>")
        ends = sorted((up.at(values[-1][1]), name, colour) for colour, (name, values) in zip(COLOURS, series.items()))
        last = -math.inf
        for y, name, colour in ends:  # labels that would lie on one another move down
            last = max(y, last + 13)
            parts.append(text(across.end + 6, last + 4, name, extra=f"fill='{colour}'"))
    save(path, height, parts)


def grid(across: Axis, up: Axis, label: str) -> list[str]:
    parts = []
    for tick in up.ticks():
        parts.append(
            f"<line x1='{across.start:.1f}' x2='{across.end:.1f}' y1='{up.at(tick):.1f}' y2='{up.at(tick):.1f}' stroke='#ddd'/>")
        parts.append(text(across.start - 6, up.at(tick) + 4, plain(tick), "end"))
    for tick in across.ticks():
        parts.append(f"<line x1='{across.at(tick):.1f}' x2='{across.at(tick):.1f}' y1='{up.end}' y2='{up.start}' stroke='#ddd'/>")
        parts.append(text(across.at(tick), up.start + 16, plain(tick), "middle"))
    parts.append(text((across.start + across.end) / 2, up.start + 34, label, "middle"))
    return parts


def points(path: pathlib.Path, panels: list[tuple[str, str, list[tuple[str, float, float, bool]]]]) -> None:
    """Panels below one another, both axes linear from 0, further to the upper right is better: (title, label of x, [(name, x, y, is
    ours)])."""
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        return
    tall, parts = 330, []
    for i, (title, label, marks) in enumerate(panels):
        across = axis_for([x for _, x, _, _ in marks], 56, WIDTH - 190, False)
        up = axis_for([y for _, _, y, _ in marks], (i + 1) * tall - 50, i * tall + 44, False)
        parts.append(text(12, i * tall + 22, title, extra="font-weight='600'"))
        parts += grid(across, up, label)
        taken: list[float] = []
        for name, x, y, ours in sorted(marks, key=lambda mark: -mark[2]):
            place = up.at(y) + 4
            while any(abs(place - other) < 12 for other in taken):
                place += 1
            taken.append(place)
            colour = OURS if ours else "#555"
            parts.append(
                f"<circle cx='{across.at(x):.1f}' cy='{up.at(y):.1f}' r='{5 if ours else 4}' fill='{OURS if ours else OTHERS}'/>")
            parts.append(
                f"<line x1='{across.at(x) + 5:.1f}' y1='{up.at(y):.1f}' x2='{WIDTH - 184}' y2='{place - 4:.1f}' stroke='#eee'/>")
            parts.append(text(WIDTH - 180, place, name, extra=f"fill='{colour}'" + (" font-weight='600'" if ours else "")))
    save(path, tall * len(panels), parts)

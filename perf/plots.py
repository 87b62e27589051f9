"""Plots as SVG text: lines, bars, stacked bars. No dependency, no script. Colours that a dark page turns come from the page's
CSS variables; series differ in marker and dash as well, for who prints in grey or does not tell the colours apart."""

import html
import itertools
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 340, 64, 16, 36, 48
# Okabe and Ito's, which every kind of colour vision tells apart.
PALETTE = ["#d55e00", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9"]
DASHES = ["", "7 3", "", "7 3", "2 3", "9 3 2 3"]
NUMBER = itertools.count(1)


def text_colour(fill):
    """Black or white, whichever stands out from `fill` (#rrggbb; WCAG's relative luminance)."""
    parts = [int(fill[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000" if luminance > 0.179 else "#fff"


def nice_ticks(low, high, count=5):
    span = (high - low) or 1
    step = 10 ** math.floor(math.log10(span / count))
    for factor in (1, 2, 5, 10):
        if span / (step * factor) <= count:
            step *= factor
            break
    first = math.ceil(low / step) * step
    return [first + i * step for i in range(int((high - first) / step + 1e-9) + 1)]


def log_ticks(low, high):
    decades = range(math.floor(low), math.ceil(high) + 1)
    steps = (1, 2, 5) if high - low < 3 else (1,)
    return [step * 10 ** e for e in decades for step in steps if low - 1e-9 <= math.log10(step * 10 ** e) <= high + 1e-9]


def short(value):
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def begin(title, height, described=""):
    name = f"plot-{next(NUMBER)}"
    return [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-labelledby="{name}" font-family="sans-serif" font-size="13" fill="var(--ink,#222)">'
            f'<title id="{name}">{html.escape(title)}{html.escape(described)}</title>']


def text(x, y, what, anchor="start", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{html.escape(str(what))}</text>'


def marker(index, x, y, colour, title=""):
    shape = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">',
             f'<path d="M{x:.1f} {y - 4.5:.1f}l4.5 8h-9z" fill="{colour}">',
             f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{colour}">',
             f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5-5z" fill="{colour}">')[index % 4]
    kind = shape[1:].partition(" ")[0]
    return f"{shape}<title>{html.escape(title)}</title></{kind}>" if title else f"{shape}</{kind}>"


def lines(title, series, x_title, y_title, log_x=False, log_y=False, x_ticks=None):
    """`series`: {name: [(x, y), ...] or [(x, y, lowest, highest), ...]}; `x_ticks`: {x: what is written there}, or the
    points' own."""
    points = [point for values in series.values() for point in values]
    if not points:
        return ""
    place_x = (lambda v: math.log10(max(v, 1e-9))) if log_x else (lambda v: v)
    place_y = (lambda v: math.log10(max(v, 1e-9))) if log_y else (lambda v: v)
    x_ticks = x_ticks or {x: short(x) for x in sorted({point[0] for point in points})}
    xs, ys = [place_x(point[0]) for point in points], [place_y(y) for point in points for y in point[1:]]
    x_low, x_high = min(xs), max(xs)
    y_low, y_high = (min(ys) - 0.05 if log_y else 0), (max(ys) + 0.05 if log_y else max(ys) * 1.06)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def at(x, y):
        return (LEFT + 8 + (place_x(x) - x_low) / ((x_high - x_low) or 1) * (right - LEFT - 16),
                bottom - (place_y(y) - y_low) / ((y_high - y_low) or 1) * (bottom - TOP))

    out = begin(title, HEIGHT, f": {y_title} over {x_title}, of {', '.join(series)}")
    out.append(text(LEFT + (right - LEFT) / 2, HEIGHT - 8, x_title, "middle"))
    middle = (TOP + bottom) / 2
    out.append(text(14, middle, y_title, "middle", f' transform="rotate(-90 14 {middle})"'))
    for tick in log_ticks(y_low, y_high) if log_y else nice_ticks(y_low, y_high):
        _, y = at(points[0][0], tick)
        out.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--grid,#ddd)"/>'
                   + text(LEFT - 6, y + 4, short(tick), "end"))
    for x, label in x_ticks.items():
        if x_low - 1e-9 <= place_x(x) <= x_high + 1e-9:
            px, _ = at(x, points[0][1])
            out.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="var(--grid,#ddd)"/>'
                       + text(px, bottom + 17, label, "middle"))
    for index, (name, values) in enumerate(series.items()):
        out += line(index, name, sorted(values), at, right, y_title)
    return "\n".join(out) + "</svg>"


def line(index, name, values, at, right, unit):
    """One series: its line, its markers with what they say, the span of its rounds, its entry in the legend."""
    colour, dash = PALETTE[index % len(PALETTE)], DASHES[index % len(DASHES)]
    stroke = f'stroke="{colour}" stroke-width="2"' + (f' stroke-dasharray="{dash}"' if dash else "")
    path = " ".join("{:.1f},{:.1f}".format(*at(point[0], point[1])) for point in values)
    out = [f'<polyline points="{path}" fill="none" {stroke}/>']
    for x, y, *span in values:
        px, py = at(x, y)
        if span:
            ends = [at(x, end)[1] for end in span]
            out.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" stroke="{colour}"/>')
        out.append(marker(index, px, py, colour, f"{name}, {short(x)}: {y:,.2f} ({unit})"))
    x = LEFT + (right - LEFT) / 4 * index
    out.append(f'<line x1="{x:.1f}" x2="{x + 26:.1f}" y1="14" y2="14" {stroke}/>' + marker(index, x + 13, 14, colour)
               + text(x + 32, 18, name))
    return out


def bars(title, values, unit, colours=None):
    """`values`: {name: y}; horizontal, in the order given."""
    if not values:
        return ""
    row, left = 26, 250
    height, largest = row * len(values) + 12, max(values.values()) or 1
    out = begin(title, height)
    for index, (name, value) in enumerate(values.items()):
        y, wide = 6 + row * index, value / largest * (WIDTH - left - 8)
        colour = (colours or {}).get(name, PALETTE[2])
        out.append(text(150, y + 15, name, "end") + text(left - 10, y + 15, f"{value:,.2f} {unit}", "end")
                   + f'<rect x="{left}" y="{y + 2}" width="{max(wide, 1):.1f}" height="18" fill="{colour}"/>')
    return "\n".join(out) + "</svg>"


def stacked(title, rows, unit, colours):
    """`rows`: {name: {part: value}}; a bar each, its parts in the order of `colours`, which is the legend's too."""
    if not rows:
        return ""
    row, left, columns = 44, 130, 4
    parts = [part for part in colours if any(part in values for values in rows.values())]
    plot_bottom = row * len(rows) + 8
    height = plot_bottom + 22 * math.ceil(len(parts) / columns) + 8
    largest = max(sum(values.values()) for values in rows.values()) or 1
    out = begin(title, height)
    for index, (name, values) in enumerate(rows.items()):
        x, y = left, 8 + row * index
        out.append(text(left - 10, y + 14, name, "end") + text(left - 10, y + 29, f"{sum(values.values()):,.1f} {unit}", "end"))
        for part in (part for part in parts if values.get(part)):
            wide = values[part] / largest * (WIDTH - left - 8)
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="32" fill="{colours[part]}" '
                       f'stroke="var(--paper,#fff)"><title>{html.escape(f"{name}, {part}: {values[part]:,.2f} {unit}")}'
                       '</title></rect>')
            if wide > 34:
                out.append(text(x + wide / 2, y + 20, f"{values[part]:.1f}", "middle",
                                f' style="fill:{text_colour(colours[part])}"'))
            x += wide
    for index, part in enumerate(parts):
        x, y = 16 + (WIDTH - 16) / columns * (index % columns), plot_bottom + 22 * (index // columns)
        out.append(f'<rect x="{x:.1f}" y="{y + 4}" width="12" height="12" fill="{colours[part]}"/>' + text(x + 18, y + 14, part))
    return "\n".join(out) + "</svg>"

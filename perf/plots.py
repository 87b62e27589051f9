"""Plots as SVG text: lines, bars, one stacked bar. No dependency."""

import html
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 320, 64, 150, 34, 44
PALETTE = ["#e76f51", "#2a9d8f", "#457b9d", "#9b5de5", "#e9c46a", "#6a994e"]


def nice_ticks(low, high, count=5):
    span = (high - low) or 1
    step = 10 ** math.floor(math.log10(span / count))
    for factor in (1, 2, 5, 10):
        if span / (step * factor) <= count:
            step *= factor
            break
    first = math.ceil(low / step) * step
    return [first + i * step for i in range(int((high - first) / step) + 1)]


def frame(title, x_title, y_title):
    return [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
            f'font-size="11"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            f'<text x="{LEFT}" y="20" font-size="14">{html.escape(title)}</text>',
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(x_title)}</text>',
            f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2}" transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})" '
            f'text-anchor="middle">{html.escape(y_title)}</text>']


def short(value):
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def lines(title, series, x_title, y_title, log_x=False, log_y=False, x_labels=None):
    """`series`: {name: [(x, y), ...]}."""
    points = [point for values in series.values() for point in values]
    if not points:
        return ""
    place_x = (lambda v: math.log10(max(v, 1e-9))) if log_x else (lambda v: v)
    place_y = (lambda v: math.log10(max(v, 1e-9))) if log_y else (lambda v: v)
    xs, ys = [place_x(x) for x, _ in points], [place_y(y) for _, y in points]
    x_low, x_high = min(xs), max(xs)
    y_low, y_high = (min(ys) if log_y else 0), max(ys) * (1.0 if log_y else 1.08)

    def at(x, y):
        px = LEFT + (place_x(x) - x_low) / ((x_high - x_low) or 1) * (WIDTH - LEFT - RIGHT)
        py = HEIGHT - BOTTOM - (place_y(y) - y_low) / ((y_high - y_low) or 1) * (HEIGHT - TOP - BOTTOM)
        return px, py

    out = frame(title, x_title, y_title)
    decades = range(math.floor(y_low), math.ceil(y_high) + 1)
    y_ticks = [step * 10 ** e for e in decades for step in (1, 2, 5)] if log_y else nice_ticks(y_low, y_high)
    for tick in y_ticks:
        if not y_low - 1e-9 <= place_y(tick) <= y_high + 1e-9:
            continue
        _, py = at(points[0][0], tick)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py:.1f}" y2="{py:.1f}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{py + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for x in sorted({x for x, _ in points}):
        px, _ = at(x, points[0][1])
        label = (x_labels or {}).get(x, short(x))
        out.append(f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{html.escape(str(label))}</text>')
    for index, (name, values) in enumerate(series.items()):
        colour = PALETTE[index % len(PALETTE)]
        path = " ".join(f"{at(x, y)[0]:.1f},{at(x, y)[1]:.1f}" for x, y in sorted(values))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y in values:
            px, py = at(x, y)
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"><title>{html.escape(name)}: '
                       f'{y:,.2f}</title></circle>')
        out.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{TOP + 18 * index}" width="10" height="10" fill="{colour}"/>'
                   f'<text x="{WIDTH - RIGHT + 27}" y="{TOP + 9 + 18 * index}">{html.escape(name)}</text>')
    return "\n".join(out) + "</svg>"


def bars(title, values, unit, colours=None):
    """`values`: {name: y}; horizontal, largest scale first as given."""
    if not values:
        return ""
    row, top = 24, 34
    height, largest = top + row * len(values) + 14, max(values.values()) or 1
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
           f'font-size="11"><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
           f'<text x="10" y="20" font-size="14">{html.escape(title)}</text>']
    for index, (name, value) in enumerate(values.items()):
        y, wide = top + row * index, value / largest * (WIDTH - 290)
        colour = (colours or {}).get(name, PALETTE[index % len(PALETTE)])
        out.append(f'<text x="160" y="{y + 14}" text-anchor="end">{html.escape(name)}</text><rect x="168" y="{y + 3}" '
                   f'width="{max(wide, 1):.1f}" height="15" fill="{colour}"/><text x="{174 + wide:.1f}" y="{y + 14}">'
                   f'{value:,.2f} {unit}</text>')
    return "\n".join(out) + "</svg>"

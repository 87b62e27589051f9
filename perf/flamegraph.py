"""A flame graph as SVG: folded stacks in, no dependency, no script in the picture; a title on each box says its share."""

import html
import itertools

from plots import text_colour

WIDTH, ROW, SMALLEST, CHARACTER = 1400, 17, 0.0006, 6.7
OTHER = ["#f3c178", "#f0b56a", "#eeaa62", "#f5cd8f", "#ecb98a", "#f2d0a0"]
NUMBER = itertools.count(1)


def tree_of(stacks):
    """`stacks`: {(root, ..., leaf): samples}."""
    root = [0, {}]
    for stack, count in stacks.items():
        node = root
        node[0] += count
        for frame in stack:
            node = node[1].setdefault(frame, [0, {}])
            node[0] += count
    return root


def boxes_of(root):
    """[(name, left, width, depth, samples)], left and width as shares of all."""
    total, boxes = root[0] or 1, []

    def place(node, x, depth):
        for name, child in sorted(node[1].items()):
            width = child[0] / total
            if width >= SMALLEST:
                boxes.append((name, x, width, depth, child[0]))
                place(child, x, depth + 1)
            x += width

    place(root, 0.0, 0)
    return boxes


def draw(stacks, title, colour=None):
    """`colour`: the fill of a name, #rrggbb, or None for one of the others'."""
    root = tree_of(stacks)
    boxes = boxes_of(root)
    height = (max((depth for _, _, _, depth, _ in boxes), default=0) + 1) * ROW + 40
    name = f"flame-{next(NUMBER)}"
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11" '
           f'role="img" aria-labelledby="{name}"><title id="{name}">{html.escape(title)}</title>'
           f'<rect width="{WIDTH}" height="{height}" fill="var(--paper,#fff)"/>'
           f'<text x="8" y="18" font-size="14" fill="var(--ink,#222)">{html.escape(title)}</text>']
    for name, x, width, depth, count in boxes:
        left, top, wide = x * WIDTH, height - 8 - (depth + 1) * ROW, width * WIDTH
        fill = (colour(name) if colour else None) or OTHER[sum(map(ord, name)) % len(OTHER)]
        label = html.escape(name[:int((wide - 4) / CHARACTER)]) if wide > 24 else ""
        out.append(f'<g><title>{html.escape(name)}: {100 * count / (root[0] or 1):.2f} %</title><rect x="{left:.1f}" y="{top}" '
                   f'width="{max(wide - 0.4, 0.3):.1f}" height="{ROW - 1}" fill="{fill}" rx="1"/>'
                   + (f'<text x="{left + 3:.1f}" y="{top + 12}" fill="{text_colour(fill)}">{label}</text>' if label else "")
                   + "</g>")
    return "\n".join(out) + "</svg>\n"

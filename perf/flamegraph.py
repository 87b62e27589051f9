"""A flame graph as SVG: folded stacks in, no dependency, no script in the picture; a title on each box says its share."""

import html

WIDTH, ROW, SMALLEST = 1400, 17, 0.0006


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


def colour_of(name, colours):
    return colours.get(name) or f"hsl({sum(map(ord, name)) % 40 + 15},70%,{62 + sum(map(ord, name)) % 12}%)"


def draw(stacks, title, colour=None):
    root = tree_of(stacks)
    total = root[0] or 1
    boxes, depth_max = [], 0

    def place(node, x, depth):
        nonlocal depth_max
        for name, child in sorted(node[1].items()):
            width = child[0] / total
            if width >= SMALLEST:
                depth_max = max(depth_max, depth)
                boxes.append((name, x, width, depth, child[0]))
                place(child, x, depth + 1)
            x += width

    place(root, 0.0, 0)
    height = (depth_max + 1) * ROW + 40
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" '
           f'font-size="11"><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
           f'<text x="8" y="18" font-size="14">{html.escape(title)}</text>']
    for name, x, width, depth, count in boxes:
        left, top, wide = x * WIDTH, height - 8 - (depth + 1) * ROW, width * WIDTH
        fill = (colour(name) if colour else None) or colour_of(name, {})
        label = html.escape(name[:int(wide / 6.7)]) if wide > 24 else ""
        out.append(f'<g><title>{html.escape(name)}: {100 * count / total:.2f} %</title><rect x="{left:.1f}" y="{top}" '
                   f'width="{max(wide - 0.4, 0.3):.1f}" height="{ROW - 1}" fill="{fill}" rx="1"/>'
                   f'<text x="{left + 3:.1f}" y="{top + 12}">{label}</text></g>')
    return "\n".join(out) + "</svg>\n"

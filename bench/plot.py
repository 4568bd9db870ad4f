"""`python -m bench.plot results.json docs/growth.svg`: how cost grows with the log, drawn."""

import json
import math
import sys
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 44, 64
LIMIT = 1.2
QUESTIONS = (
    ("page_cpu_us", "history page, 20 messages", "#1f6fb2"),
    ("replay_cpu_us", "replay of 50 messages", "#c0561b"),
    ("online_cpu_us", "onlineUsers, 100 online", "#3a8f4d"),
)


def draw(results: dict[str, Any]) -> str:
    """The growth part of a run as an SVG: CPU for each question, relative to the smallest log."""
    part = next(part for part in results["parts"]["growth"] if "page" in str(part["medians"]))
    sizes = [int(title.split()[0].replace(",", "")) for title in part["variants"]]
    lines = {
        key: [part["medians"][title][key] for title in part["variants"]] for key, _, _ in QUESTIONS
    }
    relative = {key: [value / values[0] for value in values] for key, values in lines.items()}
    most: float = math.ceil(max(1.5, *(max(values) for values in relative.values())) * 4) / 4
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size: float) -> float:
        return LEFT + (math.log10(size) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(cost: float) -> float:
        return HEIGHT - BOTTOM - cost / most * (HEIGHT - TOP - BOTTOM)

    shapes = [_text(LEFT, 24, "CPU of a request as the log grows, smallest = 1", size=15)]
    for step in range(int(most * 4) + 1):
        cost = step / 4
        shapes.append(_line([(LEFT, y(cost)), (WIDTH - RIGHT, y(cost))], "#e3e3e3"))
        if step % 2 == 0:
            shapes.append(_text(LEFT - 8, y(cost) + 4, f"{cost:g}", anchor="end"))
    shapes.append(_line([(LEFT, y(LIMIT)), (WIDTH - RIGHT, y(LIMIT))], "#999", dashes="5 4"))
    shapes.append(_text(WIDTH - RIGHT + 10, y(LIMIT) + 4, f"the goal: {LIMIT}", colour="#777"))
    for size, title in zip(sizes, part["variants"], strict=True):
        messages, users = title.split(", ")[0], title.split(", ")[1]
        shapes.append(_text(x(size), HEIGHT - BOTTOM + 20, messages.split()[0], anchor="middle"))
        shapes.append(_text(x(size), HEIGHT - BOTTOM + 36, users, anchor="middle", colour="#777"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    shapes.append(_text(middle, HEIGHT - 8, "messages in the log", anchor="middle"))
    for place, (key, name, colour) in enumerate(QUESTIONS):
        points = [(x(size), y(cost)) for size, cost in zip(sizes, relative[key], strict=True)]
        shapes.append(_line(points, colour, width=2.5))
        shapes += [
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>' for px, py in points
        ]
        level = HEIGHT - BOTTOM - 90 + place * 34
        shapes.append(_text(WIDTH - RIGHT + 10, level, name, colour=colour))
        micro = f"{lines[key][0]:,.0f} → {lines[key][-1]:,.0f} µs"
        shapes.append(_text(WIDTH - RIGHT + 10, level + 14, micro, colour="#777"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def _line(
    points: list[tuple[float, float]], colour: str, *, width: float = 1, dashes: str = ""
) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = "#222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{colour}">{text}</text>'
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))

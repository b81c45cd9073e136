#!/usr/bin/env python3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from draw_lib import PLAIN, Box, draw_arrow, draw_box, draw_cells, draw_panel, write
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scdnet.cli import command_parser, run_command
from scdnet.files import atomic_write
from scdnet.losses import CROSS_DOMAIN_PAIRS

WIDTH = 9.0
DPI = 200
# The colors of the domains and of what belongs to them.
COLORS = {
    "temporal": "#4c72b0",
    "instance": "#8172b3",
    "spatial": "#c44e52",
}
# The levels of a path and their features.
LEVELS = {
    "unit 1": "mean: b",
    "unit 2": "mean: 4b",
    "unit 3": "mean: b",
    "transformer": "$v$: D",
}
# Each of both views hides 6 of 16 segments and about a third of the joints.
HIDDEN_FRAMES = ((1, 2, 6, 10, 11, 14), (0, 4, 5, 8, 12, 15))
HIDDEN_JOINTS = ((1, 2), (3, 5))
# Begin and end of the crop of each view, as fractions of the recording.
CROPS = ((0.05, 0.6), (0.3, 0.95))
# The middle of the first of six cells, from -1 to 1.
NEWEST = -5 / 6
LEGEND = (
    "View: joints by frames, hidden ones white; the bar is the crop of the recording. "
    "EMA: the key encoder's weights follow slowly.\n"
    "NCE: the query is to find the new key (filled) among the older ones in the queue Q. "
)


class View(NamedTuple):
    """The parts of a view that are hidden, and its crop."""

    joints: Sequence[int]
    frames: Sequence[int]
    crop: tuple[float, float]


def draw_candidates(axes: Axes, x: float, y: float, name: str, color: str) -> Box:
    """Draw a new key (filled) and its queue of older ones."""
    strip = draw_cells(axes, Box(x, y, 0.72, 0.14), [[color, *["white"] * 5]])
    write(axes, (x + 0.4, y), f"$Q_{{{name}}}$", color, "left")
    return strip


def draw_view(axes: Axes, y: float, number: int, view: View) -> Box:
    """Draw a view as a table of joints and frames, with its name and its crop of the recording."""
    rows = [
        ["white" if i in view.joints or j in view.frames else "#8c8c8c" for j in range(16)]
        for i in range(6)
    ]
    table = draw_cells(axes, Box(0.75, y, 1.2, 0.48), rows)
    write(axes, (0.75, y + 0.36), f"view {number}")
    left, bottom = table.at(-1, -1)
    for ends, color, height in (((0, 1), "#bbbbbb", 0.02), (view.crop, PLAIN, 0.06)):
        begin, end = (left + fraction * table.width for fraction in ends)
        axes.barh(bottom - 0.11, end - begin, height, begin, color=color)
    return table


def draw_momentum(axes: Axes, x: float, query: Box, key: Box) -> None:
    """Draw the dashed arrow from a query encoder to the key encoder that follows it."""
    top = query.at(0, -1)[1]
    bottom = key.at(0, 1)[1]
    draw_arrow(axes, (x, top), (x, bottom), style="--")
    write(axes, (x - 0.08, (top + bottom) / 2), "EMA", PLAIN, "right")


def draw_encoder(axes: Axes, middle: float, letter: str, title: str) -> tuple[Box, dict[str, Box]]:
    """Draw two paths and three heads on a panel; returns it and the outputs of the heads."""
    panel = draw_panel(axes, Box(3.15, middle, 2.9, 2.0))
    write(axes, (3.15, middle + 1.13), title, PLAIN)
    ys = {"temporal": middle + 0.65, "instance": middle, "spatial": middle - 0.65}
    heads = {
        domain: draw_box(axes, Box(4.2, y, 0.6, 0.34), "head", COLORS[domain])
        for domain, y in ys.items()
    }
    to_instance = heads["instance"].at(-1, 0)
    for path in ("temporal", "spatial"):
        y = ys[path]
        color = COLORS[path]
        box = draw_box(axes, Box(2.4, y, 1.15, 0.4), f"{path} path", color)
        draw_arrow(axes, (1.35, middle), (1.53, middle), (1.53, y), box.at(-1, 0))
        draw_arrow(axes, (3.5, y), (3.5, middle), to_instance, color=COLORS["instance"])
        draw_arrow(axes, box.at(1, 0), heads[path].at(-1, 0), color=color)
        write(axes, (3.22, y + 0.12), f"$v_{path[0]}$", color)
    write(axes, (3.42, middle), "$[v_t;\\,v_s]$", COLORS["instance"], "right")
    outputs = {}
    for domain, head in heads.items():
        text = f"${letter}_{domain[0]}$"
        output = draw_box(axes, Box(5.0, head.y, 0.4, 0.32), text, COLORS[domain])
        draw_arrow(axes, head.at(1, 0), output.at(-1, 0), color=COLORS[domain])
        outputs[domain] = output
    return panel, outputs


def draw_scd(axes: Axes) -> None:
    """Draw two views, an encoder for each, and the four terms of the loss by query and key."""
    query, z = draw_encoder(axes, 4.15, "z", "query encoder, trained")
    key, k = draw_encoder(axes, 1.5, "k", "key encoder, no gradient")
    draw_momentum(axes, 4.45, query, key)
    for i, encoder in enumerate((query, key)):
        draw_view(axes, encoder.y, i + 1, View(HIDDEN_JOINTS[i], HIDDEN_FRAMES[i], CROPS[i]))
    columns = dict(zip(COLORS, (6.0, 7.15, 8.3), strict=True))
    for domain, x in columns.items():
        strip = draw_candidates(axes, x, 2.75, domain[0], COLORS[domain])
        start = strip.at(NEWEST, -1)
        draw_arrow(axes, k[domain].at(1, 0), (start[0], k[domain].y), start, color=COLORS[domain])
        for row in z.values():
            draw_panel(axes, Box(x, row.y, 1.05, 0.58))
    for asking, answering in CROSS_DOMAIN_PAIRS:
        color = COLORS[asking]
        x = columns[answering]
        term = draw_box(axes, Box(x, z[asking].y, 0.6, 0.32), "NCE", color)
        draw_arrow(axes, z[asking].at(1, 0), term.at(-1, 0), color=color)
        draw_arrow(axes, (x, 2.82), term.at(0, -1), color=COLORS[answering])
    write(axes, (7.15, 5.28), "L = the sum of the four terms", PLAIN)
    write(axes, (0.15, 0.2), LEGEND + "Empty fields are not contrasted.", PLAIN, "left", 8)


def draw_path(axes: Axes, path: str, view: Box, sign: int) -> tuple[Box, list[Box]]:
    """Draw the levels of a path on a panel, each with a head above (-1) or below (1) it.

    Returns the panel and the heads, which face the other encoder.
    """
    panel = draw_panel(axes, Box(4.9, view.y - sign * 0.27, 5.6, 1.0))
    color = COLORS[path]
    last = view
    heads = []
    for number, (name, feature) in enumerate(LEVELS.items()):
        unit = draw_box(axes, Box(2.8 + 1.4 * number, view.y, 0.95, 0.34), name, color)
        head = draw_box(axes, Box(unit.x, view.y - sign * 0.57, 0.8, 0.26), "head", color)
        draw_arrow(axes, last.at(1, 0), unit.at(-1, 0))
        draw_arrow(axes, unit.at(0, -sign), head.at(0, sign), color=color)
        text = feature.replace("$v$", f"$v_{path[0]}$")
        write(axes, (unit.x + 0.08, view.y - sign * 0.31), text, PLAIN, "left", 8)
        heads.append(head)
        last = unit
    return panel, heads


def draw_subtask(
    axes: Axes, path: str, middle: float, texts: Sequence[str], views: Sequence[View]
) -> None:
    """Draw a pair of views through both encoders of a path, and the terms of the loss as a sum."""
    color = COLORS[path]
    d = path[0]
    query_view = draw_view(axes, middle + 1.15, 1, views[0])
    query, query_heads = draw_path(axes, path, query_view, 1)
    key_view = draw_view(axes, middle - 1.41, 2, views[1])
    key, key_heads = draw_path(axes, path, key_view, -1)
    write(axes, (0.15, middle + 1.74), f"{path.capitalize()} subtask", color, "left", 11)
    write(axes, (2.1, middle + 1.53), f"query encoder, trained: {path} path", PLAIN, "left")
    write(axes, (2.1, middle - 1.8), f"key encoder, no gradient: {path} path", PLAIN, "left")
    write(axes, (0.15, middle + 0.22), texts[0], color, "left")
    write(axes, (0.15, middle - 0.42), texts[1], PLAIN, "left")
    draw_momentum(axes, 2.2, query, key)
    for level, (asking, answering) in enumerate(zip(query_heads, key_heads, strict=True), start=1):
        text = f"$w_{{{level}{d}}}$ NCE$_{{{level}{d}}}$"
        term = draw_box(axes, Box(asking.x, middle, 0.98, 0.3), text, color)
        strip = draw_candidates(axes, asking.x, middle - 0.42, f"{level}{d}", color)
        newest = strip.at(NEWEST, -1)
        draw_arrow(axes, asking.at(0, -1), term.at(0, 1), color=color)
        draw_arrow(axes, (newest[0], answering.at(0, 1)[1]), newest, color=color)
        draw_arrow(axes, strip.at(0, 1), term.at(0, -1), color=color)
        write(axes, (asking.x + 0.7, middle), "+" if level < len(LEVELS) else f"=  $L_{d}$")


def draw_hdc(axes: Axes) -> None:
    """Draw two subtasks, each with a pair of views of its own."""
    frames = [View((), *own) for own in zip(HIDDEN_FRAMES, CROPS, strict=True)]
    joints = [View(own, (), CROPS[0]) for own in HIDDEN_JOINTS]
    spatial = ("shared by both views:\nrotation, flip, shear", "each its own:\ncrop, hidden frames")
    temporal = (
        "shared by both views:\nthe crop",
        "each its own:\nrotation, flip, shear,\nhidden joints",
    )
    draw_subtask(axes, "spatial", 6.35, spatial, frames)
    draw_subtask(axes, "temporal", 2.55, temporal, joints)
    total = draw_box(axes, Box(8.4, 4.45, 1.0, 0.36), "$L = L_s + L_t$", PLAIN)
    for y, side in ((6.35, 1), (2.55, -1)):
        draw_arrow(axes, (8.0, y), (8.4, y), total.at(0, side))
    levels = "w: weight of a level. b, 4b, D: width of its feature."
    write(axes, (0.15, 0.34), LEGEND + levels, PLAIN, "left", 8)


# The figures and their heights.
FIGURES = {
    "method_scd.png": (draw_scd, 5.5),
    "method_hdc.png": (draw_hdc, 8.3),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the figures of docs/objectives.md."""
    parser = command_parser("draw_objectives", main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), metavar="DIRECTORY")
    args = parser.parse_args(argv)
    for name, (draw, height) in FIGURES.items():
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
        axes.axis("off")
        draw(axes)
        with atomic_write(args.out / name) as partial:
            figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None})
        print(args.out / name)


if __name__ == "__main__":
    run_command(main)

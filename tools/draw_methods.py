#!/usr/bin/env python3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.inspect_store import check_matplotlib
from scdnet.cli import command_parser, run_command
from scdnet.files import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, str]  # centre, text
PATHS = {"temporal": "#4c72b0", "spatial": "#c44e52"}  # and the colours of what belongs to them
PLAIN, ANCHOR = "#555555", "#8172b3"
LEVELS = ("unit 1\nb", "unit 2\n4b", "unit 3\nb", "transformer\nD")


def box(axes: "Axes", x: float, y: float, text: str, color: str) -> None:
    """A box around its centre."""
    style = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": color, "linewidth": 1.4}
    axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox=style, zorder=3)


def arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float], color: str, style: str = "-|>") -> None:
    """An arrow between two centres, behind the boxes."""
    line = {"arrowstyle": style, "color": color, "linewidth": 1.2, "shrinkA": 26, "shrinkB": 26}
    axes.annotate("", end, start, arrowprops=line, zorder=1)


def draw_scd(axes: "Axes") -> None:
    """Two views, two paths each, the anchor, and the four cross-domain terms."""
    for side, y, view in (("query", 3.0, "view 1"), ("key (momentum)", 0.0, "view 2")):
        box(axes, 0, y, view, PLAIN)
        axes.text(1.6, y + 1.25, f"{side} encoder", ha="center", fontsize=9, color=PLAIN)
        for path, dy in (("temporal", 0.6), ("spatial", -0.6)):
            box(axes, 1.6, y + dy, f"{path} path", PATHS[path])
            arrow(axes, (0, y), (1.6, y + dy), PLAIN)
    heads = (("temporal", 0.9), ("instance", 0.0), ("spatial", -0.9))
    colors = {**PATHS, "instance": ANCHOR}
    for y, letter in ((3.0, "z"), (0.0, "k")):
        for domain, dy in heads:
            box(axes, 3.6, y + dy, f"${letter}_{domain[0]}$", colors[domain])
            for path, path_dy in (("temporal", 0.6), ("spatial", -0.6)):
                if domain in (path, "instance"):
                    arrow(axes, (1.6, y + path_dy), (3.6, y + dy), colors[domain])
    position = dict(heads)
    for query, key in (
        ("temporal", "instance"),
        ("spatial", "instance"),
        ("instance", "temporal"),
        ("instance", "spatial"),
    ):
        x = 5.4 + 0.55 * ("temporal", "spatial", "instance").index(query) + 0.275 * (key == "spatial")
        ys = 3.0 + position[query], position[key]
        axes.plot([3.9, x, x, 3.9], [ys[0], ys[0], ys[1], ys[1]], color=colors[query], linewidth=1.2, zorder=1)
    axes.text(7.0, 1.5, "InfoNCE\nof 4 pairs,\na queue for\neach domain", fontsize=9, va="center", color=PLAIN)
    axes.set(xlim=(-0.7, 8.6), ylim=(-1.5, 4.6))


def draw_hdc(axes: "Axes") -> None:
    """Two subtasks, each with views of its own, contrasted at every level of its path."""
    pairs = {
        "spatial": "two crops,\nown masks in time\none rotation,\nshear, flip",
        "temporal": "one crop\ntwo rotations,\nshears, flips,\nmasks of joints",
    }
    for (path, text), y in zip(pairs.items(), (2.6, 0.0), strict=True):
        color = PATHS[path]
        box(axes, 0, y, text, PLAIN)
        axes.text(0, y + 1.0, f"pair for the {path} subtask", ha="center", fontsize=9, color=color)
        for i, level in enumerate(LEVELS, start=1):
            x = 0.6 + 1.5 * i
            box(axes, x, y, level, color)
            arrow(axes, (x - 1.5 if i > 1 else 0.2, y), (x, y), PLAIN)
            box(axes, x, y - 1.05, f"$w_{{{i}{path[0]}}}$ NCE", color)
            arrow(axes, (x, y + 0.2), (x, y - 1.25), color)
        axes.text(8.0, y, f"{path} path", va="center", fontsize=9, color=color)
    axes.set(xlim=(-1.1, 9.2), ylim=(-1.6, 4.0))


FIGURES = {"method_scd.png": draw_scd, "method_hdc.png": draw_hdc}


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the figures of docs/methods.md."""
    parser = command_parser(main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="FOLDER")
    args = parser.parse_args(argv)
    check_matplotlib()
    from matplotlib.figure import Figure  # only here: the rest works without matplotlib

    for name, draw in FIGURES.items():
        figure = Figure(figsize=(9, 4.6), layout="tight")
        axes = figure.subplots()
        axes.axis("off")
        draw(axes)
        with written_aside(args.out / name) as partial:
            figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})
        print(args.out / name)


if __name__ == "__main__":
    run_command(main)

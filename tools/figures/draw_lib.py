"""Boxes, arrows and tables of cells for figures; lengths are in inches. Needs matplotlib."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

# Measured from the lower left corner of the figure.
Point = tuple[float, float]

PLAIN = "#444444"
PANEL = "#f3f3f3"
LINE = 1.3  # points


class Box(NamedTuple):
    """A center and a size."""

    x: float
    y: float
    width: float
    height: float

    def at(self, dx: float, dy: float) -> Point:
        """Return a point of the box: (1, 0) is the middle of the right side."""
        return self.x + dx * self.width / 2, self.y + dy * self.height / 2


def draw_box(axes: Axes, box: Box, text: str, edge: str) -> Box:
    """Draw a white box with rounded corners."""
    _add_box(axes, box, edge=edge, face="white", order=3)
    write(axes, box.at(0, 0), text)
    return box


def draw_panel(axes: Axes, box: Box) -> Box:
    """Draw a gray area behind everything else."""
    _add_box(axes, box, edge=PANEL, face=PANEL, order=0)
    return box


def _add_box(axes: Axes, box: Box, *, edge: str, face: str, order: int) -> None:
    style = "round,pad=0,rounding_size=0.08"
    corner = box.at(-1, -1)
    patch = FancyBboxPatch(
        corner, box.width, box.height, style, ec=edge, fc=face, lw=LINE, zorder=order
    )
    axes.add_patch(patch)


def write(
    axes: Axes, point: Point, text: str, color: str = "black", ha: str = "center", size: float = 9
) -> None:
    """Write text around a point, or beside it."""
    axes.text(
        *point, text, color=color, ha=ha, va="center", fontsize=size, zorder=4, linespacing=1.25
    )


def draw_arrow(axes: Axes, *points: Point, color: str = PLAIN, style: str = "-") -> None:
    """Draw an arrow along the points; its tip is the last one."""
    axes.plot(*zip(*points[:-1], strict=True), color=color, linewidth=LINE, zorder=2)
    line = {
        "arrowstyle": "-|>",
        "color": color,
        "lw": LINE,
        "ls": style,
        "shrinkA": 0,
        "shrinkB": 0,
        "joinstyle": "miter",
    }
    axes.annotate("", points[-1], points[-2], arrowprops=line, zorder=2)


def draw_cells(axes: Axes, box: Box, colors: Sequence[Sequence[str]]) -> Box:
    """Draw a table of colored cells, the first row on top."""
    height = box.height / len(colors)
    width = box.width / len(colors[0])
    left, top = box.at(-1, 1)
    for i, row in enumerate(colors):
        axes.barh(
            top - (i + 0.5) * height,
            width,
            height,
            [left + j * width for j in range(len(row))],
            color=row,
            edgecolor="#b5b5b5",
            lw=0.5,
            zorder=3,
        )
    return box

"""What figures of boxes and arrows are drawn with; lengths are inches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]  # from the lower left corner of the figure
PLAIN, PANEL, LINE = "#444444", "#f3f3f3", 1.3


class Box(NamedTuple):
    """A centre and a size."""

    x: float
    y: float
    width: float
    height: float

    def at(self, dx: float, dy: float) -> Point:
        """A point of it: (1, 0) is the middle of the right side."""
        return self.x + dx * self.width / 2, self.y + dy * self.height / 2


def draw_box(axes: "Axes", box: Box, text: str, edge: str, face: str = "white") -> Box:
    """A box with rounded corners; one without a line around it lies behind everything."""
    from matplotlib.patches import FancyBboxPatch  # only here: the rest works without matplotlib

    corner, style, order = (
        box.at(-1, -1),
        "round,pad=0,rounding_size=0.08",
        0 if edge == face else 3,
    )
    axes.add_patch(FancyBboxPatch(corner, *box[2:], style, ec=edge, fc=face, lw=LINE, zorder=order))
    write(axes, box.at(0, 0), text)
    return box


def write(
    axes: "Axes", point: Point, text: str, color: str = "black", ha: str = "center", size: float = 9
) -> None:
    """Text around a point, or beside it."""
    axes.text(
        *point, text, color=color, ha=ha, va="center", fontsize=size, zorder=4, linespacing=1.25
    )


def draw_arrow(axes: "Axes", *points: Point, color: str = PLAIN, style: str = "-") -> None:
    """An arrow along the points, whose tip is the last one."""
    axes.plot(*zip(*points[:-1], strict=True), color=color, linewidth=LINE, zorder=2)
    line = {
        "arrowstyle": "-|>",
        "color": color,
        "lw": LINE,
        "ls": style,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", points[-1], points[-2], arrowprops=line | {"joinstyle": "miter"}, zorder=2)


def draw_cells(axes: "Axes", box: Box, colors: Sequence[Sequence[str]]) -> Box:
    """A table of coloured cells, the first row on top."""
    height, width = box.height / len(colors), box.width / len(colors[0])
    left, top = box.at(-1, 1)
    for i, row in enumerate(colors):
        lefts = [left + j * width for j in range(len(row))]
        axes.barh(
            top - (i + 0.5) * height,
            width,
            height,
            lefts,
            color=row,
            edgecolor="#b5b5b5",
            lw=0.5,
            zorder=3,
        )
    return box

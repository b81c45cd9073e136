"""Draw docs/images/method_latent.svg: how hidden tokens are predicted on both paths.

python docs/latent_chart.py
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

OUT = Path(__file__).parent / "images/method_latent.svg"
# Inches. Points are measured from the lower left corner of the figure.
SIZE = (9.0, 6.35)
Point = tuple[float, float]
PLAIN = "#444444"
PANEL = "#f3f3f3"
SHOWN = "#8c8c8c"
EDGE = "#b5b5b5"
LINE = 1.3  # points
NUM_FRAMES = 16
NUM_JOINTS = 8
HIDDEN_FRAMES = (3, 4, 5, 6, 10, 11, 12, 13)
LEGEND = (
    "View: joints by frames. The hidden values are zeroed in the clip, before the encoder; their "
    "tokens do not enter its transformer.\n"
    "Outlined: mask tokens, with the position of what they stand for. "
    "EMA: the key encoder's weights follow slowly.\n"
    "Targets are normalized. Beside a contrast, the view and the pass through the key encoder are "
    "those of its keys."
)


class Box(NamedTuple):
    """A center and a size."""

    x: float
    y: float
    width: float
    height: float

    def at(self, dx: float, dy: float) -> Point:
        """Return a point of the box: (1, 0) is the middle of the right side."""
        return self.x + dx * self.width / 2, self.y + dy * self.height / 2


class PathDrawing(NamedTuple):
    """One path: its name, color, place, and what is hidden from it."""

    name: str
    color: str
    middle: float
    what: str
    num_tokens: int
    hidden: Collection[int]


PATHS = (
    PathDrawing("temporal", "#4c72b0", 4.72, "blocks of frames", NUM_FRAMES, {*HIDDEN_FRAMES}),
    PathDrawing("spatial", "#c44e52", 1.98, "parts of the body", NUM_JOINTS, {1, 2, 5, 6}),
)


def write(
    axes: Axes, point: Point, text: str, *, color: str = PLAIN, ha: str = "center", size: float = 9
) -> None:
    """Write text around a point, or beside it."""
    axes.text(
        *point, text, color=color, ha=ha, va="center", fontsize=size, zorder=4, linespacing=1.3
    )


def draw_box(axes: Axes, box: Box, text: str, *, edge: str, face: str = "white") -> Box:
    """Draw a box with rounded corners."""
    patch = FancyBboxPatch(
        box.at(-1, -1),
        box.width,
        box.height,
        "round,pad=0,rounding_size=0.08",
        ec=edge,
        fc=face,
        lw=LINE,
        zorder=0 if face == PANEL else 3,
    )
    axes.add_patch(patch)
    write(axes, box.at(0, 0), text, color="black")
    return box


def draw_arrow(axes: Axes, *points: Point, color: str = PLAIN, style: str = "-") -> None:
    """Draw an arrow along the points; its tip is the last one."""
    if len(points) > 2:
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


def draw_cells(
    axes: Axes, box: Box, colors: Sequence[Sequence[str]], *, edges: Sequence[str] | None = None
) -> Box:
    """Draw a table of colored cells, the first row on top; `edges` are those of each column."""
    height = box.height / len(colors)
    width = box.width / len(colors[0])
    left, top = box.at(-1, 1)
    for i, row in enumerate(colors):
        for j, color in enumerate(row):
            edge = EDGE if edges is None else edges[j]
            axes.bar(
                left + (j + 0.5) * width,
                height,
                width,
                top - (i + 1) * height,
                color=color,
                edgecolor=edge,
                lw=0.5 if edge == EDGE else 1.1,
                zorder=3 if edge == EDGE else 4,
            )
    return box


def draw_view(axes: Axes, center: Point, path: PathDrawing, *, hides: bool) -> Box:
    """Draw a view as a table of joints and frames."""
    hidden = path.hidden if hides else ()
    rows = [
        [
            "white" if (j if path.name == "temporal" else i) in hidden else SHOWN
            for j in range(NUM_FRAMES)
        ]
        for i in range(NUM_JOINTS)
    ]
    return draw_cells(axes, Box(*center, 1.2, 0.56), rows)


def draw_tokens(
    axes: Axes, center: Point, colors: Sequence[str], *, edges: Sequence[str] | None = None
) -> Box:
    """Draw a row of tokens."""
    return draw_cells(axes, Box(*center, 0.085 * len(colors), 0.16), [colors], edges=edges)


def draw_key(axes: Axes, path: PathDrawing) -> Box:
    """Draw the whole view and its way through the key encoder; return the targets."""
    y = path.middle + 0.62
    view = draw_view(axes, (0.75, y), path, hides=False)
    write(axes, (0.15, y + 0.42), "a training view", ha="left", size=8)
    draw_box(axes, Box(3.2, y, 2.8, 0.62), "", edge=PANEL, face=PANEL)
    write(axes, (1.82, y + 0.44), f"key encoder, no gradient: {path.name} path", ha="left")
    stem = draw_box(axes, Box(2.4, y, 0.8, 0.38), "stem", edge=path.color)
    last = draw_box(axes, Box(3.95, y, 1.0, 0.38), "transformer", edge=path.color)
    draw_arrow(axes, view.at(1, 0), stem.at(-1, 0))
    draw_arrow(axes, stem.at(1, 0), last.at(-1, 0))
    targets = draw_tokens(axes, (5.6, y), [path.color] * path.num_tokens)
    draw_arrow(axes, last.at(1, 0), targets.at(-1, 0))
    write(axes, (5.6, y + 0.24), "tokens of the whole view: targets", size=8)
    return targets


def draw_query(axes: Axes, path: PathDrawing) -> Box:
    """Draw the hidden copy and its way through query encoder and predictor; return its end."""
    y = path.middle - 0.62
    view = draw_view(axes, (0.75, y), path, hides=True)
    write(axes, (0.15, y - 0.42), f"{path.what} hidden", ha="left", size=8)
    draw_box(axes, Box(3.2, y, 2.8, 0.62), "", edge=PANEL, face=PANEL)
    write(axes, (1.82, y - 0.44), f"query encoder, trained: {path.name} path", ha="left")
    stem = draw_box(axes, Box(2.4, y, 0.8, 0.38), "stem", edge=path.color)
    last = draw_box(axes, Box(3.95, y, 1.0, 0.38), "transformer", edge=path.color)
    draw_arrow(axes, view.at(1, 0), stem.at(-1, 0))
    draw_arrow(axes, stem.at(1, 0), last.at(-1, 0))
    write(axes, (3.1, y + 0.12), "visible", size=7)
    write(axes, (3.1, y - 0.12), "tokens", size=7)
    is_hidden = [token in path.hidden for token in range(path.num_tokens)]
    faces = ["white" if hidden else path.color for hidden in is_hidden]
    edges = [path.color if hidden else EDGE for hidden in is_hidden]
    tokens = draw_tokens(axes, (5.6, y), faces, edges=edges)
    draw_arrow(axes, last.at(1, 0), tokens.at(-1, 0))
    write(axes, (5.6, y - 0.24), "with mask tokens", size=8)
    predictor = draw_box(axes, Box(7.05, y, 0.85, 0.38), "predictor", edge=path.color)
    draw_arrow(axes, tokens.at(1, 0), predictor.at(-1, 0))
    predicted = draw_tokens(axes, (8.2, y), [path.color] * len(path.hidden))
    draw_arrow(axes, predictor.at(1, 0), predicted.at(-1, 0))
    write(axes, (8.2, y - 0.24), "predicted", size=8)
    return predicted


def draw_path(axes: Axes, path: PathDrawing) -> None:
    """Draw all of one path."""
    title = (0.15, path.middle + 1.32)
    write(axes, title, f"{path.name.capitalize()} path", color=path.color, ha="left", size=11)
    targets = draw_key(axes, path)
    predicted = draw_query(axes, path)
    letter = path.name[0]
    loss = draw_box(axes, Box(8.2, path.middle, 0.7, 0.36), f"$L_{letter}$", edge=path.color)
    draw_arrow(axes, predicted.at(0, 1), loss.at(0, -1), color=path.color)
    draw_arrow(axes, targets.at(1, 0), (8.2, targets.y), loss.at(0, 1), color=path.color)
    write(axes, (7.2, targets.y + 0.13), "the hidden ones", size=8)
    top = path.middle - 0.31
    draw_arrow(axes, (2.05, top), (2.05, path.middle + 0.31), style="--")
    write(axes, (2.13, path.middle), "EMA", ha="left")
    draw_arrow(axes, (0.75, path.middle + 0.34), (0.75, path.middle - 0.34))


def main() -> None:
    """Draw the figure."""
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "scdnet"
    mpl.rcParams["font.family"] = "DejaVu Sans"
    figure = Figure(figsize=SIZE)
    axes = figure.add_axes((0, 0, 1, 1))
    for path in PATHS:
        draw_path(axes, path)
    write(axes, (0.15, 0.32), LEGEND, ha="left", size=8)
    axes.set(xlim=(0, SIZE[0]), ylim=(0, SIZE[1]))
    axes.set_axis_off()
    figure.savefig(OUT, metadata={"Date": None})


if __name__ == "__main__":
    main()

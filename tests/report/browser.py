"""Helpers of tests that look at the page of a report in a browser."""

import base64
import io
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page

# Seconds after which a page that has not done something will not.
TIMEOUT = 60
# The colors of a joint's bones, by its side: trunk, left, right.
SIDES = ("--trunk", "--left-limb", "--right-limb")
# Colors mix where a line ends; a color that differs less than this is that of the line.
COLOR_TOLERANCE = 60


class Shown(NamedTuple):
    """A row of the gallery."""

    query: str
    # Nearest first.
    neighbors: list[str]
    # Whether each neighbor is marked as of the class of the query.
    is_same: list[bool]


def read_gallery(page: Page) -> list[Shown]:
    """Return the rows on all pages of the gallery, from the present one on."""
    rows = []
    while True:
        rows += [Shown(*row) for row in page.evaluate(READ_ROWS)]
        forward = page.get_by_role("button", name="Next")
        if forward.is_disabled():
            return rows
        forward.click()


READ_ROWS = """() => [...document.querySelectorAll("#gallery .rows .retrieval")].map((row) => {
  const name = (card) => card.querySelector(".card-name").textContent;
  const near = [...row.querySelectorAll(".neighbors .card")];
  return [
    name(row.querySelector(".card.query")),
    near.map(name),
    near.map((card) => card.querySelector(".badge-text").textContent === "same class"),
  ];
})"""


def picture_of(place: Locator) -> np.ndarray:
    """Return what the browser shows of an element, (height, width, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("RGB"))


def drawing_on(canvas: Locator) -> np.ndarray:
    """Return what is drawn on a canvas, (height, width, 4) uint8; quicker than `picture_of`."""
    data = canvas.evaluate("(canvas) => canvas.toDataURL()").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def read_color(page: Page, name: str) -> np.ndarray:
    """Return a color variable of the style sheet as red, green and blue (3,)."""
    text = page.evaluate(
        "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()", name
    )
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)])


def luminance(color: np.ndarray) -> float:
    """Return the relative luminance of a color (3,), 0 to 1. Source: WCAG 2.1."""
    share = np.asarray(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def has_color(drawing: np.ndarray, color: np.ndarray, place: np.ndarray, *, radius: float) -> bool:
    """Check whether a pixel of a drawing around `place` (x, y) has the color of a line."""
    y, x = np.mgrid[: drawing.shape[0], : drawing.shape[1]]
    # The middle of a pixel is half a pixel from its corner.
    is_near = np.hypot(x + 0.5 - place[0], y + 0.5 - place[1]) <= radius
    pixels = drawing[is_near].astype(int)
    difference = np.abs(pixels[:, :3] - color).sum(axis=1)
    # The edge of a line is transparent.
    return bool((difference < COLOR_TOLERANCE)[pixels[:, 3] > 127].any())


class View(NamedTuple):
    """Where a stage of the page draws, and from which side."""

    azimuth_deg: float
    elevation_deg: float
    # Pixels per millimeter.
    scale: float
    # The pixel (x, y) of the point `middle` (x, y, z) in millimeters.
    center: np.ndarray
    middle: np.ndarray

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return the pixels (..., 2) of points (..., 3) in millimeters.

        The viewer is at `azimuth_deg` from +y, where body 0 faces, towards +x, and looks down by
        `elevation_deg`.
        """
        azimuth, elevation = np.deg2rad([self.azimuth_deg, self.elevation_deg])
        toward = np.array(
            [
                np.sin(azimuth) * np.cos(elevation),
                np.cos(azimuth) * np.cos(elevation),
                np.sin(elevation),
            ]
        )
        right = np.cross([0, 0, 1], toward)
        right /= np.linalg.norm(right)
        up = np.cross(toward, right)
        offset = (points - self.middle) @ np.stack([right, -up], axis=1)
        return self.center + self.scale * offset


def read_view(page: Page, canvas: Locator) -> View:
    """Return the view of the stage of a canvas."""
    camera = page.evaluate("scdnetReport.player.camera")
    layout = canvas.evaluate("(canvas) => scdnetReport.player.stageOf(canvas).layout()")
    center = np.array([layout["centerX"], layout["centerY"]])
    middle = np.array(layout["center3d"])
    return View(camera["azimuth"], camera["elevation"], layout["scale"], center, middle)


def seek(page: Page, seconds: float) -> None:
    """Go to a time, and wait until it is drawn."""
    page.evaluate("(seconds) => scdnetReport.player.seek(seconds)", seconds)
    wait_for_drawing(page)


def wait_for_drawing(page: Page) -> None:
    """Wait until two further frames would have been drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def wait_until(page: Page, check: Callable[[], bool]) -> None:
    """Wait until something holds, however slow the machine is."""
    end = time.monotonic() + TIMEOUT
    while not check():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


# The elements that the keyboard has to reach.
FOCUSABLE = "a[href], button:enabled, select, input, summary, [tabindex='0']"

# Numbers each focusable element that is visible, and returns how many there are.
NUMBER_FOCUSABLE = """(selector) => {
  const nodes = [...document.querySelectorAll(selector)].filter(
    (node) => node.checkVisibility({visibilityProperty: true}) && node.tabIndex >= 0);
  nodes.forEach((node, i) => { node.dataset.number = i; });
  return nodes.length;
}"""

# Returns the number of the focused element, and whether its focus can be seen.
READ_FOCUS = """() => {
  const node = document.activeElement;
  const style = getComputedStyle(node);
  const hasOutline = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  return [node.dataset.number ?? null, hasOutline || style.boxShadow !== "none"];
}"""

# Returns what lies beyond the right edge of the window, unless it can be scrolled to or is cut.
READ_OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  const isCut = (node) => {
    for (let one = node.parentElement; one !== null; one = one.parentElement) {
      if (one !== document.body && one !== document.documentElement
          && getComputedStyle(one).overflowX !== "visible"
          && one.getBoundingClientRect().right <= width + 0.5) return true;
    }
    return false;
  };
  return [...document.querySelectorAll("body *")].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width > 1 && node.checkVisibility() && box.right > width + 0.5 && !isCut(node);
  }).map((node) => node.outerHTML.slice(0, 120));
}"""

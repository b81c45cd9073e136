/** Colors and shapes of classes, subjects, cameras and runs; the colors are in charts.css. */

/** How many colors charts.css defines for each theme and tone. */
export const NUM_COLORS = 8;
/** The names of the shapes of points, in the order of their numbers. */
export const SHAPES = ["circle", "square", "up", "diamond", "down", "plus", "star", "hourglass"];

const TURN = Math.PI * 2;

/**
 * Return `{color, shape, tone}` of category `index`: numbers below 8, 8 and 2.
 *
 * The first eight differ in color and in shape, and 128 in a row are all different.
 */
export function categoryStyle(index) {
  const color = index % NUM_COLORS;
  const cycle = Math.floor(index / NUM_COLORS);
  return {
    color,
    shape: (color + cycle) % SHAPES.length,
    tone: Math.floor(cycle / SHAPES.length) % 2,
  };
}

/** Return the fill and stroke colors of the current theme: `{tones: [[8], [8]], ink, ...}`. */
export function readColors(node) {
  const style = getComputedStyle(node);
  const read = (name) => style.getPropertyValue(name).trim();
  const tone = (prefix) => Array.from({ length: NUM_COLORS }, (_, i) => read(`${prefix}${i}`));
  return {
    tones: [tone("--category-"), tone("--category-pale-")],
    ink: read("--ink"),
    muted: read("--muted"),
    paper: read("--paper"),
    panel: read("--panel"),
    line: read("--line"),
    accent: read("--accent"),
    right: read("--right"),
    wrong: read("--wrong"),
  };
}

/** Call `redraw` whenever the browser turns from light to dark or back. */
export function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

/** Return the corners `[dx, dy]` of shape number `shape` with radius 1, or null for a circle. */
export function shapeCorners(shape) {
  switch (SHAPES[shape]) {
    case "square":
      return [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]];
    case "up":
      return [[0, -1.15], [1.05, 0.75], [-1.05, 0.75]];
    case "down":
      return [[0, 1.15], [-1.05, -0.75], [1.05, -0.75]];
    case "diamond":
      return [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]];
    case "plus":
      return plusCorners(0.42, 1.15);
    case "star":
      return starCorners(5, 0.5, 1.3);
    case "hourglass":
      return [[-0.95, -1], [0.95, -1], [-0.95, 1], [0.95, 1]];
    default:
      return null;
  }
}

function plusCorners(thin, long) {
  return [
    [-thin, -long], [thin, -long], [thin, -thin], [long, -thin], [long, thin], [thin, thin],
    [thin, long], [-thin, long], [-thin, thin], [-long, thin], [-long, -thin], [-thin, -thin],
  ];
}

function starCorners(num, inner, outer) {
  return Array.from({ length: num * 2 }, (_, i) => {
    const radius = i % 2 === 0 ? outer : inner;
    const angle = (i / (num * 2)) * TURN;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

/** Add shape number `shape` around (x, y) to `path`, a Path2D or a canvas context. */
export function addShape(path, shape, x, y, radius) {
  const corners = shapeCorners(shape);
  if (corners === null) {
    path.moveTo(x + radius, y);
    path.arc(x, y, radius, 0, TURN);
    return;
  }
  corners.forEach(([dx, dy], i) => {
    if (i === 0) path.moveTo(x + dx * radius, y + dy * radius);
    else path.lineTo(x + dx * radius, y + dy * radius);
  });
  path.closePath();
}

/** Return the numbers red, green and blue (0-255) of a color `#rrggbb` or `#rgb`. */
export function parseColor(text) {
  const digits = text.replace("#", "");
  const long = digits.length === 3 ? digits.replace(/./g, "$&$&") : digits;
  return [0, 2, 4].map((at) => Number.parseInt(long.slice(at, at + 2), 16));
}

/** Return the color `share` (0-1) of the way from `from` to `to`, both `#rrggbb`. */
export function mixColors(from, to, share) {
  const a = parseColor(from);
  const b = parseColor(to);
  const mixed = a.map((value, i) => Math.round(value + (b[i] - value) * share));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** Return the relative luminance (0-1) of a color `#rrggbb`. Source: WCAG 2.1. */
export function luminance(color) {
  const [red, green, blue] = parseColor(color).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Return the contrast ratio (1-21) of two colors `#rrggbb`. Source: WCAG 2.1. */
export function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

/** Return whichever of black and white is read best on `background`, a color `#rrggbb`. */
export function textColorOn(background) {
  return contrast("#000000", background) > contrast("#ffffff", background) ? "#000000" : "#ffffff";
}

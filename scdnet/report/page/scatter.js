/** Draws the points of the embedding map on a canvas, and marks on a second one above it. */

import { OWN_SPLIT, TEST_SPLIT, groupCenters, keepFreeBoxes } from "./categories.js";
import { sizeCanvas } from "./figure.js";
import { addShape, readColors } from "./palette.js";
import { shorten } from "./scales.js";

const MAX_NAMES = 32;
const NAME_LETTERS = 22;
const DIM_ALPHA = 0.13;

/** Return the radius in pixels of points of which `num` are drawn `width` pixels wide. */
export function pointRadius(num, width) {
  const room = Math.sqrt((width * width) / Math.max(num, 1)) / 6;
  return Math.min(5, Math.max(2.8, room));
}

/**
 * Draw the scene `{points, rows, groups, splits, highlighted, showNames}`.
 *
 * Test points are filled, training points hollow, own recordings large with an outline; groups
 * outside `highlighted` (a Set of indices, empty: all) are dimmed.
 */
export function drawScatter(canvas, scene, width, height) {
  const context = sizeCanvas(canvas, width, height);
  const colors = readColors(canvas);
  const radius = pointRadius(scene.rows.length, width);
  const paths = collectPaths(scene, radius, width, height);
  const isDim = (group) => scene.highlighted.size > 0 && !scene.highlighted.has(group);
  for (const pass of [true, false]) {
    for (const { group, split, path } of paths) {
      if (isDim(group) !== pass) continue;
      context.globalAlpha = pass ? DIM_ALPHA : 0.85;
      const { tone, color } = scene.groups.list[group].style;
      paintPath(context, path, split, pass ? colors.muted : colors.tones[tone][color], colors);
    }
  }
  context.globalAlpha = 1;
  if (scene.showNames) drawNames(context, scene, colors, isDim, width, height);
}

function collectPaths(scene, radius, width, height) {
  const paths = new Map();
  for (const row of scene.rows) {
    const x = scene.points.x[row];
    const y = scene.points.y[row];
    if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
    const group = scene.groups.of[row];
    const split = scene.splits[row];
    // Training points lie below test points, those below own recordings.
    const key = split * scene.groups.list.length + group;
    if (!paths.has(key)) paths.set(key, { key, group, split, path: new Path2D() });
    const size = split === OWN_SPLIT ? Math.max(7, radius * 1.8) : radius;
    addShape(paths.get(key).path, scene.groups.list[group].style.shape, x, y, size);
  }
  return [...paths.values()].sort((a, b) => a.key - b.key);
}

function paintPath(context, path, split, color, colors) {
  context.lineJoin = "round";
  if (split === TEST_SPLIT || split === OWN_SPLIT) {
    context.fillStyle = color;
    context.fill(path);
    // A thin edge in the color of the paper keeps touching points apart.
    context.strokeStyle = split === OWN_SPLIT ? colors.ink : colors.panel;
    context.lineWidth = split === OWN_SPLIT ? 2 : 0.6;
  } else {
    context.strokeStyle = color;
    context.lineWidth = 1.2;
  }
  context.stroke(path);
}

function drawNames(context, scene, colors, isDim, width, height) {
  const centers = groupCenters(scene.points, scene.rows, scene.groups)
    .filter((center) => !isDim(center.index))
    .filter(({ x, y }) => x > 0 && x < width && y > 0 && y < height);
  if (centers.length > MAX_NAMES) return;
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const boxes = centers.map(({ index, x, y }) => {
    const text = shorten(scene.groups.list[index].name, NAME_LETTERS);
    const half = context.measureText(text).width / 2;
    const middle = Math.min(Math.max(x, half + 4), width - half - 4);
    return {
      text,
      x: middle,
      y,
      left: middle - half,
      right: middle + half,
      top: y - 8,
      bottom: y + 8,
    };
  });
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = colors.panel;
  context.fillStyle = colors.ink;
  for (const { text, x, y } of keepFreeBoxes(boxes)) {
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }
}

/** Draw the marks `{points, current, selected, outline}`: rings and the shape being drawn. */
export function drawMarks(canvas, marks, width, height) {
  const context = sizeCanvas(canvas, width, height);
  const colors = readColors(canvas);
  drawRings(context, marks, colors);
  if (marks.outline.length > 1) drawOutline(context, marks.outline, colors);
  if (marks.current < 0) return;
  const x = marks.points.x[marks.current];
  const y = marks.points.y[marks.current];
  for (const [color, lineWidth] of [
    [colors.panel, 5],
    [colors.ink, 2.2],
  ]) {
    context.beginPath();
    context.arc(x, y, 8, 0, Math.PI * 2);
    context.strokeStyle = color;
    context.lineWidth = lineWidth;
    context.stroke();
  }
}

function drawRings(context, { points, selected }, colors) {
  context.beginPath();
  for (const row of selected) {
    context.moveTo(points.x[row] + 6, points.y[row]);
    context.arc(points.x[row], points.y[row], 6, 0, Math.PI * 2);
  }
  context.globalAlpha = 0.6;
  context.strokeStyle = colors.ink;
  context.lineWidth = 1;
  context.stroke();
  context.globalAlpha = 1;
}

function drawOutline(context, outline, colors) {
  context.beginPath();
  outline.forEach(([x, y]) => context.lineTo(x, y));
  context.closePath();
  context.globalAlpha = 0.1;
  context.fillStyle = colors.accent;
  context.fill();
  context.globalAlpha = 1;
  context.setLineDash([5, 4]);
  context.strokeStyle = colors.accent;
  context.lineWidth = 1.5;
  context.stroke();
  context.setLineDash([]);
}

/** Groups of sequences by class, subject, camera or split, with a style for each group. */

import { categoryStyle } from "./palette.js";
import { countValues } from "./lasso.js";

/** The numbers of the column `split`. */
export const TRAINING_SPLIT = 0;
export const TEST_SPLIT = 1;
export const OWN_SPLIT = 2;

const SPLIT_NAMES = ["training", "test", "own recording"];
const GROUPINGS = [
  ["label", "class"],
  ["subject", "subject"],
  ["camera", "camera"],
  ["split", "split"],
];

/** Return the name of `value` of the column `by` (label, subject, camera or split). */
export function categoryName(report, by, value) {
  if (by === "split") return SPLIT_NAMES[value];
  if (by === "label") return value < 0 ? "own recording" : report.classNames[value];
  return value < 0 ? `unknown ${by}` : `${by} ${value}`;
}

/** Return the `[column, word]` that tell the sequences `rows` apart: more than one value. */
export function groupingChoices(report, rows) {
  return GROUPINGS.filter(([column], i) => {
    const values = new Set(rows.map((row) => report.sequences[column][row]));
    return i === 0 || values.size > 1;
  });
}

/**
 * Return `{of, list}`: `of[row]` is the index in `list` of `{value, name, num, style}`.
 *
 * The list is in the order of the values, so that colors do not depend on counts.
 */
export function groupRows(report, by, rows) {
  const column = report.sequences[by];
  // Unknown values, -1, come last, so that they do not shift the colors of the others.
  const place = ([value]) => (value < 0 ? Infinity : value);
  const counted = countValues(rows.map((row) => column[row]));
  counted.sort((a, b) => (place(a) === place(b) ? 0 : place(a) - place(b)));
  const list = counted.map(([value, num], i) => ({
    value,
    num,
    name: categoryName(report, by, value),
    style: categoryStyle(i),
  }));
  const indexOf = new Map(counted.map(([value], i) => [value, i]));
  const of = new Int32Array(column.length).fill(-1);
  for (const row of rows) of[row] = indexOf.get(column[row]);
  return { of, list };
}

/** Return one line on a sequence: its split, subject and camera as far as they are known. */
export function describeRow(report, row) {
  const { split, subject, camera, seconds } = report.sequences;
  const parts = [SPLIT_NAMES[split[row]]];
  if (subject[row] >= 0) parts.push(`subject ${subject[row]}`);
  if (camera[row] >= 0) parts.push(`camera ${camera[row]}`);
  parts.push(`${seconds[row].toFixed(1)}\u2009s`);
  return parts.join(" \u00b7 ");
}

/** Return the middle of each group's points in pixels, `{index, x, y, num}`, largest group first. */
export function groupCenters(points, rows, groups) {
  const members = groups.list.map(() => []);
  for (const row of rows) members[groups.of[row]].push(row);
  const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  return members
    .map((own, index) => ({
      index,
      num: own.length,
      x: middle(own.map((row) => points.x[row])),
      y: middle(own.map((row) => points.y[row])),
    }))
    .filter((center) => center.num > 0)
    .sort((a, b) => b.num - a.num);
}

/** Return those of `boxes` (`{left, right, top, bottom}`) that overlap none kept before them. */
export function keepFreeBoxes(boxes) {
  const kept = [];
  for (const box of boxes) {
    const isFree = kept.every(
      (other) =>
        box.left > other.right ||
        box.right < other.left ||
        box.top > other.bottom ||
        box.bottom < other.top,
    );
    if (isFree) kept.push(box);
  }
  return kept;
}

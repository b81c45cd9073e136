import assert from "node:assert/strict";
import { test } from "node:test";
import {
  boxCorners,
  countValues,
  fitView,
  isInside,
  nearestInDirection,
  nearestPoint,
  pointsInside,
  projectPoints,
  zoomView,
} from "../lasso.js";

// A cross: a point in the middle, one to each side, and one far to the right.
const POINTS = { x: [50, 20, 80, 50, 50, 300], y: [50, 50, 52, 20, 80, 50] };
const ALL = [0, 1, 2, 3, 4, 5];

test("a lasso may be concave", () => {
  const horseshoe = [
    [0, 0],
    [100, 0],
    [100, 100],
    [70, 100],
    [70, 30],
    [30, 30],
    [30, 100],
    [0, 100],
  ];
  assert.ok(isInside(horseshoe, 15, 80));
  assert.ok(isInside(horseshoe, 50, 15));
  assert.ok(!isInside(horseshoe, 50, 80));
  assert.ok(!isInside([], 1, 1));
});

test("a box may be drawn from any corner and takes only the points given", () => {
  const box = boxCorners(90, 90, 10, 40);
  assert.deepEqual(pointsInside(POINTS, box, ALL), [0, 1, 2, 4]);
  assert.deepEqual(pointsInside(POINTS, box, [3, 4, 5]), [4]);
});

test("the nearest point counts within the radius only", () => {
  assert.equal(nearestPoint(POINTS, ALL, 55, 50, 14), 0);
  assert.equal(nearestPoint(POINTS, ALL, 150, 50, 14), -1);
  assert.equal(nearestPoint(POINTS, [], 55, 50, 14), -1);
});

test("arrow keys step to the nearest point in their direction", () => {
  assert.equal(nearestInDirection(POINTS, ALL, 0, -1, 0), 1);
  assert.equal(nearestInDirection(POINTS, ALL, 0, 1, 0), 2);
  assert.equal(nearestInDirection(POINTS, ALL, 0, 0, -1), 3);
  assert.equal(nearestInDirection(POINTS, ALL, 0, 0, 1), 4);
  assert.equal(nearestInDirection(POINTS, ALL, 2, 1, 0), 5);
  assert.equal(nearestInDirection(POINTS, ALL, 5, 1, 0), 5);
});

test("the view fits all points with the same scale on both axes and y up", () => {
  const [xs, ys] = [
    [0, 10, null],
    [0, 5, null],
  ];
  const view = fitView(xs, ys, 220, 220, 10);
  assert.equal(view.scale, 20);
  const points = { x: [], y: [] };
  projectPoints(points, [0, 10], [0, 5], view);
  assert.deepEqual(points, { x: [10, 210], y: [160, 60] });
});

test("one point, or none, is in the middle", () => {
  const view = fitView([3], [4], 100, 60, 10);
  const points = { x: [], y: [] };
  projectPoints(points, [3], [4], view);
  assert.ok(Math.abs(points.x[0] - 50) < 1e-6 && Math.abs(points.y[0] - 30) < 1e-6);
  assert.deepEqual(fitView([null], [null], 100, 60, 10), { scale: 1, x: 50, y: 30 });
});

test("zooming keeps what lies under the pointer", () => {
  const view = { scale: 2, x: 10, y: 20 };
  const zoomed = zoomView(view, 3, 40, 50);
  const at = (v) => (40 - v.x) / v.scale;
  assert.equal(zoomed.scale, 6);
  assert.equal(at(zoomed), at(view));
});

test("values are counted, the most frequent first", () => {
  assert.deepEqual(countValues([3, 1, 3, 2, 1, 3]), [
    [3, 3],
    [1, 2],
    [2, 1],
  ]);
});

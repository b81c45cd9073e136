import assert from "node:assert/strict";
import { test } from "node:test";
import {
  categoryName,
  describeRow,
  groupCenters,
  groupRows,
  groupingChoices,
  keepFreeBoxes,
} from "../categories.js";
import { areBalanced, sortCounts } from "../classes.js";
import { labelStride } from "../columns.js";
import { listCells, meanAccuracy, sortAccuracy } from "../confusion.js";
import { cellAt, cellStrength, cellText, matrixLayout } from "../matrix.js";
import { pointRadius } from "../scatter.js";

const REPORT = {
  classNames: ["clap", "</script><b>"],
  sequences: {
    label: [1, 0, 1, -1],
    subject: [5, 5, 7, -1],
    camera: [1, 1, 1, 1],
    split: [0, 1, 1, 2],
    seconds: [1, 2, 3, 4.25],
  },
};

test("groups are in the order of their values and count their rows", () => {
  const { of, list } = groupRows(REPORT, "label", [0, 1, 2]);
  assert.deepEqual(
    list.map(({ name, num }) => [name, num]),
    [
      ["clap", 1],
      ["</script><b>", 2],
    ],
  );
  assert.deepEqual([...of], [1, 0, 1, -1]);
  const withOwn = groupRows(REPORT, "label", [0, 1, 2, 3]).list;
  assert.deepEqual(
    withOwn.map(({ value }) => value),
    [0, 1, -1],
  );
});

test("names of values that are not known say so", () => {
  assert.equal(categoryName(REPORT, "label", -1), "own recording");
  assert.equal(categoryName(REPORT, "camera", -1), "unknown camera");
  assert.equal(categoryName(REPORT, "split", 1), "test");
  assert.equal(describeRow(REPORT, 3), "own recording \u00b7 camera 1 \u00b7 4.3\u2009s");
});

test("a column with one value is no choice of color, the class always is", () => {
  assert.deepEqual(
    groupingChoices(REPORT, [1, 2]).map(([column]) => column),
    ["label", "subject"],
  );
});

test("a group's name stands in the middle of its points", () => {
  const points = { x: [0, 10, 100, 0], y: [0, 20, 30, 0] };
  const groups = groupRows(REPORT, "split", [0, 1, 2]);
  const [first, second] = groupCenters(points, [0, 1, 2], groups);
  assert.deepEqual([first.index, first.num, first.x, first.y], [1, 2, 100, 30]);
  assert.deepEqual([second.index, second.num], [0, 1]);
});

test("names that would cover an earlier one are not written", () => {
  const box = (left, top) => ({ left, right: left + 10, top, bottom: top + 10 });
  const boxes = [box(0, 0), box(5, 5), box(20, 0)];
  assert.deepEqual(keepFreeBoxes(boxes), [boxes[0], boxes[2]]);
});

test("points are smaller where there are many", () => {
  assert.equal(pointRadius(50, 800), 5);
  assert.ok(pointRadius(2000, 800) < 5);
  assert.ok(pointRadius(1e6, 300) > 2);
});

test("a matrix has names where there is room and stays readable where there is none", () => {
  const small = matrixLayout(12, 800, 120);
  assert.equal(small.cell, 34);
  assert.ok(small.fontSize >= 9 && small.left + small.size <= 800);
  const large = matrixLayout(120, 850, 190);
  assert.deepEqual([large.cell, large.fontSize, large.hasGrid], [7, 0, false]);
  // On a phone it is wider than the room, and its box scrolls.
  assert.equal(matrixLayout(120, 328, 190).size, 720);
});

test("the cell under the pointer is found, and none beside the matrix", () => {
  const layout = { cell: 10, left: 50, top: 40 };
  assert.deepEqual(cellAt(layout, 3, 50, 40), [0, 0]);
  assert.deepEqual(cellAt(layout, 3, 79, 55), [1, 2]);
  assert.equal(cellAt(layout, 3, 80, 55), null);
  assert.equal(cellAt(layout, 3, 49, 55), null);
});

test("a cell says what it means and errors are shaded more strongly", () => {
  assert.equal(cellText("clap", "wave", 2, 30), "true clap, predicted wave: 2 of 30");
  assert.equal(cellStrength(0.25, true), 0.25);
  assert.equal(cellStrength(0.25, false), 0.5);
});

test("the table of the matrix has a row for every cell that is not empty", () => {
  const rows = listCells(
    ["a", "b"],
    [
      [3, 0],
      [1, 2],
    ],
  );
  assert.deepEqual(rows, [
    ["a", "a", "3"],
    ["b", "a", "1"],
    ["b", "b", "2"],
  ]);
});

test("accuracies are sorted, the lowest first, without classes that have no test sequence", () => {
  const one = (label, correct, num) => ({ label, correct, num });
  const accuracy = [one(0, 3, 4), one(1, 0, 0), one(2, 1, 4), one(3, 2, 8)];
  assert.deepEqual(
    sortAccuracy(accuracy).map(({ label }) => label),
    [3, 2, 0],
  );
  assert.equal(meanAccuracy(accuracy), (0.75 + 0.25 + 0.25) / 3);
  assert.equal(meanAccuracy([one(1, 0, 0)]), null);
});

test("classes are sorted by size, and equal ones are told in a sentence", () => {
  const counts = [
    { label: 0, train: 1, test: 1 },
    { label: 1, train: 5, test: 0 },
    { label: 2, train: 0, test: 2 },
  ];
  assert.deepEqual(
    sortCounts(counts).map(({ label }) => label),
    [1, 0, 2],
  );
  assert.ok(!areBalanced(counts));
  assert.ok(
    areBalanced([
      { train: 3, test: 2 },
      { train: 3, test: 2 },
    ]),
  );
});

test("labels below columns leave out as many as do not fit", () => {
  assert.equal(labelStride(20, 15), 1);
  assert.equal(labelStride(10, 15), 2);
  assert.equal(labelStride(1, 37), 50);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  collectEvents,
  collectLines,
  endLabels,
  groupEvents,
  lineSegments,
  nanGaps,
  unionOfX,
  valueAt,
} from "../series.js";

const run = (name, series, events = []) => ({ name, x: [0, 1, 2, 3, 4], series, events });
const chart = (...keys) => ({ title: "", keys: keys.map((key) => ({ key, label: key })) });

test("a value that was not measured does not cut the line", () => {
  const segments = lineSegments([0, 1, 2, 3], [5, null, null, 6], []);
  assert.deepEqual(segments, [
    [
      [0, 5],
      [3, 6],
    ],
  ]);
});

test("a NaN cuts the line and makes a gap between the finite neighbors", () => {
  const [xs, ys] = [
    [0, 1, 2, 3, 4],
    [5, 6, null, null, 7],
  ];
  assert.deepEqual(nanGaps(xs, ys, [2]), [{ start: 1, end: 4 }]);
  assert.deepEqual(lineSegments(xs, ys, [2]), [
    [
      [0, 5],
      [1, 6],
    ],
    [[4, 7]],
  ]);
});

test("two NaN in one gap are one gap, and a finite value at the event is none", () => {
  assert.equal(nanGaps([0, 1, 2, 3], [5, null, null, 6], [1, 2]).length, 1);
  assert.deepEqual(nanGaps([0, 1], [5, 6], [1]), []);
});

test("a line that never recovers has a gap without end", () => {
  assert.deepEqual(nanGaps([0, 1, 2], [5, null, null], [1]), [{ start: 0, end: Infinity }]);
});

test("one run is colored by key, several by run and dashed by key", () => {
  const series = { a: [1, 2, 3, 4, 5], b: [1, 2, 3, 4, 5] };
  const single = collectLines({ runs: [run("r", series)] }, chart("a", "b"));
  assert.deepEqual(
    single.map(({ color, dash, name }) => [color, dash, name]),
    [
      [0, 0, "a"],
      [1, 0, "b"],
    ],
  );
  const double = collectLines({ runs: [run("r", series), run("s", series)] }, chart("a", "b"));
  assert.deepEqual(
    double.map(({ color, dash }) => [color, dash]),
    [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ],
  );
  assert.equal(double[3].name, "s, b");
});

test("keys without a number and points without an x make no line", () => {
  const training = { runs: [run("r", { a: [null, null, null, null, null] })] };
  assert.deepEqual(collectLines(training, chart("a", "missing")), []);
  const holes = { runs: [{ ...run("r", { a: [1, 2, 3, 4, 5] }), x: [0, null, 2, 3, 4] }] };
  assert.deepEqual(collectLines(holes, chart("a"))[0].ys, [1, 3, 4, 5]);
});

test("the x of all lines are joined, and a line may have no value at one", () => {
  const lines = [
    { xs: [0, 2], ys: [1, 1] },
    { xs: [0, 1, 3], ys: [1, 1, null] },
  ];
  assert.deepEqual(unionOfX(lines), [0, 1, 2]);
  assert.equal(valueAt(lines[0], 1), null);
  assert.equal(valueAt(lines[0], 2), 1);
});

test("events of all runs are sorted, and those without a place are left out", () => {
  const training = {
    runs: [
      run("r", {}, [
        { x: 3, kind: "nan", text: "" },
        { x: null, kind: "nan", text: "" },
      ]),
      run("s", {}, [{ x: 1, kind: "collapse", text: "" }]),
    ],
  };
  assert.deepEqual(
    collectEvents(training).map(({ x, run: name }) => [x, name]),
    [
      [1, "s"],
      [3, "r"],
    ],
  );
});

test("events of one moment share a label that counts them", () => {
  const events = [
    { x: 1, kind: "nan" },
    { x: 1, kind: "nan" },
    { x: 1.1, kind: "collapse" },
    { x: 9, kind: "collapse" },
  ];
  const marks = groupEvents(events, (x) => x * 10, 4);
  assert.deepEqual(
    marks.map(({ kind, text }) => [kind, text]),
    [
      ["nan", "NaN \u00d72, collapse"],
      ["collapse", "collapse"],
    ],
  );
});

test("labels at the ends name keys, or runs if there is one key, and none if there are many", () => {
  const line = (runIndex, key, y) => ({
    run: runIndex,
    key,
    label: `k${key}`,
    color: runIndex,
    ys: [0, y],
  });
  const labels = endLabels([line(0, 0, 2), line(1, 0, 4), line(0, 1, 8), line(1, 1, 8)], 2);
  assert.deepEqual(labels, [
    { text: "k0", y: 3, color: null },
    { text: "k1", y: 8, color: null },
  ]);
  assert.equal(endLabels([line(0, 0, 1)], 1).length, 0);
  assert.equal(
    endLabels(
      Array.from({ length: 7 }, (_, i) => line(i, 0, i)),
      7,
    ).length,
    0,
  );
});

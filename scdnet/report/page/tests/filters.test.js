import assert from "node:assert/strict";
import { test } from "node:test";

import { NO_FILTERS, isRight, queriesOfRow, selectQueries } from "../filters.js";

// Rows 0-3 are training sequences, 4-6 test sequences, 7 is an own recording.
const REPORT = {
  sequences: {
    name: ["a", "b", "c", "d", "walk-2", "walk-1", "Sit", "mine"],
    label: [0, 0, 1, 1, 0, 0, 1, -1],
    split: [0, 0, 0, 0, 1, 1, 1, 2],
  },
  queries: {
    row: [4, 5, 6, 7],
    neighbors: [[0, 2], [2, 0], [3, 2], [1, 3]],
    similarity: [[0.9, 0.5], [0.8, 0.7], [0.9, 0.8], [0.6, 0.5]],
    hardness: [-0.4, 0.1, -0.2, 0.9],
  },
};

/** Return the queries that pass some filters on top of the defaults. */
function select(filters) {
  return selectQueries(REPORT, { ...NO_FILTERS, ...filters });
}

test("a query is right if its nearest neighbor has its class", () => {
  assert.deepEqual([0, 1, 2].map((query) => isRight(REPORT, query)), [true, false, true]);
});

test("hard negatives come first and own recordings are not among the queries", () => {
  assert.deepEqual(select({}), [1, 2, 0]);
});

test("queries are filtered by class and outcome", () => {
  assert.deepEqual(select({ label: 0 }), [1, 0]);
  assert.deepEqual(select({ label: 0, outcome: "right" }), [0]);
  assert.deepEqual(select({ outcome: "wrong" }), [1]);
});

test("the search ignores case and surrounding space", () => {
  assert.deepEqual(select({ text: " sit " }), [2]);
  assert.deepEqual(select({ text: "none" }), []);
});

test("queries are sorted by name", () => {
  assert.deepEqual(select({ sort: "name" }), [2, 1, 0]);
});

test("the random order holds all queries and depends on the seed alone", () => {
  const order = select({ sort: "random", seed: 3 });
  assert.deepEqual(order, select({ sort: "random", seed: 3 }));
  assert.deepEqual([...order].sort(), [0, 1, 2]);
});

test("a row is found as a query and as a neighbor", () => {
  assert.deepEqual(queriesOfRow(REPORT, 5), [1]);
  assert.deepEqual(queriesOfRow(REPORT, 2), [0, 1, 2]);
});

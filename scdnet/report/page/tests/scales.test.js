import assert from "node:assert/strict";
import { test } from "node:test";
import {
  finiteExtent,
  formatNumber,
  formatShare,
  formatTick,
  linearTicks,
  logTicks,
  makeScale,
  nearestIndex,
  paddedDomain,
  shorten,
  shortenMiddle,
  spreadLabels,
  tickStep,
} from "../scales.js";

test("the extent skips what is not a finite number", () => {
  assert.deepEqual(finiteExtent([null, 3, NaN, -1, Infinity]), { low: -1, high: 3 });
  assert.equal(finiteExtent([null, NaN]), null);
});

test("steps are 1, 2 or 5 times a power of ten", () => {
  assert.equal(tickStep(10, 4), 5);
  assert.equal(tickStep(7.4, 4), 2);
  assert.equal(tickStep(0.03, 4), 0.01);
});

test("ticks carry no rounding errors of sums", () => {
  assert.deepEqual(linearTicks(0, 0.5, 0.1), [0, 0.1, 0.2, 0.3, 0.4, 0.5]);
  assert.deepEqual(linearTicks(-0.9, 1.9, 1), [0, 1]);
});

test("a logarithmic axis has powers of ten, and 2 and 5 between them if it is short", () => {
  assert.deepEqual(logTicks(1, 1000), [1, 10, 100, 1000]);
  assert.deepEqual(logTicks(3, 60), [5, 10, 20, 50]);
});

test("an axis ends on round numbers and is never empty", () => {
  assert.deepEqual(paddedDomain(7.2, 14.6, { count: 4, log: false }), {
    low: 6,
    high: 16,
    step: 2,
  });
  assert.deepEqual(paddedDomain(5, 5, { count: 4, log: false }), {
    low: 4.5,
    high: 5.5,
    step: 0.5,
  });
  const { low, high } = paddedDomain(3, 3, { count: 4, log: true });
  assert.ok(low > 0 && low < 3 && high > 3);
});

test("scales map ends to ends, also logarithmic ones", () => {
  const linear = makeScale({ low: 0, high: 10, start: 100, end: 0 });
  assert.equal(linear(0), 100);
  assert.equal(linear(2.5), 75);
  const log = makeScale({ low: 1, high: 100, start: 0, end: 200, log: true });
  assert.ok(Math.abs(log(10) - 100) < 1e-9);
  assert.equal(makeScale({ low: 3, high: 3, start: 0, end: 10 })(3), 5);
});

test("numbers are short and have a true minus sign", () => {
  assert.equal(formatNumber(200), "200");
  assert.equal(formatNumber(8.1442), "8.144");
  assert.equal(formatNumber(-1.7129), "\u22121.713");
  assert.equal(formatNumber(7.896e-8), "7.90e\u22128");
  assert.equal(formatNumber(NaN), "not finite");
  assert.equal(formatTick(0.0005, 0.0005), "0.0005");
  assert.equal(formatTick(1e-6, 1e-6), "1e\u22126");
  assert.equal(formatTick(20, 5), "20");
  assert.equal(formatShare(0.0042), "0.4\u2009%");
  assert.equal(formatShare(1), "100\u2009%");
});

test("the nearest of sorted numbers is found by halving", () => {
  const sorted = [0, 10, 20, 30];
  assert.deepEqual(
    [-5, 4, 6, 26, 99].map((x) => nearestIndex(sorted, x)),
    [0, 0, 1, 3, 3],
  );
  assert.equal(nearestIndex([7], 1), 0);
});

test("labels keep their order and distance within the frame", () => {
  const placed = spreadLabels([50, 52, 99], 14, 0, 100);
  assert.deepEqual(placed, [50, 64, 99]);
  const crowded = spreadLabels([99, 98, 97], 14, 0, 100);
  assert.deepEqual(crowded, [100, 86, 72]);
});

test("long names are cut by characters, not by halves of them", () => {
  assert.equal(shorten("abcdef", 4), "abc\u2026");
  assert.equal(shorten("abcd", 4), "abcd");
  assert.equal(Array.from(shorten("\u{1F3C3}".repeat(9), 4)).length, 4);
  assert.equal(shortenMiddle("ntu60_xsub_seed1", 10), "ntu\u2026_seed1");
});

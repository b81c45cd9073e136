import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import { Motions, decodeBase64, decodeReport, joinBytes, sumDifferences } from "../decode.js";

/** Compress int16 numbers as the Python side does: low bytes first, then high bytes. */
function encodeBlock(numbers) {
  const low = numbers.map((value) => value & 255);
  const high = numbers.map((value) => (value >> 8) & 255);
  return deflateSync(Buffer.from([...low, ...high])).toString("base64");
}

/** Make a report of two sequences (the second left out) of one joint in 3-D. */
function tinyReport(frames) {
  return {
    skeleton: { joints: ["head"], bones: [], side: [0], dims: 3 },
    sequences: { frames: [frames, 0], bodies: [1, 1], offset: [0, 3 * frames] },
  };
}

test("base64 with line breaks is decoded", () => {
  assert.deepEqual([...decodeBase64("AQID\nBA==")], [1, 2, 3, 4]);
});

test("a report with hostile names comes back as it was", async () => {
  const report = { classNames: ["</script><b>", "é"] };
  const text = deflateSync(Buffer.from(JSON.stringify(report))).toString("base64");
  assert.deepEqual(await decodeReport(text), report);
});

test("low and high bytes make signed numbers", () => {
  const out = new Int16Array(3);
  // 1, -1 and 258: low bytes 1, 255, 2; high bytes 0, 255, 1.
  assert.equal(joinBytes(Uint8Array.from([1, 255, 2, 0, 255, 1]), out, 0), 3);
  assert.deepEqual([...out], [1, -1, 258]);
});

test("differences are summed per coordinate", () => {
  const sums = sumDifferences(Int16Array.from([10, 20, 30, 1, 2, 3, 1, 2, 3]), 3);
  assert.deepEqual([...sums], [10, 20, 30, 11, 22, 33, 12, 24, 36]);
});

test("differences wrap around at 2^16", () => {
  // From 100 to -32768 and back: -32868 and 32868, modulo 2^16 32668 and -32668.
  assert.deepEqual([...sumDifferences(Int16Array.from([100, 32668, -32668]), 1)], [100, -32768, 100]);
});

test("a motion spread over two blocks is there once both are loaded", async () => {
  const motions = new Motions(tinyReport(2));
  const blocks = [encodeBlock([1, 2, 3, 1]), encodeBlock([-1, 5])];
  const before = [];
  await motions.load(blocks, () => before.push(motions.get(0) !== null));
  assert.deepEqual(before, [false, true]);
  assert.deepEqual([...motions.get(0).positions], [1, 2, 3, 2, 1, 8]);
});

test("a motion that was left out is null", async () => {
  const motions = new Motions(tinyReport(1));
  await motions.load([encodeBlock([1, 2, 3])], () => {});
  assert.equal(motions.has(1), false);
  assert.equal(motions.get(1), null);
});

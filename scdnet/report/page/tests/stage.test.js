import assert from "node:assert/strict";
import { test } from "node:test";

import { ABSENT, cameraBasis, fit, layoutOf, project } from "../camera.js";
import { frameAt, groupBones, isLeftNearer, projectBody } from "../stage.js";

const CAMERA = { azimuth: 35, elevation: 10 };

/** Make two frames of two bodies of two joints. */
function twoBodies() {
  const positions = Int16Array.from([
    0, 0, 0, 0, 0, 1000, 500, 0, 0, 500, 0, 1000,
    100, 0, 0, 100, 0, 1000, ABSENT, 0, 0, ABSENT, 0, 0,
  ]);
  return { frames: 2, bodies: 2, joints: 2, dims: 3, positions };
}

/** Project a body of a motion on a canvas of 100 x 100. */
function drawn(motion, frame, fraction, body) {
  const layout = layoutOf(fit(motion), 100, 100);
  const out = new Float32Array(2 * motion.joints);
  const basis = cameraBasis(CAMERA, motion.dims);
  projectBody(motion, frame, fraction, body, basis, layout, out, new Float32Array(motion.joints));
  return { out, layout };
}

test("a joint is where the exported arithmetic says", () => {
  const { out, layout } = drawn(twoBodies(), 0, 0, 1);
  const point = [500, 0, 1000].map((value, axis) => value - layout.center3d[axis]);
  const [right, up] = project(point, CAMERA);
  assert.ok(Math.abs(out[2] - (layout.centerX + layout.scale * right)) < 1e-3);
  assert.ok(Math.abs(out[3] - (layout.centerY - layout.scale * up)) < 1e-3);
});

test("between two frames a joint is between its positions", () => {
  const [before] = drawn(twoBodies(), 0, 0, 0).out;
  const [between] = drawn(twoBodies(), 0, 0.5, 0).out;
  const [after] = drawn(twoBodies(), 1, 0, 0).out;
  assert.ok(Math.abs(between - (before + after) / 2) < 1e-3);
});

test("an absent body is not drawn, and one that vanishes stays until then", () => {
  assert.ok(Number.isNaN(drawn(twoBodies(), 1, 0, 1).out[0]));
  assert.deepEqual(drawn(twoBodies(), 0, 0.9, 1).out, drawn(twoBodies(), 0, 0, 1).out);
});

test("shorter motions repeat, and the last frame is not blended into the first", () => {
  assert.deepEqual(frameAt(0, 15, 10), { frame: 0, fraction: 0 });
  assert.equal(frameAt(11 / 15, 15, 10).frame, 1);
  assert.deepEqual(frameAt(9.5 / 15, 15, 10), { frame: 9, fraction: 0 });
});

test("every frame is exact at its own time", () => {
  for (let k = 0; k < 100; k += 1) {
    const { frame, fraction } = frameAt(k / 15, 15, 100);
    assert.equal(frame, k);
    assert.ok(fraction < 1e-6);
  }
});

test("bones are grouped by the side of the child", () => {
  const skeleton = {
    joints: ["spine", "Head", "left hand", "right hand"],
    bones: [[1, 0], [2, 0], [3, 0]],
    side: [0, 0, 1, 2],
  };
  const { bones, head } = groupBones(skeleton);
  assert.deepEqual(bones.map((list) => [...list]), [[1, 0], [2, 0], [3, 0]]);
  assert.equal(head, 1);
});

test("the nearer side is the one with the larger depths", () => {
  const points = new Float32Array(4);
  assert.equal(isLeftNearer([1, 2], points, Float32Array.from([1, 2])), false);
  assert.equal(isLeftNearer([1, 2], points, Float32Array.from([2, 1])), true);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { ABSENT, defaultCamera, fit, layoutOf, project, turnCamera } from "../camera.js";

/** Assert that two arrays agree to 1e-9. */
function assertClose(actual, expected) {
  actual.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-9, `${actual}`));
}

/** Make a 3-D motion of one body with these joints in its only frame. */
function pose(...joints) {
  const positions = Int16Array.from(joints.flat());
  return { frames: 1, bodies: 1, joints: joints.length, dims: joints[0].length, positions };
}

test("the first view is that of the contact sheets", () => {
  assert.deepEqual(defaultCamera(), { azimuth: 35, elevation: 10 });
});

test("from ahead, z is up and the left of a body that faces +y is on the right", () => {
  const camera = { azimuth: 0, elevation: 0 };
  assertClose(project([0, 0, 5], camera), [0, 5, 0]);
  assertClose(project([0, 5, 0], camera), [0, 0, 5]);
  assertClose(project([-5, 0, 0], camera), [5, 0, 0]);
});

test("a camera of 35 and 10 degrees agrees with view_of of scdnet/viz/render.py", () => {
  // Made there: [1, 2, 3] @ view_of(is_pair=False).
  const [right, up] = project([1, 2, 3], { azimuth: 35, elevation: 10 });
  assertClose([right, up], [0.3280008284131003, 2.5703342366657242]);
});

test("2-D points stay as they are, however the camera is turned", () => {
  assertClose(project([3, 4], { azimuth: 70, elevation: 60 }), [3, 4, 0]);
});

test("turning wraps the azimuth and stops the elevation", () => {
  const camera = defaultCamera();
  turnCamera(camera, -45, 500);
  assert.deepEqual(camera, { azimuth: 350, elevation: 85 });
});

test("absent joints do not count for the size", () => {
  const space = fit(pose([0, 0, 0], [200, 0, 1800], [ABSENT, 0, 0]));
  assert.deepEqual(space, { center: [100, 0, 900], radius: 100, halfHeight: 900 });
});

test("a motion without a body has a size all the same", () => {
  assert.ok(fit(pose([ABSENT, 0, 0])).radius > 0);
});

test("a joint that jumps away in one of 1000 frames does not shrink the drawing", () => {
  const positions = new Int16Array(3000);
  for (let frame = 0; frame < 1000; frame += 1) {
    positions[3 * frame] = frame % 2 === 0 ? -100 : 100;
  }
  positions[0] = 30000;
  const space = fit({ frames: 1000, bodies: 1, joints: 1, dims: 3, positions });
  assert.equal(space.radius, 100);
});

test("a motion fits into its canvas from every side", () => {
  const joints = [[-400, 300, 0], [500, -200, 1700], [0, 0, 900], [350, 350, 300]];
  const space = fit(pose(...joints));
  const layout = layoutOf(space, 160, 190);
  for (let azimuth = 0; azimuth < 360; azimuth += 15) {
    for (const elevation of [-20, 10, 85]) {
      for (const joint of joints) {
        const relative = joint.map((value, axis) => value - layout.center3d[axis]);
        const [right, up] = project(relative, { azimuth, elevation });
        const x = layout.centerX + layout.scale * right;
        const y = layout.centerY - layout.scale * up;
        assert.ok(x >= 0 && x <= 160 && y >= 0 && y <= 190, `${azimuth} ${elevation}: ${x} ${y}`);
      }
    }
  }
});

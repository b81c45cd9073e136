import assert from "node:assert/strict";
import { test } from "node:test";

import { usesSpace } from "../player.js";

test("Space plays and pauses unless the focused element needs it", () => {
  for (const tagName of ["BUTTON", "SELECT", "TEXTAREA", "SUMMARY"]) {
    assert.equal(usesSpace({ tagName }), true, tagName);
  }
  assert.equal(usesSpace({ tagName: "INPUT", type: "search" }), true);
  assert.equal(usesSpace({ tagName: "INPUT", type: "checkbox" }), true);
});

test("Space plays and pauses on the time slider, on a skeleton and on the page itself", () => {
  assert.equal(usesSpace({ tagName: "INPUT", type: "range" }), false);
  assert.equal(usesSpace({ tagName: "CANVAS" }), false);
  assert.equal(usesSpace({ tagName: "BODY" }), false);
});

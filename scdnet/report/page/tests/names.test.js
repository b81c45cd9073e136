import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const FOLDER = new URL("../", import.meta.url);
const NAME = /^(?:export )?(?:async )?(?:function|const|let|class) (\w+)/gm;

test("no two modules use the same name, so that they can be joined into one", () => {
  const places = new Map();
  const files = readdirSync(FOLDER).filter((name) => /^\w+\.js$/.test(name));
  for (const file of files) {
    const text = readFileSync(new URL(file, FOLDER), "utf8");
    for (const [, name] of text.matchAll(NAME)) {
      places.set(name, (places.get(name) ?? []).concat(file));
    }
  }
  const shared = [...places].filter(([, found]) => found.length > 1);
  assert.deepEqual(shared, []);
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  NUM_COLORS,
  SHAPES,
  categoryStyle,
  contrast,
  luminance,
  mixColors,
  parseColor,
  shapeCorners,
  textColorOn,
} from "../palette.js";

test("120 classes all look different, the first eight in color and in shape", () => {
  const styles = Array.from({ length: 120 }, (_, i) => categoryStyle(i));
  assert.equal(new Set(styles.map((style) => JSON.stringify(style))).size, 120);
  const first = styles.slice(0, 8);
  assert.equal(new Set(first.map((style) => style.color)).size, 8);
  assert.equal(new Set(first.map((style) => style.shape)).size, 8);
});

test("every shape but the circle has corners of about radius 1", () => {
  SHAPES.forEach((name, shape) => {
    const corners = shapeCorners(shape);
    if (name === "circle") assert.equal(corners, null);
    else corners.forEach(([x, y]) => assert.ok(Math.hypot(x, y) < 1.5, name));
  });
});

test("colors are parsed, mixed and compared", () => {
  assert.deepEqual(parseColor("#0af"), [0, 170, 255]);
  assert.equal(mixColors("#000000", "#ffffff", 0.5), "#808080");
  assert.equal(mixColors("#123456", "#ffffff", 0), "#123456");
  assert.equal(luminance("#ffffff"), 1);
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.equal(textColorOn("#f3f3ef"), "#000000");
  assert.equal(textColorOn("#003355"), "#ffffff");
});

test("the colors of lines and points stand out from the paper of both themes", () => {
  const css = readFileSync(new URL("../charts.css", import.meta.url), "utf8");
  const [light, dark] = css.split("@media (prefers-color-scheme: dark)");
  const themes = [
    [light, "#fcfcfa"],
    [dark, "#14161a"],
  ];
  for (const [text, paper] of themes) {
    const found = [...text.matchAll(/--category-\d: (#[0-9a-f]{6});/g)].map((match) => match[1]);
    assert.equal(found.length, NUM_COLORS);
    found.forEach((color) => assert.ok(contrast(color, paper) >= 3, `${color} on ${paper}`));
  }
});

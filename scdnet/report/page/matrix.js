/** The confusion matrix on a canvas: layout, shades, hover, keyboard. */

import { element } from "./dom.js";
import { clamp, drawAtWidth, placeTip, sizeCanvas } from "./figure.js";
import { mixColors, onThemeChange, readColors, textColorOn } from "./palette.js";

const SMALLEST_CELL = 6;
const LARGEST_CELL = 34;
const SMALLEST_LABELED_CELL = 11;
const SMALLEST_NUMBERED_CELL = 20;
const FONT = "system-ui, sans-serif";

/**
 * Return `{cell, left, top, size, fontSize, hasGrid}` in pixels of a matrix of `num` classes.
 *
 * `width` is the room, `labelWidth` what the longest name takes at a font size of 12 pixels;
 * cells too small for names get none, and a matrix too large for the room is wider than it.
 */
export function matrixLayout(num, width, labelWidth) {
  const margin = Math.min(labelWidth + 10, width * 0.34, 190);
  const labeled = clamp(Math.floor((width - margin - 2) / num), 1, LARGEST_CELL);
  if (labeled >= SMALLEST_LABELED_CELL) {
    const fontSize = clamp(labeled - 2, 9, 12);
    return {
      cell: labeled,
      left: margin,
      top: margin,
      size: labeled * num,
      fontSize,
      hasGrid: true,
    };
  }
  const cell = clamp(Math.floor((width - 2) / num), SMALLEST_CELL, LARGEST_CELL);
  return { cell, left: 1, top: 1, size: cell * num, fontSize: 0, hasGrid: cell >= 10 };
}

/** Return `[row, column]` of the cell at pixel (x, y), or null outside the matrix. */
export function cellAt(layout, num, x, y) {
  const column = Math.floor((x - layout.left) / layout.cell);
  const row = Math.floor((y - layout.top) / layout.cell);
  const isInMatrix = row >= 0 && column >= 0 && row < num && column < num;
  return isInMatrix ? [row, column] : null;
}

/**
 * Return how strongly (0-1) a cell with `share` of its row is shaded.
 *
 * Errors are few, so that their square root is shown: else one of 30 could not be seen.
 */
export function cellStrength(share, isDiagonal) {
  return isDiagonal ? share : Math.sqrt(share);
}

/** Return what a cell means in words. */
export function cellText(actual, predicted, count, total) {
  return `true ${actual}, predicted ${predicted}: ${count} of ${total}`;
}

/** A focusable matrix; `onChoose(row, column)` is called by click and Enter. */
export class MatrixView {
  constructor(names, counts, onChoose) {
    Object.assign(this, { names, counts, onChoose });
    this.totals = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
    this.active = null;
    this.chosen = null;
    this.canvas = element("canvas", { class: "matrix", attributes: this.attributes() });
    this.tip = element("div", { class: "tip", attributes: { "aria-hidden": "true" } });
    this.tip.hidden = true;
    this.live = element("p", { class: "visually-hidden", attributes: { "aria-live": "polite" } });
    this.host = element("div", { class: "matrix-scroll" }, this.canvas);
    this.content = element("div", { class: "matrix-box" }, this.host, this.tip, this.live);
    this.listen();
    drawAtWidth(this.content, (width) => this.resize(width));
    onThemeChange(() => this.draw());
  }

  attributes() {
    const num = this.names.length;
    const label =
      `Confusion matrix of ${num} classes, rows true, columns predicted. ` +
      "Arrow keys move from cell to cell, Enter shows examples.";
    const role = { role: "application", "aria-roledescription": "matrix" };
    return { ...role, tabindex: "0", "aria-label": label };
  }

  resize(width) {
    const context = this.canvas.getContext("2d");
    context.font = `12px ${FONT}`;
    const longest = Math.max(...this.names.map((name) => context.measureText(name).width));
    this.layout = matrixLayout(this.names.length, width, longest);
    this.draw();
  }

  draw() {
    if (!this.layout) return;
    const { left, top, size } = this.layout;
    const context = sizeCanvas(this.canvas, left + size + 2, top + size + 2);
    const colors = readColors(this.canvas);
    context.fillStyle = this.layout.hasGrid ? colors.paper : colors.panel;
    context.fillRect(left, top, size, size);
    this.counts.forEach((counts, row) => {
      counts.forEach((count, column) => this.drawCell(context, colors, row, column, count));
    });
    if (this.layout.fontSize > 0) this.drawLabels(context, colors);
    if (this.chosen) this.outline(context, this.chosen, colors.accent, 2.5);
    if (this.active) this.outline(context, this.active, colors.ink, 1.5);
  }

  drawCell(context, colors, row, column, count) {
    // Lines between empty cells would be all that is seen of a large matrix.
    if (count === 0 && !this.layout.hasGrid) return;
    const { cell, left, top, hasGrid } = this.layout;
    const isDiagonal = row === column;
    const strength = cellStrength(count / Math.max(1, this.totals[row]), isDiagonal);
    const fill = mixColors(colors.panel, isDiagonal ? colors.right : colors.wrong, strength);
    const x = left + column * cell;
    const y = top + row * cell;
    context.fillStyle = fill;
    const side = hasGrid ? cell - 1 : cell;
    context.fillRect(x, y, side, side);
    if (count === 0 || cell < SMALLEST_NUMBERED_CELL) return;
    const digits = String(count).length;
    context.fillStyle = textColorOn(fill);
    context.font = `${Math.min(12, (cell - 4) / (digits * 0.58))}px ${FONT}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(count, x + (cell - 1) / 2, y + cell / 2);
  }

  drawLabels(context, colors) {
    const { cell, left, top, fontSize } = this.layout;
    context.textBaseline = "middle";
    this.names.forEach((name, i) => {
      const middle = (i + 0.5) * cell;
      this.labelStyle(context, colors, fontSize, this.active?.[0] === i);
      context.textAlign = "right";
      context.fillText(fitText(context, name, left - 10), left - 7, top + middle);
      this.labelStyle(context, colors, fontSize, this.active?.[1] === i);
      context.save();
      context.translate(left + middle, top - 7);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(fitText(context, name, top - 10), 0, 0);
      context.restore();
    });
  }

  labelStyle(context, colors, fontSize, isActive) {
    context.fillStyle = isActive ? colors.ink : colors.muted;
    context.font = `${isActive ? "600 " : ""}${fontSize}px ${FONT}`;
  }

  outline(context, [row, column], color, lineWidth) {
    const { cell, left, top } = this.layout;
    context.strokeStyle = color;
    context.lineWidth = lineWidth;
    context.strokeRect(left + column * cell - 0.5, top + row * cell - 0.5, cell, cell);
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => this.setActive(this.eventCell(event)));
    this.canvas.addEventListener("pointerleave", () => this.setActive(null));
    this.canvas.addEventListener("blur", () => this.setActive(null));
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("click", (event) => {
      const cell = this.eventCell(event);
      if (cell) this.choose(...cell);
    });
    this.host.addEventListener("scroll", () => this.setActive(null));
  }

  eventCell(event) {
    const box = this.canvas.getBoundingClientRect();
    const num = this.names.length;
    return cellAt(this.layout, num, event.clientX - box.left, event.clientY - box.top);
  }

  /** Mark the cell [row, column] and say what it means; null: no cell. */
  setActive(cell) {
    if (String(cell) === String(this.active)) return;
    this.active = cell;
    this.draw();
    this.tip.hidden = cell === null;
    if (cell === null) return;
    const text = this.describe(...cell);
    this.tip.textContent = text;
    this.live.textContent = text;
    const { left, top, cell: size } = this.layout;
    const x = left + (cell[1] + 0.5) * size - this.host.scrollLeft;
    placeTip(this.tip, x, top + (cell[0] + 0.5) * size, size / 2 + 6);
  }

  /** Return what the cell means in words. */
  describe(row, column) {
    const count = this.counts[row][column];
    return cellText(this.names[row], this.names[column], count, this.totals[row]);
  }

  /** Choose the cell as a click on it does. */
  choose(row, column) {
    this.chosen = [row, column];
    this.draw();
    this.onChoose(row, column);
  }

  onKey(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const last = this.names.length - 1;
    if (event.key in moves) {
      const [row, column] = this.active ?? this.chosen ?? [0, 0];
      const [down, right] = this.active ? moves[event.key] : [0, 0];
      this.setActive([clamp(row + down, 0, last), clamp(column + right, 0, last)]);
      this.scrollToActive();
    } else if (event.key === "Enter" && this.active) {
      this.choose(...this.active);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  scrollToActive() {
    const { left, cell } = this.layout;
    const x = left + this.active[1] * cell;
    const { scrollLeft, clientWidth } = this.host;
    const isInView = x >= scrollLeft && x + cell <= scrollLeft + clientWidth;
    if (!isInView) this.host.scrollLeft = x - clientWidth / 2;
  }
}

function fitText(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  const letters = Array.from(text);
  while (letters.length > 1 && context.measureText(`${letters.join("")}\u2026`).width > room) {
    letters.pop();
  }
  return `${letters.join("")}\u2026`;
}

/** The canvas of the embedding map with its mouse, touch and keyboard. */

import { element } from "./dom.js";
import {
  boxCorners,
  fitView,
  nearestInDirection,
  nearestPoint,
  pointsInside,
  projectPoints,
  zoomView,
} from "./lasso.js";
import { clamp, drawAtWidth } from "./figure.js";
import { onThemeChange } from "./palette.js";
import { drawMarks, drawScatter } from "./scatter.js";

const PICK_RADIUS = { mouse: 14, touch: 26, pen: 18 };
const DRAG_PIXELS = 5;
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MAX_ZOOM = 60;

/**
 * A zoomable scatter plot that reports what is pointed at, opened and selected.
 *
 * `handlers` is `{onCurrent(row, x, y), onOpen(row), onSelect(rows)}`; row -1 is none.
 */
export class MapView {
  constructor(host, splits, handlers) {
    this.handlers = handlers;
    this.canvas = element("canvas", { attributes: { "aria-hidden": "true" } });
    this.overlay = element("canvas", {
      class: "map-overlay",
      // The arrow keys are the map's own, which only an application may ask for.
      attributes: { tabindex: "0", role: "application", "aria-roledescription": "map of points" },
    });
    host.append(this.canvas, this.overlay);
    this.scene = { splits, rows: [], highlighted: new Set(), points: null, showNames: true };
    this.selected = [];
    this.outline = [];
    this.current = -1;
    this.pointers = new Map();
    this.setMode("lasso");
    this.listen();
    drawAtWidth(host, (width) => this.resize(width));
    onThemeChange(() => this.draw());
  }

  /** Choose what a drag does: "lasso", "box" or "move". */
  setMode(mode) {
    this.mode = mode;
    this.updateTouch();
  }

  updateTouch() {
    // One finger scrolls the page unless a shape is drawn or the enlarged map is moved.
    const scrolls = this.mode === "move" && !this.isZoomed();
    this.overlay.style.touchAction = scrolls ? "pan-y" : "none";
  }

  isZoomed() {
    return this.view !== undefined && this.view.scale > this.home.scale * 1.001;
  }

  /** Show the points (xs, ys) of `rows` in `groups`; the view starts anew if the map changes. */
  setData({ xs, ys, rows, groups, highlighted, showNames }) {
    const isNewMap = xs !== this.xs;
    this.xs = xs;
    this.ys = ys;
    Object.assign(this.scene, { rows, groups, highlighted, showNames });
    if (isNewMap) {
      this.scene.points = { x: new Float64Array(xs.length), y: new Float64Array(xs.length) };
      this.select([]);
    }
    this.setCurrent(-1);
    if (this.width) this.reset(isNewMap);
  }

  resize(width) {
    this.width = width;
    this.height = Math.round(clamp(width * 0.72, Math.min(width, 340), 600));
    if (this.xs) this.reset(true);
  }

  /** Go back to the view that shows all points, or only draw anew if `isHome` is false. */
  reset(isHome = true) {
    if (isHome || !this.view) {
      this.home = fitView(this.xs, this.ys, this.width, this.height, 22);
      this.view = this.home;
    }
    this.changeView(this.view);
  }

  /** Enlarge by `factor` about pixel (x, y), by default the middle. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const limited = clamp(this.view.scale * factor, this.home.scale, this.home.scale * MAX_ZOOM);
    const view = zoomView(this.view, limited / this.view.scale, x, y);
    this.changeView(limited <= this.home.scale * 1.0001 ? this.home : view);
  }

  changeView(view) {
    this.view = view;
    projectPoints(this.scene.points, this.xs, this.ys, view);
    this.updateTouch();
    this.draw();
  }

  draw() {
    if (!this.width || !this.xs) return;
    drawScatter(this.canvas, this.scene, this.width, this.height);
    this.drawOverlay();
  }

  drawOverlay() {
    if (!this.width || !this.scene.points) return;
    const { current, selected, outline } = this;
    const marks = { points: this.scene.points, current, selected, outline };
    drawMarks(this.overlay, marks, this.width, this.height);
  }

  setCurrent(row) {
    const isSame = row === this.current;
    this.current = row;
    this.drawOverlay();
    const { x, y } = this.scene.points ?? { x: [], y: [] };
    if (row < 0) this.handlers.onCurrent(-1, 0, 0);
    else if (!isSame) this.handlers.onCurrent(row, x[row], y[row]);
  }

  /** Mark `rows` as selected and report them. */
  select(rows) {
    this.selected = rows;
    this.outline = [];
    this.drawOverlay();
    this.handlers.onSelect(rows);
  }

  /** Select what lies in the part of the map that is in view. */
  selectInView() {
    const corners = boxCorners(0, 0, this.width, this.height);
    this.select(pointsInside(this.scene.points, corners, this.pickable()));
  }

  pickable() {
    const { rows, highlighted, groups } = this.scene;
    return highlighted.size === 0 ? rows : rows.filter((row) => highlighted.has(groups.of[row]));
  }

  listen() {
    const { overlay } = this;
    overlay.addEventListener("pointerdown", (event) => this.onDown(event));
    overlay.addEventListener("pointermove", (event) => this.onMove(event));
    overlay.addEventListener("pointerup", (event) => this.onUp(event));
    overlay.addEventListener("pointercancel", (event) => this.onCancel(event));
    overlay.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && this.pointers.size === 0) this.setCurrent(-1);
    });
    overlay.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    overlay.addEventListener("keydown", (event) => this.onKey(event));
    overlay.addEventListener("blur", () => this.setCurrent(-1));
  }

  pixel(event) {
    const box = this.overlay.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  onDown(event) {
    const at = this.pixel(event);
    this.pointers.set(event.pointerId, at);
    this.overlay.setPointerCapture(event.pointerId);
    this.isPinch = this.pointers.size > 1;
    this.isDrag = false;
    this.start = at;
    this.outline = [];
  }

  onMove(event) {
    const at = this.pixel(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.setCurrent(this.rowAt(at, event.pointerType));
      return;
    }
    this.pointers.set(event.pointerId, at);
    if (this.isPinch) this.pinch(event.pointerId, before, at);
    else this.drag(before, at);
  }

  rowAt([x, y], pointerType) {
    const radius = PICK_RADIUS[pointerType] ?? PICK_RADIUS.mouse;
    return nearestPoint(this.scene.points, this.pickable(), x, y, radius);
  }

  drag(before, at) {
    const distance = Math.hypot(at[0] - this.start[0], at[1] - this.start[1]);
    if (!this.isDrag && distance < DRAG_PIXELS) return;
    if (!this.isDrag) this.setCurrent(-1);
    this.isDrag = true;
    if (this.mode === "move") {
      this.pan(at[0] - before[0], at[1] - before[1]);
      return;
    }
    if (this.mode === "box") this.outline = boxCorners(...this.start, ...at);
    else this.outline = [...(this.outline.length > 0 ? this.outline : [this.start]), at];
    this.drawOverlay();
  }

  pan(dx, dy) {
    if (!this.isZoomed()) return;
    this.changeView({ ...this.view, x: this.view.x + dx, y: this.view.y + dy });
  }

  pinch(id, before, at) {
    const [, other] = [...this.pointers].find(([key]) => key !== id) ?? [];
    if (!other) return;
    const distance = (a) => Math.max(20, Math.hypot(a[0] - other[0], a[1] - other[1]));
    this.zoom(distance(at) / distance(before), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2);
    this.pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
  }

  onUp(event) {
    if (!this.pointers.delete(event.pointerId) || this.isPinch) return;
    if (!this.isDrag) this.click(this.pixel(event), event.pointerType);
    else if (this.mode !== "move") {
      this.select(pointsInside(this.scene.points, this.outline, this.pickable()));
    }
  }

  onCancel(event) {
    this.pointers.delete(event.pointerId);
    this.outline = [];
    this.drawOverlay();
  }

  click(at, pointerType) {
    const row = this.rowAt(at, pointerType);
    const isFirstTap = pointerType !== "mouse" && row !== this.current;
    this.setCurrent(row);
    // A finger cannot hover, so that its first tap shows and its second one opens.
    if (row >= 0 && !isFirstTap) this.handlers.onOpen(row);
  }

  onWheel(event) {
    // The plain wheel scrolls the page; browsers report a pinch as a wheel with ctrl.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.setCurrent(-1);
    this.zoom(Math.exp(-event.deltaY * 0.01), ...this.pixel(event));
  }

  onKey(event) {
    const { key } = event;
    if (key in DIRECTIONS) this.step(...DIRECTIONS[key]);
    else if (key === "Enter" && this.current >= 0) this.handlers.onOpen(this.current);
    else if (key === "+" || key === "=") this.zoomAtCurrent(1.5);
    else if (key === "-") this.zoomAtCurrent(1 / 1.5);
    else if (key === "0") this.reset();
    else if (key === "Escape") this.select([]);
    else return;
    if (key === "Escape") this.setCurrent(-1);
    event.preventDefault();
    event.stopPropagation();
  }

  zoomAtCurrent(factor) {
    const { points } = this.scene;
    const row = this.current;
    if (row < 0) this.zoom(factor);
    else this.zoom(factor, points.x[row], points.y[row]);
  }

  step(dx, dy) {
    const { points } = this.scene;
    const rows = this.pickable();
    const next =
      this.current < 0
        ? nearestPoint(points, rows, this.width / 2, this.height / 2, Infinity)
        : nearestInDirection(points, rows, this.current, dx, dy);
    if (next >= 0) this.setCurrent(next);
  }
}

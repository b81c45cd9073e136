/** A chart of columns (counts by subject, camera or length), drawn at the width it has. */

import { element } from "./dom.js";
import { drawAtWidth, svgElement } from "./figure.js";
import { formatTick, linearTicks, makeScale, paddedDomain, tickStep } from "./scales.js";

const CHART_HEIGHT = 150;
const FRAME = { left: 40, right: 8, top: 10, bottom: 36 };

/**
 * Make a chart of `columns`, each `{label, title, num}`, with the labels below.
 *
 * With `edges`, one number more than columns, it is a histogram with an axis of numbers instead.
 */
export function columnChart(columns, { axisLabel, edges = null }) {
  const svg = svgElement("svg", {
    class: "plot",
    width: "100%",
    height: CHART_HEIGHT,
    role: "img",
  });
  const most = columns.reduce((best, one) => (one.num > best.num ? one : best), columns[0]);
  const total = columns.reduce((sum, one) => sum + one.num, 0);
  const summary = `${total} sequences by ${axisLabel}; most: ${most.title}`;
  svg.setAttribute("aria-label", summary);
  const host = element("div", { class: "column-chart" }, svg);
  drawAtWidth(host, (width) => {
    svg.setAttribute("viewBox", `0 0 ${width} ${CHART_HEIGHT}`);
    svg.replaceChildren(...drawColumns(columns, { width, axisLabel, edges }));
  });
  return host;
}

function drawColumns(columns, { width, axisLabel, edges }) {
  const { left, top } = FRAME;
  // A few wide columns would look like walls.
  const pitch = Math.min((width - FRAME.right - left) / columns.length, 64);
  const right = left + columns.length * pitch;
  const bottom = CHART_HEIGHT - FRAME.bottom;
  const high = Math.max(...columns.map((column) => column.num), 1);
  const domain = paddedDomain(0, high, { count: 3, log: false });
  const toY = makeScale({ ...domain, start: bottom, end: top });
  const gap = pitch > 12 ? 3 : pitch > 4 ? 1 : 0;
  const bars = columns.map((column, i) => {
    const y = toY(column.num);
    const box = { x: left + i * pitch + gap / 2, y, width: pitch - gap, height: bottom - y };
    return svgElement("rect", { class: "column", ...box }, svgElement("title", {}, column.title));
  });
  const place = { left, right, pitch, y: bottom + 16 };
  const ticks = linearTicks(domain.low, domain.high, domain.step).filter(Number.isInteger);
  const middle = { class: "axis-label", x: (left + right) / 2, "text-anchor": "middle" };
  return [
    svgElement(
      "g",
      { class: "axis" },
      ...ticks.flatMap((tick) => yTick(tick, toY(tick), left, right)),
    ),
    ...bars,
    svgElement(
      "g",
      { class: "axis" },
      ...(edges ? numberLabels(edges, place) : columnLabels(columns, place)),
    ),
    svgElement(
      "g",
      { class: "axis" },
      svgElement("text", { ...middle, y: CHART_HEIGHT - 4 }, axisLabel),
    ),
  ];
}

function yTick(tick, y, left, right) {
  const text = svgElement(
    "text",
    { x: left - 7, y: y + 4, "text-anchor": "end" },
    tick.toLocaleString("en-US"),
  );
  return [svgElement("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }), text];
}

/** Return every how many labels one is written so that each has `room` pixels. */
export function labelStride(pitch, room) {
  const needed = room / pitch;
  return [1, 2, 5, 10, 20, 50, 100].find((stride) => stride >= needed) ?? 200;
}

function columnLabels(columns, { left, pitch, y }) {
  const longest = Math.max(...columns.map(({ label }) => label.length));
  const stride = labelStride(pitch, longest * 7 + 8);
  return columns.flatMap(({ label }, i) => {
    if (i % stride !== 0) return [];
    return svgElement("text", { x: left + (i + 0.5) * pitch, y, "text-anchor": "middle" }, label);
  });
}

function numberLabels(edges, { left, right, y }) {
  const [low, high] = [edges[0], edges.at(-1)];
  const count = Math.max(2, Math.floor((right - left) / 32));
  const step = tickStep(high - low || 1, count);
  const toX = makeScale({ low, high, start: left, end: right });
  return linearTicks(low, high, step).map((tick) =>
    svgElement("text", { x: toX(tick), y, "text-anchor": "middle" }, formatTick(tick, step)),
  );
}

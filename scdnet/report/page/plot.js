/** Draws one training chart into an SVG element: axes, events, lines, direct labels. */

import { svgElement, textWidth } from "./figure.js";
import {
  formatTick,
  linearTicks,
  logTicks,
  makeScale,
  paddedDomain,
  shortenMiddle,
  spreadLabels,
  tickStep,
} from "./scales.js";
import { chartExtent, endLabels, groupEvents, lineSegments, nanGaps } from "./series.js";

const PLOT_HEIGHT = 210;
const LETTER_WIDTH = 6.3;
const LABEL_FONT = "600 11px system-ui, sans-serif";

/**
 * Draw `lines` into `svg` at `width` pixels and return the frame for the hover.
 *
 * `chart` is `{lines, events, reference, xLabel, numRuns, log}`; the frame is `{toX, toY, left,
 * right, top, bottom}` in pixels.
 */
export function drawPlot(svg, chart, width) {
  // On a phone the lines need the room more than their names.
  const numLetters = width < 340 ? 10 : 14;
  const labels = endLabels(chart.lines, chart.numRuns).map((label) => ({
    ...label,
    text: shortenMiddle(label.text, numLetters),
  }));
  const frame = makeFrame(chart, labels, width);
  svg.setAttribute("viewBox", `0 0 ${width} ${PLOT_HEIGHT}`);
  svg.setAttribute("height", PLOT_HEIGHT);
  svg.replaceChildren(
    yAxis(frame),
    xAxis(frame, chart.xLabel),
    ...gapBands(frame, chart.lines),
    ...referenceLine(frame, chart.reference),
    ...eventMarks(frame, chart.events),
    ...chart.lines.flatMap((line) => drawLine(frame, line)),
    ...directLabels(frame, labels),
  );
  return frame;
}

function makeFrame(chart, labels, width) {
  const extent = chartExtent(chart.lines, chart.events, chart.reference);
  const log = chart.log && extent.y.low > 0;
  const y = paddedDomain(extent.y.low, extent.y.high, { count: 4, log });
  const ticks = log ? logTicks(y.low, y.high) : linearTicks(y.low, y.high, y.step);
  const texts = ticks.map((tick) => formatTick(tick, log ? tick : y.step));
  const longest = Math.max(...labels.map((label) => textWidth(label.text, LABEL_FONT)), 0);
  const frame = {
    left: Math.max(...texts.map((text) => text.length), 2) * LETTER_WIDTH + 10,
    right: width - (longest > 0 ? longest + 9 : 10),
    top: 22,
    bottom: PLOT_HEIGHT - 34,
    ticks: ticks.map((tick, i) => ({ value: tick, text: texts[i] })),
    x: extent.x,
  };
  frame.toX = makeScale({ ...extent.x, start: frame.left, end: frame.right });
  frame.toY = makeScale({ ...y, start: frame.bottom, end: frame.top, log });
  return frame;
}

function yAxis(frame) {
  const group = svgElement("g", { class: "axis" });
  for (const { value, text } of frame.ticks) {
    const y = frame.toY(value);
    group.append(
      svgElement("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y, y2: y }),
      svgElement("text", { x: frame.left - 7, y: y + 4, "text-anchor": "end" }, text),
    );
  }
  return group;
}

function xAxis(frame, label) {
  const { low, high } = frame.x;
  const isWhole = Number.isInteger(low) && Number.isInteger(high);
  const count = Math.max(2, Math.floor((frame.right - frame.left) / 60));
  const step = Math.max(tickStep(high - low || 1, count), isWhole ? 1 : 0);
  const group = svgElement("g", { class: "axis" });
  for (const tick of linearTicks(low, high, step)) {
    const attributes = { x: frame.toX(tick), y: frame.bottom + 16, "text-anchor": "middle" };
    group.append(svgElement("text", attributes, formatTick(tick, step)));
  }
  const middle = (frame.left + frame.right) / 2;
  const place = { class: "axis-label", x: middle, y: PLOT_HEIGHT - 3, "text-anchor": "middle" };
  group.append(svgElement("text", place, label));
  return group;
}

function gapBands(frame, lines) {
  const gaps = lines.flatMap((line) => nanGaps(line.xs, line.ys, line.breaks));
  const seen = new Set();
  return gaps.flatMap((gap) => {
    const start = frame.toX(Math.max(gap.start, frame.x.low));
    const end = frame.toX(Math.min(gap.end, frame.x.high));
    if (seen.has(`${start} ${end}`)) return [];
    seen.add(`${start} ${end}`);
    return svgElement("rect", {
      class: "nan-band",
      x: start,
      y: frame.top,
      width: Math.max(2, end - start),
      height: frame.bottom - frame.top,
    });
  });
}

function referenceLine(frame, reference) {
  if (!reference) return [];
  const y = frame.toY(reference.value);
  // Near the top there is no room above the line.
  const textY = y - 5 < frame.top + 8 ? y + 13 : y - 5;
  return [
    svgElement("line", { class: "reference", x1: frame.left, x2: frame.right, y1: y, y2: y }),
    svgElement("text", { class: "note", x: frame.left + 4, y: textY }, reference.label),
  ];
}

function eventMarks(frame, events) {
  let freeFrom = 0;
  return groupEvents(events, frame.toX, 4).flatMap((mark) => {
    const x = frame.toX(mark.x);
    const kind = `event event-${mark.kind}`;
    const nodes = [
      svgElement("line", { class: kind, x1: x, x2: x, y1: frame.top, y2: frame.bottom }),
    ];
    const width = mark.text.length * LETTER_WIDTH;
    const isAtEnd = x + width > frame.right;
    const start = isAtEnd ? x - width : x;
    // The text of a mark too near the one before is left to the hover.
    if (start < freeFrom) return nodes;
    freeFrom = start + width + 4;
    const place = { class: `${kind}-text`, x, y: frame.top - 6 };
    nodes.push(
      svgElement("text", { ...place, "text-anchor": isAtEnd ? "end" : "start" }, mark.text),
    );
    return nodes;
  });
}

function drawLine(frame, line) {
  const weight = line.xs.length > 150 ? "curve fine" : "curve";
  const style = `${weight} color-${line.color % 8} dash-${line.dash % 4}`;
  const toPixels = ([x, y]) => `${frame.toX(x).toFixed(1)},${frame.toY(y).toFixed(1)}`;
  return lineSegments(line.xs, line.ys, line.breaks).flatMap((segment) => {
    const nodes = [svgElement("path", { class: style, d: `M${segment.map(toPixels).join("L")}` })];
    // Few measurements are shown as such; many would only thicken the line.
    const points = segment.length <= 12 ? segment : [];
    for (const [x, y] of points) {
      const place = { cx: frame.toX(x), cy: frame.toY(y), r: 2.4 };
      nodes.push(svgElement("circle", { class: `curve-dot color-${line.color % 8}`, ...place }));
    }
    return nodes;
  });
}

function directLabels(frame, labels) {
  const wanted = labels.map((label) => frame.toY(label.y));
  const placed = spreadLabels(wanted, 14, frame.top, frame.bottom);
  return labels.map((label, i) => {
    const color = label.color === null ? "label-plain" : `color-${label.color % 8}`;
    const place = { class: `direct-label ${color}`, x: frame.right + 7, y: placed[i] + 4 };
    return svgElement("text", place, label.text);
  });
}

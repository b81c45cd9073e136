/** What the training charts draw: lines, gaps and events, worked out without a document. */

import { finiteExtent } from "./scales.js";

/**
 * Return the lines of one chart, a line for each run and key that has a number.
 *
 * Each line is `{run, key, name, label, color, dash, xs, ys, breaks}`: one run is colored by key;
 * several runs are colored by run and dashed by key.
 */
export function collectLines(training, chart) {
  const isSingle = training.runs.length === 1;
  const lines = [];
  training.runs.forEach((run, runIndex) => {
    const breaks = run.events.filter((event) => event.kind === "nan").map((event) => event.x);
    const placed = [...run.x.keys()].filter((i) => Number.isFinite(run.x[i]));
    chart.keys.forEach((key, keyIndex) => {
      const ys = placed.map((i) => run.series[key.key]?.[i] ?? null);
      if (!ys.some(Number.isFinite)) return;
      lines.push({
        run: runIndex,
        key: keyIndex,
        name: lineName(training, chart, run, key),
        label: chart.keys.length > 1 ? key.label : run.name,
        color: isSingle ? keyIndex : runIndex,
        dash: isSingle ? 0 : keyIndex,
        xs: placed.map((i) => run.x[i]),
        ys,
        breaks,
      });
    });
  });
  return lines;
}

function lineName(training, chart, run, key) {
  if (training.runs.length === 1) return key.label;
  return chart.keys.length === 1 ? run.name : `${run.name}, ${key.label}`;
}

/**
 * Cut a line into the stretches to draw, each a list of `[x, y]`.
 *
 * A null alone is a value that was not measured at this step and does not cut the line; a null
 * run that contains one of `breaks` is where the value was NaN or Inf.
 */
export function lineSegments(xs, ys, breaks) {
  const gaps = nanGaps(xs, ys, breaks);
  const segments = [];
  let current = [];
  let gap = 0;
  xs.forEach((x, i) => {
    if (!Number.isFinite(ys[i])) return;
    while (gap < gaps.length && x >= gaps[gap].end) {
      if (current.length > 0) segments.push(current);
      current = [];
      gap += 1;
    }
    current.push([x, ys[i]]);
  });
  if (current.length > 0) segments.push(current);
  return segments;
}

/** Return the stretches `{start, end}` of x without a finite value around each of `breaks`. */
export function nanGaps(xs, ys, breaks) {
  const gaps = [];
  for (const at of breaks) {
    let start = -Infinity;
    let end = Infinity;
    let isFiniteThere = false;
    xs.forEach((x, i) => {
      if (!Number.isFinite(ys[i])) return;
      if (x < at) start = Math.max(start, x);
      else if (x > at) end = Math.min(end, x);
      else isFiniteThere = true;
    });
    const last = gaps.at(-1);
    if (isFiniteThere || (last && last.start === start)) continue;
    gaps.push({ start, end });
  }
  return gaps.sort((a, b) => a.start - b.start);
}

/** Return all x of `lines`, ascending, each once. */
export function unionOfX(lines) {
  const all = new Set();
  for (const line of lines) {
    line.xs.forEach((x, i) => {
      if (Number.isFinite(line.ys[i])) all.add(x);
    });
  }
  return [...all].sort((a, b) => a - b);
}

/** Return the value of `line` at `x`, or null if it has none there. */
export function valueAt(line, x) {
  const index = line.xs.indexOf(x);
  return index >= 0 && Number.isFinite(line.ys[index]) ? line.ys[index] : null;
}

/** Return `{x, y}` extents of a chart over its lines, its events and its reference line. */
export function chartExtent(lines, events, reference) {
  const xs = lines.flatMap((line) => line.xs).concat(events.map((event) => event.x));
  const ys = lines.flatMap((line) => line.ys);
  if (reference) ys.push(reference.value);
  return { x: finiteExtent(xs), y: finiteExtent(ys) };
}

/** Return the events of all runs as `{x, text, kind, run}`, in the order of x. */
export function collectEvents(training) {
  const events = training.runs.flatMap((run) =>
    run.events.map((event) => ({ ...event, run: run.name })),
  );
  return events.filter((event) => Number.isFinite(event.x)).sort((a, b) => a.x - b.x);
}

/**
 * Join events closer than `distance` pixels into marks `{x, kind, text, events}`.
 *
 * Every mark gets one label, so labels of events of the same moment do not cover each other.
 */
export function groupEvents(events, toPixel, distance) {
  const marks = [];
  for (const event of events) {
    const last = marks.at(-1);
    if (last && toPixel(event.x) - toPixel(last.x) < distance) last.events.push(event);
    else marks.push({ x: event.x, events: [event] });
  }
  return marks.map((mark) => ({ ...mark, ...markText(mark.events) }));
}

function markText(events) {
  const words = { nan: "NaN", collapse: "collapse" };
  const order = ["nan", "collapse"];
  const kinds = order.filter((kind) => events.some((event) => event.kind === kind));
  const counted = kinds.map((kind) => {
    const num = events.filter((event) => event.kind === kind).length;
    return num > 1 ? `${words[kind]} \u00d7${num}` : words[kind];
  });
  return { kind: kinds[0], text: counted.join(", ") };
}

/** Return the direct labels of a chart as `{text, y, color}`, one for each distinct label. */
export function endLabels(lines, numRuns) {
  const isByKey = new Set(lines.map((line) => line.key)).size > 1;
  const groups = groupLines(lines, isByKey);
  if (groups.size < 2 || groups.size > 6) return [];
  return [...groups.values()].map((group) => {
    const ends = group.map((line) => line.ys.findLast(Number.isFinite));
    return {
      text: group[0].label,
      y: ends.reduce((sum, y) => sum + y, 0) / ends.length,
      // A label of several runs belongs to none of their colors.
      color: isByKey && numRuns > 1 ? null : group[0].color,
    };
  });
}

function groupLines(lines, isByKey) {
  const groups = new Map();
  for (const line of lines) {
    const id = isByKey ? line.key : line.run;
    groups.set(id, (groups.get(id) ?? []).concat(line));
  }
  return groups;
}

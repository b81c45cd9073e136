/** The training section: small multiples of line charts with hover and keyboard. */

import { element } from "./dom.js";
import { clamp, drawAtWidth, placeTip, svgElement, tableDetails, textButton } from "./figure.js";
import { drawPlot } from "./plot.js";
import { formatNumber, nearestIndex } from "./scales.js";
import { collectEvents, collectLines, unionOfX, valueAt } from "./series.js";
import { lineSample, tipTable } from "./tip.js";

/** Fill `root` with the training curves of `report.training`. */
export function mountCurves(root, report) {
  const { training } = report;
  const events = collectEvents(training);
  const grid = element("div", { class: "curves" });
  for (const chart of training.charts) {
    const lines = collectLines(training, chart);
    if (lines.length > 0) grid.append(new CurveChart(training, chart, lines, events).figure);
  }
  if (grid.children.length === 0) {
    root.append(element("p", { class: "muted", text: "No training curves were recorded." }));
    return;
  }
  if (training.runs.length > 1) root.append(runLegend(training.runs));
  if (events.length > 0) root.append(eventList(events, training));
  root.append(grid);
}

function runLegend(runs) {
  const items = runs.map((run, i) =>
    element("li", {}, lineSample(i, 0), element("span", { text: run.name })),
  );
  return element("ul", { class: "legend-row", attributes: { "aria-label": "Runs" } }, ...items);
}

function eventList(events, training) {
  const items = events.map((event) => {
    const run = training.runs.length > 1 ? `${event.run}, ` : "";
    const text = `${run}${training.xLabel} ${formatNumber(event.x)}: ${event.text}`;
    return element("li", { class: `event-item event-item-${event.kind}`, text });
  });
  return element("ul", { class: "event-list", attributes: { "aria-label": "Events" } }, ...items);
}

class CurveChart {
  constructor(training, chart, lines, events) {
    this.training = training;
    this.chart = chart;
    this.lines = lines;
    this.events = events;
    this.xs = unionOfX(lines);
    this.at = -1;
    this.log = chart.log;
    this.svg = svgElement("svg", { class: "plot", width: "100%", tabindex: "0", role: "slider" });
    this.marker = svgElement("g", { class: "marker" });
    this.tip = element("div", { class: "tip", attributes: { "aria-hidden": "true" } });
    this.tip.hidden = true;
    this.figure = this.makeFigure();
    this.describe();
    this.listen();
  }

  makeFigure() {
    const heading = element("h3", { text: this.chart.title });
    const head = element("div", { class: "curve-head" }, heading);
    const isPositive = this.lines.every((line) => line.ys.every((y) => y === null || y > 0));
    if (isPositive) head.append(this.logButton());
    const plot = element("div", { class: "curve-plot" }, this.svg, this.tip);
    drawAtWidth(plot, (width) => this.draw(width));
    const figure = element("figure", { class: "curve" }, head, plot);
    if (this.needsLegend()) figure.append(this.keyLegend());
    if (this.chart.note) figure.append(element("figcaption", { text: this.chart.note }));
    figure.append(this.table());
    return figure;
  }

  logButton() {
    const label = `Logarithmic axis of ${this.chart.title}`;
    const attributes = { class: "small", "aria-pressed": String(this.log), "aria-label": label };
    const button = textButton(
      "log",
      () => {
        this.log = !this.log;
        button.setAttribute("aria-pressed", String(this.log));
        this.draw(this.width);
      },
      attributes,
    );
    return button;
  }

  needsLegend() {
    return this.training.runs.length > 1 && this.chart.keys.length > 1;
  }

  keyLegend() {
    const items = this.chart.keys.map((key, i) => {
      const sample = lineSample(0, i);
      sample.classList.add("sample-plain");
      return element("li", {}, sample, element("span", { text: key.label }));
    });
    return element(
      "ul",
      { class: "legend-row", attributes: { "aria-label": "Line styles" } },
      ...items,
    );
  }

  table() {
    const { xLabel } = this.training;
    const header = [xLabel, ...this.lines.map((line) => line.name)];
    return tableDetails("Numbers", this.chart.title, header, () =>
      this.xs.map((x) => [
        formatNumber(x),
        ...this.lines.map((line) => {
          const value = valueAt(line, x);
          return value === null ? "\u2013" : formatNumber(value);
        }),
      ]),
    );
  }

  draw(width) {
    this.width = width;
    this.frame = drawPlot(
      this.svg,
      {
        lines: this.lines,
        events: this.events,
        reference: this.chart.reference,
        xLabel: this.training.xLabel,
        numRuns: this.training.runs.length,
        log: this.log,
      },
      width,
    );
    this.svg.append(this.marker);
    this.hide();
  }

  describe() {
    const { svg, xs } = this;
    svg.setAttribute("aria-label", `${this.chart.title}: values by ${this.training.xLabel}`);
    svg.setAttribute("aria-valuemin", xs[0]);
    svg.setAttribute("aria-valuemax", xs.at(-1));
    this.announce(xs.length - 1);
  }

  announce(index) {
    const values = this.valuesAt(index).map(({ line, value }) => `${line.name} ${value}`);
    const place = `${this.training.xLabel} ${formatNumber(this.xs[index])}`;
    this.svg.setAttribute("aria-valuenow", this.xs[index]);
    this.svg.setAttribute("aria-valuetext", `${place}: ${values.join("; ")}`);
  }

  valuesAt(index) {
    const rows = this.lines.map((line) => ({ line, number: valueAt(line, this.xs[index]) }));
    return rows
      .filter((row) => row.number !== null)
      .map((row) => ({ ...row, value: formatNumber(row.number) }));
  }

  listen() {
    for (const type of ["pointermove", "pointerdown"]) {
      this.svg.addEventListener(type, (event) => {
        const x = event.clientX - this.svg.getBoundingClientRect().left;
        this.show(
          nearestIndex(
            this.xs.map((value) => this.frame.toX(value)),
            x,
          ),
        );
      });
    }
    this.svg.addEventListener("pointerleave", () => this.hide());
    this.svg.addEventListener("blur", () => this.hide());
    this.svg.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    const last = this.xs.length - 1;
    const at = this.at < 0 ? last : this.at;
    const targets = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      PageDown: at - 10,
      PageUp: at + 10,
      Home: 0,
      End: last,
    };
    if (event.key === "Escape") this.hide();
    if (!(event.key in targets)) return;
    event.preventDefault();
    event.stopPropagation();
    this.show(clamp(targets[event.key], 0, last));
  }

  show(index) {
    this.at = index;
    const x = this.frame.toX(this.xs[index]);
    const rows = this.valuesAt(index);
    const { top, bottom } = this.frame;
    const dots = rows.map(({ line, number }) =>
      svgElement("circle", {
        class: `marker-dot color-${line.color % 8}`,
        cx: x,
        cy: this.frame.toY(number),
        r: 4,
      }),
    );
    const guide = svgElement("line", { class: "guide", x1: x, x2: x, y1: top, y2: bottom });
    this.marker.replaceChildren(guide, ...dots);
    this.fillTip(index, rows);
    placeTip(this.tip, x, (top + bottom) / 2);
    this.announce(index);
  }

  fillTip(index, rows) {
    const x = this.xs[index];
    const title = element("strong", { text: `${this.training.xLabel} ${formatNumber(x)}` });
    const near = this.events.filter((event) => {
      return Math.abs(this.frame.toX(event.x) - this.frame.toX(x)) < 6;
    });
    const notes = near.map((event) => element("div", { class: "tip-event", text: event.text }));
    this.tip.replaceChildren(title, tipTable(rows), ...notes);
  }

  hide() {
    this.at = -1;
    this.tip.hidden = true;
    this.marker.replaceChildren();
  }
}

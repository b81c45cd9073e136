/** What the tip of a training chart shows: the values of all lines at one moment. */

import { element } from "./dom.js";
import { svgElement } from "./figure.js";
import { formatNumber, shortenMiddle } from "./scales.js";

const TIP_LETTERS = 22;

/** Make a short piece of a line in a color and a dash, for legends. */
export function lineSample(color, dash) {
  const style = `curve color-${color % 8} dash-${dash % 4}`;
  const line = svgElement("line", { class: style, x1: 1, x2: 25, y1: 5, y2: 5 });
  return svgElement("svg", { class: "sample", width: 26, height: 10, "aria-hidden": "true" }, line);
}

/**
 * Make the table of `rows` (`{line, number}`): a row for each line.
 *
 * With several runs and several keys it has a row for each run and a column for each key.
 */
export function tipTable(rows) {
  const runs = new Set(rows.map(({ line }) => line.run));
  const keys = new Set(rows.map(({ line }) => line.key));
  const body = runs.size > 1 && keys.size > 1 ? runRows(rows, runs, keys) : rows.map(lineRow);
  return element("table", { class: "tip-table" }, ...body);
}

function lineRow({ line, number }) {
  return element(
    "tr",
    {},
    element("td", {}, lineSample(line.color, line.dash)),
    element("td", { text: shortenMiddle(line.name, TIP_LETTERS) }),
    element("td", { class: "tip-value", text: formatNumber(number) }),
  );
}

function runRows(rows, runs, keys) {
  const find = (run, key) => rows.find(({ line }) => line.run === run && line.key === key);
  const heads = [...keys].map((key) => {
    const { line } = rows.find((row) => row.line.key === key);
    return element("th", { text: shortenMiddle(line.label, 9) });
  });
  const header = element("tr", {}, element("td"), ...heads);
  const body = [...runs].map((run) => {
    const { line } = rows.find((row) => row.line.run === run);
    const values = [...keys].map((key) => {
      const row = find(run, key);
      return element("td", { class: "tip-value", text: row ? formatNumber(row.number) : "" });
    });
    return element("tr", {}, element("td", {}, lineSample(line.color, 0)), ...values);
  });
  return [header, ...body];
}

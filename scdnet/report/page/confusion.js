/** The confusion section: matrix, most confused pairs, examples of a cell, accuracy by class. */

import { fillCards, makeCard } from "./cards.js";
import { element } from "./dom.js";
import { limitedList, tableDetails, textButton } from "./figure.js";
import { MatrixView, cellText } from "./matrix.js";
import { formatShare } from "./scales.js";

const MAX_EXAMPLES = 6;

/** Fill `root` with `report.confusion`; `openInGallery({query})` shows a query there. */
export function mountConfusion(root, report, player, openInGallery) {
  const { order, counts, pairs, accuracy } = report.confusion;
  const names = order.map((label) => report.classNames[label]);
  const examples = new CellExamples(report, player, openInGallery);
  const matrix = new MatrixView(names, counts, (row, column) => {
    examples.show(order[row], order[column], matrix.describe(row, column));
  });
  const choosePair = (pair) => {
    matrix.choose(order.indexOf(pair.actual), order.indexOf(pair.predicted));
  };
  const side = element("div", { class: "pairs" }, element("h3", { text: "Most confused" }));
  side.append(pairs.length > 0 ? pairList(report, pairs, matrix, choosePair) : noErrors());
  root.append(
    element(
      "div",
      { class: "confusion-columns" },
      element("div", {}, matrix.content, shadeNote()),
      side,
    ),
    examples.content,
    tableDetails("Numbers", "Confusions", ["true class", "predicted class", "sequences"], () =>
      listCells(names, counts),
    ),
    element("h3", { text: "Accuracy by class" }),
    accuracyList(report, accuracy),
  );
}

function noErrors() {
  return element("p", { class: "muted", text: "No test sequence was taken for another class." });
}

function shadeNote() {
  return element(
    "p",
    { class: "shade-note muted" },
    element("span", { class: "shade shade-right", attributes: { "aria-hidden": "true" } }),
    element("span", { text: "right" }),
    element("span", { class: "shade shade-wrong", attributes: { "aria-hidden": "true" } }),
    element("span", { text: "wrong; shade: share of the row (square root for errors)" }),
  );
}

function pairList(report, pairs, matrix, choosePair) {
  const items = pairs.map((pair) => {
    const { actual, predicted, count } = pair;
    const total = matrix.totals[report.confusion.order.indexOf(actual)];
    const text = cellText(report.classNames[actual], report.classNames[predicted], count, total);
    const button = textButton("", () => choosePair(pair), {
      class: "pair-button",
      "aria-label": text,
    });
    button.append(
      element("span", { class: "pair-actual", text: report.classNames[actual] }),
      element("span", { class: "pair-arrow", text: "taken for" }),
      element("span", { class: "pair-predicted", text: report.classNames[predicted] }),
      element("span", { class: "pair-count", text: `${count}\u2009/\u2009${total}` }),
    );
    return element("li", {}, button);
  });
  return element("ol", { class: "pair-list" }, ...items);
}

/** Return the rows `[true, predicted, count]` of all cells that are not empty. */
export function listCells(names, counts) {
  return counts.flatMap((row, i) =>
    row.flatMap((count, j) => (count > 0 ? [[names[i], names[j], String(count)]] : [])),
  );
}

class CellExamples {
  constructor(report, player, openInGallery) {
    Object.assign(this, { report, player, openInGallery });
    this.cells = new Map();
    for (const [actual, predicted, queries] of report.confusion.examples) {
      this.cells.set(`${actual} ${predicted}`, queries);
    }
    this.title = element("h3", { attributes: { "aria-live": "polite" } });
    this.cards = element("div", { class: "examples" });
    this.content = element("div", { class: "cell-examples" }, this.title, this.cards);
    this.content.hidden = true;
  }

  show(actual, predicted, text) {
    const queries = (this.cells.get(`${actual} ${predicted}`) ?? []).slice(0, MAX_EXAMPLES);
    this.content.hidden = false;
    this.title.textContent = text.charAt(0).toUpperCase() + text.slice(1);
    const none = element("p", {
      class: "muted",
      text: "No example of this cell is in the report.",
    });
    const nodes = queries.map((query) => this.makeExample(query));
    fillCards(this.cards, nodes.length > 0 ? nodes : [none]);
    this.content.scrollIntoView({ block: "nearest" });
  }

  makeExample(query) {
    const { report, player } = this;
    const { row, neighbors, similarity } = report.queries;
    const example = element(
      "div",
      { class: "example" },
      makeCard(player, report, row[query], { mark: "query" }),
    );
    const neighbor = neighbors[query][0];
    if (neighbor !== undefined) {
      const isRight = report.sequences.label[neighbor] === report.sequences.label[row[query]];
      const detail = `nearest, cosine ${similarity[query][0].toFixed(3)}`;
      example.append(
        makeCard(player, report, neighbor, { mark: isRight ? "right" : "wrong", detail }),
      );
    }
    const label = `Open ${report.sequences.name[row[query]]} in the gallery`;
    const open = () => this.openInGallery({ query });
    example.append(textButton("All neighbors", open, { class: "small", "aria-label": label }));
    return example;
  }
}

/** Return `accuracy` sorted, the lowest share first, classes without test sequences left out. */
export function sortAccuracy(accuracy) {
  const share = ({ correct, num }) => correct / num;
  return accuracy.filter((one) => one.num > 0).sort((a, b) => share(a) - share(b) || b.num - a.num);
}

/** Return the mean over classes of the share (0-1) that is right, or null without a class. */
export function meanAccuracy(accuracy) {
  const tested = accuracy.filter((one) => one.num > 0);
  const sum = tested.reduce((total, one) => total + one.correct / one.num, 0);
  return tested.length > 0 ? sum / tested.length : null;
}

function accuracyList(report, accuracy) {
  const sorted = sortAccuracy(accuracy);
  const mean = meanAccuracy(accuracy);
  if (mean === null) return element("p", { class: "muted", text: "No class has a test sequence." });
  const note =
    `Lowest first. Dot: share of test sequences whose nearest neighbor has their class; ` +
    `bar: 95\u2009% interval (Wilson); line: mean of the classes, ${formatShare(mean)}.`;
  const rows = sorted.map((one) => accuracyRow(report, one, mean));
  const list = limitedList("accuracy-list", rows, "classes");
  return element("div", {}, element("p", { class: "muted", text: note }), ...list);
}

function accuracyRow(report, { label, num, correct, low, high }, mean) {
  const at = (kind, percent) => {
    const mark = element("span", { class: kind });
    mark.style.left = `${percent}%`;
    return mark;
  };
  const bar = at("accuracy-bar", low);
  bar.style.width = `${high - low}%`;
  const marks = [at("accuracy-mean", mean * 100), bar, at("accuracy-dot", (correct / num) * 100)];
  const track = element(
    "span",
    { class: "accuracy-track", attributes: { "aria-hidden": "true" } },
    ...marks,
  );
  const numbers = formatShare(correct / num);
  const details = `${correct} of ${num}, interval ${low.toFixed(0)} to ${high.toFixed(0)} percent`;
  const row = element(
    "li",
    { class: "accuracy-row" },
    element("span", { class: "accuracy-name", text: report.classNames[label] }),
    track,
    element("span", { class: "accuracy-value", text: numbers }),
    element("span", { class: "accuracy-count", text: `${correct}\u2009/\u2009${num}` }),
  );
  row.title = details;
  return row;
}

/** The section on classes and data: counts, lengths, bodies, the best and the worst class. */

import { fillCards, makeCard } from "./cards.js";
import { columnChart } from "./columns.js";
import { element } from "./dom.js";
import { limitedList, tableDetails } from "./figure.js";
import { formatShare } from "./scales.js";

/** Fill `root` with `report.classes`. */
export function mountClasses(root, report, player) {
  const { classes } = report;
  root.append(...extremes(report, player), classBars(report));
  const charts = element("div", { class: "curves compact" });
  charts.append(
    ...lengthFigure(classes.lengths),
    ...idFigure("Subjects", classes.subjects, "subject"),
    ...idFigure("Cameras", classes.cameras, "camera"),
    bodyShare(classes.twoBody),
  );
  root.append(charts);
}

function extremes(report, player) {
  const { best, worst } = report.classes;
  if (!best || !worst) return [];
  const cards = element("div", { class: "extremes" });
  const make = (title, { label, accuracy, row }) => {
    const caption = `${title}: ${report.classNames[label]}`;
    return makeCard(player, report, row, { caption, detail: `${formatPercent(accuracy)} right` });
  };
  fillCards(cards, [make("Best", best), make("Worst", worst)]);
  return [element("h3", { text: "Best and worst class" }), cards];
}

function formatPercent(percent) {
  return formatShare(percent / 100);
}

/** Return the counts of `classes`, most sequences first, in the order of the ids if all equal. */
export function sortCounts(counts) {
  const total = (one) => one.train + one.test;
  return [...counts].sort((a, b) => total(b) - total(a) || a.label - b.label);
}

/** Return whether all classes have the same number of training and of test sequences. */
export function areBalanced(counts) {
  return counts.every(({ train, test }) => train === counts[0].train && test === counts[0].test);
}

function classBars(report) {
  const counts = sortCounts(report.classes.counts);
  if (counts.length > 1 && areBalanced(counts)) return balancedNote(counts);
  const most = Math.max(...counts.flatMap((one) => [one.train, one.test]), 1);
  const rows = counts.map((one) => classRow(report, one, most));
  const key = element(
    "p",
    { class: "shade-note muted" },
    element("span", { class: "key-bar key-train", attributes: { "aria-hidden": "true" } }),
    element("span", { text: "training" }),
    element("span", { class: "key-bar key-test", attributes: { "aria-hidden": "true" } }),
    element("span", { text: "test" }),
  );
  const list = limitedList("class-bars", rows, "classes");
  const header = ["class", "training", "test"];
  const table = tableDetails("Numbers", "Sequences by class", header, () =>
    counts.map(({ label, train, test }) => [report.classNames[label], String(train), String(test)]),
  );
  return element("div", {}, element("h3", { text: "Sequences by class" }), key, ...list, table);
}

function balancedNote(counts) {
  const [{ train, test }] = counts;
  const text =
    `Each of the ${counts.length} classes has ${train.toLocaleString("en-US")} training ` +
    `and ${test.toLocaleString("en-US")} test sequences.`;
  return element("div", {}, element("h3", { text: "Sequences by class" }), element("p", { text }));
}

function classRow(report, { label, train, test }, most) {
  const bar = (kind, num) => {
    const node = element("span", { class: `class-bar ${kind}` });
    node.style.width = `${(num / most) * 100}%`;
    return node;
  };
  const track = element(
    "span",
    { class: "class-track", attributes: { "aria-hidden": "true" } },
    bar("key-train", train),
    bar("key-test", test),
  );
  const text = `${train.toLocaleString("en-US")} + ${test.toLocaleString("en-US")}`;
  const row = element(
    "li",
    { class: "class-row" },
    element("span", { class: "accuracy-name", text: report.classNames[label] }),
    track,
    element("span", { class: "class-count", text }),
  );
  row.title = `${train} training, ${test} test`;
  return row;
}

function columnFigure(title, columns, options) {
  if (columns.length === 0) return [];
  const table = tableDetails("Numbers", title, [options.axisLabel, "sequences"], () =>
    columns.map(({ value, num }) => [value, num.toLocaleString("en-US")]),
  );
  const heading = element("h3", { text: title });
  return [element("figure", { class: "curve" }, heading, columnChart(columns, options), table)];
}

function lengthFigure({ edges, counts }) {
  const columns = counts.map((num, i) => {
    const value = `${edges[i].toFixed(1)} to ${edges[i + 1].toFixed(1)}`;
    return { num, value, label: "", title: `${value} s: ${num}` };
  });
  return columnFigure("Lengths", columns, { axisLabel: "seconds", edges });
}

function idFigure(title, groups, word) {
  const columns = groups.map(({ id, num }) => {
    return { num, value: String(id), label: String(id), title: `${word} ${id}: ${num}` };
  });
  return columnFigure(title, columns, { axisLabel: word });
}

function bodyShare(share) {
  const bar = element("span", { class: "body-bar-two" });
  bar.style.width = `${share * 100}%`;
  return element(
    "figure",
    { class: "curve" },
    element("h3", { text: "Two bodies" }),
    element("p", { class: "big-number", text: formatShare(share) }),
    element("div", { class: "body-bar", attributes: { "aria-hidden": "true" } }, bar),
    element("p", { class: "muted", text: "of the sequences on this page show two people." }),
  );
}

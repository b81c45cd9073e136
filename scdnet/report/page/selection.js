/** What a lasso or a box on the embedding map contains. */

import { classNameOf } from "./cards.js";
import { element, plural } from "./dom.js";
import { textButton } from "./figure.js";
import { countValues } from "./lasso.js";

const MAX_LISTED = 200;

/** Return the heading of a selection of `num` sequences. */
export function selectionTitle(num) {
  return `${plural(num, "sequence")} selected`;
}

/**
 * Return the nodes that list the sequences `rows`: counts by class first, then names.
 *
 * `openInGallery({row})` is called by a click on a name, `clear()` by the button beside the title.
 */
export function selectionNodes(report, rows, openInGallery, clear) {
  const title = element("h3", { text: selectionTitle(rows.length) });
  const button = textButton("Clear", clear, { class: "small" });
  return [
    element("div", { class: "curve-head" }, title, button),
    classCounts(report, rows),
    ...nameList(report, rows, openInGallery),
  ];
}

function classCounts(report, rows) {
  const { label } = report.sequences;
  const items = countValues(rows.map((row) => label[row])).map(([value, num]) => {
    const name = value < 0 ? "your recordings" : report.classNames[value];
    return element("li", {}, element("span", { text: name }), element("strong", { text: num }));
  });
  const options = { class: "count-list", attributes: { "aria-label": "By class" } };
  return element("ul", options, ...items);
}

function nameList(report, rows, openInGallery) {
  const { name } = report.sequences;
  const items = rows.slice(0, MAX_LISTED).map((row) => {
    const open = () => openInGallery({ row });
    const button = textButton(name[row], open, { class: "link-button" });
    button.title = `${classNameOf(report, row)}: open in the gallery`;
    return element("li", {}, button);
  });
  const options = { class: "name-list", attributes: { "aria-label": "Sequences" } };
  const list = element("ul", options, ...items);
  if (rows.length <= MAX_LISTED) return [list];
  const text = `The first ${MAX_LISTED} are listed; draw a smaller shape to see the others.`;
  return [list, element("p", { class: "muted", text })];
}

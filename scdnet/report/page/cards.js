import { element } from "./dom.js";

// A mark is told by an icon, a color and a text.
const MARKS = {
  right: { icon: "✓", text: "same class" },
  wrong: { icon: "✗", text: "other class" },
  query: { icon: "", text: "query" },
};
const stagesOfCards = new WeakMap();

/** Return the name of a sequence's class, or "your recording". */
export function classNameOf(report, row) {
  const label = report.sequences.label[row];
  return label < 0 ? "your recording" : report.classNames[label];
}

/** Make the canvas of a card, which is described by the title and the name below it. */
function makeCanvas(name, mark) {
  const canvas = element("canvas", {
    class: "stage",
    attributes: { role: "img", "aria-label": `Moving skeleton: ${name}` },
  });
  // The camera is the same for all, so that one tab stop a row is enough.
  canvas.tabIndex = mark === "right" || mark === "wrong" ? -1 : 0;
  return canvas;
}

/**
 * Make a figure with the moving skeleton of a sequence and its caption.
 *
 * @param {Player} player
 * @param {object} report the payload
 * @param {number} row
 * @param {{caption?: string, mark?: ?("right"|"wrong"|"query"), detail?: string}} options the
 *   caption is the class if not given; the detail is a small line below the name
 * @returns {HTMLElement}
 */
export function makeCard(player, report, row, { caption = null, mark = null, detail = "" } = {}) {
  const title = caption ?? classNameOf(report, row);
  const name = report.sequences.name[row];
  const card = element("figure", { class: `card ${mark ?? "plain"}`, attributes: { "data-row": row } });
  if (player.motions.has(row)) {
    const canvas = makeCanvas(`${title}, ${name}`, mark);
    stagesOfCards.set(card, player.attach(canvas, row));
    card.append(canvas);
  } else {
    card.append(element("p", { class: "stage left-out", text: "Motion left out of this file" }));
  }
  const lines = element("figcaption");
  lines.append(element("span", { class: "card-title", text: title }));
  lines.append(element("span", { class: "card-name", text: name }));
  if (detail) {
    lines.append(element("span", { class: "card-detail", text: detail }));
  }
  card.append(lines);
  if (mark !== null) {
    const badge = element("span", { class: "badge" });
    badge.append(element("span", { text: MARKS[mark].icon, attributes: { "aria-hidden": "true" } }));
    badge.append(element("span", { class: "badge-text", text: MARKS[mark].text }));
    lines.prepend(badge);
  }
  return card;
}

/** Return the stage of a card, or undefined if its motion was left out. */
export function stageOfCard(card) {
  return stagesOfCards.get(card);
}

/** Detach the stages of all cards inside an element. */
export function detachCards(container) {
  for (const card of container.querySelectorAll(".card")) {
    stagesOfCards.get(card)?.detach();
  }
}

/** Replace what is in a container by cards, and detach the stages of those that go. */
export function fillCards(container, cards) {
  detachCards(container);
  container.replaceChildren(...cards);
}

/** Small helpers that several charts share: SVG elements, canvases, tips, redrawing. */

import { element } from "./dom.js";

const ITEMS_SHOWN = 24;
const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
// The canvas on which texts are measured, made when it is needed first.
const measuring = { context: null };

/** Create an SVG element with `attributes` and children (nodes or text). */
export function svgElement(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG_NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Call `draw(width)` when `host` first has a width in pixels and whenever it changes. */
export function drawAtWidth(host, draw) {
  let last = 0;
  const observer = new ResizeObserver(() => {
    const width = Math.floor(host.clientWidth);
    if (width === 0 || width === last) return;
    last = width;
    draw(width);
  });
  observer.observe(host);
}

/** Clear `canvas`, sharp on this screen, and return its context, which counts CSS pixels. */
export function sizeCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
  // Setting a size allocates the canvas anew, even if it is the same size.
  if (canvas.width !== columns || canvas.height !== rows) {
    canvas.width = columns;
    canvas.height = rows;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Return the width in pixels of `text` in a CSS font. */
export function textWidth(text, font) {
  measuring.context ??= document.createElement("canvas").getContext("2d");
  measuring.context.font = font;
  return measuring.context.measureText(text).width;
}

/** Put `tip` beside pixel (x, y) of its positioned parent, on the side where it fits. */
export function placeTip(tip, x, y, gap = 14) {
  tip.hidden = false;
  const width = tip.offsetWidth;
  const height = tip.offsetHeight;
  const { clientWidth, clientHeight } = tip.offsetParent ?? tip.parentElement;
  const left = x + gap + width <= clientWidth ? x + gap : x - gap - width;
  const top = y - height / 2;
  tip.style.left = `${clamp(left, 0, Math.max(0, clientWidth - width))}px`;
  tip.style.top = `${clamp(top, 0, Math.max(0, clientHeight - height))}px`;
}

/** Return `value` limited to `low`..`high`. */
export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/** Make a `<details>` whose table is built when it is opened first. */
export function tableDetails(summary, caption, header, makeRows) {
  const details = element("details", { class: "numbers" }, element("summary", { text: summary }));
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("table")) return;
    details.append(scrollingTable(caption, header, makeRows()));
  });
  return details;
}

function scrollingTable(caption, header, rows) {
  const head = header.map((text) => element("th", { text, attributes: { scope: "col" } }));
  const body = rows.map((cells) => element("tr", {}, ...cells.map(tableCell)));
  const table = element(
    "table",
    { class: "number-table" },
    element("caption", { text: caption }),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
  // A region that scrolls has to be reachable with the keyboard.
  const attributes = { tabindex: "0", role: "region", "aria-label": caption };
  return element("div", { class: "table-scroll", attributes }, table);
}

function tableCell(text, column) {
  if (column > 0) return element("td", { text });
  return element("th", { text, attributes: { scope: "row" } });
}

/** Make a button of text `text` that calls `onClick`. */
export function textButton(text, onClick, attributes = {}) {
  const button = element("button", { text, attributes: { type: "button", ...attributes } });
  button.addEventListener("click", onClick);
  return button;
}

/** Return a list of class `name` of the first of `items`, and a button that shows all if more. */
export function limitedList(name, items, noun) {
  const list = element("ul", { class: name }, ...items.slice(0, ITEMS_SHOWN));
  if (items.length <= ITEMS_SHOWN) return [list];
  const button = textButton(`Show all ${items.length} ${noun}`, () => {
    list.append(...items.slice(ITEMS_SHOWN));
    // The focus would be lost with the button.
    list.tabIndex = -1;
    list.focus({ preventScroll: true });
    button.remove();
  });
  return [list, button];
}

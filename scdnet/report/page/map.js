/** The embedding map: choices, legend, popover with a moving skeleton, list of a selection. */

import { TRAINING_SPLIT, describeRow, groupRows, groupingChoices } from "./categories.js";
import { classNameOf, fillCards, makeCard } from "./cards.js";
import { element, plural, selectField } from "./dom.js";
import { placeTip, svgElement, textButton } from "./figure.js";
import { MapView } from "./map_view.js";
import { shapeCorners } from "./palette.js";
import { selectionNodes, selectionTitle } from "./selection.js";

const HELP =
  "Point at a sequence to see it move, click to open it in the gallery, drag around " +
  "several to list them. Ctrl + wheel zooms. With the keyboard: arrow keys step from " +
  "point to point, Enter opens, + and \u2212 zoom, 0 shows all.";
const TOUCH_HELP =
  "Tap a sequence to see it move, tap it again to open it in the gallery. Two " +
  "fingers zoom. To select several, set Drag to a lasso or a box.";

/** Fill `root` with the map of `report.maps`; `openInGallery({row})` shows a sequence there. */
export function mountMap(root, report, player, openInGallery) {
  if (report.maps.length === 0) {
    root.append(element("p", { class: "muted", text: "This report has no embedding map." }));
    return;
  }
  root.append(new EmbeddingMap(report, player, openInGallery).content);
}

class EmbeddingMap {
  constructor(report, player, openInGallery) {
    Object.assign(this, { report, player, openInGallery });
    this.map = report.maps[0];
    this.by = "label";
    this.showTraining = false;
    this.highlighted = new Set();
    this.frame = element("div", { class: "map-frame" });
    this.popover = element("div", { class: "tip map-popover" });
    this.popover.hidden = true;
    this.live = element("p", { class: "visually-hidden", attributes: { "aria-live": "polite" } });
    this.legend = element("ul", { class: "map-legend", attributes: { "aria-label": "Legend" } });
    this.note = element("p", { class: "muted map-note" });
    this.list = element("div", { class: "map-selection" });
    this.view = new MapView(this.frame, report.sequences.split, {
      onCurrent: (row, x, y) => this.showCurrent(row, x, y),
      onOpen: (row) => this.openInGallery({ row }),
      onSelect: (rows) => this.listRows(rows),
    });
    this.frame.append(this.popover);
    this.content = this.layOut();
    this.update();
  }

  layOut() {
    const side = element("div", { class: "map-side" }, this.legend);
    const columns = element("div", { class: "map-columns" }, this.frame, side);
    const help = element("p", { class: "muted map-help", text: isTouched() ? TOUCH_HELP : HELP });
    return element("div", {}, this.controls(), columns, this.note, this.live, this.list, help);
  }

  controls() {
    const bar = element("div", { class: "controls map-controls" });
    const { maps } = this.report;
    if (maps.length > 1) {
      bar.append(
        this.choice(
          "Map",
          maps.map((map, i) => [i, map.name]),
          (value) => {
            this.map = maps[Number(value)];
          },
        ),
      );
    }
    const rows = this.rowsOf(this.map, true);
    const groupings = groupingChoices(this.report, rows);
    bar.append(
      this.choice("Color by", groupings, (value) => {
        this.by = value;
        this.highlighted.clear();
      }),
    );
    if (rows.some((row) => this.report.sequences.split[row] === TRAINING_SPLIT)) {
      bar.append(this.trainingBox());
    }
    bar.append(this.modeChoice(), this.zoomButtons());
    return bar;
  }

  choice(label, options, choose) {
    const { field, select } = selectField(label, options);
    select.addEventListener("change", () => {
      choose(select.value);
      this.update();
    });
    return field;
  }

  trainingBox() {
    const box = element("input", { attributes: { type: "checkbox" } });
    box.addEventListener("change", () => {
      this.showTraining = box.checked;
      this.update();
    });
    const text = element("span", { text: "training sequences (hollow)" });
    return element("label", { class: "check" }, box, text);
  }

  modeChoice() {
    const modes = [
      ["lasso", "lasso"],
      ["box", "box"],
      ["move", "pan"],
    ];
    const { field, select } = selectField("Drag", modes);
    // With fingers, dragging has to scroll the page unless the reader chooses otherwise.
    select.value = isTouched() ? "move" : "lasso";
    this.view.setMode(select.value);
    select.addEventListener("change", () => this.view.setMode(select.value));
    return field;
  }

  zoomButtons() {
    const { view } = this;
    return element(
      "div",
      { class: "button-row" },
      textButton("+", () => view.zoom(1.5), { "aria-label": "Zoom in" }),
      textButton("\u2212", () => view.zoom(1 / 1.5), { "aria-label": "Zoom out" }),
      textButton("Show all", () => view.reset()),
      textButton("List visible sequences", () => view.selectInView()),
    );
  }

  rowsOf(map, withTraining) {
    const { split } = this.report.sequences;
    const rows = [...split.keys()].filter((row) => Number.isFinite(map.x[row]));
    return withTraining ? rows : rows.filter((row) => split[row] !== TRAINING_SPLIT);
  }

  update() {
    const all = this.rowsOf(this.map, true);
    const test = this.rowsOf(this.map, false);
    // Without test sequences on the map, the training sequences are all there is.
    const rows = this.showTraining || test.length === 0 ? all : test;
    this.groups = groupRows(this.report, this.by, rows);
    this.view.setData({
      xs: this.map.x,
      ys: this.map.y,
      rows,
      groups: this.groups,
      highlighted: this.highlighted,
      showNames: this.by === "label",
    });
    this.note.textContent = this.map.note ?? "";
    const label = `${this.map.name} map of ${plural(rows.length, "sequence")}. ${HELP}`;
    this.view.overlay.setAttribute("aria-label", label);
    this.drawLegend();
  }

  drawLegend() {
    const items = this.groups.list.map((group, index) => {
      const isOn = this.highlighted.has(index);
      const attributes = { class: "legend-button", "aria-pressed": String(isOn) };
      const button = textButton("", () => this.toggle(index), attributes);
      button.append(
        swatch(group.style),
        element("span", { class: "legend-name", text: group.name }),
        element("span", { class: "legend-num", text: group.num.toLocaleString("en-US") }),
      );
      return element("li", {}, button);
    });
    this.legend.replaceChildren(...items);
  }

  toggle(index) {
    if (!this.highlighted.delete(index)) this.highlighted.add(index);
    [...this.legend.querySelectorAll("button")].forEach((button, i) => {
      button.setAttribute("aria-pressed", String(this.highlighted.has(i)));
    });
    this.view.draw();
  }

  showCurrent(row, x, y) {
    if (row < 0) {
      this.popover.hidden = true;
      fillCards(this.popover, []);
      return;
    }
    const detail = describeRow(this.report, row);
    const card = makeCard(this.player, this.report, row, { detail });
    for (const canvas of card.querySelectorAll("canvas")) canvas.tabIndex = -1;
    fillCards(this.popover, [card]);
    placeTip(this.popover, x, y);
    const { name } = this.report.sequences;
    this.live.textContent = `${classNameOf(this.report, row)}, ${name[row]}, ${detail}`;
  }

  listRows(rows) {
    if (rows.length === 0) {
      this.list.replaceChildren();
      return;
    }
    const clear = () => this.view.select([]);
    this.list.replaceChildren(...selectionNodes(this.report, rows, this.openInGallery, clear));
    this.live.textContent = selectionTitle(rows.length);
  }
}

function isTouched() {
  return matchMedia("(pointer: coarse)").matches;
}

/** Make the small picture of a group's color and shape. */
export function swatch({ color, shape, tone }) {
  const attributes = { class: `swatch category-${color} tone-${tone}` };
  const corners = shapeCorners(shape);
  const mark =
    corners === null
      ? svgElement("circle", { ...attributes, r: 1 })
      : svgElement("polygon", {
          ...attributes,
          points: corners.map((corner) => corner.join()).join(" "),
        });
  const view = { viewBox: "-1.4 -1.4 2.8 2.8", width: 14, height: 14, "aria-hidden": "true" };
  return svgElement("svg", view, mark);
}

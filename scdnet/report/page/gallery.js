import { classNameOf, fillCards, makeCard } from "./cards.js";
import { element, selectField } from "./dom.js";
import { NO_FILTERS, SORTS, isOwn, isRight, queriesOfRow, selectQueries } from "./filters.js";

const QUERIES_PER_PAGE = 6;
const OUTCOMES = [
  ["all", "right and wrong"],
  ["wrong", "wrong only"],
  ["right", "right only"],
];

/** Return the text of a cosine similarity. */
function similarityText(value) {
  return `cosine ${value.toFixed(3)}`;
}

/** Return the mark of a neighbor, or null beside a recording whose class is unknown. */
function markOf(report, query, neighbor) {
  if (isOwn(report, query)) {
    return null;
  }
  const { label } = report.sequences;
  return label[neighbor] === label[report.queries.row[query]] ? "right" : "wrong";
}

/** Return a sentence that says what a row of the gallery shows. */
function rowLabel(report, query) {
  const row = report.queries.row[query];
  const name = `${report.sequences.name[row]}, ${classNameOf(report, row)}`;
  if (isOwn(report, query)) {
    return `Your recording ${report.sequences.name[row]} and its nearest neighbors`;
  }
  const outcome = isRight(report, query) ? "right" : "wrong";
  return `Query ${name}, nearest neighbor ${outcome}, and its nearest neighbors`;
}

/** Make the query and its five nearest, in a row. */
function makeRow(player, report, query) {
  const { row, neighbors, similarity } = report.queries;
  const cards = neighbors[query].map((neighbor, rank) =>
    makeCard(player, report, neighbor, {
      mark: markOf(report, query, neighbor),
      detail: similarityText(similarity[query][rank]),
    }),
  );
  const first = makeCard(player, report, row[query], {
    mark: "query",
    detail: report.queries.note[query],
  });
  const nearest = element("div", { class: "neighbors" }, ...cards);
  return element(
    "div",
    { class: "retrieval", attributes: { role: "group", "aria-label": rowLabel(report, query), "data-query": query } },
    first,
    nearest,
  );
}

/** Make the group of the user's own recordings, or null if there are none. */
function makeOwnGroup(player, report) {
  const queries = report.queries.row.map((_, query) => query).filter((query) => isOwn(report, query));
  if (queries.length === 0) {
    return null;
  }
  const rows = queries.map((query) => makeRow(player, report, query));
  return element("div", { class: "own" }, element("h3", { text: "Your recordings" }), element("p", { class: "muted", text: "Nearest among all known sequences, of the training and the test split." }), ...rows);
}

/** The retrieval gallery: filters, pages and rows of moving skeletons. */
class Gallery {
  constructor(root, report, player) {
    this.report = report;
    this.player = player;
    this.filters = { ...NO_FILTERS };
    this.page = 0;
    // Queries picked elsewhere on the page replace the filters until these are used again.
    this.picked = null;
    this.rows = element("div", { class: "rows" });
    this.status = element("p", { class: "status", attributes: { role: "status" } });
    this.note = this.makeNote();
    const own = makeOwnGroup(player, report);
    root.append(...[own, this.makeControls(), this.note, this.rows, this.makePager()].filter(Boolean));
    this.root = root;
    this.update();
  }

  /** Make the line that says which queries were picked, with a way back to all. */
  makeNote() {
    this.noteText = element("span");
    const all = element("button", { text: "Show all queries", attributes: { type: "button" } });
    all.addEventListener("click", () => this.show(null, ""));
    const note = element("div", { class: "picked" }, this.noteText, all);
    note.hidden = true;
    return note;
  }

  /** Make the filters. */
  makeControls() {
    const used = new Set(this.report.queries.row.map((row) => this.report.sequences.label[row]));
    const classes = [...used].filter((label) => label >= 0);
    classes.sort((a, b) => this.report.classNames[a].localeCompare(this.report.classNames[b], "en"));
    const choices = classes.map((label) => [String(label), this.report.classNames[label]]);
    this.label = selectField("Class", [["", "all classes"], ...choices]);
    this.outcome = selectField("Nearest neighbor", OUTCOMES);
    this.sort = selectField("Order", SORTS);
    this.search = element("input", { attributes: { type: "search", placeholder: "sequence name" } });
    const search = element(
      "label", { class: "field" }, element("span", { class: "field-name", text: "Search" }), this.search);
    for (const control of [this.label.select, this.outcome.select, this.sort.select, this.search]) {
      control.addEventListener("input", () => this.readControls());
    }
    return element(
      "div",
      { class: "controls", attributes: { role: "search", "aria-label": "Queries" } },
      this.label.field, this.outcome.field, this.sort.field, search,
    );
  }

  /** Make the buttons that turn the pages. */
  makePager() {
    this.previous = element("button", { text: "← Previous", attributes: { type: "button" } });
    this.next = element("button", { text: "Next →", attributes: { type: "button" } });
    this.previous.addEventListener("click", () => this.turnPage(-1));
    this.next.addEventListener("click", () => this.turnPage(1));
    return element("div", { class: "pager" }, this.previous, this.status, this.next);
  }

  /** Apply what the user chose. */
  readControls() {
    const label = this.label.select.value;
    const sort = this.sort.select.value;
    // Choosing the random order again shuffles again.
    const seed = this.filters.seed + (sort === "random" && this.filters.sort !== "random" ? 1 : 0);
    this.filters = {
      label: label === "" ? null : Number(label),
      outcome: this.outcome.select.value,
      text: this.search.value,
      sort,
      seed,
    };
    this.show(null, "");
  }

  /** Show the first page of picked queries (or of the filters if null) with a note on them. */
  show(picked, note) {
    this.picked = picked;
    this.page = 0;
    this.noteText.textContent = note;
    this.note.hidden = picked === null;
    this.update();
  }

  /** Go some pages forward. */
  turnPage(step) {
    this.page += step;
    this.update();
    this.rows.scrollIntoView({ block: "start" });
  }

  /** Show the present page. */
  update() {
    const queries = this.picked ?? selectQueries(this.report, this.filters);
    const start = this.page * QUERIES_PER_PAGE;
    const shown = queries.slice(start, start + QUERIES_PER_PAGE);
    fillCards(this.rows, shown.map((query) => makeRow(this.player, this.report, query)));
    this.status.textContent =
      shown.length === 0
        ? "No query matches"
        : `Showing ${start + 1}–${start + shown.length} of ${queries.length.toLocaleString("en-US")}`;
    this.previous.disabled = this.page === 0;
    this.next.disabled = start + QUERIES_PER_PAGE >= queries.length;
  }

  /** Show a query ({query: index into report.queries}) or the queries of a row ({row}). */
  open({ query = null, row = null }) {
    const queries = query === null ? queriesOfRow(this.report, row) : [query];
    if (queries.length > 0 && isOwn(this.report, queries[0])) {
      this.reveal(this.root.querySelector(`.own [data-query="${queries[0]}"]`));
      return;
    }
    this.clearControls();
    this.show(queries.filter((one) => !isOwn(this.report, one)), this.describePick(queries, row));
    this.reveal(this.rows);
  }

  /** Bring part of the gallery into view and move the focus to its first skeleton. */
  reveal(part) {
    part.scrollIntoView({ block: "center" });
    part.querySelector("canvas")?.focus({ preventScroll: true });
  }

  /** Set the filters back to what the page starts with. */
  clearControls() {
    this.filters = { ...NO_FILTERS };
    for (const { select } of [this.label, this.outcome, this.sort]) {
      select.selectedIndex = 0;
    }
    this.search.value = "";
  }

  /** Return a sentence on the queries that were picked elsewhere on the page. */
  describePick(queries, row) {
    const { sequences, queries: all } = this.report;
    if (row === null) {
      return `The query ${sequences.name[all.row[queries[0]]]}.`;
    }
    const name = sequences.name[row];
    if (queries.length === 0) {
      return `${name} is not a query and not among the five nearest of any.`;
    }
    if (all.row[queries[0]] === row && queries.length === 1) {
      return `The query ${name}.`;
    }
    return all.row[queries[0]] === row
      ? `The query ${name}, then the queries that have it among their five nearest.`
      : `${name} is not a query; these have it among their five nearest.`;
  }
}

/**
 * Build the gallery.
 *
 * @returns {function(number|{query: number}|{row: number}): void} openInGallery: clears the
 *   filters and shows one query (a bare number is an index into report.queries), or the queries
 *   in which a row appears
 */
export function mountGallery(root, report, player) {
  const gallery = new Gallery(root, report, player);
  return (what) => gallery.open(typeof what === "number" ? { query: what } : what);
}

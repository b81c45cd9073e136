/** Names of the orders of the gallery, in the order of the menu. */
export const SORTS = [
  ["hard", "hard negatives"],
  ["random", "random"],
  ["name", "by name"],
];

/** The filters that show every query, hard negatives first. */
export const NO_FILTERS = { label: null, outcome: "all", text: "", sort: "hard", seed: 1 };

/** Report whether a query is one of the user's own recordings. */
export function isOwn(report, query) {
  return report.sequences.split[report.queries.row[query]] === 2;
}

/** Report whether the nearest neighbor of a query has its class. */
export function isRight(report, query) {
  const { row, neighbors } = report.queries;
  const { label } = report.sequences;
  return neighbors[query].length > 0 && label[neighbors[query][0]] === label[row[query]];
}

/** Return a function that returns random numbers in [0, 1) made from a seed (mulberry32). */
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Shuffle an array in place. */
function shuffle(items, random) {
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}

/** Sort query indices in place. */
function sortQueries(report, indices, { sort, seed }) {
  const { row, hardness } = report.queries;
  const { name } = report.sequences;
  if (sort === "random") {
    return shuffle(indices, seededRandom(seed));
  }
  if (sort === "name") {
    return indices.sort((a, b) => name[row[a]].localeCompare(name[row[b]], "en"));
  }
  return indices.sort((a, b) => hardness[b] - hardness[a] || a - b);
}

/** Report whether a query passes the filters. */
function passes(report, query, { label, outcome, text }) {
  const row = report.queries.row[query];
  if (label !== null && report.sequences.label[row] !== label) {
    return false;
  }
  if (outcome !== "all" && isRight(report, query) !== (outcome === "right")) {
    return false;
  }
  return report.sequences.name[row].toLowerCase().includes(text.trim().toLowerCase());
}

/**
 * Return the indices of the queries that pass, in the order of the gallery.
 *
 * @param {object} report the payload
 * @param {{label: ?number, outcome: "all"|"right"|"wrong", text: string, sort: string, seed: number}} filters
 * @returns {number[]} indices into report.queries, without the user's own recordings
 */
export function selectQueries(report, filters) {
  const indices = [];
  for (let query = 0; query < report.queries.row.length; query += 1) {
    if (!isOwn(report, query) && passes(report, query, filters)) {
      indices.push(query);
    }
  }
  return sortQueries(report, indices, filters);
}

/**
 * Return the queries in which a sequence appears: its own query first, then those that have it
 * among their neighbors.
 */
export function queriesOfRow(report, row) {
  const own = report.queries.row.indexOf(row);
  const found = own >= 0 ? [own] : [];
  report.queries.neighbors.forEach((rows, query) => {
    if (query !== own && rows.includes(row)) {
      found.push(query);
    }
  });
  return found;
}

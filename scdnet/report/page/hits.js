import { makeCard } from "./cards.js";
import { element } from "./dom.js";

/** Show the query of a search, the first sequence of the page, and its hits, the best first. */
export function mountHits(root, report, player) {
  const { title, detail } = report.hits;
  const [query, ...hits] = title.map((caption, row) =>
    makeCard(player, report, row, {
      caption,
      mark: row === 0 ? "query" : null,
      detail: detail[row],
    }),
  );
  const nearest = element("div", { class: "neighbors" }, ...hits);
  root.append(element("div", { class: "retrieval hits" }, query, nearest));
}

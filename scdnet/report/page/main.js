import { decodeReport, Motions } from "./decode.js";
import { Player } from "./player.js";
import { mountBar } from "./bar.js";
import { mountGallery } from "./gallery.js";
import { mountHits } from "./hits.js";
import { mountHeader } from "./header.js";
import { mountCurves } from "./curves.js";
import { mountMap } from "./map.js";
import { mountConfusion } from "./confusion.js";
import { mountClasses } from "./classes.js";

/** Return the content of a section of the page, or null if the report was written without it. */
function contentOf(id) {
  return document.querySelector(`#${id} > .content`);
}

/** Mount a section if the page has it. */
function mountSection(id, mount) {
  const root = contentOf(id);
  if (root !== null) {
    root.replaceChildren();
    mount(root);
  }
}

/** Build the page from its embedded data, then load the motion block by block. */
async function startPage() {
  mountHeader();
  // Without the script, the sections would be headings without content.
  for (const part of document.querySelectorAll("main, nav")) {
    part.hidden = false;
  }
  const report = await decodeReport(document.getElementById("report-data").textContent);
  const motions = new Motions(report);
  const player = new Player(report, motions);
  mountSection("hits", (root) => mountHits(root, report, player));
  let openInGallery = () => {};
  mountSection("gallery", (root) => {
    openInGallery = mountGallery(root, report, player);
  });
  mountSection("training", (root) => mountCurves(root, report));
  mountSection("map", (root) => mountMap(root, report, player, openInGallery));
  mountSection("confusion", (root) => mountConfusion(root, report, player, openInGallery));
  mountSection("classes", (root) => mountClasses(root, report, player));
  mountBar(document.getElementById("bar"), player);
  window.scdnetReport = { report, motions, player };
  performance.mark("scdnet-mounted");
  const blocks = [...document.querySelectorAll("script.motion-block")];
  await motions.load(blocks.map((block) => block.textContent), () => player.invalidate());
  performance.mark("scdnet-loaded");
  document.documentElement.dataset.ready = "yes";
}

startPage().catch((error) => {
  const problem = document.getElementById("problem");
  problem.textContent =
    `The sections below cannot be drawn (${error.message}). The page needs a browser of 2023 or ` +
    "later.";
  problem.hidden = false;
  throw error;
});

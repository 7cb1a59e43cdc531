// The page of the demo. Asks for the whole state once a second and draws it; nothing is kept that the state
// does not say, but for the last two minutes of the rate.
"use strict";

const stage = document.getElementById("stage");
const columns = new Map(); // scraper id -> element
const blocks = new Map(); // target name -> {element, owner, movedAt}
const rates = []; // {at, delivered}
const HEAD = 66, PAD = 10, GAP = 14, MEAN_HEIGHT = 280, SHOW_MOVE_MS = 4000;
const RATE_POINTS = 120;
let state = null;

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

const number = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));
const megabytes = (bytes) => `${(bytes / 1048576).toFixed(0)} MB`;
const seconds = (value) => `${value.toFixed(1)} s`;

function setText(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

// --- one owner each -------------------------------------------------------------------------------------------

// Where the blocks of one column go: a squarified treemap, so that blocks stay near to squares.
function treemap(items, x, y, width, height) {
  const placed = [];
  let rest = items.slice();
  let scale = (width * height) / rest.reduce((sum, item) => sum + item.weight, 0);
  while (rest.length > 0) {
    const side = Math.min(width, height);
    const worst = (row, sum) => {
      const thickness = (sum * scale) / side;
      return row.reduce((worst, item) => {
        const length = (item.weight * scale) / thickness;
        return Math.max(worst, length / thickness, thickness / length);
      }, 0);
    };
    let row = [rest[0]], sum = rest[0].weight;
    while (row.length < rest.length) {
      const next = rest[row.length];
      if (worst([...row, next], sum + next.weight) > worst(row, sum)) break;
      row.push(next);
      sum += next.weight;
    }
    rest = rest.slice(row.length);
    const thickness = (sum * scale) / side;
    let along = 0;
    for (const item of row) {
      const length = (item.weight * scale) / thickness;
      placed.push(width <= height
        ? { item, x: x + along, y, width: length, height: thickness }
        : { item, x, y: y + along, width: thickness, height: length });
      along += length;
    }
    if (width <= height) { y += thickness; height -= thickness; } else { x += thickness; width -= thickness; }
  }
  return placed;
}

// Area follows the number of samples, softened: 5 and 5,000 series are both to be seen.
const weight = (target) => Math.pow(target.series, 0.75) + 6;

function drawStage() {
  const scrapers = state.scrapers;
  const known = new Set(scrapers.map((scraper) => scraper.id));
  const fallback = scrapers.length > 0 ? scrapers[0].id : null;
  const byOwner = new Map(scrapers.map((scraper) => [scraper.id, []]));
  let total = 0;
  for (const target of state.targets) {
    const w = weight(target);
    total += w;
    const owner = known.has(target.owner) ? target.owner : fallback;
    if (owner !== null && target.owner !== null) byOwner.get(owner).push({ target, weight: w });
  }
  const columnWidth = (stage.clientWidth - GAP * (scrapers.length - 1)) / Math.max(1, scrapers.length);
  const wellWidth = Math.max(20, columnWidth - 2 * PAD);
  const perWeight = (MEAN_HEIGHT * scrapers.length * wellWidth) / Math.max(1, total);
  let tallest = MEAN_HEIGHT;
  scrapers.forEach((scraper, index) => {
    const items = byOwner.get(scraper.id).sort((a, b) => b.weight - a.weight);
    const load = items.reduce((sum, item) => sum + item.weight, 0);
    const wellHeight = (load * perWeight) / wellWidth;
    tallest = Math.max(tallest, wellHeight);
    const left = index * (columnWidth + GAP);
    drawScraper(scraper, items, left, columnWidth, wellHeight);
    if (items.length > 0) {
      for (const place of treemap(items, left + PAD, HEAD, wellWidth, wellHeight)) drawTarget(place, scraper.id);
    }
  });
  for (const [id, column] of columns) {
    if (!known.has(id)) { column.remove(); columns.delete(id); }
  }
  stage.style.height = `${Math.ceil(HEAD + tallest + PAD)}px`;
}

function drawScraper(scraper, items, left, width, wellHeight) {
  let column = columns.get(scraper.id);
  if (!column) {
    column = element("section", "scraper",
      element("header", "", element("span", "lamp"), element("h3", "", scraper.id), element("span", "phase"),
        element("button", "small")),
      element("div", "usage", element("span"), element("span"), element("span")),
      element("div", "well"));
    column.dataset.id = scraper.id;
    column.querySelector("button").type = "button";
    columns.set(scraper.id, column);
    stage.prepend(column);
  }
  column.className = `scraper is-${scraper.phase}`;
  column.style.left = `${left}px`;
  column.style.width = `${width}px`;
  column.style.height = `${HEAD + Math.max(wellHeight, 24) + PAD}px`;
  column.querySelector(".well").style.height = `${Math.max(wellHeight, 24)}px`;
  const down = scraper.phase === "down";
  setText(column.querySelector(".phase"), phaseWords(scraper));
  column.title = down && !scraper.member ? "away for longer than its grace: the others have its targets" : "";
  const button = column.querySelector("button");
  setText(button, down ? "start" : "kill -9");
  button.classList.toggle("danger", !down);
  button.dataset.order = `${down ? "start" : "kill"}/${scraper.id}`;
  button.disabled = scraper.phase === "leaving";
  const samples = items.reduce((sum, item) => sum + item.target.series, 0) / state.interval_seconds;
  const usage = column.querySelectorAll(".usage span");
  setText(usage[0], `${items.length} targets`);
  setText(usage[1], `${number(samples)} samples/s`);
  setText(usage[2], down ? "" : `${megabytes(scraper.rss_bytes)}, ${scraper.cpu_percent.toFixed(1)}% CPU`);
}

function phaseWords(process) {
  if (process.phase === "down") return `down, back in ${process.back_in_seconds} s`;
  return process.phase === "up" ? "" : process.phase;
}

function drawTarget(place, owner) {
  const { target } = place.item;
  let block = blocks.get(target.name);
  if (!block) {
    block = { element: element("div", "target", element("b"), element("span")), owner, movedAt: 0 };
    setText(block.element.firstChild, target.name);
    setText(block.element.lastChild, number(target.series));
    block.element.dataset.target = target.name;
    blocks.set(target.name, block);
    stage.append(block.element);
  }
  if (block.owner !== owner) {
    block.owner = owner;
    block.movedAt = performance.now();
  }
  const moved = block.movedAt > 0 && performance.now() - block.movedAt < SHOW_MOVE_MS;
  const words = ["target", `job-${target.job % 6}`];
  if (moved) words.push("moved");
  if (!target.up) words.push("down");
  if (target.orphan) words.push("orphan");
  block.element.className = words.join(" ");
  const kind = target.kind === "steady" ? "" : `, ${target.kind}`;
  const who = target.orphan ? "scraped by nobody" : `scraped by ${target.owner}`;
  block.element.title = `${target.name}: ${number(target.series)} series${kind}, ${who}${target.up ? "" : ", down"}`;
  block.element.dataset.owner = target.owner;
  const gap = 1.5;
  const style = block.element.style;
  style.transform = `translate(${(place.x + gap / 2).toFixed(1)}px, ${(place.y + gap / 2).toFixed(1)}px)`;
  style.width = `${Math.max(2, place.width - gap).toFixed(1)}px`;
  style.height = `${Math.max(2, place.height - gap).toFixed(1)}px`;
  const named = place.width > 84 && place.height > 22;
  const counted = place.height > (named ? 36 : 20) && place.width > 34;
  block.element.firstChild.hidden = !named;
  block.element.lastChild.hidden = !counted;
  style.padding = named || counted ? "" : "0";
}

// --- the ledger -----------------------------------------------------------------------------------------------

const ENTRIES = [
  ["targets", "targets"], ["series", "series"], ["rate", "samples/s"], ["delivered", "delivered"],
  ["duplicated", "duplicated", "zero"], ["missing", "missing", "zero"], ["out_of_order", "out of order", "zero"],
  ["stale_markers", "stale markers"],
];
const HELP = {
  missing: "served and never arrived, or due and never scraped",
  stale_markers: "written when a series ends: the flapping target does it on purpose, moves must not",
};

function drawLedger() {
  const list = document.querySelector("#ledger dl");
  if (list.children.length === 0) {
    for (const [key, words] of ENTRIES) {
      const entry = element("div", "", element("dt", "", words), element("dd", "", "–"));
      entry.dataset.key = key;
      entry.title = HELP[key] || "";
      list.append(entry);
    }
  }
  const ledger = { ...state.ledger, rate: rateNow() };
  ENTRIES.forEach(([key, , ideal], index) => {
    const entry = list.children[index];
    setText(entry.lastChild, number(ledger[key]));
    const judged = ideal === "zero" && ledger[key] !== null;
    entry.className = judged ? (ledger[key] === 0 ? "good" : "bad") : "";
  });
  setText(document.getElementById("judged"), ledger.missing === null
    ? "Judgement begins when every target has been scraped."
    : `Judged over ${number(ledger.judged_seconds)} s: ${number(ledger.lost)} samples lost on the way, `
      + `${number(ledger.unscraped)} never scraped. Longest without an owner ${seconds(ledger.max_unowned_seconds)}, `
      + `longest with two ${seconds(ledger.max_double_owned_seconds)}.`);
}

// Targets are scraped evenly over an interval: shorter spans would show the noise of single scrapes.
function rateAt(index) {
  const point = rates[index];
  let since = index - 1;
  while (since > 0 && point.at - rates[since].at < state.interval_seconds * 1000) since -= 1;
  return ((point.delivered - rates[since].delivered) * 1000) / Math.max(1, point.at - rates[since].at);
}

function rateNow() {
  return rates.length < 2 ? null : rateAt(rates.length - 1);
}

function drawRate() {
  const values = rates.slice(1).map((_, index) => rateAt(index + 1));
  if (values.length < 2) return;
  const top = Math.max(1, ...values) * 1.1;
  const points = values.map((value, index) => {
    const x = 240 - ((values.length - 1 - index) * 240) / RATE_POINTS;
    return `${x.toFixed(1)},${(80 - (value / top) * 80).toFixed(1)}`;
  });
  const first = points[0].split(",")[0];
  document.querySelector("#rate polyline").setAttribute("points", points.join(" "));
  document.querySelector("#rate polygon").setAttribute("points", `${first},80 ${points.join(" ")} 240,80`);
}

function drawMoves() {
  const list = document.querySelector("#moves ol");
  const newest = state.moves.length > 0 ? String(state.moves[0].number) : "none";
  if (list.dataset.newest === newest) return;
  list.dataset.newest = newest;
  list.replaceChildren(...state.moves.map((move) =>
    element("li", "",
      element("time", "", new Date(move.at).toLocaleTimeString("en-GB")),
      element("b", "", move.target),
      element("span", "", `${move.from} → ${move.to}`))));
  if (state.moves.length === 0) list.append(element("li", "none", "none yet: add a scraper, or kill one"));
}

// --- around it ------------------------------------------------------------------------------------------------

function drawRest() {
  const { allocator, scrapers, targets, jobs, prometheus } = state;
  const chip = document.getElementById("allocator");
  chip.className = `group is-${allocator.phase}`;
  setText(chip.querySelector(".phase"), phaseWords(allocator));
  setText(chip.querySelector(".usage"), allocator.phase === "down" ? "" : megabytes(allocator.rss_bytes));
  chip.querySelector("button").disabled = allocator.phase === "down";

  const orphans = targets.filter((target) => target.orphan).length;
  const up = scrapers.filter((scraper) => scraper.phase === "up").length;
  const sentence = document.getElementById("sentence");
  sentence.className = orphans > 0 && rates.length > 10 ? "bad" : "";
  setText(sentence, `${targets.length} targets, ${up} scrapers, each target every ${state.interval_seconds} s: `
    + (orphans > 0 ? `${orphans} without an owner` : "every one with exactly one owner"));

  const links = document.getElementById("links");
  if (links.children.length === 0) {
    const link = (text, href) => { const a = element("a", "", text); a.href = href; a.target = "_blank"; a.rel = "noopener"; return a; };
    links.append(link("allocator ↗", allocator.url));
    if (prometheus) links.append(link("Prometheus ↗", `${prometheus}/graph?g0.expr=count%20by%20(job)%20(up)&g0.tab=0&g0.range_input=5m`));
  }
  const legend = document.getElementById("jobs");
  if (legend.children.length === 0) {
    legend.append(...jobs.map((job, index) => element("li", "", element("i", `job-${index % 6}`), job)));
    legend.append(element("li", "", "bigger block: more samples per scrape"));
  }
}

function draw() {
  drawStage();
  drawLedger();
  drawRate();
  drawMoves();
  drawRest();
}

async function look() {
  try {
    const answer = await fetch("/api/state");
    state = await answer.json();
    rates.push({ at: state.at, delivered: state.ledger.delivered });
    if (rates.length > RATE_POINTS + 1) rates.shift();
    draw();
  } catch (error) {
    const sentence = document.getElementById("sentence");
    sentence.className = "bad";
    setText(sentence, "the demo has ended, or does not answer");
    console.error(error);
  }
  setTimeout(look, 1000);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-order]");
  if (!button) return;
  const answer = await fetch(`/api/${button.dataset.order}`, { method: "POST", headers: { "X-Muster-Demo": "1" } });
  setText(document.getElementById("answer"), answer.ok ? "" : await answer.text());
});
addEventListener("resize", () => { if (state) drawStage(); });
look();

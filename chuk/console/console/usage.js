// Usage by day and by model, each as a chart with its table beside it.

import { data, failureText } from "./api.js";
import { columns, bars } from "./chart.js";
import { by, make } from "./elements.js";
import { compact, count, money } from "./money.js";

const DAY = 86_400_000;
const WRITTEN = { charged_eur: money, total_tokens: compact, requests: count };
const NARROW = matchMedia("(max-width: 620px)");
const NAMES = { charged_eur: "Cost", total_tokens: "Tokens", requests: "Requests" };

let shown = null;

/** Make the page's controls work. */
export function startUsage() {
  by("span").addEventListener("change", showUsage);
  by("measure").addEventListener("change", drawUsage);
  NARROW.addEventListener("change", drawUsage);
}

/** Fetch and draw. */
export async function showUsage() {
  const failure = by("usage-failure");
  failure.hidden = true;
  const days = Number(by("span").value);
  const first = new Date(Date.now() - (days - 1) * DAY).toISOString().slice(0, 10);
  try {
    const [byDay, byModel] = await Promise.all(
      ["day", "model"].map((each) => data({ path: `/v1/user/usage?by=${each}&from=${first}` })),
    );
    shown = { days: everyDay(byDay.sums, first, days), models: byModel.sums };
    drawUsage();
  } catch (error) {
    failure.textContent = failureText(error);
    failure.hidden = false;
    shown = null;
    by("charts").replaceChildren();
  }
}

function drawUsage() {
  if (shown === null) return;
  const { days, models } = shown;
  const width = NARROW.matches ? 340 : 640;
  const measure = by("measure").value;
  const write = WRITTEN[measure];
  const name = NAMES[measure];
  const ranked = [...models].sort((one, other) => other[measure] - one[measure]);
  by("charts").replaceChildren(
    panel(`${name} by day`, "Day", columns(days, measure, write, name, width), days.filter((day) => day.requests).reverse()),
    panel(`${name} by model`, "Model", bars(ranked, measure, write, name, width), ranked),
  );
}

/** Days on which nothing was asked are days too. */
function everyDay(sums, first, days) {
  const known = new Map(sums.map((sum) => [sum.key, sum]));
  const start = Date.parse(first);
  return Array.from({ length: days }, (_, number) => {
    const key = new Date(start + number * DAY).toISOString().slice(0, 10);
    return known.get(key) ?? { key, requests: 0, prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, charged_eur: 0 };
  });
}

function panel(title, keyName, chart, rows) {
  const total = rows.reduce((sum, row) => sum + row.charged_eur, 0);
  return make(
    "section",
    { class: "panel", "aria-label": title },
    make("h3", {}, title),
    make("div", { class: "panel-body" }, chart, table(title, keyName, rows, total)),
  );
}

function table(title, keyName, rows, total) {
  const head = [keyName, "Requests", "Tokens", "Cost"];
  const cell = (name, column, text) => make(name, { class: column ? "number" : null, scope: name === "th" ? "col" : null }, text);
  const line = (row) => [row.key, count(row.requests), count(row.total_tokens), money(row.charged_eur)];
  const body = rows.length
    ? rows.map((row) => make("tr", {}, ...line(row).map((text, column) => cell("td", column, text))))
    : [make("tr", {}, make("td", { colspan: 4 }, "Nothing yet. Ask something, then come back."))];
  return make(
    "div",
    { class: "scrolls", tabindex: 0, role: "region", "aria-label": `${title}, as a table` },
    make(
      "table",
      {},
      make("caption", {}, `All of it: ${money(total)}`),
      make("thead", {}, make("tr", {}, ...head.map((text, column) => cell("th", column, text)))),
      make("tbody", {}, ...body),
    ),
  );
}

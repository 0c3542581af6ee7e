// Two kinds of charts, drawn for a place of so many pixels, with which they then scale.

import { draw, make } from "./elements.js";

const HEIGHT = 240;
const LETTER = 7.2;
const WIDEST_DAY = 64;
const TOP = 12;
const BOTTOM = 28;
const STEPS = 4;
const ROW = 44;
// Euros are counted in millionths.
const SMALLEST = { charged_eur: 1e-6 };

/** Columns over time. Each row has `key`, a day, and a number under `measure`. */
export function columns(rows, measure, write, name, width) {
  const largest = Math.max(...rows.map((row) => row[measure]), 0);
  const line = niceStep(largest / STEPS, SMALLEST[measure] ?? 1);
  const values = Array.from({ length: Math.max(1, Math.ceil(largest / line)) + 1 }, (_, number) => line * number);
  const top = values.at(-1);
  const space = HEIGHT - TOP - BOTTOM;
  const left = 12 + LETTER * Math.max(...values.map((value) => write(value).length));
  const step = (width - left) / rows.length;
  const y = (value) => TOP + space * (1 - value / top);
  const parts = [];
  for (const value of values) {
    parts.push(draw("line", { x1: left, x2: width, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(draw("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, write(value)));
  }
  const every = Math.ceil((rows.length * WIDEST_DAY) / (width - left));
  rows.forEach((row, number) => {
    const x = left + number * step;
    const tall = row[measure] > 0 ? Math.max(2, HEIGHT - BOTTOM - y(row[measure])) : 0;
    const title = draw("title", {}, `${row.key}: ${write(row[measure])}`);
    parts.push(
      draw("rect", { x: x + step * 0.14, y: HEIGHT - BOTTOM - tall, width: step * 0.72, height: tall, rx: 1.5, class: "mark-of" }, title),
    );
    // Counted from the end: of all days today is the one to be named.
    if ((rows.length - 1 - number) % every === 0) {
      const isAtEdge = x + step / 2 + WIDEST_DAY / 2 > width;
      const place = { x: isAtEdge ? width : x + step / 2, "text-anchor": isAtEdge ? "end" : "middle" };
      parts.push(draw("text", { ...place, y: HEIGHT - 8 }, dayName(row.key)));
    }
  });
  const busy = rows.filter((row) => row[measure] > 0).length;
  return chart(width, HEIGHT, `${name} by day: ${rows.length} days, something on ${busy} of them.`, parts);
}

/** One bar for each row, the largest first, its name above it. */
export function bars(rows, measure, write, name, width) {
  const shown = rows.slice(0, 8);
  const top = Math.max(...shown.map((row) => row[measure]), 0) || 1;
  const parts = [];
  shown.forEach((row, number) => {
    const y = number * ROW;
    const long = row[measure] > 0 ? Math.max(2, (row[measure] / top) * width) : 0;
    parts.push(draw("text", { x: 0, y: y + 14, class: "name" }, row.key));
    parts.push(draw("text", { x: width, y: y + 14, "text-anchor": "end", class: "value" }, write(row[measure])));
    parts.push(draw("rect", { x: 0, y: y + 21, width: width, height: 9, rx: 2, class: "track" }));
    parts.push(draw("rect", { x: 0, y: y + 21, width: long, height: 9, rx: 2, class: "mark-of" }));
  });
  const most = shown.length ? ` Most: ${shown[0].key}, ${write(shown[0][measure])}.` : "";
  return chart(width, Math.max(1, shown.length) * ROW, `${name} by model: ${rows.length} models.${most}`, parts);
}

function chart(width, height, says, parts) {
  const drawing = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": says }, ...parts);
  return make("figure", { class: "chart" }, drawing);
}

/** The distance of two lines: 1, 2 or 5 times a power of ten, not below what there is. */
function niceStep(wanted, smallest) {
  if (wanted <= smallest) return smallest;
  const unit = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].find((each) => each * unit >= wanted) * unit;
}

function dayName(key) {
  return new Date(`${key}T00:00:00Z`).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: "UTC" });
}

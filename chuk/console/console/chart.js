// Two kinds of charts. Their sizes are in units of the drawing, which scales with its place.

import { draw, make } from "./elements.js";

const WIDTH = 640;
const HEIGHT = 240;
const LEFT = 64;
const TOP = 12;
const BOTTOM = 28;
const STEPS = 4;
const ROW = 44;

/** Columns over time. Each row has `key`, a day, and a number under `measure`. */
export function columns(rows, measure, write, name) {
  const top = niceTop(Math.max(...rows.map((row) => row[measure]), 0));
  const space = HEIGHT - TOP - BOTTOM;
  const step = (WIDTH - LEFT) / rows.length;
  const y = (value) => TOP + space * (1 - value / top);
  const parts = [];
  for (let line = 0; line <= STEPS; line += 1) {
    const value = (top * line) / STEPS;
    parts.push(draw("line", { x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(draw("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, write(value)));
  }
  const every = Math.ceil(rows.length / 6);
  rows.forEach((row, number) => {
    const x = LEFT + number * step;
    const tall = row[measure] > 0 ? Math.max(2, HEIGHT - BOTTOM - y(row[measure])) : 0;
    const title = draw("title", {}, `${row.key}: ${write(row[measure])}`);
    parts.push(
      draw("rect", { x: x + step * 0.14, y: HEIGHT - BOTTOM - tall, width: step * 0.72, height: tall, rx: 1.5, class: "mark-of" }, title),
    );
    if (number % every === 0) {
      parts.push(draw("text", { x: x + step / 2, y: HEIGHT - 8, "text-anchor": "middle" }, dayName(row.key)));
    }
  });
  const busy = rows.filter((row) => row[measure] > 0).length;
  return chart(HEIGHT, `${name} by day: ${rows.length} days, something on ${busy} of them.`, parts);
}

/** One bar for each row, the largest first, its name above it. */
export function bars(rows, measure, write, name) {
  const shown = rows.slice(0, 8);
  const top = Math.max(...shown.map((row) => row[measure]), 0) || 1;
  const parts = [];
  shown.forEach((row, number) => {
    const y = number * ROW;
    const long = Math.max(2, (row[measure] / top) * WIDTH);
    parts.push(draw("text", { x: 0, y: y + 14, class: "name" }, row.key));
    parts.push(draw("text", { x: WIDTH, y: y + 14, "text-anchor": "end", class: "value" }, write(row[measure])));
    parts.push(draw("rect", { x: 0, y: y + 21, width: WIDTH, height: 9, rx: 2, class: "track" }));
    parts.push(draw("rect", { x: 0, y: y + 21, width: long, height: 9, rx: 2, class: "mark-of" }));
  });
  const most = shown.length ? ` Most: ${shown[0].key}, ${write(shown[0][measure])}.` : "";
  return chart(Math.max(1, shown.length) * ROW, `${name} by model: ${rows.length} models.${most}`, parts);
}

function chart(height, says, parts) {
  const drawing = draw("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": says }, ...parts);
  return make("figure", { class: "chart" }, drawing);
}

/** The end of an axis: a round number that is not below the largest value. */
function niceTop(largest) {
  if (largest <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(largest));
  return [1, 2, 4, 5, 8, 10].find((each) => each * unit >= largest) * unit;
}

function dayName(key) {
  return new Date(`${key}T00:00:00Z`).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: "UTC" });
}

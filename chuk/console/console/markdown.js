// Markdown to elements, for what a model wrote. It makes elements and text nodes and nothing else:
// no markup of the text's own, no picture, no address but http, https and mailto.

import { make } from "./elements.js";
import { inline } from "./markdown_inline.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}>\s?/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)+\|?\s*$|^\s*\|\s*:?-+:?\s*\|\s*$/;
const DEEPEST = 8;

/** The elements of a whole text. */
export function rendered(text) {
  return blocks(text.replaceAll("\r\n", "\n").split("\n"), 0);
}

function blocks(lines, depth) {
  const made = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [element, next] = block(lines, at, depth);
    made.push(element);
    at = next;
  }
  return made;
}

function block(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return code(lines, at, fence);
  const heading = HEADING.exec(line);
  // The page's own headings come first: an answer's begin below them.
  if (heading) return [make(`h${Math.min(heading[1].length + 3, 6)}`, {}, ...inline(heading[2])), at + 1];
  if (RULE.test(line)) return [make("hr"), at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return listing(lines, at, depth);
  if (line.includes("|") && DIVIDER.test(lines[at + 1] ?? "")) return table(lines, at);
  return paragraph(lines, at, depth);
}

function code(lines, at, [, mark, language]) {
  let end = at + 1;
  const closes = (line) => line.trim().startsWith(mark) && !line.trim().replaceAll(mark[0], "");
  while (end < lines.length && !closes(lines[end])) end += 1;
  const label = language ? `Code, ${language}` : "Code";
  const body = make("code", {}, lines.slice(at + 1, end).join("\n"));
  return [make("pre", { tabindex: 0, role: "region", "aria-label": label }, body), end + 1];
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inside = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [make("blockquote", {}, ...blocks(inside, depth + 1)), end];
}

function listing(lines, at, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const isOrdered = /\d/.test(mark);
  const first = Number.parseInt(mark, 10);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (!item || item[1].length !== indent.length || /\d/.test(item[2]) !== isOrdered) break;
    const [inside, next] = itemLines(lines, end, indent.length, item[3]);
    items.push(make("li", {}, ...itemContent(inside, depth)));
    end = next;
  }
  const start = isOrdered && first !== 1 ? { start: first } : {};
  return [make(isOrdered ? "ol" : "ul", start, ...items), end];
}

/** The lines of one item, without its own indentation, and where the next one may begin. */
function itemLines(lines, at, indent, opening) {
  const inside = [opening];
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    const depth = line.length - line.trimStart().length;
    if (!line.trim()) {
      const following = lines[end + 1] ?? "";
      if (!following.trim() || following.length - following.trimStart().length <= indent) break;
      inside.push("");
    } else if (depth > indent) {
      inside.push(line.slice(Math.min(depth, indent + 2)));
    } else {
      break;
    }
  }
  while (end < lines.length && !lines[end].trim() && ITEM.test(lines[end + 1] ?? "")) end += 1;
  return [inside, end];
}

/** An item of a single paragraph is not one: its text stands in the item itself. */
function itemContent(lines, depth) {
  const made = blocks(lines, depth + 1);
  if (made.length > 0 && made[0].tagName === "P") made.splice(0, 1, ...made[0].childNodes);
  return made;
}

function table(lines, at) {
  const head = cells(lines[at]);
  let end = at + 2;
  const rows = [];
  for (; end < lines.length && lines[end].includes("|"); end += 1) rows.push(cells(lines[end]));
  const line = (name, row) => head.map((_, column) => make(name, name === "th" ? { scope: "col" } : {}, ...inline(row[column] ?? "")));
  const body = make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...line("th", head))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...line("td", row)))),
  );
  return [make("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Table" }, body), end];
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll(String.raw`\|`, "|"));
}

function paragraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !interrupts(lines, end, depth)) end += 1;
  return [make("p", {}, ...inline(lines.slice(at, end).map((line) => line.trimStart()).join("\n"))), end];
}

function interrupts(lines, at, depth) {
  const line = lines[at];
  const opens = FENCE.test(line) || HEADING.test(line) || RULE.test(line);
  return opens || (depth < DEEPEST && (QUOTE.test(line) || /^\s*([-*+]|1[.)])\s+\S/.test(line)));
}

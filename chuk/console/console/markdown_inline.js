// The inside of a paragraph: code, emphasis, links. See markdown.js.

import { make } from "./elements.js";

const SAFE = new Set(["http:", "https:", "mailto:"]);
const DEEPEST = 6;
// Nobody writes such paragraphs; to look for the ends of all that seems to begin in them takes long.
const LONGEST = 6000;

// Each with where its text is; the first that begins earliest wins.
const SPANS = [
  { kind: "code", pattern: /(`+)(?!`)([\s\S]*?[^`])\1(?!`)/ },
  { kind: "link", pattern: /!?\[((?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\(\s*<?((?:[^\s()<>]|\([^\s()]*\))+)>?(?:\s+"[^"]*")?\s*\)/ },
  { kind: "address", pattern: /<?(https?:\/\/[^\s<>()]+[^\s<>().,;:!?'"*_`\]])>?/ },
  { kind: "strong", pattern: /(\*\*|__)(?=\S)([\s\S]*?\S)\1/ },
  { kind: "emphasis", pattern: /(?<![\w*])(\*)(?=[^\s*])([^*]*?[^\s*])\*(?!\*)|(?<![\w_])(_)(?=[^\s_])([^_]*?[^\s_])_(?![\w_])/ },
  { kind: "struck", pattern: /(~~)(?=\S)([\s\S]*?\S)~~/ },
  { kind: "escaped", pattern: /\\([!-/:-@[-`{-~])/ },
  { kind: "break", pattern: /(?: {2,}|\\)\n|\n/ },
];

/** The nodes of a line of text. */
export function inline(text, depth = 0) {
  const nodes = [];
  let rest = text;
  while (rest) {
    const found = depth < DEEPEST && text.length < LONGEST ? earliest(rest) : null;
    if (found === null) {
      nodes.push(rest);
      break;
    }
    const { kind, match } = found;
    if (match.index > 0) nodes.push(rest.slice(0, match.index));
    nodes.push(span(kind, match, depth));
    rest = rest.slice(match.index + match[0].length);
  }
  return nodes;
}

function earliest(text) {
  let best = null;
  for (const { kind, pattern } of SPANS) {
    const match = pattern.exec(text);
    if (match !== null && (best === null || match.index < best.match.index)) best = { kind, match };
  }
  return best;
}

function span(kind, match, depth) {
  switch (kind) {
    case "code":
      return make("code", {}, match[2].trim());
    case "link":
      return link(match[1], match[2], depth);
    case "address":
      return anchor(match[1], [match[1]]);
    case "strong":
      return make("strong", {}, ...inline(match[2], depth + 1));
    case "emphasis":
      return make("em", {}, ...inline(match[2] ?? match[4], depth + 1));
    case "struck":
      return make("s", {}, ...inline(match[2], depth + 1));
    case "escaped":
      return match[1];
    default:
      return match[0].length > 1 ? make("br") : "\n";
  }
}

/** A link, or its words alone when it leads where none may. A picture is a link to it. */
function link(words, address, depth) {
  const inside = inline(words || address, depth + 1);
  return anchor(address, inside) ?? make("span", {}, ...inside);
}

function anchor(address, inside) {
  let parsed;
  try {
    parsed = new URL(address);
  } catch {
    return null; // It leads nowhere.
  }
  if (!SAFE.has(parsed.protocol)) return null;
  return make("a", { href: parsed.href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...inside);
}

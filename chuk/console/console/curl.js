// The same request for a terminal.

const MASKED = "$TOKEN";

// Linux gives one word of a command at most 128 KiB, and a character may take three bytes.
const LONGEST_WORD = 40_000;
const LONGEST_DATA = 160;
const SHOWN_DATA = 48;
const END = "END_OF_BODY";

/** A shell's single-quoted word. */
export function quoted(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * The same request with its pictures cut short, to be looked at, and how many were.
 *
 * @returns {{request: object, cut: number}}
 */
export function shortened(request) {
  let cut = 0;
  const short = (value) => {
    if (typeof value === "string") {
      if (!value.startsWith("data:") || value.length <= LONGEST_DATA) return value;
      cut += 1;
      return `${value.slice(0, SHOWN_DATA)}… ${value.length - SHOWN_DATA} characters more`;
    }
    if (Array.isArray(value)) return value.map(short);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, short(each)]));
  };
  return { request: request.json === undefined ? request : { ...request, json: short(request.json) }, cut };
}

/**
 * The curl command of a request. A body too long for a command's word is given on standard input.
 *
 * @param {string} shownToken the token itself; empty: the shell's variable TOKEN instead.
 */
export function curlOf({ method, path, json, form, headers, socket }, origin, shownToken = "") {
  const bearer = shownToken ? quoted(`Authorization: Bearer ${shownToken}`) : `"Authorization: Bearer ${MASKED}"`;
  const lines = [`curl -N ${quoted(origin + path)}`, `-H ${bearer}`];
  if (socket) lines[0] = `# The same turn over SSE:\ncurl -N ${quoted(`${origin}/v1/ai/chat`)}`;
  else if (method !== "GET" && method !== "POST") lines[0] = `curl -X ${method} ${quoted(origin + path)}`;
  for (const [name, value] of Object.entries(headers ?? {})) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  const body = json === undefined ? "" : JSON.stringify(json);
  const isLong = body.length > LONGEST_WORD;
  if (body) lines.push(isLong ? `-d @- <<'${END}'` : `-d ${quoted(body)}`);
  for (const [name, value] of form?.entries() ?? []) {
    const content = typeof value === "string" ? value : `@${value.name}`;
    lines.push(`-F ${quoted(`${name}=${content}`)}`);
  }
  // A JSON text is one line here, so that none of it can be the end.
  return lines.join(" \\\n  ") + (isLong ? `\n${body}\n${END}` : "");
}

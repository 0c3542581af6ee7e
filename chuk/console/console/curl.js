// The same request for a terminal.

const MASKED = "$TOKEN";

/** A shell's single-quoted word. */
export function quoted(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * The curl command of a request.
 *
 * @param {string} shownToken the token itself; empty: the shell's variable TOKEN instead.
 */
export function curlOf({ method, path, json, form, headers, socket }, origin, shownToken = "") {
  const bearer = shownToken ? quoted(`Authorization: Bearer ${shownToken}`) : `"Authorization: Bearer ${MASKED}"`;
  const lines = [`curl -N ${quoted(origin + path)}`, `-H ${bearer}`];
  if (socket) lines[0] = `# The same turn over SSE:\ncurl -N ${quoted(`${origin}/v1/ai/chat`)}`;
  else if (method !== "GET" && method !== "POST") lines[0] = `curl -X ${method} ${quoted(origin + path)}`;
  for (const [name, value] of Object.entries(headers ?? {})) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (json !== undefined) lines.push(`-d ${quoted(JSON.stringify(json))}`);
  for (const [name, value] of form?.entries() ?? []) {
    const content = typeof value === "string" ? value : `@${value.name}`;
    lines.push(`-F ${quoted(`${name}=${content}`)}`);
  }
  return lines.join(" \\\n  ");
}

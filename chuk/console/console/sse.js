// Server-sent events from a fetched body (https://html.spec.whatwg.org/#event-stream-interpretation).
// EventSource can neither POST nor send a token.

/**
 * Yield `{id, data}` for each event of a body, as it arrives.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @throws {TypeError} when the connection breaks.
 */
export async function* serverEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      // The last one is not whole yet: an event counts once its empty line is there.
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parsed(block);
        if (event.data) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // It is broken already, and that was told.
  }
}

function parsed(block) {
  const event = { id: "", data: "" };
  for (const line of block.split("\n")) {
    if (line.startsWith("id: ")) event.id = line.slice(4);
    else if (line.startsWith("data: ")) event.data += line.slice(6);
  }
  return event;
}

// A turn over one lasting WebSocket, and over the next one when that breaks.

import { newKey } from "./api.js";
import { Patience } from "./patience.js";
import { token } from "./token.js";
import { newExchange } from "./wire.js";

const PATH = "/v1/ai/chat/ws";

let shared = null;

/** The socket that all turns use; a new one where there is none. Resolves once it is open. */
function openSocket() {
  if (shared !== null && shared.readyState <= WebSocket.OPEN) return opened(shared);
  const address = new URL(`${PATH}?profile=envelope`, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  shared = new WebSocket(address);
  return opened(shared);
}

function opened(socket) {
  if (socket.readyState === WebSocket.OPEN) return Promise.resolve(socket);
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", () => resolve(socket), { once: true });
    socket.addEventListener("close", () => reject(new TypeError("closed")), { once: true });
  });
}

/** Close it: whoever signs out takes their turns along. */
export function closeSocket() {
  shared?.close(1000);
  shared = null;
}

/** One turn, like `SseTurn`. */
export class SocketTurn {
  #body;
  #watcher;
  #id = newKey();
  #stream = "";
  #count = 0;
  #socket = null;
  #wantsStop = false;

  constructor(body, watcher) {
    this.#body = body;
    this.#watcher = watcher;
  }

  async stop() {
    this.#wantsStop = true;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send({ type: "cancel", id: this.#id });
  }

  async *events() {
    const patience = new Patience();
    for (;;) {
      try {
        this.#socket = await openSocket();
        const exchange = this.#ask();
        const lost = patience.reached();
        if (lost !== null) this.#watcher.back(lost);
        for await (const event of messages(this.#socket, this.#id, exchange, () => this.#count)) {
          patience.progress();
          if (event.done || event.error) {
            exchange.over();
            yield event;
            return;
          }
          this.#count += 1;
          if (event.stream) this.#stream = event.stream.id;
          yield event;
        }
        exchange.failed("cut");
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
      this.#watcher.lost();
      await patience.wait();
    }
  }

  #ask() {
    const isNew = !this.#stream;
    // Until something has arrived, it is asked for again under the same key, and paid once.
    const message = isNew
      ? { ...this.#body, id: this.#id, idempotent: true }
      : { type: "resume", stream: this.#stream, after: this.#count, id: this.#id };
    const exchange = newExchange({ method: "WS", path: PATH, json: this.#body, headers: { "Content-Type": "application/json" }, socket: true });
    exchange.began(isNew ? "open" : "resume");
    this.#send({ ...message, token: token() });
    if (this.#wantsStop) this.stop();
    return exchange;
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }
}

/** Yield this turn's events until the socket closes. */
async function* messages(socket, id, exchange, count) {
  const arrived = [];
  let wake = () => {};
  const leave = new AbortController();
  const options = { signal: leave.signal };
  socket.addEventListener("message", ({ data }) => {
    const { id: theirs, ...event } = JSON.parse(data);
    // An error without a name is of a message that could not be read; then it was ours.
    if (theirs !== id && !(theirs === undefined && event.error)) return;
    arrived.push([event, data]);
    wake();
  }, options);
  socket.addEventListener("close", () => wake(), options);
  try {
    for (;;) {
      while (arrived.length) {
        const [event, raw] = arrived.shift();
        exchange.event(event.done ? "" : String(count() + 1), raw);
        yield event;
      }
      if (socket.readyState > WebSocket.OPEN) return;
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    leave.abort();
  }
}

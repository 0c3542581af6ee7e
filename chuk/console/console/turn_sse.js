// A turn over server-sent events that survives its connections.

import { ApiError, newKey, send } from "./api.js";
import { Patience } from "./patience.js";
import { serverEvents } from "./sse.js";

const RESTARTING = "SERVICE_UNAVAILABLE";
const PASSING = new Set([429, 503]);

/** One turn: iterate over `events()`; `stop()` ends it at the server. */
export class SseTurn {
  #body;
  #watcher;
  #key = newKey();
  #stream = "";
  #last = 0;
  #wantsStop = false;

  /**
   * @param {object} body what is asked for; null for an answer that is coming already.
   * @param {{lost: Function, back: Function}} watcher told when the connection breaks and is back.
   * @param {string} stream the name of an answer that is coming already.
   */
  constructor(body, watcher, stream = "") {
    this.#body = body;
    this.#watcher = watcher;
    this.#stream = stream;
  }

  /** Stop the answer; what it has taken by then is settled, and its last events still come. */
  async stop() {
    this.#wantsStop = true;
    if (this.#stream) await this.#stopAtServer();
  }

  /** Yield each event's object; the last one has `done` or `error`. */
  async *events() {
    const patience = new Patience();
    for (;;) {
      let wait = 0;
      let exchange = null;
      try {
        const asked = await this.#ask();
        exchange = asked.exchange;
        const lost = patience.reached();
        if (lost !== null) this.#watcher.back(lost);
        for await (const { id, data } of serverEvents(asked.answer.body)) {
          exchange.event(id, data);
          patience.progress();
          if (data === "[DONE]") {
            exchange.over();
            yield { done: true };
            return;
          }
          const event = JSON.parse(data);
          // Without a number it is not the answer's end, but that of this server: it goes on at another.
          if (!id && event.error?.code === RESTARTING) break;
          this.#note(id);
          if (event.error) exchange.over();
          yield event;
          if (event.error) return;
        }
      } catch (error) {
        if (error instanceof ApiError) {
          if (!patience.isTried || !PASSING.has(error.status)) throw error;
          wait = (error.retryAfter ?? 1) * 1000;
        } else if (!(error instanceof TypeError)) {
          throw error;
        }
      }
      exchange?.failed("cut");
      this.#watcher.lost();
      await patience.wait(wait);
    }
  }

  #ask() {
    if (!this.#stream) {
      // Nothing has arrived: whether the request did, nobody knows. With the same key it is the same.
      return send({
        method: "POST",
        path: "/v1/ai/chat",
        json: this.#body,
        headers: { "Idempotency-Key": this.#key },
      });
    }
    return send({
      path: `/v1/ai/chat/streams/${this.#stream}`,
      headers: this.#last ? { "Last-Event-ID": `${this.#stream}:${this.#last}` } : {},
    });
  }

  #note(id) {
    const [stream, number] = id.split(":");
    if (!number) return;
    const isNew = !this.#stream;
    this.#stream = stream;
    this.#last = Number(number);
    if (isNew && this.#wantsStop) this.#stopAtServer();
  }

  async #stopAtServer() {
    const { answer, exchange } = await send({
      method: "DELETE",
      path: `/v1/ai/chat/streams/${this.#stream}`,
    });
    exchange.told(await answer.json());
    exchange.over();
  }
}

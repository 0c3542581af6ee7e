// What goes over the wire, beside everything: each request, its curl, its raw events.

import { by, make } from "./elements.js";
import { copyButton } from "./copying.js";
import { curlOf, shortened } from "./curl.js";
import { token } from "./token.js";

const MOST_EXCHANGES = 30;
const MOST_LINES = 1500;
const LONGEST_LINE = 4000;
// What a curl command with a long file is cut to on the page; it is copied whole.
const LONGEST_SHOWN = 2400;

const list = () => by("exchanges");
const mayShowToken = () => by("show-token").checked;

/** One request and what came of it. */
class Exchange {
  #request;
  #started = performance.now();
  #state = make("span", { class: "state" }, "…");
  #events = make("ol", { class: "events" });
  #command = make("code");
  #cutNote = make("p", { class: "hint", hidden: true });
  #unwritten = [];

  constructor(request) {
    this.#request = request;
    const said = () => this.#curl(this.#request);
    this.element = make(
      "details",
      { class: "exchange", open: true },
      make("summary", {}, make("b", {}, request.method), ` ${request.path} `, this.#state),
      make(
        "div",
        { class: "curl" },
        make("pre", { tabindex: 0, role: "region", "aria-label": `curl of ${request.path}` }, this.#command),
        this.#cutNote,
        copyButton(said, `curl of ${request.path}`, "Copy curl"),
      ),
      this.#events,
    );
    this.writeCommand();
  }

  writeCommand() {
    const { request, cut } = shortened(this.#request);
    const command = this.#curl(request);
    const isCut = command.length > LONGEST_SHOWN;
    this.#command.textContent = isCut ? `${command.slice(0, LONGEST_SHOWN)} …` : command;
    const what = [];
    if (cut) what.push(cut === 1 ? "a picture is cut short" : `${cut} pictures are cut short`);
    if (isCut) what.push("the end is missing");
    this.#cutNote.hidden = !what.length;
    this.#cutNote.textContent = `To be looked at only: ${what.join(", and ")}. It is copied whole.`;
  }

  /** The head of the answer is there. */
  began(status) {
    this.#say(String(status), status >= 400);
  }

  /** One event, as it came. */
  event(id, text) {
    this.#unwritten.push([id, text]);
    if (this.#unwritten.length === 1) requestAnimationFrame(() => this.#write());
  }

  /** One whole JSON answer. */
  told(body) {
    this.event("", JSON.stringify(body));
  }

  over() {
    const seconds = (performance.now() - this.#started) / 1000;
    this.#state.textContent += ` · ${seconds.toFixed(2)} s`;
  }

  failed(why) {
    this.#say(why, true);
  }

  #say(text, isBad) {
    this.#state.textContent = text;
    this.#state.classList.toggle("bad", isBad);
  }

  #curl(request) {
    return curlOf(request, location.origin, mayShowToken() ? token() : "");
  }

  #write() {
    const box = list();
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
    const lines = this.#unwritten.splice(0).slice(-MOST_LINES);
    this.#events.append(...lines.map(([id, text]) => eventLine(id, text)));
    while (this.#events.childElementCount > MOST_LINES) this.#events.firstElementChild.remove();
    if (atEnd) box.scrollTop = box.scrollHeight;
  }
}

function eventLine(id, text) {
  const number = id.slice(id.lastIndexOf(":") + 1);
  const kind = /^\{"(\w+)"/.exec(text)?.[1] ?? "end";
  const shown = text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE)} …` : text;
  return make("li", { "data-kind": kind }, make("span", { class: "count" }, number), make("code", {}, shown));
}

/** Show a request that goes out now. */
export function newExchange(request) {
  const exchange = new Exchange(request);
  const box = list();
  for (const old of box.querySelectorAll(":scope > details[open]")) old.open = false;
  box.append(exchange.element);
  exchange.element.rewrite = () => exchange.writeCommand();
  while (box.childElementCount > MOST_EXCHANGES) box.firstElementChild.remove();
  box.scrollTop = box.scrollHeight;
  return exchange;
}

/** Make the panel's own controls work. */
export function startWire() {
  const toggle = by("wire-toggle");
  toggle.addEventListener("click", () => {
    const panel = by("wire");
    panel.hidden = !panel.hidden;
    toggle.setAttribute("aria-expanded", String(!panel.hidden));
    document.body.classList.toggle("has-wire", !panel.hidden);
  });
  by("clear-wire").addEventListener("click", () => list().replaceChildren());
  by("show-token").addEventListener("change", () => {
    for (const element of list().children) element.rewrite();
  });
}

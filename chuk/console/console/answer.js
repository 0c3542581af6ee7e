// One question with its answer, as it grows; and what it cost.

import { pictureWords } from "./attaching.js";
import { copyButton } from "./copying.js";
import { announce, make } from "./elements.js";
import { rendered } from "./markdown.js";
import { compact, count, money } from "./money.js";
import { speechButton } from "./speech.js";

const BASIS = {
  upstream: "as the provider says",
  tokens: "by tokens and price",
  estimate: "by our own count",
  nothing: "nothing taken",
  unknown: "unknown, nothing taken",
};
// A long answer is drawn less often: each time it is drawn whole.
const PAUSE_FOR_EACH = 250;

/** Draws a turn. */
export class Answer {
  #text = "";
  #reasoning = "";
  #drawnAt = 0;
  #isDue = false;
  #facts = {};
  #prose = make("div", { class: "prose reply" });
  #thinking = make("div", { class: "prose" });
  #thought = make("details", { class: "thinking", hidden: true }, make("summary", {}, "Thinking"), this.#thinking);
  #network = make("p", { class: "network", hidden: true });
  #receipt = make("footer", { class: "receipt", hidden: true });
  #who = make("h3", { class: "who" });
  #body = make("div", { class: "answer", "aria-busy": "true" }, this.#who, this.#thought, this.#prose, this.#network, this.#receipt);

  /**
   * @param {{message: string, model: string, pictures: object[], note: string, canSpeak: boolean}} asked
   *   `note`: what there is to say about the question itself.
   */
  constructor(asked) {
    this.asked = asked;
    this.#who.textContent = asked.model;
    this.element = make(
      "article",
      { class: "turn", "aria-label": "Turn" },
      make("div", { class: "said" }, make("h3", { class: "who" }, "You"), ...questionParts(asked)),
      this.#body,
    );
  }

  get text() {
    return this.#text;
  }

  /** Take one event in. */
  take(event) {
    if (event.content) this.#text += event.content;
    else if (event.reasoning) this.#reasoning += event.reasoning;
    else if (event.meta) this.#facts.meta = event.meta;
    else if (event.usage) this.#facts.usage = event.usage;
    else if (event.tps) this.#facts.speed = event.tps;
    if (event.content || event.reasoning) this.#drawSoon();
  }

  lost() {
    this.#body.classList.add("lost");
    this.#say("The connection broke. The answer goes on; coming back to it …");
  }

  /** The page was loaded anew. */
  readOn() {
    this.#say("The page was loaded anew, and the answer is read on from its beginning. What was said before it is not kept.");
  }

  back(milliseconds) {
    this.#body.classList.remove("lost");
    this.#say(`Reconnected after ${(milliseconds / 1000).toFixed(1)} s. Nothing is missing.`);
    announce("Reconnected.");
  }

  fail(text) {
    this.#end();
    this.#network.hidden = true;
    this.#receipt.before(make("p", { class: "failure", role: "alert" }, text));
  }

  finish(wasStopped) {
    this.#end();
    const cost = this.#facts.usage ? `, ${this.#price()}` : "";
    announce(`${wasStopped ? "Stopped" : "The answer is complete"}${cost}.`);
  }

  #say(text) {
    this.#network.textContent = text;
    this.#network.hidden = false;
  }

  #end() {
    this.#draw();
    this.#body.setAttribute("aria-busy", "false");
    this.#body.classList.remove("lost");
    const { usage } = this.#facts;
    if (usage || this.#text) {
      this.#receipt.replaceChildren(...this.#lines(), this.#actions());
      this.#receipt.hidden = false;
    }
  }

  #drawSoon() {
    if (this.#isDue) return;
    this.#isDue = true;
    const pause = (this.#text.length / 1000) * (PAUSE_FOR_EACH / 20);
    const wait = Math.max(0, this.#drawnAt + pause - performance.now());
    setTimeout(() => requestAnimationFrame(() => this.#draw()), wait);
  }

  #draw() {
    this.#isDue = false;
    this.#prose.replaceChildren(...rendered(this.#text));
    this.#thinking.replaceChildren(...rendered(this.#reasoning));
    this.#thought.hidden = !this.#reasoning;
    this.#drawnAt = performance.now();
  }

  #price() {
    const { usage } = this.#facts;
    return usage.free_message ? "a free message" : money(usage.cost_eur);
  }

  #lines() {
    const { usage, speed, meta } = this.#facts;
    if (!usage) return [];
    const facts = [
      ["Cost", this.#price(), `held ${money(usage.held_eur)}; ${BASIS[usage.cost_basis] ?? usage.cost_basis}`],
      ["Tokens", `${count(usage.prompt_tokens)} + ${count(usage.completion_tokens)}`, usage.estimated ? "counted here" : "question + answer"],
      ["From", usage.provider ?? meta?.provider, usage.zdr ? "keeps no data" : ""],
    ];
    if (speed) facts.push(["Speed", `${compact(speed)} /s`, "tokens after the first"]);
    if (usage.finish_reason && usage.finish_reason !== "stop") facts.push(["Ended", usage.finish_reason, ""]);
    const line = ([name, value, note]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, make("b", {}, value), note ? make("small", {}, note) : null));
    return [make("dl", { "aria-label": "What this answer cost" }, ...facts.map(line))];
  }

  #actions() {
    const actions = make("div", { class: "actions" }, copyButton(() => this.#text, "the answer"));
    if (this.asked.canSpeak && this.#text.trim()) actions.append(speechButton(() => this.#text));
    return actions;
  }
}

function questionParts({ message, pictures, note }) {
  const parts = [];
  if (pictures.length) {
    const shown = (picture) => make("li", {}, make("img", { src: picture.url, width: picture.width, height: picture.height, alt: pictureWords(picture) }));
    parts.push(make("ul", { class: "seen", "aria-label": "Pictures" }, ...pictures.map(shown)));
  }
  if (message) parts.push(make("p", { class: "message" }, message));
  if (note) parts.push(make("p", { class: "hint" }, note));
  return parts;
}

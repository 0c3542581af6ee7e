// Cards above the message: what became of something that was brought.

import { by, make } from "./elements.js";

/** A card that can be dismissed. Returns its parts, and `leave` to take it away. */
export function newCard(name, text) {
  const note = make("p", { class: "hint" }, text);
  const dismiss = make("button", { type: "button", class: "quiet", "aria-label": `Dismiss ${name}` }, "Dismiss");
  const actions = make("div", { class: "actions" }, dismiss);
  const element = make("section", { class: "card", "aria-label": name }, make("h3", {}, name), note, actions);
  const leave = () => {
    element.remove();
    by("message").focus();
  };
  dismiss.addEventListener("click", leave);
  by("brought").append(element);
  element.scrollIntoView({ block: "nearest" });
  return {
    element,
    note,
    leave,
    fail: (why) => note.replaceWith(make("p", { class: "failure", role: "alert" }, why)),
    offer: (button) => dismiss.before(button),
  };
}

// Buttons that copy a text.

import { announce, make } from "./elements.js";

const SHOWN = 1600;

/** A button that copies what `text()` says at that moment; `what` is told to a screen reader. */
export function copyButton(text, what, label = "Copy") {
  const button = make("button", { type: "button", class: "quiet", "aria-label": `${label} ${what}` }, label);
  button.addEventListener("click", async () => {
    const copied = await copy(text());
    button.textContent = copied ? "Copied" : "Not allowed";
    announce(copied ? `Copied ${what}.` : "The browser does not allow copying.");
    setTimeout(() => {
      button.textContent = label;
    }, SHOWN);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // Over plain HTTP browsers have no clipboard to write to.
  }
}

function copyBySelection(text) {
  const field = make("textarea", { class: "unseen", readonly: true, "aria-hidden": "true", tabindex: -1 });
  field.value = text;
  document.body.append(field);
  const focused = document.activeElement;
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return copied;
}

// Pictures from words.

import { data, failureText, newKey } from "./api.js";
import { announce, by, make } from "./elements.js";
import { money } from "./money.js";

/** Make the form work. `whenOver` is called after each picture. */
export function startDrawing(whenOver) {
  by("draw-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = by("draw-button");
    const failure = by("draw-failure");
    failure.hidden = true;
    button.disabled = true;
    button.textContent = "Drawing …";
    announce("Drawing.");
    try {
      by("pictures").prepend(figure(await drawn()));
      announce("The picture is there.");
    } catch (error) {
      failure.textContent = failureText(error);
      failure.hidden = false;
    }
    button.disabled = false;
    button.textContent = "Draw";
    whenOver();
  });
}

function drawn() {
  const json = { prompt: by("prompt").value.trim(), image_size: by("size").value };
  if (by("seed").value) json.seed = Number(by("seed").value);
  return data({ method: "POST", path: "/v1/ai/generate-image", json, headers: { "Idempotency-Key": newKey() } });
}

function figure(picture) {
  const { image_url: address, width, height, seed, prompt, billing } = picture;
  const again = make("button", { type: "button", class: "quiet" }, `Use seed ${seed}`);
  again.addEventListener("click", () => {
    by("seed").value = seed;
    by("prompt").value = prompt;
    by("prompt").focus();
  });
  return make(
    "figure",
    {},
    make("img", { src: address, width, height, alt: `Drawn: ${prompt}` }),
    make(
      "figcaption",
      {},
      make("p", {}, prompt),
      make("p", { class: "hint" }, `${width} × ${height}, seed ${seed}, ${money(billing.cost_eur)}`),
      make("div", { class: "actions" }, make("a", { href: address, target: "_blank", rel: "noopener" }, "Open"), again),
    ),
  );
}

// An answer, spoken.

import { failureText, send } from "./api.js";
import { announce, make } from "./elements.js";

let longest = 2000;

/** Learn how long a text may be. */
export function limitSpeech(characters) {
  longest = characters;
}

/** A button that has a text spoken, and puts the player after itself. */
export function speechButton(text) {
  const button = make("button", { type: "button", class: "quiet" }, "Hear");
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = "Speaking …";
    try {
      const player = await spoken(text());
      button.replaceWith(player);
      player.focus();
      announce("The answer is being read aloud.");
    } catch (error) {
      button.disabled = false;
      button.textContent = "Hear";
      button.after(make("span", { class: "failure", role: "alert" }, failureText(error)));
    }
  });
  return button;
}

async function spoken(text) {
  const { answer, exchange } = await send({
    method: "POST",
    path: "/v1/ai/inworld-tts",
    json: { text: beginning(text), audio_encoding: "MP3", sample_rate_hz: 24000 },
  });
  const audio = await answer.blob();
  exchange.event("", `${audio.size} bytes of ${audio.type}, voice ${answer.headers.get("X-Voice")}`);
  exchange.over();
  const player = make("audio", { controls: true, src: URL.createObjectURL(audio), "aria-label": "The answer, spoken", tabindex: 0 });
  // A browser that does not let it begin by itself still has its button.
  player.play().catch(() => player.setAttribute("data-waits", ""));
  return player;
}

/** Plain words, up to the last whole sentence that the voice may speak. */
function beginning(text) {
  const plain = text.replace(/```[\s\S]*?(```|$)/g, " ").replace(/[*_#`>|~]/g, "").trim() || text;
  if (plain.length <= longest) return plain;
  const cut = plain.slice(0, longest);
  const end = Math.max(cut.lastIndexOf(". "), cut.lastIndexOf("\n"));
  return end > longest / 2 ? cut.slice(0, end + 1) : cut;
}


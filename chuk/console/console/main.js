// Puts the page together: signing in and out, its sections, what is left.

import { ApiError, data, failureText } from "./api.js";
import { limitMessage } from "./asking.js";
import { limitPictures } from "./attaching.js";
import { allowRecordings, startBringing } from "./bringing.js";
import { allowSpeech, clearChat, readOn, startChat, watchScrolling } from "./chat.js";
import { loadChoices, startChoices } from "./choices.js";
import { startDrawing } from "./drawing.js";
import { by, make } from "./elements.js";
import { money } from "./money.js";
import { limitSpeech } from "./speech.js";
import { keepToken, token } from "./token.js";
import { closeSocket } from "./turn_socket.js";
import { showUsage, startUsage } from "./usage.js";
import { startWire } from "./wire.js";

const SECTIONS = ["chat", "draw", "usage"];
const FORBIDDEN = 403;
const NO_TOKEN = /[^\x21-\x7e]/;

/** Show what is left. A key of a program may not know; nobody does who has signed out meanwhile. */
async function showPurse() {
  if (!token()) return;
  const purse = by("purse");
  try {
    const status = await data({ path: "/v1/user/status", quiet: true });
    const free = status.free_messages_remaining;
    const more = free ? make("span", { class: "more" }, ` · ${free} free message${free === 1 ? "" : "s"}`) : "";
    purse.replaceChildren(`${money(status.credits_remaining)} left`, more);
  } catch (error) {
    const isKey = error instanceof ApiError && error.status === FORBIDDEN;
    purse.textContent = isKey ? "API key" : "Balance unknown";
  }
  purse.hidden = !token();
}

function showSection() {
  const wanted = location.hash.slice(1);
  const section = SECTIONS.includes(wanted) ? wanted : "chat";
  for (const name of SECTIONS) by(name).hidden = name !== section;
  by("choices").hidden = section !== "chat";
  document.body.dataset.section = section;
  for (const link of by("sections").querySelectorAll("a")) {
    if (link.hash === `#${section}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  by("skip").href = section === "chat" ? "#message" : "#stage";
  if (section === "usage" && token()) showUsage();
}

function show(isSignedIn) {
  by("welcome").hidden = isSignedIn;
  for (const id of ["workbench", "sections", "sign-out", "wire-toggle"]) by(id).hidden = !isSignedIn;
  document.body.classList.toggle("signed-in", isSignedIn);
  if (!isSignedIn) by("purse").hidden = true;
}

async function enter() {
  const config = await loadChoices();
  allowRecordings(config.features.transcription);
  allowSpeech(config.features.speech);
  limitSpeech(config.limits.speech_text_max);
  limitPictures(config.limits);
  limitMessage(config.limits.message_max_bytes);
  show(true);
  showSection();
  showPurse();
  by("message").focus();
  readOn();
}

function leave(failure = "") {
  // A running answer is stopped while there still is a token to do it with.
  clearChat();
  closeSocket();
  keepToken("");
  by("exchanges").replaceChildren();
  by("show-token").checked = false;
  show(false);
  const place = by("sign-in-failure");
  place.textContent = failure;
  place.hidden = !failure;
  by("token").focus();
}

async function signIn() {
  try {
    await enter();
  } catch (error) {
    leave(failureText(error));
  }
}

function start() {
  startWire();
  startChoices();
  startBringing();
  startChat(showPurse);
  startDrawing(showPurse);
  startUsage();
  watchScrolling();
  addEventListener("hashchange", showSection);
  by("sign-out").addEventListener("click", () => leave());
  by("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = by("token").value.trim().replace(/^Bearer\s+/i, "");
    by("token").value = "";
    // What does not fit into a header never leaves the browser, and would look like a server that is away.
    if (NO_TOKEN.test(given)) {
      leave("This is no token: it has a space, or a character that no token has. Please copy it once more.");
      return;
    }
    keepToken(given);
    signIn();
  });
  if (token()) signIn();
  else {
    show(false);
    by("token").focus();
  }
}

start();

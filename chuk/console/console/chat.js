// The conversation: sending, stopping, and what is said to whom.

import { Answer } from "./answer.js";
import { failureText } from "./api.js";
import { clearBrought } from "./bringing.js";
import { chosenFields, chosenModel } from "./choices.js";
import { announce, by } from "./elements.js";
import { SocketTurn } from "./turn_socket.js";
import { SseTurn } from "./turn_sse.js";

const TALLEST = 320;

let history = [];
let running = null;
let afterTurn = () => {};
let canSpeak = false;

/** Make the form work. `whenOver` is called after each turn. */
export function startChat(whenOver) {
  afterTurn = whenOver;
  const message = by("message");
  by("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  message.addEventListener("input", fit);
  message.addEventListener("keydown", (event) => {
    // Whoever composes a letter out of several keys ends it with Enter.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  });
  by("stop").addEventListener("click", stop);
  by("anew").addEventListener("click", clearChat);
  by("chat").addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
  by("ideas").addEventListener("click", ({ target }) => {
    if (!target.matches(".idea")) return;
    message.value = target.textContent;
    fit();
    message.focus();
  });
}

export function allowSpeech(isAllowed) {
  canSpeak = isAllowed;
}

/** Begin a new conversation. */
export function clearChat() {
  stop();
  history = [];
  by("turns").replaceChildren();
  by("opening").hidden = false;
  by("anew").hidden = true;
  clearBrought();
  by("message").focus();
}

function fit() {
  const message = by("message");
  message.style.height = "auto";
  message.style.height = `${Math.min(message.scrollHeight + 2, TALLEST)}px`;
}

async function submit() {
  const message = by("message").value.trim();
  if (!message || running !== null) return;
  by("message").value = "";
  fit();
  by("opening").hidden = true;
  const answer = new Answer({ message, model: chosenModel().name, canSpeak });
  by("turns").append(answer.element);
  follow(true);
  const body = { ...chosenFields(), message };
  if (history.length) body.history = history;
  const Transport = document.querySelector("[name=transport]:checked").value === "socket" ? SocketTurn : SseTurn;
  const turn = new Transport(body, { lost: () => answer.lost(), back: (lost) => answer.back(lost) });
  setRunning({ turn, wasStopped: false });
  const conversation = history;
  if (await play(turn, answer)) {
    const said = [{ role: "user", content: message }, { role: "assistant", content: answer.text }];
    // Another conversation may have begun meanwhile.
    if (conversation === history && answer.text) history = [...history, ...said];
  }
  setRunning(null);
  follow();
  afterTurn();
}

/** Let the turn go to its end; whether it came to a good one. */
async function play(turn, answer) {
  announce("Asking.");
  try {
    for await (const event of turn.events()) {
      if (event.error) {
        answer.fail(`${event.error.message} (${event.error.code})`);
        return false;
      }
      if (event.done) break;
      answer.take(event);
      follow();
    }
  } catch (error) {
    answer.fail(failureText(error));
    return false;
  }
  answer.finish(running?.wasStopped ?? true);
  return true;
}

async function stop() {
  if (running === null || running.wasStopped) return;
  running.wasStopped = true;
  by("stop").disabled = true;
  try {
    await running.turn.stop();
  } catch (error) {
    announce(`It could not be stopped: ${failureText(error)}`);
    if (running !== null) running.wasStopped = false;
    by("stop").disabled = false;
  }
}

function setRunning(turn) {
  running = turn;
  const stopButton = by("stop");
  const hadFocus = document.activeElement === stopButton;
  by("send").hidden = turn !== null;
  stopButton.hidden = turn === null;
  stopButton.disabled = false;
  by("anew").hidden = turn !== null || by("turns").childElementCount === 0;
  if (hadFocus) by("message").focus();
}

let isFollowing = true;

/** Keep the end in sight, unless the person has scrolled away from it. */
function follow(anyway = false) {
  const talk = by("talk");
  if (anyway) isFollowing = true;
  if (isFollowing) {
    requestAnimationFrame(() => {
      talk.scrollTop = talk.scrollHeight;
    });
  }
}

/** Notice when the person scrolls. */
export function watchScrolling() {
  const talk = by("talk");
  const away = () => talk.scrollHeight - talk.scrollTop - talk.clientHeight;
  talk.addEventListener("wheel", ({ deltaY }) => {
    if (deltaY < 0) isFollowing = false;
  }, { passive: true });
  talk.addEventListener("touchmove", () => {
    isFollowing = away() < 60;
  }, { passive: true });
  talk.addEventListener("scroll", () => {
    if (away() < 20) isFollowing = true;
  }, { passive: true });
}

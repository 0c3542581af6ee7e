// The conversation: sending, stopping, and what is said to whom.

import { Answer } from "./answer.js";
import { failureText } from "./api.js";
import { bodyOf } from "./asking.js";
import { canSendPictures, hasPictures, returnPictures, takePictures } from "./attaching.js";
import { clearBrought } from "./bringing.js";
import { chosenFields, chosenModel } from "./choices.js";
import { announce, by } from "./elements.js";
import { forgetRunning, keepRunning, keptRunning } from "./running.js";
import { token } from "./token.js";
import { SocketTurn } from "./turn_socket.js";
import { SseTurn } from "./turn_sse.js";

const TALLEST = 320;

let history = [];
let running = null;
let isGettingReady = false;
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
  forgetRunning();
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
  if (running !== null || isGettingReady || !(message || hasPictures())) return;
  isGettingReady = true;
  const canGo = await canSendPictures();
  isGettingReady = false;
  if (!canGo) return;
  // One that could not be opened is gone by now, and it may have been all there was.
  const pictures = takePictures();
  if (!message && !pictures.length) return;
  by("message").value = "";
  fit();
  const model = chosenModel();
  const { body, leftOut } = bodyOf({ fields: chosenFields(), model, message, pictures, history });
  const answer = newAnswer({ message, model: model.name, pictures, note: leftOut });
  const Transport = document.querySelector("[name=transport]:checked").value === "socket" ? SocketTurn : SseTurn;
  const wasGood = await follow(new Transport(body, watcherOf(answer)), answer, { role: "user", content: message, images: pictures.map(({ url }) => url) });
  // Nothing came of it: it is there to be sent again, unless something else is being written.
  if (!wasGood && !answer.text && !by("message").value && !hasPictures()) {
    by("message").value = message;
    fit();
    returnPictures(pictures);
  }
}

/** Go on with an answer that was still coming when the page was left. */
export async function readOn() {
  const kept = keptRunning();
  if (kept === null || running !== null) return;
  const lost = kept.pictures ? "The pictures of this message are not kept when the page is loaded anew." : "";
  const answer = newAnswer({ message: kept.message, model: kept.model, pictures: [], note: lost });
  answer.readOn();
  await follow(new SseTurn(null, watcherOf(answer), kept.stream), answer, { role: "user", content: kept.message });
}

function newAnswer(asked) {
  by("opening").hidden = true;
  const answer = new Answer({ ...asked, canSpeak });
  by("turns").append(answer.element);
  keepInSight(true);
  return answer;
}

const watcherOf = (answer) => ({ lost: () => answer.lost(), back: (lost) => answer.back(lost) });

/** Let a turn go to its end, and remember what was said; whether it came to a good one. */
async function follow(turn, answer, question) {
  setRunning({ turn, wasStopped: false });
  const conversation = history;
  const wasGood = await play(turn, answer);
  // Another conversation may have begun meanwhile.
  if (wasGood && conversation === history && answer.text) {
    history = [...history, question, { role: "assistant", content: answer.text }];
  }
  forgetRunning();
  setRunning(null);
  keepInSight();
  afterTurn();
  return wasGood;
}

async function play(turn, answer) {
  announce("Asking.");
  try {
    for await (const event of turn.events()) {
      if (event.error) {
        answer.fail(`${event.error.message} (${event.error.code})`);
        return false;
      }
      if (event.done) break;
      const { message, model, pictures } = answer.asked;
      // Whoever has signed out meanwhile comes back to nothing.
      if (event.stream && token()) keepRunning({ stream: event.stream.id, message, model, pictures: pictures.length });
      answer.take(event);
      keepInSight();
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
function keepInSight(anyway = false) {
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

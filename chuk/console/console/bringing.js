// What is brought to the message: pictures for the model to see; files and recordings that become text.

import { data, failureText } from "./api.js";
import { attach, clearPictures, isPicture, startAttaching } from "./attaching.js";
import { newCard } from "./cards.js";
import { announce, by, make } from "./elements.js";
import { compact, count } from "./money.js";

const LONGEST_PREVIEW = 6000;

let recorder = null;
let seconds = 0;
let ticking = 0;
let canHear = true;

/** Whether recordings can be written down here. */
export function allowRecordings(isAllowed) {
  canHear = isAllowed;
  by("record").hidden = !isAllowed || !navigator.mediaDevices || !window.MediaRecorder;
  by("choose-recording").hidden = !isAllowed;
}

/** Make the buttons, dropping and pasting work. */
export function startBringing() {
  const chooses = (button, input, take) => {
    by(button).addEventListener("click", () => by(input).click());
    by(input).addEventListener("change", () => {
      for (const file of by(input).files) take(file);
      by(input).value = "";
    });
  };
  chooses("choose-file", "file", readFile);
  chooses("choose-recording", "recording", hear);
  startAttaching(readFile);
  by("record").addEventListener("click", toggleRecording);
  const place = by("chat");
  const shows = (isOver) => place.classList.toggle("dropping", isOver);
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    shows(true);
  });
  place.addEventListener("dragleave", (event) => shows(place.contains(event.relatedTarget)));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    shows(false);
    for (const file of event.dataTransfer.files) take(file);
  });
  place.addEventListener("paste", (event) => {
    const { files, types } = event.clipboardData;
    // A table out of a spreadsheet comes as a picture too: whoever copied words wants the words.
    if (!files.length || types.includes("text/plain")) return;
    event.preventDefault();
    for (const file of files) take(file);
  });
}

/** A picture is seen, a recording is heard, everything else is read. */
function take(file) {
  if (isPicture(file)) attach(file);
  else if (file.type.startsWith("audio/") && canHear) hear(file);
  else readFile(file);
}

/** Forget what was brought and not used. */
export function clearBrought() {
  by("brought").replaceChildren();
  clearPictures();
}

async function readFile(file) {
  await bring(file.name, "Reading", async () => {
    const form = new FormData();
    form.append("file", file, file.name);
    const found = await data({ method: "POST", path: "/v1/ai/convert-file", form });
    const pages = found.pages ? `, ${count(found.pages)} page${found.pages === 1 ? "" : "s"}` : "";
    const cut = found.truncated ? ", cut: there is more in the file" : "";
    const note = `${found.format}${pages}, ${compact(found.markdown.length)} characters of Markdown${cut}`;
    return { note, text: found.markdown, message: `From the file ${file.name}:\n\n${found.markdown}` };
  });
}

async function hear(file) {
  await bring(file.name, "Listening to", async () => {
    const form = new FormData();
    form.append("audio_file", file, file.name);
    const found = await data({ method: "POST", path: "/v1/ai/transcribe-audio", form });
    const { duration, language } = found.x_groq.metadata;
    const note = `${duration.toFixed(1)} s${language ? `, ${language}` : ""}`;
    const text = found.text.trim();
    return { note, text: text || "Nothing was said.", message: text };
  });
}

/** A card that shows the work, then its result, or why there is none. */
async function bring(name, verb, work) {
  const card = newCard(name, `${verb} ${name} …`);
  try {
    const result = await work();
    card.note.textContent = result.note;
    const preview = result.text.length > LONGEST_PREVIEW ? `${result.text.slice(0, LONGEST_PREVIEW)} …` : result.text;
    card.note.after(make("pre", { tabindex: 0, role: "region", "aria-label": `Text of ${name}` }, preview));
    if (result.message) {
      const use = make("button", { type: "button" }, "Put into the message");
      use.addEventListener("click", () => {
        insert(result.message);
        card.leave();
      });
      card.offer(use);
    }
  } catch (error) {
    card.fail(failureText(error));
  }
}

function insert(text) {
  const field = by("message");
  const own = field.value.trim();
  field.value = own ? `${own}\n\n${text}` : text;
  field.dispatchEvent(new Event("input"));
  field.setSelectionRange(field.value.length, field.value.length);
}

async function toggleRecording() {
  if (recorder !== null) {
    recorder.stop();
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    await bring("Recording", "Waiting for", () => Promise.reject(new Error(`The microphone cannot be used: ${error.message}`)));
    return;
  }
  const parts = [];
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", ({ data: part }) => parts.push(part));
  recorder.addEventListener("stop", () => {
    for (const track of stream.getTracks()) track.stop();
    const type = recorder.mimeType.split(";")[0] || "audio/webm";
    recorder = null;
    showRecording(false);
    hear(new File(parts, `recording.${type.split("/")[1]}`, { type }));
  });
  recorder.start();
  showRecording(true);
}

function showRecording(isOn) {
  const button = by("record");
  button.setAttribute("aria-pressed", String(isOn));
  clearInterval(ticking);
  seconds = 0;
  const show = () => {
    button.textContent = isOn ? `Stop recording, ${seconds} s` : "Record";
    seconds += 1;
  };
  show();
  if (isOn) ticking = setInterval(show, 1000);
  announce(isOn ? "Recording." : "The recording is over.");
}

// Pictures that go along with a message, for models that see.

import { newCard } from "./cards.js";
import { chooseModel, chosenModel, seeingModel } from "./choices.js";
import { announce, by, make } from "./elements.js";
import { fitted } from "./fitting.js";
import { size } from "./money.js";

// Everything else, and a drawing made of words, is a document.
const PICTURES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/avif"]);

let most = { count: 10, bytes: 20_000_000 };
let attached = [];
let readAsText = () => {};

/** Whether a file is a picture that a model could see. */
export const isPicture = (file) => PICTURES.has(file.type);

/** Learn how many pictures a message may have, and how large they may be together. */
export function limitPictures(limits) {
  most = { count: limits.images_max_count, bytes: limits.images_max_bytes };
}

/** Make the button work. `asText` is called with a picture that is to become words instead. */
export function startAttaching(asText) {
  readAsText = asText;
  by("picture").accept = [...PICTURES].join();
  by("choose-picture").addEventListener("click", () => {
    if (chosenModel().supports_vision) by("picture").click();
    else showSight(true);
  });
  by("picture").addEventListener("change", () => {
    for (const file of by("picture").files) attach(file);
    by("picture").value = "";
  });
  by("model").addEventListener("change", () => showSight());
  by("use-seeing").addEventListener("click", () => {
    chooseModel(seeingModel().id);
    announce(`${chosenModel().name} is chosen now.`);
    by("message").focus();
  });
}

/** Attach a picture, made smaller where it must be; a card says why when it cannot be. */
export function attach(file) {
  if (attached.length >= most.count) {
    refuse(file, `Not attached: a message may have ${most.count} pictures at most.`);
    return;
  }
  const entry = tile({ name: file.name, file });
  attached.push(entry);
  show();
  entry.element.scrollIntoView({ block: "nearest" });
  // An equal share each: then as many as may be together also fit together.
  entry.ready = fitted(file, Math.floor(most.bytes / most.count)).then(
    (picture) => {
      entry.picture = { ...entry.picture, ...picture };
      fill(entry);
      if (attached.includes(entry)) announce(`${file.name} is attached, ${attached.length} of at most ${most.count}.`);
    },
    (error) => {
      if (attached.includes(entry)) refuse(file, `Not attached. ${error.message}`);
      forget(entry);
    },
  );
}

/** Wait until all that is attached is ready; false when the chosen model cannot see it, which the page then says. */
export async function canSendPictures() {
  await Promise.all(attached.map(({ ready }) => ready));
  if (!attached.length || chosenModel().supports_vision) return true;
  showSight();
  announce(by("sight-text").textContent);
  return false;
}

/** Take the attached pictures away, to be sent. */
export function takePictures() {
  const pictures = attached.map(({ picture }) => picture);
  clearPictures();
  return pictures;
}

/** Attach pictures again that were taken. */
export function returnPictures(pictures) {
  for (const picture of pictures) {
    const entry = tile(picture);
    attached.push(entry);
    fill(entry);
  }
  show();
}

export const hasPictures = () => attached.length > 0;

/** Forget every picture that was not sent. */
export function clearPictures() {
  attached = [];
  show();
}

function tile(picture) {
  const { name, file } = picture;
  const entry = { picture, ready: Promise.resolve() };
  entry.image = make("img", { alt: "", hidden: true });
  entry.note = make("p", { class: "hint" }, "Getting it ready …");
  const read = make("button", { type: "button", class: "quiet", "aria-label": `Read ${name} as text` }, "Read as text");
  read.addEventListener("click", () => {
    remove(entry);
    readAsText(file);
  });
  const away = make("button", { type: "button", class: "quiet", "aria-label": `Remove ${name}` }, "Remove");
  away.addEventListener("click", () => {
    remove(entry);
    announce(`${name} is removed.`);
  });
  entry.element = make(
    "li",
    {},
    make("div", { class: "frame" }, entry.image),
    make(
      "div",
      { class: "about" },
      make("p", { class: "name", title: name }, name),
      entry.note,
      make("div", { class: "actions" }, read, away),
    ),
  );
  return entry;
}

function fill({ image, note, picture }) {
  image.src = picture.url;
  image.alt = pictureWords(picture);
  image.hidden = false;
  const scaled = picture.before ? `, made smaller from ${picture.before}` : "";
  note.textContent = `${picture.width} × ${picture.height}, ${size(picture.size)}${scaled}`;
}

/** What stands for a picture where it is not seen. */
export const pictureWords = ({ name, width, height }) => `Picture ${name}, ${width} × ${height}`;

/** Take one away; the focus goes to the next one. */
function remove(entry) {
  const at = attached.indexOf(entry);
  forget(entry);
  const next = attached[Math.min(at, attached.length - 1)];
  (next?.element.querySelector("button:last-child") ?? by("message")).focus();
}

function forget(entry) {
  attached = attached.filter((each) => each !== entry);
  show();
}

function refuse(file, why) {
  const card = newCard(file.name, "");
  card.fail(why);
  const read = make("button", { type: "button" }, "Read as text");
  read.addEventListener("click", () => {
    card.leave();
    readAsText(file);
  });
  card.offer(read);
}

function show() {
  by("pictures-sent").replaceChildren(...attached.map(({ element }) => element));
  by("attached").hidden = !attached.length;
  showSight();
}

/** Say when the chosen model cannot see, as soon as there is something to be seen. */
function showSight(isWanted = attached.length > 0) {
  const { name, supports_vision: sees } = chosenModel() ?? { supports_vision: true };
  const other = seeingModel();
  by("sight").hidden = sees || !isWanted;
  by("sight-hint").hidden = !sees;
  if (sees || !isWanted) return;
  const asText = attached.length ? "have them read as text" : "have one read as text with File";
  by("sight-text").textContent = other
    ? `${name} does not see pictures. Choose a model that does, or ${asText}.`
    : `${name} does not see pictures, and no other model here does. You can ${asText}.`;
  by("use-seeing").hidden = other === undefined;
  if (other) by("use-seeing").textContent = `Use ${other.name}`;
  by("sight").scrollIntoView({ block: "nearest" });
}

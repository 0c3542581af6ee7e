// Makes the page's elements. Text is only ever set as text: nothing here can make markup of it.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id, which is on the page. */
export function by(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`There is no #${id}.`);
  return found;
}

/**
 * Make an element.
 *
 * Attributes that are null, undefined or false are left out; true stands for the bare name;
 * functions listen to the event that is named like `onclick`.
 */
export function make(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Like `make`, for drawings. */
export function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

let said = 0;

/** Tell it to those who listen instead of looking. */
export function announce(text) {
  const place = by("announcer");
  // The same words twice in a row would not be read again.
  said += 1;
  place.textContent = said % 2 ? text : `${text}\u00a0`;
}

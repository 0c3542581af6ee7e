// Descriptions: text in which `this` is code.

import { make } from "./elements.js";

/** The nodes of a description. */
export function words(text) {
  return text.split(/`([^`]+)`/).map((part, number) => (number % 2 ? make("code", {}, part) : part));
}

// The API reference, made of /openapi.json in the browser.

import { by, make } from "./elements.js";
import { errorTable, operationSection } from "./operation.js";
import { words } from "./words.js";
import { Schemas } from "./schemas.js";

const TITLES = {
  public: "Public",
  chat: "Chat",
  models: "Models",
  media: "Files, audio, pictures, speech",
  openai: "OpenAI's shapes",
  user: "The user",
  stripe: "Payments",
  webhooks: "Webhooks",
  pages: "Pages",
};
const ERRORS = "errors";

async function start() {
  let spec;
  try {
    const answer = await fetch("/openapi.json", { credentials: "omit" });
    if (!answer.ok) throw new Error(`The document cannot be had: ${answer.status}.`);
    spec = await answer.json();
  } catch (error) {
    by("failure").textContent = error.message;
    by("failure").hidden = false;
    by("loading").remove();
    return;
  }
  show(spec);
  by("filter").addEventListener("input", () => filter(by("filter").value));
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
      event.preventDefault();
      by("filter").focus();
    }
  });
  // The browser looked for the place before there was one.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function show(spec) {
  by("version").textContent = `version ${spec.info.version}, OpenAPI ${spec.openapi}`;
  const schemas = new Schemas(spec);
  const main = by("reference");
  const index = by("index");
  main.replaceChildren(opening(spec));
  for (const [tag, operations] of byTag(spec)) {
    const title = TITLES[tag] ?? tag;
    const sections = operations.map((operation) => operationSection(operation, schemas));
    main.append(make("section", { class: "area", id: `tag-${slug(tag)}`, "aria-label": title }, make("h2", {}, title), ...sections));
    index.append(group(title, operations));
  }
  main.append(errorTable(spec, ERRORS));
  index.append(make("section", {}, make("h2", {}, make("a", { href: `#${ERRORS}` }, "Errors"))));
}

function opening(spec) {
  return make(
    "section",
    { class: "opening" },
    make("h2", {}, spec.info.description),
    make("p", {}, "Every request but those marked as open to all needs ", make("code", {}, "Authorization: Bearer …"), ": ", ...words(spec.components.securitySchemes.bearer.description)),
    make("p", {}, "JSON answers come as ", make("code", {}, '{"data": …, "meta": …}'), ", errors as ", make("code", {}, '{"error": {"code", "message", "details"}}'), ". With ", make("code", {}, "Accept: application/json; profile=bare"), " the data stands alone."),
  );
}

function byTag(spec) {
  const tags = new Map();
  for (const [path, operations] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? "other";
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push({ ...operation, path, method: method.toUpperCase() });
    }
  }
  // In the order of their titles; who has none comes last.
  const order = Object.keys(TITLES);
  const place = (tag) => order.includes(tag) ? order.indexOf(tag) : order.length;
  return [...tags].sort(([one], [other]) => place(one) - place(other));
}

function group(title, operations) {
  const line = ({ operationId, method, path, summary }) =>
    make("li", {}, make("a", { href: `#${operationId}`, title: summary }, make("span", { class: "method", "data-method": method }, method), " ", make("span", { class: "path" }, path)));
  return make("section", {}, make("h2", {}, title), make("ul", {}, ...operations.map(line)));
}

/** Show only what has all the words in it. */
function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (element) => words.every((word) => element.dataset.words.includes(word));
  let count = 0;
  for (const section of document.querySelectorAll("[data-words]")) {
    section.hidden = !has(section);
    if (!section.hidden) count += 1;
    const link = document.querySelector(`#index a[href="#${section.id}"]`);
    if (link !== null) link.closest("li").hidden = section.hidden;
  }
  for (const area of document.querySelectorAll(".area, #index section")) {
    const parts = area.querySelectorAll("[data-words], li");
    area.hidden = parts.length > 0 && [...parts].every((part) => part.hidden);
  }
  by("found").textContent = words.length ? `${count} operation${count === 1 ? "" : "s"}` : "";
}

function slug(text) {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

start();

// One operation of the reference: what goes in, what comes out, and every way it can fail.

import { copyButton } from "./copying.js";
import { make } from "./elements.js";
import { words } from "./words.js";

const FORMS = ["multipart/form-data", "application/x-www-form-urlencoded"];

/** Everything about one operation. */
export function operationSection(operation, schemas) {
  const { operationId, method, path, summary } = operation;
  const searched = [method, path, summary, operation.tags, operation["x-api-key-scope"], errorCodes(operation)];
  return make(
    "article",
    { id: operationId, class: "operation", "data-words": searched.flat().join(" ").toLowerCase(), "aria-labelledby": `${operationId}-name` },
    make(
      "header",
      {},
      make("h3", { id: `${operationId}-name` }, make("a", { href: `#${operationId}` }, summary)),
      make("p", { class: "call" }, make("span", { class: "method", "data-method": method }, method), " ", make("code", {}, path)),
      make("p", { class: "hint" }, ...access(operation)),
    ),
    ...parameters(operation, schemas),
    ...requestBody(operation, schemas),
    ...answers(operation, schemas),
    curl(operation, schemas),
  );
}

function access(operation) {
  const scope = operation["x-api-key-scope"];
  if (!operation.security) return ["Open to all."];
  const who = operation.security.length > 1 ? "Bearer token, in the header or in a message." : "Bearer token.";
  return [who, scope ? ` An API key needs the scope ${scope}.` : " Not for API keys."];
}

function parameters(operation, schemas) {
  const list = operation.parameters ?? [];
  if (list.length === 0) return [];
  const rows = list.map((each) => ({
    name: each.name,
    kind: schemas.kind(each.schema),
    isRequired: each.required,
    says: [`In the ${each.in}.`, each.description ?? each.schema?.description, schemas.limits(each.schema)],
    depth: 0,
  }));
  return [make("h4", {}, "Parameters"), fieldTable(rows, `Parameters of ${operation.summary}`)];
}

function requestBody(operation, schemas) {
  const content = operation.requestBody?.content;
  if (!content) return [];
  const [[, { schema }]] = Object.entries(content);
  return [
    make("h4", {}, "Request"),
    make("p", { class: "hint" }, Object.keys(content).join(", ")),
    fieldTable(schemaRows(schema, schemas), `Request of ${operation.summary}`),
  ];
}

function schemaRows(schema, schemas) {
  return [...schemas.fields(schema)].map(({ name, schema: field, isRequired, depth }) => ({
    name,
    kind: schemas.kind(field),
    isRequired,
    says: [field.description ?? schemas.resolved(field).description, schemas.limits(field)],
    depth,
  }));
}

function fieldTable(rows, label) {
  if (rows.length === 0) return make("p", { class: "hint" }, "No fields of its own.");
  const line = ({ name, kind, isRequired, says, depth }) =>
    make(
      "tr",
      { "data-depth": Math.min(depth, 4) },
      make("th", { scope: "row" }, make("code", {}, name), isRequired ? make("span", { class: "needed" }, " required") : null),
      make("td", {}, kind),
      make("td", {}, ...words(says.filter(Boolean).join(" "))),
    );
  const head = make("tr", {}, ...["Name", "Kind", "Meaning"].map((text) => make("th", { scope: "col" }, text)));
  return make(
    "div",
    { class: "scrolls", tabindex: 0, role: "region", "aria-label": label },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map(line))),
  );
}

function answers(operation, schemas) {
  const made = [make("h4", {}, "Answers")];
  const failures = [];
  for (const [status, answer] of Object.entries(operation.responses ?? {})) {
    if (Number(status) >= 400 && answer.description === answer.description.toUpperCase()) failures.push([status, answer]);
    else made.push(success(status, answer, operation, schemas));
  }
  if (failures.length) made.push(failureList(failures));
  return made;
}

function success(status, answer, operation, schemas) {
  const types = Object.keys(answer.content ?? {});
  const schema = answeredSchema(answer.content ?? {}, schemas);
  const rows = schema === null ? [] : schemaRows(schema, schemas);
  const body = schema === null ? null : JSON.stringify(schemas.example(schema), null, 2);
  const details = rows.length
    ? make(
        "details",
        {},
        make("summary", {}, "Fields and an example"),
        fieldTable(rows, `Answer ${status} of ${operation.summary}`),
        make("pre", { tabindex: 0, role: "region", "aria-label": `Example of ${operation.summary}` }, make("code", {}, body)),
      )
    : null;
  const described = answer.description === operation.summary ? "" : answer.description;
  return make("div", { class: "answer" }, make("p", {}, make("b", {}, status), " ", described, " ", make("span", { class: "hint" }, shortTypes(types))), details);
}

/** The JSON inside of the envelope, where there is one. */
function answeredSchema(content, schemas) {
  const bare = content["application/json; profile=bare"] ?? content["application/json"];
  if (!bare) return null;
  return schemas.kind(bare.schema) === "anything" ? null : bare.schema;
}

function shortTypes(types) {
  return types.filter((type) => !type.includes("profile=")).join(", ");
}

function failureList(failures) {
  const line = ([status, answer]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, status),
      make("td", {}, ...answer.description.split(", ").map((code) => make("a", { class: "code", href: `#error-${code}` }, code))),
    );
  return make("table", { class: "failures" }, make("caption", {}, "Errors"), make("tbody", {}, ...failures.map(line)));
}

function errorCodes(operation) {
  return Object.values(operation.responses ?? {}).map((answer) => answer.description);
}

function curl(operation, schemas) {
  const text = command(operation, schemas);
  return make(
    "div",
    { class: "curl" },
    make("pre", { tabindex: 0, role: "region", "aria-label": `curl of ${operation.summary}` }, make("code", {}, text)),
    copyButton(() => text, `curl of ${operation.summary}`),
  );
}

function command({ method, path, security, requestBody: body, responses }, schemas) {
  const streams = JSON.stringify(responses ?? {}).includes("event-stream");
  const verb = method === "GET" || (method === "POST" && body) ? "" : `-X ${method} `;
  const lines = [`curl ${streams ? "-N " : ""}${verb}'${location.origin}${path}'`];
  if (security) lines.push('-H "Authorization: Bearer $TOKEN"');
  const content = body?.content ?? {};
  if (content["application/json"]) {
    const example = schemas.example(content["application/json"].schema, { onlyRequired: true });
    lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(example)}'`);
  } else if (FORMS.some((form) => content[form])) {
    const [{ schema }] = Object.values(content);
    const example = schemas.example(schema, { onlyRequired: true });
    for (const [name, value] of Object.entries(example)) lines.push(`-F '${name}=${value}'`);
  }
  return lines.join(" \\\n  ");
}

/** Every error that there is. */
export function errorTable(spec, id) {
  const meanings = Object.entries(spec["x-errors"] ?? {});
  const line = ([code, { status, meaning, message }]) =>
    make(
      "tr",
      { id: `error-${code}` },
      make("th", { scope: "row" }, make("code", {}, code)),
      make("td", {}, String(status)),
      make("td", {}, ...words(meaning)),
      make("td", {}, message),
    );
  const head = make("tr", {}, ...["Code", "Status", "When", "What a person is told"].map((text) => make("th", { scope: "col" }, text)));
  return make(
    "section",
    { class: "errors", id, "aria-label": "Errors" },
    make("h2", {}, "Errors"),
    make("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Every error" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...meanings.map(line)))),
  );
}

// Schemas of the document: as rows of a table, as words, as an example.

const DEEPEST = 6;
const BY_FORMAT = {
  "date-time": "2026-01-15T10:30:00Z",
  date: "2026-01-15",
  uuid: "00000000-0000-4000-8000-000000000001",
  uri: "https://example.com/a",
  binary: "@file",
};
// What nobody can guess from a type.
const BY_NAME = {
  model_id: "qwen/qwen3-32b",
  model: "qwen/qwen3-32b",
  message: "What is the capital of France?",
  prompt: "a lighthouse by the sea at sunset",
  text: "Good morning.",
  name: "nightly job",
  provider_slug: "groq",
  provider: "groq",
  role: "user",
  content: "Hello",
  language: "en",
};

/** Reads the schemas of one document. */
export class Schemas {
  #all;

  constructor(spec) {
    this.#all = spec.components?.schemas ?? {};
  }

  /** The schema itself, where this is a reference to it. */
  resolved(schema) {
    let found = schema ?? {};
    for (let steps = 0; found.$ref && steps < DEEPEST; steps += 1) found = this.#all[found.$ref.split("/").pop()] ?? {};
    return found;
  }

  /** Its kind in a few words: `array of string`, `integer or null`. */
  kind(schema) {
    const found = this.resolved(schema);
    const either = found.anyOf ?? found.oneOf;
    if (either) return [...new Set(either.map((each) => this.kind(each)))].join(" or ");
    if (found.allOf?.length === 1) return this.kind(found.allOf[0]);
    const types = [found.type ?? (found.properties ? "object" : "anything")].flat();
    return types.map((type) => this.#typeName(type, found)).join(" or ");
  }

  #typeName(type, schema) {
    if (type === "array") return `array of ${this.kind(schema.items)}`;
    if (type === "string" && schema.format) return schema.format;
    return type;
  }

  /** What a value must keep to, in a few words. */
  limits(schema) {
    const found = this.resolved(schema);
    const said = [];
    if (found.enum) said.push(`one of ${found.enum.map((each) => JSON.stringify(each)).join(", ")}`);
    const range = (low, high, unit) => {
      if (low === undefined && high === undefined) return;
      if (high === undefined) said.push(`at least ${low}${unit}`);
      else said.push(low === undefined ? `at most ${high}${unit}` : `${low} to ${high}${unit}`);
    };
    range(found.minimum, found.maximum, "");
    range(found.minLength, found.maxLength, " characters");
    range(found.minItems, found.maxItems, " items");
    if (found.default !== undefined && found.default !== null) said.push(`default ${JSON.stringify(found.default)}`);
    return said.join("; ");
  }

  /** Yield `{name, schema, isRequired, depth}` for each field, with those inside of it. */
  *fields(schema, depth = 0) {
    const found = this.#object(schema);
    if (found === null || depth > DEEPEST) return;
    for (const [name, field] of Object.entries(found.properties)) {
      yield { name, schema: field, isRequired: found.required?.includes(name) ?? false, depth };
      yield* this.fields(field, depth + 1);
    }
  }

  /** The object in it, of which there may be many; null: it has none with known fields. */
  #object(schema) {
    const found = this.resolved(schema);
    if (found.properties) return found;
    if (found.items) return this.#object(found.items);
    for (const each of [...(found.allOf ?? []), ...(found.anyOf ?? []), ...(found.oneOf ?? [])]) {
      const inside = this.#object(each);
      if (inside !== null) return inside;
    }
    return null;
  }

  /** A value that it describes; of a request only what it needs. */
  example(schema, { name = "", onlyRequired = false, depth = 0 } = {}) {
    const found = this.resolved(schema);
    if (found.example !== undefined) return found.example;
    if (found.const !== undefined) return found.const;
    if (found.enum) return found.enum.find((each) => each !== null && each !== "") ?? null;
    const inside = (each, field = name) => this.example(each, { name: field, onlyRequired, depth: depth + 1 });
    const either = found.anyOf ?? found.oneOf ?? found.allOf;
    if (either?.length) return inside(either[0]);
    if (depth > DEEPEST) return null;
    const [type] = [found.type ?? (found.properties ? "object" : "string")].flat();
    if (type === "object") {
      const wanted = Object.entries(found.properties ?? {}).filter(([field]) => !onlyRequired || found.required?.includes(field));
      return Object.fromEntries(wanted.map(([field, each]) => [field, inside(each, field)]));
    }
    if (type === "array") return [inside(found.items)];
    return this.#plain(type, found, name);
  }

  #plain(type, schema, name) {
    if (schema.default !== undefined && schema.default !== null) return schema.default;
    if (type === "integer" || type === "number") return schema.minimum ?? (type === "integer" ? 1 : 0.5);
    if (type === "boolean") return true;
    return BY_FORMAT[schema.format] ?? BY_NAME[name] ?? "…";
  }
}

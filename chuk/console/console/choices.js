// Which model answers, from whom, and how: with what it costs in euros.

import { data } from "./api.js";
import { by, make } from "./elements.js";
import { compact, money } from "./money.js";

const MILLION = 1_000_000;
const USUAL_LIMIT = 4096;

let models = [];
let toEuros = 1;

/** Fetch the models and fill the lists. Returns the server's configuration. */
export async function loadChoices() {
  const [list, config] = await Promise.all([
    data({ path: "/v1/ai/models", quiet: true }),
    data({ path: "/v1/ai/config", quiet: true }),
  ]);
  models = list;
  toEuros = config.prices.usd_to_eur * (1 + config.prices.margin);
  by("max-tokens").value = config.defaults.max_tokens ?? USUAL_LIMIT;
  by("temperature").value = config.defaults.temperature;
  showTemperature();
  by("model").replaceChildren(...models.map((model) => make("option", { value: model.id }, model.name)));
  showModel();
  return config;
}

/** Make the controls work. */
export function startChoices() {
  by("model").addEventListener("change", showModel);
  by("provider").addEventListener("change", showPrices);
  by("temperature").addEventListener("input", showTemperature);
  const toggle = by("choices-toggle");
  toggle.addEventListener("click", () => {
    const isOpen = by("choices").classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) by("model").focus();
  });
}

export function chosenModel() {
  return models.find((model) => model.id === by("model").value) ?? models[0];
}

/** A model that sees pictures, the first in the list; undefined when none does. */
export function seeingModel() {
  return models.find((model) => model.supports_vision);
}

/** Choose a model as if it had been picked from the list. */
export function chooseModel(id) {
  by("model").value = id;
  by("model").dispatchEvent(new Event("change"));
}

/** The fields of a request that are chosen here. */
export function chosenFields() {
  const fields = {
    model_id: by("model").value,
    provider_slug: by("provider").value,
    max_tokens: Math.max(1, Math.trunc(Number(by("max-tokens").value)) || USUAL_LIMIT),
    temperature: Number(by("temperature").value),
  };
  const system = by("system-prompt").value.trim();
  if (system) fields.system_prompt = system;
  if (by("fallbacks").checked) fields.allow_provider_fallbacks = true;
  if (!by("effort-field").hidden && by("effort").value) fields.reasoning_effort = by("effort").value;
  return fields;
}

function showTemperature() {
  by("temperature-shown").textContent = Number(by("temperature").value).toFixed(1);
}

function showModel() {
  const model = chosenModel();
  if (model === undefined) return;
  by("model-description").textContent = [
    model.description.split("\n")[0],
    model.supports_vision ? "Sees pictures." : "Does not see pictures.",
  ].join(" ");
  by("effort-field").hidden = !model.supports_reasoning;
  const cheapest = [...model.providers].sort((one, other) => one.pricing.completion - other.pricing.completion);
  by("provider").replaceChildren(
    ...cheapest.map((provider) =>
      make("option", { value: provider.slug }, `${provider.name} · ${price(provider.pricing.completion)}`),
    ),
  );
  by("provider").disabled = cheapest.length < 2;
  showPrices();
}

function price(dollars) {
  return dollars === 0 ? "free" : money(dollars * toEuros * MILLION);
}

function showPrices() {
  const provider = chosenModel()?.providers.find((each) => each.slug === by("provider").value);
  if (provider === undefined) return;
  const lines = [
    ["Question", price(provider.pricing.prompt), "a million tokens"],
    ["Answer", price(provider.pricing.completion), "a million tokens"],
    ["Context", compact(provider.context_length), "tokens"],
  ];
  if (provider.pricing.request) lines.push(["Request", money(provider.pricing.request * toEuros), "each"]);
  if (provider.max_completion_tokens) lines.push(["At most", compact(provider.max_completion_tokens), "tokens of answer"]);
  by("prices").replaceChildren(
    ...lines.map(([name, value, note]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, make("b", {}, value), make("small", {}, note))),
    ),
  );
}

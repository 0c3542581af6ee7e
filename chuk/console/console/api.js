// Asks the server. Every request is shown beside the chat as it goes.

import { token } from "./token.js";
import { newExchange } from "./wire.js";

const ACCEPT = "application/json; profile=envelope";

/** The server's own refusal. `code` and `details` are for programs, `message` for people. */
export class ApiError extends Error {
  constructor(status, error, retryAfter = null) {
    super(error.message);
    this.name = "ApiError";
    this.status = status;
    this.code = error.code;
    this.details = error.details ?? {};
    this.retryAfter = retryAfter;
  }
}

/** What a refused request becomes on the page. */
export function failureText(error) {
  if (error instanceof ApiError) return `${error.message} (${error.code})`;
  if (error instanceof TypeError) return "The server cannot be reached.";
  return error.message;
}

/**
 * Send a request, and return the answer as soon as its head is there, with its exchange.
 *
 * @param {{method?: string, path: string, json?: object, form?: FormData, headers?: object,
 *   signal?: AbortSignal, quiet?: boolean}} request `quiet`: not worth showing.
 * @throws {ApiError} for every status of 400 and more.
 * @throws {TypeError} when the server cannot be reached.
 */
export async function send(request) {
  const method = request.method ?? "GET";
  const headers = { Accept: ACCEPT, ...request.headers };
  if (request.json !== undefined) headers["Content-Type"] = "application/json";
  const exchange = request.quiet ? null : newExchange({ ...request, method, headers });
  let answer;
  try {
    answer = await fetch(request.path, {
      method,
      headers: { ...headers, Authorization: `Bearer ${token()}` },
      body: request.json === undefined ? request.form : JSON.stringify(request.json),
      signal: request.signal,
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
    });
  } catch (error) {
    exchange?.failed(error.name === "AbortError" ? "left" : "no connection");
    throw error;
  }
  exchange?.began(answer.status);
  if (!answer.ok) throw await refusal(answer, exchange);
  return { answer, exchange };
}

/** Send a request and return the `data` of its JSON answer. */
export async function data(request) {
  const { answer, exchange } = await send(request);
  const body = await answer.json();
  exchange?.told(body);
  exchange?.over();
  return body.data;
}

async function refusal(answer, exchange) {
  let body;
  try {
    body = await answer.json();
  } catch {
    body = {}; // Something between here and the server has answered in its own words.
  }
  exchange?.told(body);
  exchange?.over();
  const fallback = { code: `HTTP_${answer.status}`, message: "The request was refused.", details: {} };
  const retryAfter = Number(answer.headers.get("Retry-After")) || null;
  return new ApiError(answer.status, body.error ?? fallback, retryAfter);
}

/** A name that nobody else uses, for a thing that is wanted once. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

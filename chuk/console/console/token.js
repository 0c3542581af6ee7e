// The token: in this tab's session alone, never in an address, never in anything that lasts.

const NAME = "chuk-token";

/** The token; empty when nobody is signed in. */
export function token() {
  return sessionStorage.getItem(NAME) ?? "";
}

/** Keep it until the tab is closed; empty forgets it. */
export function keepToken(value) {
  if (value) sessionStorage.setItem(NAME, value);
  else sessionStorage.removeItem(NAME);
}

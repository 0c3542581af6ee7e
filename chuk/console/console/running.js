// Which answer is still coming, for this tab to read on when its page is loaded anew.
// Nothing is kept of it once it is over.

const NAME = "chuk-running";

/** @param {{stream: string, message: string, model: string, pictures: number}} turn */
export function keepRunning(turn) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(turn));
  } catch {
    forgetRunning(); // A message too long to be kept: then the answer cannot be read on, no more than that.
  }
}

export function forgetRunning() {
  sessionStorage.removeItem(NAME);
}

/** The answer that was coming when the page was left; null when there was none. */
export function keptRunning() {
  const kept = sessionStorage.getItem(NAME);
  return kept === null ? null : JSON.parse(kept);
}

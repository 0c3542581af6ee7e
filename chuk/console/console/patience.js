// How long a broken connection is tried anew: as long as the server keeps an answer that nobody reads.

const FIRST = 250;
const LONGEST = 4000;
const PATIENCE = 60_000;

/** Counts the tries after a cut; a connection that brings something starts it anew. */
export class Patience {
  #since = null;
  #isTold = false;
  #pause = FIRST;

  /** Whether a try is being made after a cut. */
  get isTried() {
    return this.#since !== null;
  }

  /** The server is there again. For how many milliseconds it was not; null when that was told. */
  reached() {
    if (this.#since === null || this.#isTold) return null;
    this.#isTold = true;
    return performance.now() - this.#since;
  }

  /** Something has arrived: the next cut is another one. */
  progress() {
    this.#since = null;
    this.#pause = FIRST;
  }

  /**
   * Wait before the next try; less when the browser says that the network is back.
   *
   * @throws {Error} when it has taken too long.
   */
  async wait(atLeast = 0) {
    this.#since ??= performance.now();
    this.#isTold = false;
    if (performance.now() - this.#since > PATIENCE) {
      throw new Error("The connection broke and did not come back. The answer may be incomplete.");
    }
    const pause = Math.max(this.#pause, atLeast);
    this.#pause = Math.min(this.#pause * 2, LONGEST);
    await new Promise((resolve) => {
      const timer = setTimeout(done, pause);
      function done() {
        clearTimeout(timer);
        removeEventListener("online", done);
        resolve();
      }
      addEventListener("online", done);
    });
  }
}

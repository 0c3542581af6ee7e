// What a turn asks for: the message with its pictures, and as much of what came before as may go along.

// For what is put around it: a name, a token.
const SPARE = 20_000;

let largest = 28_000_000;

/** Learn how many bytes a message may have. */
export function limitMessage(bytes) {
  largest = bytes;
}

/**
 * The body of a request, and a sentence about earlier pictures that it leaves out.
 *
 * @param {{fields: object, model: object, message: string, pictures: {url: string}[], history: object[]}} asked
 */
export function bodyOf({ fields, model, message, pictures, history }) {
  const body = { ...fields, message };
  if (pictures.length) body.images = pictures.map(({ url }) => url);
  if (!history.length) return { body, leftOut: "" };
  const words = history.map(({ images, ...rest }) => rest);
  let room = model.supports_vision ? largest - SPARE - length({ ...body, history: words }) : 0;
  let missing = 0;
  // The newest first: they are what is talked about.
  body.history = history.toReversed().map(({ images = [], ...rest }) => {
    const needed = length(images);
    if (!images.length) return rest;
    if (needed > room) {
      missing += images.length;
      room = 0;
      return rest;
    }
    room -= needed;
    return { ...rest, images };
  }).reverse();
  return { body, leftOut: missing ? reason(missing, model) : "" };
}

const length = (value) => new TextEncoder().encode(JSON.stringify(value)).length;

function reason(missing, { name, supports_vision: sees }) {
  const what = missing === 1 ? "An earlier picture was" : `${missing} earlier pictures were`;
  return sees ? `${what} left out: the message would have become too large.` : `${what} left out: ${name} does not see pictures.`;
}

// Makes a picture fit for sending: of a type that models take, and no larger than its share.

const AT_FIRST = 2048;
const SMALLEST = 64;
const SHRINK = 0.75;
const QUALITY = 0.88;
// What the first bytes of each type are that a message may carry.
const BEGINNINGS = [
  ["image/png", /^\x89PNG\r\n\x1a\n/],
  ["image/jpeg", /^\xff\xd8\xff/],
  ["image/webp", /^RIFF[^]{4}WEBP/],
  ["image/gif", /^GIF8[79]a/],
];

/**
 * A picture as it can be sent.
 *
 * @param {File} file
 * @param {number} most its size in bytes, at most; a larger one is drawn anew, smaller.
 * @returns {Promise<{url: string, width: number, height: number, size: number, before: string}>}
 *   `url` is a data URL; `before` says what it was when it had to be drawn anew, else nothing.
 * @throws {Error} when the browser cannot show it.
 */
export async function fitted(file, most) {
  const type = await typeOf(file);
  const picture = await decoded(file);
  const { width, height } = picture;
  try {
    if (type && file.size <= most) {
      return { url: await dataUrl(new Blob([file], { type })), width, height, size: file.size, before: "" };
    }
    const drawn = await smaller(picture, most);
    return { ...drawn, before: `${width} × ${height}${type === "image/gif" ? ", its first frame" : ""}` };
  } finally {
    picture.close();
  }
}

async function typeOf(file) {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  return BEGINNINGS.find(([, beginning]) => beginning.test(head))?.[0] ?? "";
}

async function decoded(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error("This browser cannot open it as a picture: it is damaged, too large, or of a kind that it does not know.");
  }
}

async function smaller(picture, most) {
  const longest = Math.max(picture.width, picture.height);
  for (let side = Math.min(longest, AT_FIRST); side >= Math.min(longest, SMALLEST); side *= SHRINK) {
    const width = Math.max(1, Math.round((picture.width * side) / longest));
    const height = Math.max(1, Math.round((picture.height * side) / longest));
    const blob = await drawn(picture, width, height);
    if (blob.size <= most) return { url: await dataUrl(blob), width, height, size: blob.size };
  }
  throw new Error("It cannot be made small enough for a message.");
}

function drawn(picture, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const brush = canvas.getContext("2d");
  // A JPEG has nothing to see through; black would hide dark writing.
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, width, height);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(picture, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(new Error("The file cannot be read any more.")));
    reader.readAsDataURL(blob);
  });
}

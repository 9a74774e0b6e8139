// Thumbnails of the streams that have one and are in sight, a few at a time, each looked at again after a while.

import { picture, streamPath } from "./api.js";

const AGAIN_MS = 10000;
const AT_ONCE = 4;

const shown = new Map();
let underWay = 0;

/** Whether a stream's document says that there is a picture. */
export function hasThumbnail(stream) {
  return stream.content?.thumbnail === true;
}

/** Shows the newest picture of `name` in `image`, which stays hidden until there is one. Cheap to call often. */
export function showThumbnail(image, name) {
  const entry = shown.get(image) || { url: null, asked: -Infinity };
  shown.set(image, entry);
  if (underWay >= AT_ONCE || performance.now() - entry.asked < AGAIN_MS) return;
  entry.asked = performance.now();
  underWay += 1;
  picture(streamPath(name) + "/thumbnail.jpg")
    .then((blob) => replace(image, entry, blob), () => {})
    .finally(() => (underWay -= 1));
}

/** Gives the picture's memory back. */
export function dropThumbnail(image) {
  const entry = shown.get(image);
  if (entry?.url) URL.revokeObjectURL(entry.url);
  shown.delete(image);
  image.hidden = true;
  image.removeAttribute("src");
}

function replace(image, entry, blob) {
  if (shown.get(image) !== entry) return;
  const old = entry.url;
  entry.url = blob && URL.createObjectURL(blob);
  image.hidden = !blob;
  if (blob) image.src = entry.url;
  else image.removeAttribute("src");
  if (old) URL.revokeObjectURL(old);
}

// Thumbnails of the streams that have one and are in sight: a few at a time, and again when there is a newer one.

import { picture, streamPath } from "./api.js";

const AT_ONCE = 4;

const shown = new Map();
let underWay = 0;

/** Whether there is a picture of a stream. */
export function hasThumbnail(stream) {
  return (stream.thumbnail_at ?? null) !== null;
}

/** Shows the newest picture of a stream in `image`, which stays hidden until it is here. Cheap to call often. */
export function showThumbnail(image, { name, thumbnail_at: at }) {
  const entry = shown.get(image) || { url: null, at: null };
  shown.set(image, entry);
  if (underWay >= AT_ONCE || entry.at === at) return;
  entry.at = at;
  underWay += 1;
  picture(streamPath(name) + "/thumbnail.jpg")
    .then((blob) => replace(image, entry, blob), () => (entry.at = null))
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

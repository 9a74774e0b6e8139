// Talks to the monitor. A token, where reading needs one, stays in this tab and goes nowhere but into the Authorization header.

const PATIENCE_MS = 8000;
let token = null;
try {
  token = sessionStorage.getItem("token");
} catch {
  // No storage: the token is asked for again after a reload.
}

/** An answer that is no success. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail || "HTTP " + status);
    this.status = status;
  }
}

export function setToken(value) {
  token = value;
  try {
    sessionStorage.setItem("token", value);
  } catch {
    // As above.
  }
}

function headers(more) {
  return token ? { ...more, Authorization: "Bearer " + token } : more;
}

async function answer(path, init) {
  const reply = await fetch(path, { ...init, headers: headers(init.headers), credentials: "same-origin", redirect: "error" });
  if (reply.ok) return reply;
  const problem = await reply.json().catch(() => null);
  throw new Refused(reply.status, problem && problem.detail);
}

/** A JSON document. */
export async function read(path) {
  const reply = await answer(path, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE_MS) });
  return reply.json();
}

/** A picture; null where there is none. `no-cache` asks whether the one we have is still the newest. */
export async function picture(path) {
  try {
    const init = { headers: { Accept: "image/jpeg" }, cache: "no-cache", signal: AbortSignal.timeout(PATIENCE_MS) };
    return await (await answer(path, init)).blob();
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

/** Server-Sent Events, read by hand because EventSource sends no token. `seen` is told each event and its id, and when the stream is open. */
export async function follow(path, lastId, seen, signal) {
  const init = { headers: { Accept: "text/event-stream" }, cache: "no-store", signal };
  if (lastId) init.headers["Last-Event-ID"] = lastId;
  const reply = await answer(path, init);
  seen(null, null);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const pieces = (rest + value).split("\n\n");
    rest = pieces.pop();
    for (const piece of pieces) {
      const fields = new Map(piece.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      if (fields.has("data")) seen(JSON.parse(fields.get("data")), fields.get("id"));
    }
  }
}

export function streamPath(name) {
  return "/api/v1/streams/" + encodeURIComponent(name);
}

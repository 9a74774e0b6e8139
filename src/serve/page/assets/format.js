// Numbers, times and causes for people.

export const STATES = ["down", "degraded", "unknown", "up", "idle"];
const TITLES = { down: "Down", degraded: "Degraded", unknown: "Unknown", up: "Up", idle: "Idle" };

/** What is known of the server's clock: ages are told by it, not by this machine's. */
let skew = 0;

export function setClock(at) {
  skew = Date.parse(at) - Date.now();
}

/** The server's time in milliseconds. */
export function now() {
  return Date.now() + skew;
}

export function stateTitle(health) {
  return TITLES[health] || words(health);
}

/** An identifier as words: `origin_unresponsive` as "origin unresponsive". */
export function words(identifier) {
  return String(identifier).replaceAll("_", " ");
}

export function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : "";
}

const NONE = "–";

function fixed(value, digits) {
  return value.toFixed(digits);
}

export function bitrate(bps) {
  if (bps === null || bps === undefined) return NONE;
  if (bps >= 1e9) return fixed(bps / 1e9, 2) + " Gbit/s";
  if (bps >= 1e7) return fixed(bps / 1e6, 1) + " Mbit/s";
  if (bps >= 1e6) return fixed(bps / 1e6, 2) + " Mbit/s";
  return fixed(bps / 1e3, 0) + " kbit/s";
}

/** For the axis of a chart: "1.5 M", "500 k". */
export function bitrateAxis(bps) {
  if (bps >= 1e6) return +(bps / 1e6).toFixed(2) + " M";
  return bps === 0 ? "0" : +(bps / 1e3).toFixed(1) + " k";
}

export function rate(fps) {
  return fps === null || fps === undefined ? NONE : fixed(fps, 1) + " fps";
}

/** A short time in seconds: "41 ms", "2.00 s". */
export function short(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const size = Math.abs(seconds);
  if (size >= 1) return fixed(seconds, 2) + " s";
  if (size >= 0.01) return fixed(seconds * 1e3, 0) + " ms";
  return fixed(seconds * 1e3, 1) + " ms";
}

/** Likewise of short times: "1.5 s", "200 ms". */
export function shortAxis(seconds) {
  if (seconds === 0) return "0";
  return Math.abs(seconds) >= 1 ? +seconds.toFixed(2) + " s" : +(seconds * 1e3).toFixed(1) + " ms";
}

/** A span of seconds in its two greatest units: "2 min 5 s". */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  // Seconds beside many minutes tell nobody anything.
  const most = first === 2 && parts[2][0] >= 10 ? 1 : 2;
  return parts.slice(first, first + most).filter(([count]) => count > 0).map(([count, unit]) => count + " " + unit).join(" ");
}

/** How long ago a moment was. */
export function ago(at) {
  return at ? span((now() - Date.parse(at)) / 1000) : NONE;
}

// Midnight is 00:00, which `hour12: false` does not say everywhere.
const CYCLE = { hourCycle: "h23" };
export const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", ...CYCLE });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", ...CYCLE });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** Time of day, on this machine's clock face. */
export function clock(at) {
  return CLOCK.format(Date.parse(at));
}

/** Time of day, with the day where that is not today. */
export function recent(at) {
  const [then, today] = [new Date(at), new Date(now())];
  return (then.toDateString() === today.toDateString() ? "" : SHORT_DAY.format(then) + " ") + CLOCK.format(then);
}

/** Date and time. */
export function moment(at) {
  return DAY.format(Date.parse(at));
}

export function percent(ratio, digits = 0) {
  return ratio === null || ratio === undefined ? NONE : fixed(ratio * 100, digits) + " %";
}

export function count(number, noun) {
  return number + " " + noun + (number === 1 ? "" : "s");
}

export function bytes(number) {
  if (number >= 1e9) return fixed(number / 1e9, 2) + " GB";
  if (number >= 1e6) return fixed(number / 1e6, 1) + " MB";
  return fixed(number / 1e3, 0) + " kB";
}

/** Why something is not well: its causes, then what was said about them. Of what is well: what is only to be noted. */
export function why(item) {
  const causes = (item.causes || []).map(words).join(", ");
  if (item.silence) return sentence("silenced" + (item.silence.reason ? ": " + item.silence.reason : ""));
  if (item.health === "up") return item.noted?.length ? sentence("noted: " + item.noted.map(words).join(", ")) : "";
  if (causes && item.detail) return sentence(causes) + ": " + item.detail;
  return sentence(causes || item.detail || "");
}

// What is shown is all in the URL's fragment, so a view can be shared and no server log sees it:
// `#/?state=down&label=site:plant-a&q=gate&sort=name&view=compact` or `#/streams/gate-1`.

import { STATES } from "./format.js";

export const SORTS = ["name", "change", "bitrate"];

/** The stream a fragment names, or the filter of the overview. */
export function parse(fragment) {
  const [path, query = ""] = fragment.replace(/^#/, "").split("?", 2);
  const found = path.match(/^\/streams\/([^/]+)$/);
  if (found) {
    try {
      return { stream: decodeURIComponent(found[1]) };
    } catch {
      // No name is written like that: the overview.
    }
  }
  const given = new URLSearchParams(query);
  return {
    filter: {
      states: given.getAll("state").filter((state) => STATES.includes(state)),
      labels: given.getAll("label").filter((label) => label.includes(":")),
      text: given.get("q") || "",
      sort: SORTS.includes(given.get("sort")) ? given.get("sort") : "",
      compact: given.get("view") === "compact",
    },
  };
}

export function ofStream(name) {
  return "#/streams/" + encodeURIComponent(name);
}

export function ofFilter(filter) {
  const query = new URLSearchParams();
  filter.states.forEach((state) => query.append("state", state));
  filter.labels.forEach((label) => query.append("label", label));
  if (filter.text) query.set("q", filter.text);
  if (filter.sort) query.set("sort", filter.sort);
  if (filter.compact) query.set("view", "compact");
  const text = query.toString();
  return text ? "#/?" + text : "#/";
}

/** Whether a stream passes: any of the states, all of the labels, all words of the text. */
export function passes(stream, filter) {
  if (filter.states.length && !filter.states.includes(stream.health)) return false;
  for (const label of filter.labels) {
    const [name, ...value] = label.split(":");
    if (stream.labels[name] !== value.join(":")) return false;
  }
  if (!filter.text) return true;
  const hay = [stream.name, ...Object.values(stream.labels), ...stream.causes].join(" ").toLowerCase();
  return filter.text.toLowerCase().split(/\s+/).every((word) => hay.includes(word));
}

const byName = (a, b) => (a.name < b.name ? -1 : 1);
const ORDERS = {
  "": (a, b) => STATES.indexOf(a.health) - STATES.indexOf(b.health) || byName(a, b),
  name: byName,
  change: (a, b) => (a.since < b.since ? 1 : a.since > b.since ? -1 : byName(a, b)),
  bitrate: (a, b) => (b.bitrate_bps ?? -1) - (a.bitrate_bps ?? -1) || byName(a, b),
};

export function sorted(streams, sort) {
  return streams.sort(ORDERS[sort]);
}

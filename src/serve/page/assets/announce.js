// Says changes to those who do not see them: politely, in one sentence however many there are.

import { byId, setText } from "./dom.js";
import { words } from "./format.js";

const MOST_NAMED = 3;

export function say(text) {
  setText(byId("announcer"), text);
}

/** Compares each picture with the one before. */
export class Announcer {
  constructor() {
    this.before = null;
  }

  take(streams) {
    const states = new Map(streams.map((stream) => [stream.name, stream.health]));
    const changed = this.before ? streams.filter((stream) => this.before.has(stream.name) && this.before.get(stream.name) !== stream.health) : [];
    this.before = states;
    if (!changed.length) return;
    if (changed.length > MOST_NAMED) {
      const down = changed.filter((stream) => stream.health === "down").length;
      say(`${changed.length} streams have changed, ${down} of them are down now.`);
      return;
    }
    say(changed.map((stream) => `${stream.name} is ${stream.health}${stream.causes.length ? ": " + stream.causes.map(words).join(", ") : ""}.`).join(" "));
  }
}

// The picture, kept fresh: the status document every two seconds, at once when an event says that something changed, and not at all
// while nobody looks. The past comes with one question at the start.

import { follow, read, Refused } from "./api.js";
import { setClock } from "./format.js";
import { Past } from "./past.js";

const EVERY_MS = 2000;
/** The overview is not shown: only the title and the announcements need the status. */
const RARELY_MS = 5000;
/** Events come in bursts. */
const GATHER_MS = 150;
const FEED_AGAIN_MS = 5000;
const EVENTS_KEPT = 300;

/** Tells an event from all others: ids alone begin again with each start of the monitor. */
export function eventKey(event) {
  return event.at + " " + event.id;
}

export function newestFirst(a, b) {
  return Date.parse(b.at) - Date.parse(a.at) || b.id - a.id;
}

export class Live {
  constructor() {
    this.status = null;
    /** Newest first. */
    this.events = [];
    this.past = new Past();
    this.problem = null;
    /** Whether the problem is that a token is asked for. */
    this.refused = false;
    this.rarely = false;
    this.listeners = { status: [], events: [], trouble: [], refused: [] };
    this.timer = null;
    this.underWay = false;
    this.again = false;
    this.lastId = null;
    this.feed = null;
  }

  on(kind, listener) {
    this.listeners[kind].push(listener);
  }

  tell(kind, value) {
    for (const listener of this.listeners[kind]) listener(value);
  }

  start() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.resume()));
    if (!document.hidden) this.resume();
  }

  resume() {
    this.refresh();
    this.readPast();
    this.readEvents();
  }

  pause() {
    clearTimeout(this.timer);
    this.feed?.abort();
    this.feed = null;
  }

  schedule(after) {
    clearTimeout(this.timer);
    if (!document.hidden) this.timer = setTimeout(() => this.refresh(), after);
  }

  /** Asks now; one question at a time. */
  async refresh() {
    if (this.underWay) {
      this.again = true;
      return;
    }
    this.underWay = true;
    clearTimeout(this.timer);
    try {
      const status = await read("/api/v1/status");
      setClock(status.at);
      this.status = status;
      this.problem = status.monitor.status === "up" ? null : "The monitor has stalled";
      this.refused = false;
      this.past.note(status);
      this.tell("status", status);
    } catch (error) {
      // What browsers say about a lost connection tells nobody more.
      this.problem = error instanceof Refused ? "The monitor refuses: " + error.message : "No contact with the monitor";
      this.refused = error instanceof Refused && (error.status === 401 || error.status === 403);
      if (this.refused) this.tell("refused", error);
    }
    this.underWay = false;
    this.tell("trouble", this.problem);
    this.schedule(this.again ? GATHER_MS : this.rarely ? RARELY_MS : EVERY_MS);
    this.again = false;
  }

  async readPast() {
    try {
      this.past.take(await read("/api/v1/history?limit=" + this.past.length));
      if (this.status) this.tell("status", this.status);
    } catch {
      // Lines begin now, then.
    }
  }

  /** The newest events, then those to come. */
  async readEvents() {
    if (this.feed) return;
    const feed = new AbortController();
    this.feed = feed;
    try {
      const { events } = await read("/api/v1/events?limit=200");
      this.events = events.reverse();
      this.tell("events", this.events);
      const newest = this.events.length ? this.events[0].id : 0;
      const path = "/api/v1/events" + (this.lastId ? "" : "?after=" + newest);
      await follow(path, this.lastId, (event, id) => this.happened(event, id), feed.signal);
    } catch {
      // Ended, or too many have one open: the status is still asked for.
    }
    if (this.feed !== feed) return;
    this.feed = null;
    setTimeout(() => document.hidden || this.readEvents(), FEED_AGAIN_MS);
  }

  happened(event, id) {
    if (!event) return;
    this.lastId = id;
    const key = eventKey(event);
    if (this.events.some((known) => eventKey(known) === key)) return;
    this.events = [event, ...this.events].sort(newestFirst).slice(0, EVENTS_KEPT);
    this.tell("events", this.events);
    if (this.underWay) this.again = true;
    else this.schedule(GATHER_MS);
  }
}

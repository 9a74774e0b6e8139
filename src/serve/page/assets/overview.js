// What stands around the wall: the headline, failovers and groups, paths, endpoints, services, recent changes.

import { byId, h, Keyed, setAttribute, setHidden, setText } from "./dom.js";
import { ago, bitrate, clock, count, moment, percent, recent, sentence, span, STATES, stateTitle, why, words } from "./format.js";
import { eventKey } from "./live.js";
import { ofStream } from "./route.js";

/** Rows of a panel that are well and shown without being asked for. */
const CALM_ROWS = 4;
const CHANGES = 12;

export function worst(counts) {
  return ["down", "degraded", "unknown", "up"].find((state) => counts[state] > 0) || "idle";
}

/** How many of everything are in each state; what is no thing's state, that this monitor is blind, is one more down. */
export function overall({ totals, isolated_since: isolated }) {
  const { by_health, endpoints_by_health, services_by_health, groups_by_health: groups } = totals;
  // A group of which nobody is expected is unknown, and well.
  const counted = [by_health, endpoints_by_health, services_by_health, { ...groups, unknown: 0 }, { down: isolated ? 1 : 0 }];
  return Object.fromEntries(STATES.map((state) => [state, counted.reduce((sum, one) => sum + (one?.[state] || 0), 0)]));
}

export class Headline {
  constructor() {
    this.bar = new Keyed(byId("proportions"), () => h("span"), (node, [state, number]) => {
      node.dataset.health = state;
      node.style.flexGrow = number;
    }, ([state]) => state);
  }

  show(status) {
    const { totals } = status;
    const by = totals.by_health;
    setText(byId("headline"), sentence(headline(totals, status.isolated_since)));
    byId("headline").dataset.health = worst(overall(status));
    const facts = [
      count(totals.streams, "stream"), bitrate(totals.bitrate_bps),
      totals.endpoints ? count(totals.endpoints, "endpoint") : null, totals.services ? count(totals.services, "service") : null,
      totals.paths ? count(totals.paths, "path") : null, totals.silenced ? totals.silenced + " silenced" : null,
    ];
    setText(byId("headline-facts"), facts.filter(Boolean).join("  ·  "));
    this.bar.show(STATES.map((state) => [state, by[state]]).filter(([, number]) => number > 0));
  }
}

function headline({ streams, by_health: by, endpoints_by_health: e, services_by_health: s, groups_by_health: g, paths_with_fault: faults }, isolated) {
  if (isolated) return "this monitor sees nothing";
  const around = [e, s, g].some((one) => one.down || one.degraded) || faults > 0;
  if (!streams) return around ? "no streams yet, and not all is well" : "no streams yet";
  const troubles = [by.down ? by.down + " down" : "", by.degraded ? by.degraded + " degraded" : "", by.unknown ? by.unknown + " unknown" : ""];
  const said = troubles.filter(Boolean).join(", ");
  if (said) return said;
  const well = by.up === streams ? (streams === 1 ? "the stream is up" : `all ${streams} streams are up`) : `${by.up} up, ${by.idle} idle`;
  return around ? well + ", not all around them" : well;
}

function dot(health) {
  return h("span", { class: "dot", "data-health": health, "aria-hidden": "true" });
}

function badge(text, kind) {
  return h("span", { class: "badge", "data-kind": kind }, text);
}

/** A list of which the troubled rows are always shown, and the rest on request. */
class Panel {
  constructor(name, update) {
    this.panel = byId("panel-" + name);
    this.tally = this.panel.querySelector(".tally");
    this.open = false;
    this.items = [];
    this.rows = new Keyed(byId(name), () => h("li", { class: "row" }), (node, item) => {
      const text = face(item);
      if (node.shown !== text) {
        node.shown = text;
        node.dataset.health = item.health;
        node.replaceChildren(...update(item));
      }
      const at = node.querySelector("time[data-ago]");
      if (at) setText(at, ago(at.dateTime));
    });
    this.more = h("button", { type: "button", class: "more", "aria-expanded": "false", click: () => {
      this.open = !this.open;
      this.show(this.items);
    } });
    this.panel.append(this.more);
  }

  show(items) {
    this.items = items;
    setHidden(this.panel, !items.length);
    const counts = {};
    for (const item of items) counts[item.health] = (counts[item.health] || 0) + 1;
    setText(this.tally, STATES.filter((state) => counts[state]).map((state) => counts[state] + " " + state).join(", "));
    this.tally.dataset.health = worst(counts);
    const order = [...items].sort((a, b) => STATES.indexOf(a.health) - STATES.indexOf(b.health));
    const troubled = order.filter((item) => !["up", "idle"].includes(item.health)).length;
    const shown = this.open ? order : order.slice(0, Math.max(troubled, CALM_ROWS));
    this.rows.show(shown);
    this.rows.parent.classList.toggle("open", this.open);
    // On a phone the calm rows are hidden too (by the style), so there the button is of use even when all rows are here.
    setHidden(this.more, !this.open && shown.length === items.length && troubled === items.length);
    this.more.classList.toggle("for-phones", !this.open && shown.length === items.length);
    setText(this.more, this.open ? "Fewer" : "All " + items.length);
    setAttribute(this.more, "aria-expanded", String(this.open));
  }
}

function target(item) {
  return [
    dot(item.health),
    h("span", { class: "title" }, h("b", null, item.name), h("span", { class: "visually-hidden" }, " " + stateTitle(item.health)), h("small", null, words(item.kind))),
    h("span", { class: "value" }, item.figure || item.condition || ""),
    item.health === "up" ? null : h("span", { class: "note" }, why(item) || stateTitle(item.health), " for ", h("time", { datetime: item.since, "data-ago": true })),
  ].filter(Boolean);
}

/** What a path carries, and how much of what it should where that is less. */
function carried({ received_bitrate_bps: received, receive_ratio: ratio }) {
  if (received === null) return "";
  return bitrate(received) + (ratio !== null && ratio < 1 ? `, ${percent(ratio)} of the least` : "");
}

function path(item) {
  const { fault, link } = item;
  const hops = item.hops.map((hop, i) => {
    const text = [dot(hop.health), hop.name];
    const title = `${hop.class}: ${stateTitle(hop.health)}${hop.causes.length ? ", " + hop.causes.map(words).join(", ") : ""}${hop.consequence ? " (follows from an earlier hop)" : ""}`;
    const kind = fault?.index === i ? "fault" : hop.consequence ? "consequence" : null;
    return h("li", { class: "hop", "data-kind": kind, title },
      hop.class === "stream" ? h("a", { href: ofStream(hop.name) }, ...text) : h("span", null, ...text), h("span", { class: "visually-hidden" }, " " + title));
  });
  return [
    dot(item.health),
    h("span", { class: "title" }, h("b", null, item.name), h("span", { class: "visually-hidden" }, " " + stateTitle(item.health))),
    h("span", { class: "value" }, carried(link)),
    h("ol", { class: "hops" }, ...hops),
    fault ? h("span", { class: "note" }, `Fails at ${words(fault.hop.replace("/", " "))}${fault.certain ? "" : " or before"}${item.causes.length ? ": " + item.causes.map(words).join(", ") : ""}, for `, h("time", { datetime: fault.since, "data-ago": true })) : null,
  ].filter(Boolean);
}

function intent(title, { state, reason, until }) {
  return badge(title + (state ? " " + words(state) : "") + (until ? " until " + moment(until) : "") + (reason ? ": " + reason : ""), "intent");
}

function yesNo(value, yes, no) {
  return value === null || value === undefined ? null : badge(value ? yes : no, value ? "good" : "bad");
}

/** Why the active candidate is that. */
const REASONS = {
  initial: "the first that was fit",
  not_eligible: "the one before was not fit to serve",
  not_serving: "the one before did not serve",
  preempt: "preferred, and fit again",
  pinned: "pinned by an operator",
  maintenance: "the one before is in maintenance",
  removed: "the one before is configured no more",
};

function failover(item) {
  const candidates = (item.candidates || []).map((candidate) => h("li", { class: "candidate", "data-active": String(candidate.active === true) },
    h("span", { class: "title" }, h("b", null, candidate.group), candidate.value ? h("small", null, String(candidate.value)) : null),
    h("span", { class: "badges" }, candidate.active ? badge("active", "active") : null, yesNo(candidate.eligible, "eligible", "not eligible"),
      yesNo(candidate.serving, "serving", "not serving"), candidate.suspect_until ? badge("suspect until " + clock(candidate.suspect_until), "bad") : null)));
  return [
    h("div", { class: "card-head" }, h("h3", null, item.name), h("span", { class: "badges" }, item.isolated ? badge("isolated: keeps its last answer", "bad") : item.held ? badge("held: cannot see", "intent") : null,
      item.suppressed ? badge("no switch: " + words(item.suppressed), "intent") : null, item.pinned ? intent("pinned to " + item.pinned.group, { ...item.pinned, state: null }) : null)),
    h("p", { class: "active-candidate" }, item.active || "none", item.address ? h("small", null, item.address) : null),
    h("p", { class: "note" }, item.since ? "For " : null, item.since ? h("time", { datetime: item.since, title: moment(item.since) }, ago(item.since)) : null,
      item.reason ? `: ${REASONS[item.reason] || words(item.reason)}` : null, item.epoch ? `, decision ${item.epoch}` : null),
    h("ol", { class: "candidates" }, ...candidates),
  ];
}

function group(item) {
  const { members = {} } = item;
  return [
    h("div", { class: "card-head" }, h("h3", null, dot(item.health), item.name), h("span", { class: "state" }, stateTitle(item.health))),
    h("p", { class: "badges" }, yesNo(item.eligible, "eligible", "not eligible"), yesNo(item.serving, "serving", "not serving"),
      item.suspect_until ? badge("suspect until " + clock(item.suspect_until), "bad") : null, item.held ? badge("held: cannot see", "intent") : null, item.maintenance ? intent("maintenance", item.maintenance) : null),
    h("p", { class: "note" }, [
      members?.expected ? `${members.healthy} of ${members.expected} well` : null, members?.idle ? members.idle + " idle" : null,
      item.weight_ratio === null || item.weight_ratio === undefined ? null : "weight " + percent(item.weight_ratio), item.address,
    ].filter(Boolean).join("  ·  ")),
    item.causes?.length ? h("p", { class: "note bad" }, sentence(item.causes.map(words).join(", "))) : null,
    item.failing?.length ? h("p", { class: "note" }, "Failing: " + item.failing.join(", ")) : null,
    item.since ? h("p", { class: "note" }, stateTitle(item.health) + " for ", h("time", { datetime: item.since, title: moment(item.since) }, ago(item.since))) : null,
  ].filter(Boolean);
}

/** Cards that may not be there at all. */
class Cards {
  constructor(name, area, describe) {
    this.area = byId(area);
    this.cards = new Keyed(byId(name), () => h("li", { class: "card" }), (node, item) => {
      // Ages move; everything else seldom does.
      const text = face(item);
      if (node.shown === text) {
        for (const at of node.querySelectorAll("time")) setText(at, ago(at.dateTime));
        return;
      }
      node.shown = text;
      if (item.health) node.dataset.health = item.health;
      node.replaceChildren(...describe(item));
    });
  }

  show(items) {
    setHidden(this.area, !items?.length);
    this.cards.show(items || []);
  }
}

/** What is neither well nor anything's state: that we are blind, controllers that do not obey, publications without a publisher. */
function notices(status) {
  const { isolated_since: isolated, controllers = [], ghosts = [], actions = [] } = status;
  return [
    isolated ? `This monitor sees nothing at all for ${ago(isolated)}: all decisions are kept.` : null,
    ...controllers.filter((c) => c.disagrees).map((c) => `${c.server} on ${c.node} was told that ${c.object} is ${c.told_healthy ? "up" : "down"} and does otherwise for ${span(c.disagreement_seconds)}.`),
    ...ghosts.map((ghost) => `${ghost.service} keeps a publication${ghost.stream ? " of " + ghost.stream : ""} whose publisher is gone for ${ago(ghost.since)}.`),
    ...actions.filter((action) => action.pending > 0).map((action) => `${count(action.pending, "action")} (${words(action.action)}) still to be done.`),
  ].filter(Boolean).map((text) => ({ text }));
}

/** An item as far as it is shown: that evidence grows older is no change. */
function face(item) {
  return JSON.stringify(item, (key, value) => (key.startsWith("age_") ? undefined : value));
}

export class Around {
  constructor() {
    this.notices = new Keyed(byId("notices"), () => h("li"), (node, { text }) => setText(node, text), ({ text }) => text.replace(/\d+/g, ""));
    this.paths = new Panel("paths", path);
    this.endpoints = new Panel("endpoints", target);
    this.services = new Panel("services", target);
    this.failovers = new Cards("failovers", "failover-area", failover);
    this.groups = new Cards("groups", "group-area", group);
    this.changes = new Keyed(byId("changes"), changeRow, () => {}, eventKey);
  }

  show(status) {
    const address = (name) => status.groups?.find((other) => other.name === name)?.address ?? null;
    this.failovers.show(status.failovers?.map((item) => ({ ...item, address: item.address ?? address(item.active) })));
    this.groups.show(status.groups);
    this.notices.show(notices(status));
    this.paths.show(status.paths);
    this.endpoints.show(status.endpoints);
    this.services.show(status.services);
  }

  showEvents(events) {
    this.changes.show(events.filter((event) => event.kind !== "added").slice(0, CHANGES));
    setHidden(byId("panel-changes"), !events.length);
  }
}

/** What an event says, in a few words. */
export function told(event) {
  const causes = event.causes.map(words).join(", ");
  const state = event.to && ["state", "cause"].includes(event.kind) ? event.to : words(event.kind);
  return { state, text: [causes, event.detail].filter(Boolean).join(": ") };
}

/** Whom an event is about: what kind of thing, and which; null where it is about the monitor itself. */
export function subject(event) {
  const kind = ["stream", "endpoint", "service", "path", "group", "failover"].find((name) => event[name] !== undefined);
  return kind ? { kind, name: event[kind] } : { kind: null, name: "monitor" };
}

function changeRow(event) {
  const { kind, name } = subject(event);
  const { state, text } = told(event);
  // Others come from and go to something else than a health.
  const health = ["state", "cause", "fault"].includes(event.kind) ? event.to : null;
  return h("li", { class: "change", "data-health": health || "unknown" },
    h("time", { datetime: event.at, title: moment(event.at) }, recent(event.at)), dot(health || "idle"),
    h("span", { class: "what" }, kind === "stream" ? h("a", { href: ofStream(name) }, name) : h("b", null, name), " ", kind === "stream" || !kind ? null : h("small", null, kind + " "), h("span", { class: "state" }, state)),
    text ? h("span", { class: "note", title: text }, text) : null);
}

// Puts the page together: what the URL asks for, what the monitor says, and what stands above both.

import { Announcer, say } from "./announce.js";
import { setToken } from "./api.js";
import { recolour } from "./charts.js";
import { byId, setAttribute, setHidden, setText } from "./dom.js";
import { FilterBar } from "./filter.js";
import { clock } from "./format.js";
import { Live } from "./live.js";
import { Around, Headline, overall, worst } from "./overview.js";
import { ofFilter, parse, passes, sorted } from "./route.js";
import { StreamPage } from "./stream.js";
import { Wall } from "./wall.js";

const TITLE = "rtmp-hmonitor";

const live = new Live();
const wall = new Wall(live.past);
const headline = new Headline();
const around = new Around();
const announcer = new Announcer();
const bar = new FilterBar((filter) => {
  shown = { filter };
  bar.take(filter);
  showStreams();
});
let shown = parse(location.hash);
let page = null;
/** Where the overview was left. */
let home = "#/";
let scrolled = 0;

function showStreams() {
  const { status } = live;
  if (!status || !shown.filter) return;
  const found = sorted(status.streams.filter((stream) => passes(stream, shown.filter)), shown.filter.sort);
  bar.offer(status.streams);
  wall.show(found, status.streams);
  setText(byId("shown"), found.length === status.streams.length ? String(found.length) : `${found.length} of ${status.streams.length}`);
}

function showStatus(status) {
  const by = overall(status);
  const troubles = by.down + by.degraded;
  document.title = [troubles ? `(${troubles})` : null, shown.stream, TITLE].filter(Boolean).join(" ");
  const icon = `/page/icon-${{ idle: "up" }[worst(by)] || worst(by)}.svg`;
  if (byId("icon").getAttribute("href") !== icon) byId("icon").setAttribute("href", icon);
  announcer.take(status.streams);
  setText(byId("version"), "rtmp-hmonitor " + status.monitor.version);
  if (shown.stream) return;
  headline.show(status);
  around.show(status);
  showStreams();
}

function showTrouble(problem) {
  document.body.classList.toggle("stale", problem !== null);
  setHidden(byId("stale"), problem === null);
  setHidden(byId("sign-in-open"), !live.refused);
  if (problem) setText(byId("stale-text"), `${problem}. ${live.status ? `What is shown is as of ${clock(live.status.at)}, not of now.` : ""}`);
  byId("live").dataset.state = problem ? "stale" : "live";
  setText(byId("live-text"), problem ? "Not current" : "Live");
}

/** Shows what the URL asks for. */
function go() {
  const before = shown;
  let back = null;
  if (before.filter) scrolled = scrollY;
  shown = parse(location.hash);
  if (before.filter) home = ofFilter(before.filter);
  page?.leave();
  page = null;
  setHidden(byId("overview"), shown.stream !== undefined);
  setHidden(byId("stream"), shown.stream === undefined);
  live.rarely = shown.stream !== undefined;
  if (shown.stream !== undefined) {
    page = new StreamPage(shown.stream, home, say);
    page.takeEvents(live.events);
    scrollTo(0, 0);
    if (before.filter && before !== shown) byId("stream-name").focus({ preventScroll: true });
  } else {
    bar.take(shown.filter);
    if (live.status) {
      live.refresh();
      around.showEvents(live.events);
    }
    if (before.stream !== undefined) {
      scrollTo(0, scrolled);
      back = before.stream;
    }
  }
  if (live.status) showStatus(live.status);
  if (back) wall.focusStream(back);
}

function themes() {
  const button = byId("theme");
  const names = { system: "as the system", light: "light", dark: "dark" };
  const current = () => document.documentElement.dataset.theme || "system";
  const tell = () => setAttribute(button, "aria-label", "Colours: " + names[current()]);
  tell();
  button.addEventListener("click", () => {
    const order = Object.keys(names);
    const next = order[(order.indexOf(current()) + 1) % order.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // Forgotten with the tab, then.
    }
    tell();
    recolour();
  });
}

function signIn() {
  const dialog = byId("sign-in");
  /** Whoever closes the dialog is not asked again, but finds a button in the banner. */
  let declined = false;
  live.on("refused", (refused) => {
    setText(byId("sign-in-why"), refused.message + ".");
    if (!dialog.open && !declined) dialog.showModal();
  });
  byId("sign-in-open").addEventListener("click", () => dialog.showModal());
  byId("sign-in-later").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    const token = byId("token").value.trim();
    byId("token").value = "";
    declined = !token;
    if (declined) return;
    setToken(token);
    live.pause();
    live.resume();
    if (shown.stream) go();
  });
}

function keys() {
  document.addEventListener("keydown", (event) => {
    const writing = event.target.matches?.("input, select, textarea");
    if (event.key === "/" && !writing && !shown.stream && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      byId("q").focus();
    } else if (event.key === "Escape" && event.target === byId("q")) {
      bar.set({ text: "" });
    }
  });
  // The fragment is the route, so this link cannot be one.
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
}

themes();
signIn();
keys();
live.on("status", showStatus);
live.on("trouble", showTrouble);
live.on("events", (events) => {
  if (shown.stream !== undefined) page?.takeEvents(events);
  else around.showEvents(events);
});
addEventListener("hashchange", go);
go();
live.start();

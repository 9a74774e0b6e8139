// One stream's page: figures and their recent past, how the connection came about, what is declared against what is measured, events.

import { read, Refused, streamPath } from "./api.js";
import { Chart } from "./charts.js";
import { commandList } from "./commands.js";
import { byId, h, Keyed, setAttribute, setHidden, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { ago, bitrate, bitrateAxis, bytes, count, moment, now, percent, rate, recent, sentence, short, shortAxis, span, stateTitle, why, words } from "./format.js";
import { eventKey, newestFirst } from "./live.js";
import { told } from "./overview.js";
import { dropThumbnail, hasThumbnail, showThumbnail } from "./thumbnails.js";

const EVERY_MS = 1000;
const EVENTS = 100;
const PHASES = ["resolve", "tcp", "tls", "handshake", "connect", "play", "first_media", "first_keyframe"];
const PHASE_TITLES = { resolve: "Name", tcp: "TCP", tls: "TLS", handshake: "Handshake", connect: "Connect", play: "Play", first_media: "First media", first_keyframe: "First keyframe" };

function section(title, ...children) {
  return h("section", { class: "panel" }, h("header", null, h("h2", null, title)), ...children);
}

export class StreamPage {
  /** `home` is where the way back leads; `say` speaks to those who listen. */
  constructor(name, home, say) {
    Object.assign(this, { name, say, timer: null, ended: false, past: new Figures(), commandsFor: null });
    this.state = h("span", { class: "state big" });
    this.since = h("p", { class: "since" });
    this.why = h("p", { class: "why-line" });
    this.labels = h("ul", { class: "labels", "aria-label": "Labels" });
    this.problem = h("p", { class: "empty", hidden: true });
    this.shot = h("img", { class: "shot", alt: "Newest picture of " + name, hidden: true });
    this.facts = h("dl", { class: "facts-grid" });
    this.fact = new Keyed(this.facts, () => h("div", null, h("dt"), h("dd")), (node, [title, value, note]) => {
      setText(node.firstChild, title);
      setText(node.lastChild, value);
      setAttribute(node, "title", note || null);
    }, ([title]) => title);
    this.phases = h("ul", { class: "phases" });
    this.phase = new Keyed(this.phases, () => h("li", null, h("span", { class: "label" }), h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "length" })), h("span", { class: "value" })), phaseRow, (row) => row.phase);
    this.transport = h("p", { class: "note" });
    this.table = h("tbody");
    this.serverHead = h("th", { scope: "col" });
    this.row = new Keyed(this.table, () => h("tr", null, h("th", { scope: "row" }), h("td"), h("td"), h("td"), h("td")), tableRow, (row) => row[0]);
    this.finding = h("p", { class: "note bad", hidden: true });
    this.unusual = h("p", { class: "note bad", hidden: true });
    this.commands = h("div");
    this.events = h("ol", { class: "changes long", tabindex: "0", "aria-label": "Events of " + name });
    this.eventRows = new Keyed(this.events, eventRow, () => {}, eventKey);
    this.noEvents = h("p", { class: "empty small" }, "Nothing has changed since the monitor started.");
    this.charts = {
      bitrate_bps: new Chart("Bit rate", { format: bitrate, axis: bitrateAxis, wide: true, declared: true, least: 1e5 }),
      frames_per_second: new Chart("Frames per second", { format: rate, declared: true, least: 10 }),
      frame_gap_max_seconds: new Chart("Longest gap between frames", { format: short, axis: shortAxis, least: 0.1 }),
      keyframe_interval_seconds: new Chart("Keyframe interval", { format: short, axis: shortAxis, stepped: true, least: 1 }),
      drift_seconds: new Chart("Drift of the media clock", { format: short, axis: shortAxis, around: 0.02 }),
    };
    this.body = h("div", { class: "stream-body" },
      h("div", { class: "top" }, this.shot, this.facts),
      this.unusual,
      h("section", { class: "charts", "aria-label": "The last five minutes" }, ...Object.values(this.charts).map((chart) => chart.node)),
      h("div", { class: "halves" },
        section("Connection", this.phases, this.transport),
        section("Declared and measured", h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Declared and measured" },
          h("table", null, h("thead", null, h("tr", null, h("th", { scope: "col" }, "Figure"), h("th", { scope: "col" }, "Declared"), h("th", { scope: "col" }, "Measured"), h("th", { scope: "col" }, "Difference"), this.serverHead)), this.table)), this.finding),
        section("In a terminal", this.commands, h("p", { class: "note" }, "Where it says ***, put the key: this page does not know it.")),
        section("Events", this.events, this.noEvents)));
    byId("stream").replaceChildren(
      h("a", { class: "back", href: home }, "← All streams"),
      h("header", { class: "stream-head" }, h("h1", { id: "stream-name", tabindex: "-1" }, name), this.state, this.since, this.why, this.labels),
      this.problem, this.body);
    this.onVisible = () => document.hidden || this.refresh();
    document.addEventListener("visibilitychange", this.onVisible);
    this.readPast();
    this.refresh();
  }

  leave() {
    this.ended = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onVisible);
    dropThumbnail(this.shot);
    for (const chart of Object.values(this.charts)) chart.remove();
    byId("stream").replaceChildren();
  }

  async readPast() {
    const [history, list] = await Promise.allSettled([read(streamPath(this.name) + "/history"), read(`${streamPath(this.name)}/events?limit=${EVENTS}`)]);
    if (this.ended) return;
    if (history.value) this.past.take(history.value);
    this.known = list.value ? list.value.events.reverse() : [];
    this.takeEvents([]);
  }

  /** Events of all, newest first, of which this stream's are taken. */
  takeEvents(all) {
    if (!this.known) return;
    const known = new Set(this.known.map(eventKey));
    const more = all.filter((event) => event.stream === this.name && !known.has(eventKey(event)));
    this.known = [...this.known, ...more].sort(newestFirst).slice(0, EVENTS);
    this.eventRows.show(this.known);
    setHidden(this.noEvents, this.known.length > 0);
  }

  async refresh() {
    clearTimeout(this.timer);
    try {
      const stream = await read(streamPath(this.name));
      if (this.ended) return;
      this.past.add(now() / 1000, stream);
      this.show(stream);
      setHidden(this.problem, true);
      setHidden(this.body, false);
    } catch (error) {
      if (this.ended) return;
      const gone = error instanceof Refused && error.status === 404;
      setText(this.problem, gone ? "There is no stream of this name. It may have been removed." : "It cannot be read now: " + error.message);
      setHidden(this.problem, false);
      setHidden(this.body, gone);
    }
    if (!document.hidden) this.timer = setTimeout(() => this.refresh(), EVERY_MS);
  }

  show(stream) {
    const { media, connection, server } = stream;
    byId("stream").dataset.health = stream.health;
    setText(this.state, stateTitle(stream.health));
    setText(this.since, `for ${ago(stream.since)}, since ${moment(stream.since)}`);
    setText(this.why, why(stream) + (stream.silence?.until ? `, until ${moment(stream.silence.until)}` : ""));
    setHidden(this.why, !this.why.textContent);
    const labels = JSON.stringify(stream.labels);
    if (this.labels.shown !== labels) {
      this.labels.shown = labels;
      this.labels.replaceChildren(...Object.entries(stream.labels).map(([name, value]) => h("li", null, h("span", null, name + " "), value)));
    }
    if (hasThumbnail(stream)) showThumbnail(this.shot, stream);
    else if (!this.shot.hidden) dropThumbnail(this.shot);
    this.fact.show(facts(stream));
    const strange = unusual(stream.anomaly);
    setText(this.unusual, strange);
    setHidden(this.unusual, !strange);
    this.showCharts(stream);
    this.showPhases(connection);
    this.row.show(comparison(media, server));
    setText(this.serverHead, server ? server.service : "");
    setHidden(this.serverHead, !server);
    setHidden(this.finding, !server?.unplayable_since);
    if (server?.unplayable_since) setText(this.finding, `${server.service} says that it is published and arrives, yet it cannot be played for ${ago(server.unplayable_since)}.`);
    if (this.commandsFor !== stream.url) {
      this.commandsFor = stream.url;
      this.commands.replaceChildren(commandList(stream, this.say));
    }
  }

  showCharts(stream) {
    const video = stream.media?.video;
    const declared = sum(video?.declared_bitrate_bps, stream.media?.audio.declared_bitrate_bps);
    const claims = { bitrate_bps: declared, frames_per_second: video?.declared_frames_per_second ?? null };
    const bands = this.past.bands();
    const end = now() / 1000;
    for (const [name, chart] of Object.entries(this.charts)) chart.show(this.past.times, this.past.columns[name], claims[name], bands, end);
  }

  showPhases(connection) {
    if (!connection) return;
    const spent = PHASES.filter((phase) => phase in connection.phase_seconds).map((phase) => [phase, connection.phase_seconds[phase]]);
    const total = spent.reduce((all, [, seconds]) => all + seconds, 0) || 1;
    let before = 0;
    this.phase.show(spent.map(([phase, seconds]) => {
      const row = { phase, seconds, from: before / total, share: seconds / total };
      before += seconds;
      return row;
    }));
    const failed = Object.entries(connection.failures).map(([cause, number]) => `${number} ${words(cause)}`).join(", ");
    const lost = Object.entries(connection.disconnects).map(([cause, number]) => `${number} ${words(cause)}`).join(", ");
    setText(this.transport, sentence([
      words(connection.state) + (connection.phase ? ": " + words(connection.phase) : ""),
      connection.session_start ? "session for " + ago(connection.session_start) : null,
      count(connection.attempts, "attempt"),
      failed ? "failed: " + failed : null, lost ? "lost: " + lost : null,
      connection.tcp_rtt_seconds === null ? null : "round trip " + short(connection.tcp_rtt_seconds),
      connection.tcp_out_of_order ? count(connection.tcp_out_of_order, "segment") + " out of order" : null,
      connection.tcp_retransmits ? connection.tcp_retransmits + " sent again" : null,
    ].filter(Boolean).join(", ")) + ".");
  }
}

function sum(a, b) {
  return (a ?? null) === null && (b ?? null) === null ? null : (a ?? 0) + (b ?? 0);
}

/** Title, value and what it means. */
function facts(stream) {
  const { media, connection } = stream;
  const { video, audio } = media || {};
  const last = [video?.last_frame, audio?.last_frame].filter(Boolean).sort().at(-1);
  return [
    ["Bit rate", bitrate(stream.bitrate_bps), "Video and audio over the last 10 s" + usually(stream.anomaly, "bitrate_bps")],
    ["Frame rate", rate(stream.frames_per_second), "Over the last 10 s" + usually(stream.anomaly, "frames_per_second")],
    ["Picture", video?.width_pixels ? `${video.width_pixels} × ${video.height_pixels}` : "–"],
    ["Video", [video?.codec, video?.profile, video?.level].filter(Boolean).join(" ") || "–"],
    ["Sound", [audio?.codec, audio?.sample_rate_hz ? audio.sample_rate_hz / 1000 + " kHz" : null, audio?.channels ? audio.channels + " ch" : null].filter(Boolean).join(" ") || "–"],
    ["Keyframes", video?.keyframe_interval_seconds ? `every ${short(video.keyframe_interval_seconds)}${video.gop_frames ? `, ${video.gop_frames} frames` : ""}` : "–"],
    ["Longest gap", short(video?.frame_gap_max_seconds), "Between frames of video" + usually(stream.anomaly, "frame_gap_max_seconds")],
    ["Jitter", short(media?.jitter_seconds), "Arrival against media time"],
    ["Sound to picture", short(media?.av_skew_seconds), "Positive: sound is ahead"],
    ["Last frame", last ? Math.max(0, (now() - Date.parse(last)) / 1000).toFixed(1) + " s ago" : "–"],
    ["Received", connection ? bytes(connection.received_bytes) : "–"],
    ["Outages", stream.outages ? `${stream.outages}, ${span(stream.outage_seconds)}` : "none", "Since the monitor knows the stream"],
    ["Stalls", media?.stalls ? `${media.stalls}, ${span(media.stall_seconds)}` : "none"],
    ...content(stream.content),
  ];
}

/** Figures that have a band of their own: title, and the band for people. */
const USUAL = {
  bitrate_bps: ["bit rate", ({ low, high }) => `${bitrate(low)} to ${bitrate(high)}`, bitrate],
  frames_per_second: ["frame rate", ({ low, high }) => `${rate(low)} to ${rate(high)}`, rate],
  frame_gap_max_seconds: ["longest gap", ({ high }) => `up to ${short(high)}`, short],
};

function usually(anomaly, name) {
  const found = anomaly?.[name];
  return found ? `; usually ${USUAL[name][1](found)} at this time of day` : "";
}

/** What is unusual for the stream, as a sentence; nothing where nothing is. */
function unusual(anomaly) {
  const found = Object.entries(USUAL).filter(([name]) => anomaly?.[name]?.unusual_since);
  const parts = found.map(([name, [title, band, format]]) => `${title} ${format(anomaly[name].value)}, usually ${band(anomaly[name])}, for ${ago(anomaly[name].unusual_since)}`);
  return parts.length ? `Unusual for this stream at this time of day: ${parts.join("; ")}.` : "";
}

/** What looking into the picture and the sound has found. */
function content(found) {
  if (!found) return [];
  const { picture, sound, checks, inspections, decode_errors: errors } = found;
  const { frozen } = checks;
  return [
    ["Brightness", picture ? percent(picture.luma_mean) : "–", "Mean luma of the newest inspected picture"],
    ["Loudness", sound ? sound.loudness_dbfs.toFixed(1) + " dBFS" : "–", "Of the newest inspected sound"],
    ...(frozen ? [["Stands still", frozen.since ? "for " + span(frozen.lasted_seconds) : "no"]] : []),
    ["Looked into", picture ? ago(picture.at) + " ago" : "–", count(inspections, "inspection")],
    ["Damaged frames", errors ? String(errors) : "none", "Frames of inspected samples that the decoder refused or found damaged"],
  ];
}

/** Rows of figure, declared, measured, difference, what the media server says. */
function comparison(media, server) {
  const { video, audio } = media || {};
  const seen = server?.video;
  const size = (v) => (v?.width_pixels ? `${v.width_pixels} × ${v.height_pixels}` : null);
  const codec = (m) => [m?.codec, m?.profile].filter(Boolean).join(" ") || null;
  const difference = (claimed, real) => (claimed && real !== null && real !== undefined ? `${real >= claimed ? "+" : "−"}${percent(Math.abs(real / claimed - 1), 1)}` : null);
  return [
    ["Video bit rate", video?.declared_bitrate_bps, video?.bitrate_bps, bitrate, null],
    ["Audio bit rate", audio?.declared_bitrate_bps, audio?.bitrate_bps, bitrate, null],
    ["Both", sum(video?.declared_bitrate_bps, audio?.declared_bitrate_bps), sum(video?.bitrate_bps, audio?.bitrate_bps), bitrate, server?.bitrate_bps],
    ["Frame rate", video?.declared_frames_per_second, video?.frames_per_second, rate, seen?.frames_per_second],
  ].map(([title, claimed, real, format, served]) => [title, claimed ?? null, real ?? null, difference(claimed, real), served ?? null].map((v) => (typeof v === "number" ? format(v) : v)))
    .concat([
      ["Picture", null, size(video), null, size(seen)],
      ["Video codec", null, codec(video), null, codec(seen)],
      ["Audio codec", null, codec(audio), null, codec(server?.audio)],
      ["Players", null, null, null, server?.players === null || server?.players === undefined ? null : String(server.players)],
    ].filter(([title]) => title !== "Players" || server))
    .map((row) => (server ? row : row.slice(0, 4)));
}

function tableRow(node, row) {
  row.forEach((value, i) => setText(node.children[i], value ?? "–"));
  setHidden(node.children[4], row.length < 5);
}

function phaseRow(node, { phase, seconds, from, share }) {
  const [label, track, value] = node.children;
  setText(label, PHASE_TITLES[phase]);
  setText(value, short(seconds));
  track.firstChild.style.left = from * 100 + "%";
  track.firstChild.style.width = Math.max(share * 100, 0.6) + "%";
}

function eventRow(event) {
  const { state, text } = told(event);
  return h("li", { class: "change", "data-health": event.to || "idle" }, h("time", { datetime: event.at, title: moment(event.at) }, recent(event.at)),
    h("span", { class: "dot", "data-health": event.to || "idle", "aria-hidden": "true" }), h("span", { class: "what" }, h("span", { class: "state" }, state)), text ? h("span", { class: "note" }, text) : null);
}

// The wall of stream tiles. Thousands stay smooth: all are equally high, each has its place in the grid, and only those in sight, with
// some around them, are in the document.

import { arrange, byId, h, setAttribute, setHidden, setText } from "./dom.js";
import { ago, bitrate, rate, stateTitle, why } from "./format.js";
import { ofStream } from "./route.js";
import { draw, sparkline } from "./sparkline.js";
import { dropThumbnail, hasThumbnail, showThumbnail } from "./thumbnails.js";

/** Pixels beyond the window that count as in sight. */
const AHEAD = 400;

function setStyle(node, name, value) {
  if (node.style[name] !== value) node.style[name] = value;
}

class Tile {
  constructor(name) {
    this.name = name;
    /** The picture it shows: {@link Wall.turn}. */
    this.turn = 0;
    this.link = h("a", { class: "name", href: ofStream(name) }, name);
    this.state = h("span", { class: "state" });
    this.shot = h("img", { class: "shot", alt: "", hidden: true });
    this.spark = sparkline();
    this.bits = h("span", { class: "bits" });
    this.frames = h("span", { class: "frames" });
    this.since = h("time", { class: "since" });
    this.why = h("p", { class: "why" });
    const figures = h("p", { class: "figures" }, this.bits, this.frames, this.since);
    this.node = h("li", { class: "tile" }, h("div", { class: "head" }, this.link, this.state), h("div", { class: "frame" }, this.shot), this.spark, figures, this.why);
    this.node.tile = this;
  }

  place(index, columns, of) {
    setStyle(this.node, "gridRow", String(Math.floor(index / columns) + 1));
    setStyle(this.node, "gridColumn", String((index % columns) + 1));
    setAttribute(this.node, "aria-posinset", String(index + 1));
    setAttribute(this.node, "aria-setsize", String(of));
  }

  paint(stream, past, turn) {
    if (this.turn === turn) return;
    this.turn = turn;
    const reason = why(stream);
    setAttribute(this.node, "data-health", stream.health);
    setText(this.state, stateTitle(stream.health));
    setText(this.bits, bitrate(stream.bitrate_bps));
    setText(this.frames, stream.frames_per_second === null ? "" : rate(stream.frames_per_second));
    setText(this.since, ago(stream.since));
    setAttribute(this.since, "datetime", stream.since);
    setAttribute(this.since, "title", stateTitle(stream.health) + " since " + new Date(stream.since).toLocaleString());
    setText(this.why, reason);
    setAttribute(this.why, "title", reason || null);
    draw(this.spark, past.of(stream.name), past.length);
    if (hasThumbnail(stream)) showThumbnail(this.shot, stream);
    else if (!this.shot.hidden) dropThumbnail(this.shot);
  }
}

export class Wall {
  constructor(past) {
    this.past = past;
    this.root = byId("wall");
    this.tiles = new Map();
    /** In the order of the wall. */
    this.streams = [];
    /** Grows with every picture. */
    this.turn = 0;
    this.asked = false;
    this.columns = 1;
    this.pitch = 1;
    new ResizeObserver(() => this.measure()).observe(this.root);
    addEventListener("scroll", () => this.paintSoon(), { passive: true });
    addEventListener("resize", () => this.paintSoon());
    this.root.addEventListener("keydown", (event) => this.walk(event));
  }

  /** Shows these streams, in this order. */
  show(streams, all) {
    this.streams = streams;
    this.turn += 1;
    const present = new Set(all.map((stream) => stream.name));
    for (const [name, tile] of this.tiles) if (!present.has(name)) this.drop(name, tile);
    this.root.classList.toggle("with-shots", all.some(hasThumbnail));
    this.measure();
    this.paint();
    const none = byId("none");
    setHidden(none, streams.length > 0);
    setText(none, all.length ? "No stream matches this filter." : "No stream is configured yet.");
  }

  drop(name, tile) {
    dropThumbnail(tile.shot);
    this.tiles.delete(name);
  }

  measure() {
    const style = getComputedStyle(this.root);
    const columns = Math.max(style.gridTemplateColumns.split(" ").length, 1);
    const gap = parseFloat(style.rowGap) || 0;
    const pitch = (parseFloat(style.gridAutoRows) || 100) + gap;
    const height = Math.max(Math.ceil(this.streams.length / columns) * pitch - gap, 0) + "px";
    setStyle(this.root, "minHeight", height);
    if (columns === this.columns && pitch === this.pitch) return;
    Object.assign(this, { columns, pitch });
    this.paintSoon();
  }

  paintSoon() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  /** Puts the tiles in sight into the document and brings them up to date. */
  paint() {
    const { streams, columns, pitch } = this;
    if (!this.root.offsetParent) return;
    const { top } = this.root.getBoundingClientRect();
    const row = (y) => Math.max(Math.floor((y - top) / pitch), 0) * columns;
    const from = row(-AHEAD);
    const to = Math.min(row(innerHeight + AHEAD) + columns, streams.length);
    // What has the focus stays, wherever one scrolls.
    const focused = document.activeElement?.closest?.(".tile");
    const painted = [from, to, columns, this.turn, focused?.tile.name].join();
    if (painted === this.painted) return;
    this.painted = painted;
    const wanted = new Set(Array.from({ length: Math.max(to - from, 0) }, (_, i) => from + i));
    if (focused) wanted.add(streams.findIndex((stream) => stream.name === focused.tile.name));
    wanted.delete(-1);
    const nodes = [...wanted].sort((a, b) => a - b).map((i) => {
      const tile = this.tile(streams[i].name);
      tile.place(i, columns, streams.length);
      tile.paint(streams[i], this.past, this.turn);
      return tile.node;
    });
    arrange(this.root, nodes);
  }

  tile(name) {
    let tile = this.tiles.get(name);
    if (!tile) {
      tile = new Tile(name);
      this.tiles.set(name, tile);
    }
    return tile;
  }

  /** Moves the focus to a tile, which comes into sight. */
  focus(index) {
    if (!this.streams[index]) return;
    const tile = this.tile(this.streams[index].name);
    if (!tile.node.isConnected) {
      scrollBy(0, this.root.getBoundingClientRect().top + Math.floor(index / this.columns) * this.pitch - innerHeight / 2);
      this.paint();
    }
    tile.link.focus({ preventScroll: true });
    tile.node.scrollIntoView({ block: "nearest" });
  }

  focusStream(name) {
    this.focus(this.streams.findIndex((stream) => stream.name === name));
  }

  /** Arrow keys go from tile to tile, as they are seen. */
  walk(event) {
    const here = event.target.closest?.(".tile");
    if (!here || event.altKey || event.ctrlKey || event.metaKey) return;
    const { columns, streams } = this;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    const from = streams.findIndex((stream) => stream.name === here.tile.name);
    const to = Math.min(Math.max(from + step, 0), streams.length - 1);
    if (Math.abs(step) > 1 && Number.isFinite(step) && to !== from + step) return;
    event.preventDefault();
    this.focus(to);
  }
}

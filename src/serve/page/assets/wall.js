// The wall of stream tiles. Thousands stay smooth: all are of one size, each has its place, and only those in sight, with some around
// them, are in the document. The style's grid says how many columns there are; tiles are put into its places without being laid out by it,
// so that one that comes moves no other.

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

  place(index, { columns, width, height, step, pitch }, of) {
    setStyle(this.node, "width", width + "px");
    setStyle(this.node, "height", height + "px");
    setStyle(this.node, "left", (index % columns) * step + "px");
    setStyle(this.node, "top", Math.floor(index / columns) * pitch + "px");
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
    /** Of a tile; from one to the next sideways and down. */
    this.grid = { columns: 1, width: 1, height: 1, step: 1, pitch: 1 };
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
    const tracks = style.gridTemplateColumns.split(" ");
    const [width, height, gap] = [tracks[0], style.gridAutoRows, style.rowGap].map((length) => parseFloat(length) || 0);
    const grid = { columns: tracks.length, width, height, step: width + gap, pitch: Math.max(height + gap, 1) };
    setStyle(this.root, "minHeight", Math.max(Math.ceil(this.streams.length / grid.columns) * grid.pitch - gap, 0) + "px");
    if (Object.values(grid).join() === Object.values(this.grid).join()) return;
    this.grid = grid;
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
    const { streams, grid } = this;
    const { columns, pitch } = grid;
    if (!this.root.offsetParent) return;
    const { top } = this.root.getBoundingClientRect();
    const row = (y) => Math.max(Math.floor((y - top) / pitch), 0) * columns;
    const from = row(-AHEAD);
    const to = Math.min(row(innerHeight + AHEAD) + columns, streams.length);
    // What has the focus stays, wherever one scrolls.
    const focused = document.activeElement?.closest?.(".tile");
    const painted = [from, to, ...Object.values(grid), this.turn, focused?.tile.name].join();
    if (painted === this.painted) return;
    this.painted = painted;
    const wanted = new Set(Array.from({ length: Math.max(to - from, 0) }, (_, i) => from + i));
    if (focused) wanted.add(streams.findIndex((stream) => stream.name === focused.tile.name));
    wanted.delete(-1);
    const nodes = [...wanted].sort((a, b) => a - b).map((i) => {
      const tile = this.tile(streams[i].name);
      tile.place(i, grid, streams.length);
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
      scrollBy(0, this.root.getBoundingClientRect().top + Math.floor(index / this.grid.columns) * this.grid.pitch - innerHeight / 2);
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
    const { streams, grid: { columns } } = this;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    const from = streams.findIndex((stream) => stream.name === here.tile.name);
    const to = Math.min(Math.max(from + step, 0), streams.length - 1);
    if (Math.abs(step) > 1 && Number.isFinite(step) && to !== from + step) return;
    event.preventDefault();
    this.focus(to);
  }
}

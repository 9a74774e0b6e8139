// Charts over time with uPlot. All of a page share one time axis and one cursor; times in which the stream was not well are shaded.

/* global uPlot */
import { h, setText } from "./dom.js";
import { CLOCK } from "./format.js";

/** Seconds that a chart shows. */
export const WINDOW = 300;
const HEIGHT = 150;

const probe = h("span", { class: "visually-hidden", "aria-hidden": "true" });
const resolved = new Map();

/** A colour of the style sheet, as a canvas understands it. */
function colour(name) {
  if (!resolved.has(name)) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(${name})`;
    resolved.set(name, getComputedStyle(probe).color);
  }
  return resolved.get(name);
}

const charts = new Set();

/** Draws all again in the colours of now. */
export function recolour() {
  resolved.clear();
  for (const chart of charts) chart.plot.redraw(false);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const width = Math.floor(contentRect.width);
    if (width > 0 && target.chart && target.chart.plot.width !== width) target.chart.plot.setSize({ width, height: HEIGHT });
  }
});

export class Chart {
  /**
   * `format` makes a value readable, `axis` shortens those of the axis. `declared`: whether there is a second, dashed line of what the publisher claims. `around`: the
   * axis has zero in its middle and shows at least this much on either side; otherwise it begins at zero and shows at least `least`.
   */
  constructor(title, { format, axis = String, wide = false, declared = false, stepped = false, around = null, least = 0 }) {
    this.format = format;
    this.bands = [];
    this.range = [0, WINDOW];
    this.data = [[], []];
    this.value = h("span", { class: "reading" });
    this.box = h("div", { class: "plot", "aria-hidden": "true" });
    this.node = h("figure", { class: wide ? "chart wide" : "chart" }, h("figcaption", null, h("span", null, title), this.value), this.box);
    const line = { stroke: () => colour("--accent"), fill: around === null ? () => colour("--accent-wash") : undefined, width: 1.75, points: { show: false } };
    if (stepped) line.paths = uPlot.paths.stepped({ align: 1 });
    const claim = { stroke: () => colour("--ink-3"), width: 1.25, dash: [5, 4], points: { show: false } };
    const rule = { stroke: () => colour("--grid"), width: 1 };
    const scale = { stroke: () => colour("--ink-2"), font: "11px system-ui, sans-serif", grid: rule, ticks: { ...rule, size: 4 } };
    this.plot = new uPlot({
      width: 320, height: HEIGHT, legend: { show: false }, padding: [8, 6, 0, 0],
      cursor: { sync: { key: "stream" }, drag: { x: false, y: false }, points: { size: 7, width: 2 } },
      scales: { x: { time: true, range: () => this.range }, y: { range: (_, low, high) => limits(low, high, around, least) } },
      axes: [{ ...scale, space: 70, size: 26, values: (_, times) => times.map((t) => CLOCK.format(t * 1000)) }, { ...scale, space: 30, size: 52, values: (_, values) => values.map(axis) }],
      series: declared ? [{}, line, claim] : [{}, line],
      hooks: { drawClear: [(plot) => this.shade(plot)], setCursor: [() => this.read()] },
    }, this.data, this.box);
    this.box.chart = this;
    charts.add(this);
    resized.observe(this.box);
  }

  /** `bands`: [from, to, health] in seconds. */
  show(times, values, declared, bands, end) {
    this.bands = bands;
    this.range = [end - WINDOW, end];
    this.data = declared === undefined ? [times, values] : [times, values, times.map(() => declared)];
    this.plot.setData(this.data);
    this.read();
  }

  /** The value under the cursor, else the newest. */
  read() {
    if (!this.plot) return;
    const at = this.plot.cursor.idx ?? this.data[0].length - 1;
    const value = this.data[1][at];
    setText(this.value, value === null || value === undefined ? "–" : this.format(value));
  }

  shade({ ctx, bbox, valToPos }) {
    for (const [from, to, health] of this.bands) {
      const left = Math.max(valToPos(from, "x", true), bbox.left);
      const right = Math.min(valToPos(to, "x", true), bbox.left + bbox.width);
      if (right <= left) continue;
      ctx.fillStyle = colour(`--${health}-wash`);
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
  }

  remove() {
    charts.delete(this);
    resized.unobserve(this.box);
    this.plot.destroy();
  }
}

function limits(low, high, around, least) {
  if (around !== null) {
    const far = Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0), around) * 1.15;
    return [-far, far];
  }
  return [0, Math.max(high ?? 0, least) * 1.15];
}

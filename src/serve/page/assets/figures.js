// One stream's figures over the last minutes: what the monitor remembers, then what its document says each second.

import { WINDOW } from "./charts.js";

const COLUMNS = ["health", "bitrate_bps", "frames_per_second", "frame_gap_max_seconds", "keyframe_interval_seconds", "drift_seconds"];

export class Figures {
  constructor() {
    this.times = [];
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, []]));
  }

  take(history) {
    const first = this.times[0] ?? Infinity;
    const times = history.at.map((at) => Date.parse(at) / 1000);
    // What has been seen since is finer.
    const older = times.findIndex((t) => t >= first);
    const until = older < 0 ? times.length : older;
    this.times = [...times.slice(0, until), ...this.times];
    for (const name of COLUMNS) this.columns[name] = [...history[name].slice(0, until), ...this.columns[name]];
  }

  add(at, stream) {
    if (this.times.length && at <= this.times.at(-1)) return;
    const video = stream.media?.video;
    // A stream of which nothing fresh is known has no figures, as in the monitor's own memory.
    const known = stream.health !== "unknown";
    const row = {
      health: stream.health,
      bitrate_bps: stream.bitrate_bps,
      frames_per_second: stream.frames_per_second,
      frame_gap_max_seconds: known ? video?.frame_gap_max_seconds : null,
      keyframe_interval_seconds: known ? video?.keyframe_interval_seconds : null,
      drift_seconds: known ? stream.media?.drift_seconds : null,
    };
    this.times.push(at);
    for (const name of COLUMNS) this.columns[name].push(row[name] ?? null);
    const old = this.times.findIndex((t) => t >= at - WINDOW - 5);
    if (old > 0) {
      this.times.splice(0, old);
      for (const name of COLUMNS) this.columns[name].splice(0, old);
    }
  }

  /** Runs of states that are not well: [from, to, health]. */
  bands() {
    const bands = [];
    this.columns.health.forEach((health, i) => {
      const [from, to] = [this.times[i], this.times[i + 1] ?? this.times[i]];
      const last = bands.at(-1);
      if (last && last[2] === health && last[1] === from) last[1] = to;
      else bands.push([from, to, health]);
    });
    return bands.filter(([, , health]) => health && health !== "up");
  }
}

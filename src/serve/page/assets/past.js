// The last minutes of every stream's bit rate, for the small lines on the tiles.

const POINTS = 90;
const STEP_MS = 2000;

export class Past {
  constructor() {
    this.length = POINTS;
    this.lines = new Map();
    this.noted = 0;
  }

  /** What the monitor remembers. */
  take(history) {
    this.lines = new Map(Object.entries(history.bitrate_bps).map(([name, line]) => [name, line.slice(-POINTS)]));
  }

  /** What the newest status says; states that come quicker than the step replace each other. */
  note(status) {
    const at = Date.parse(status.at);
    const further = at - this.noted >= STEP_MS * 0.8;
    if (further) this.noted = at;
    const lines = new Map();
    for (const stream of status.streams) {
      const line = this.lines.get(stream.name) || [];
      if (further || !line.length) line.push(stream.bitrate_bps);
      else line[line.length - 1] = stream.bitrate_bps;
      if (line.length > POINTS) line.shift();
      lines.set(stream.name, line);
    }
    this.lines = lines;
  }

  /** Oldest first; null where nothing is known. */
  of(name) {
    return this.lines.get(name) || [];
  }
}

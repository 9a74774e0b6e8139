// Keeps the tables as fresh as /api/v1/status. A picture that cannot be renewed is greyed out, never shown as current.
"use strict";

const EVERY_MS = 2000;
const summary = document.getElementById("summary");

function text(cell, value) {
  if (cell.textContent !== value) cell.textContent = value;
}

// One table: `cells` gives the texts behind name, health and causes, those in `numbers` are figures.
class Table {
  constructor(id, numbers, cells) {
    this.body = document.getElementById(id);
    this.numbers = numbers;
    this.cells = cells;
    this.rows = new Map();
  }

  show(items) {
    const shown = items.map((item) => this.row(item));
    const order = Array.from(this.body.rows);
    if (shown.length !== order.length || shown.some((row, i) => row !== order[i])) this.body.replaceChildren(...shown);
    const names = new Set(items.map((item) => item.name));
    for (const name of this.rows.keys()) if (!names.has(name)) this.rows.delete(name);
  }

  row(item) {
    let row = this.rows.get(item.name);
    if (!row) {
      row = document.createElement("tr");
      for (let i = 0; i < 6; i++) if (this.numbers.includes(i)) row.insertCell().className = "number"; else row.insertCell();
      this.rows.set(item.name, row);
    }
    if (row.className !== item.health) row.className = item.health;
    [item.name, item.health, item.causes.join(", "), ...this.cells(item)].forEach((value, i) => text(row.cells[i], value));
    row.cells[2].title = item.detail || "";
    return row;
  }
}

function figure(value, digits) {
  return value === null ? "" : value.toFixed(digits);
}

const target = (t) => [t.kind, t.figure || "", t.since];
const tables = {
  streams: new Table("streams", [3, 4], (s) => {
    return [figure(s.bitrate_bps === null ? null : s.bitrate_bps / 1e6, 2), figure(s.frames_per_second, 1), s.since];
  }),
  endpoints: new Table("endpoints", [], target),
  services: new Table("services", [], target),
  paths: new Table("paths", [4], (p) => {
    const ratio = p.link.receive_ratio;
    const place = p.fault ? p.fault.hop + (p.fault.certain ? "" : " or before") : "";
    return [place, ratio === null ? "" : figure(ratio * 100, 0) + " %", p.fault ? p.fault.since : ""];
  }),
};

async function refresh() {
  try {
    const answer = await fetch("/api/v1/status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    const status = await answer.json();
    for (const [name, table] of Object.entries(tables)) table.show(status[name]);
    const counts = Object.entries(status.totals.by_health).filter(([, n]) => n > 0).map(([state, n]) => n + " " + state);
    const fresh = status.monitor.status === "up";
    document.body.classList.toggle("stale", !fresh);
    text(summary, fresh ? counts.join(", ") + " at " + status.at : "The monitor has stalled; this is not current.");
  } catch (error) {
    document.body.classList.add("stale");
    text(summary, "No contact with the monitor (" + error.message + "); this is not current.");
  }
  setTimeout(refresh, EVERY_MS);
}

refresh();

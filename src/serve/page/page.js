// Keeps the table as fresh as /api/v1/status. A picture that cannot be renewed is greyed out, never shown as current.
"use strict";

const EVERY_MS = 2000;
const summary = document.getElementById("summary");
const body = document.getElementById("streams");
const rows = new Map();

function text(cell, value) {
  if (cell.textContent !== value) cell.textContent = value;
}

function show(stream) {
  let row = rows.get(stream.name);
  if (!row) {
    row = document.createElement("tr");
    for (let i = 0; i < 6; i++) row.insertCell();
    rows.set(stream.name, row);
  }
  if (row.className !== stream.health) row.className = stream.health;
  const [name, health, causes, rate, fps, since] = row.cells;
  text(name, stream.name);
  text(health, stream.health);
  text(causes, stream.causes.join(", "));
  causes.title = stream.detail;
  text(rate, stream.bitrate_bps === null ? "" : (stream.bitrate_bps / 1e6).toFixed(2));
  text(fps, stream.frames_per_second === null ? "" : stream.frames_per_second.toFixed(1));
  text(since, stream.since);
  return row;
}

async function refresh() {
  try {
    const answer = await fetch("/api/v1/status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    const status = await answer.json();
    const shown = status.streams.map(show);
    const order = Array.from(body.rows);
    if (shown.length !== order.length || shown.some((row, i) => row !== order[i])) body.replaceChildren(...shown);
    const names = new Set(status.streams.map((s) => s.name));
    for (const name of rows.keys()) if (!names.has(name)) rows.delete(name);
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

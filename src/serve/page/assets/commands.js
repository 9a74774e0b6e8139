// Lines to copy into a terminal. The page knows addresses only as the API gives them: keys are `***` there.

import { h, setText } from "./dom.js";
import { streamPath } from "./api.js";

function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'";
}

export function commands(stream) {
  const origin = location.origin;
  return [
    ["Look at it", "ffplay -fflags nobuffer " + quoted(stream.url)],
    ["What ffprobe says", "ffprobe -hide_banner -show_streams " + quoted(stream.url)],
    ["One look with reasons", "rtmp-hmonitor probe " + quoted(stream.url)],
    ["All that is measured", "curl -s " + quoted(origin + streamPath(stream.name))],
    ["What load balancers are told", "curl -i " + quoted(origin + "/health/streams/" + encodeURIComponent(stream.name))],
  ];
}

/** Rows with a button each; `say` tells what happened. */
export function commandList(stream, say) {
  return h("ul", { class: "commands" }, ...commands(stream).map(([title, line]) => {
    const code = h("code", { tabindex: "0" }, line);
    const button = h("button", { type: "button", class: "copy", "aria-label": "Copy: " + title }, "Copy");
    button.addEventListener("click", async () => {
      const done = await copy(line, code);
      say(done ? "Copied" : "Could not be copied; it is selected");
      setText(button, done ? "Copied" : "Selected");
      setTimeout(() => setText(button, "Copy"), 2000);
    });
    return h("li", null, h("span", { class: "label" }, title), h("div", { class: "line" }, code, button));
  }));
}

async function copy(text, node) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Only pages from https or this machine may: the older way needs a selection.
    getSelection().selectAllChildren(node);
    return document.execCommand("copy");
  }
}

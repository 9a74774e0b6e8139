// What has to be there before all else.
"use strict";

// A part that does not come, because the network changes at this moment or the monitor starts again, is asked for again with all others:
// no part does without the rest. Errors of loading do not bubble.
addEventListener("error", ({ target }) => {
  if (target instanceof HTMLScriptElement || target instanceof HTMLLinkElement) setTimeout(() => location.reload(), 2000);
}, true);

// Before the first paint, so that the page does not flash in the wrong colours.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage: as the system says.
  }
})();

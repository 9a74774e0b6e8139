// The controls over the wall. What they say is in the URL, and the URL is what is obeyed.

import { arrange, byId, h, setAttribute, setText } from "./dom.js";
import { STATES, stateTitle } from "./format.js";
import { ofFilter, parse } from "./route.js";

export class FilterBar {
  /** `changed` is told a new filter. */
  constructor(changed) {
    this.filter = parse("").filter;
    this.changed = changed;
    this.known = "";
    this.states = new Map(STATES.map((state) => [state, this.stateButton(state)]));
    byId("states").append(...[...this.states.values()].map((entry) => entry.button));
    byId("q").addEventListener("input", (event) => this.set({ text: event.target.value.trim() }));
    byId("sort").addEventListener("change", (event) => this.set({ sort: event.target.value }));
    byId("compact").addEventListener("click", () => this.set({ compact: !this.filter.compact }));
    byId("label").addEventListener("change", ({ target }) => {
      if (target.value) this.set({ labels: [...new Set([...this.filter.labels, target.value])] });
      target.value = "";
    });
  }

  stateButton(state) {
    const tally = h("span", { class: "number" });
    const click = () => {
      const { states } = this.filter;
      this.set({ states: states.includes(state) ? states.filter((other) => other !== state) : [...states, state] });
    };
    const button = h("button", { type: "button", class: "state-filter", "data-health": state, "aria-pressed": "false", click },
      h("span", { class: "mark", "aria-hidden": "true" }), stateTitle(state), " ", tally);
    return { button, tally };
  }

  set(change) {
    const filter = { ...this.filter, ...change };
    // Replaced, not pushed: going back leaves the overview instead of undoing letters.
    history.replaceState(null, "", ofFilter(filter));
    this.changed(filter);
  }

  /** Makes the controls say what `filter` says. */
  take(filter) {
    this.filter = filter;
    for (const [state, { button }] of this.states) setAttribute(button, "aria-pressed", String(filter.states.includes(state)));
    const text = byId("q");
    if (text.value.trim() !== filter.text) text.value = filter.text;
    byId("sort").value = filter.sort;
    setAttribute(byId("compact"), "aria-pressed", String(filter.compact));
    byId("wall").classList.toggle("compact", filter.compact);
    const remove = (label) => () => {
      this.set({ labels: this.filter.labels.filter((other) => other !== label) });
      byId("label").focus();
    };
    arrange(byId("tokens"), filter.labels.map((label) => h("li", null,
      h("button", { type: "button", class: "token", "aria-label": "Remove the label " + label, click: remove(label) }, label, h("span", { "aria-hidden": "true" }, " ×")))));
  }

  /** Counts by state, and the labels there are. */
  offer(streams) {
    const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    const labels = new Map();
    for (const stream of streams) {
      counts[stream.health] += 1;
      for (const [name, value] of Object.entries(stream.labels)) {
        if (!labels.has(name)) labels.set(name, new Set());
        labels.get(name).add(value);
      }
    }
    for (const [state, { button, tally }] of this.states) {
      setText(tally, String(counts[state]));
      button.classList.toggle("none", counts[state] === 0);
    }
    const names = [...labels.keys()].sort();
    const known = JSON.stringify(names.map((name) => [name, [...labels.get(name)].sort()]));
    if (known === this.known) return;
    this.known = known;
    const groups = JSON.parse(known).map(([name, values]) =>
      h("optgroup", { label: name }, ...values.map((value) => h("option", { value: name + ":" + value }, value))));
    byId("label").replaceChildren(h("option", { value: "" }, names.length ? "Any label" : "No labels"), ...groups);
    byId("label").disabled = !names.length;
  }
}

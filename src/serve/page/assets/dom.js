// What the page's parts share for making and keeping elements.

/** An element with attributes (functions become listeners; null, undefined and false are left out) and children. */
export function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

/** Touches the document only where something differs: everything here runs every two seconds. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Makes `wanted` the children of `parent`, in this order, with few moves; what had the focus keeps it. */
export function arrange(parent, wanted) {
  const focused = document.activeElement;
  const held = parent.contains(focused);
  let next = parent.firstElementChild;
  for (const node of wanted) {
    if (node === next) {
      next = next.nextElementSibling;
    } else if (next && next.nextElementSibling === node) {
      // One that belongs further down is lifted out, instead of moving all that follow it.
      const lifted = next;
      next = node.nextElementSibling;
      lifted.remove();
    } else {
      parent.insertBefore(node, next);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextElementSibling;
    gone.remove();
  }
  if (held && document.activeElement !== focused && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** Children of a parent, one for each item by its key: made once, updated in place. */
export class Keyed {
  constructor(parent, make, update, key = (item) => item.name) {
    Object.assign(this, { parent, make, update, key });
    this.nodes = new Map();
  }

  show(items) {
    const before = this.nodes;
    this.nodes = new Map();
    for (const item of items) {
      const key = this.key(item);
      const node = before.get(key) || this.make(item);
      this.nodes.set(key, node);
      this.update(node, item);
    }
    arrange(this.parent, [...this.nodes.values()]);
  }
}

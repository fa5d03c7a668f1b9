// Small helpers for making elements. Texts go in as text nodes only.

/** Return an element: attributes, `on…` handlers and properties; children are nodes and texts. */
export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const node = document.createElement(name || 'div');
  if (classes.length) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, '');
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Return a person's name, which can not change the direction of what stands around it. */
export function personName(name, tag = 'bdi') {
  return el(tag, { dir: 'auto' }, name);
}

/** Set an element's text if it is another one. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Make the children of `parent` these nodes, in order, touching only what differs. */
export function setChildren(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}

/** The rows of a list. They stay the same elements while what they show changes: a click that has begun, or the focus, is not lost. */
export class Rows {
  #rows = new Map();

  /** `make()` returns a row: {element, show(value)}. */
  constructor(list, make) {
    this.list = list;
    this.make = make;
  }

  /** Show values in this order; `keyOf(value)` tells them apart. */
  show(values, keyOf) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    const at = [...this.list.children].findIndex((element) => element.contains(focused));
    const rows = new Map();
    for (const value of values) {
      const row = this.#rows.get(keyOf(value)) ?? this.make();
      row.show(value);
      rows.set(keyOf(value), row);
    }
    this.#rows = rows;
    setChildren(this.list, [...rows.values()].map(({ element }) => element));
    // An element that was moved has lost the focus; that of one that is gone goes to the next.
    if (!focused || focused === document.activeElement) return;
    const next = this.list.children[Math.min(at, this.list.children.length - 1)];
    (focused.isConnected ? focused : next?.querySelector('button'))?.focus({ preventScroll: true });
  }
}

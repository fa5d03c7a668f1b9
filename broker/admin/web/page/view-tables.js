// A table whose rows stay the same elements while their values change: a button keeps the focus, and a reader its place.

import { el, setChildren, setText } from './dom.js';

/**
 * Columns: {key, heading, text(row), isName?, isNumber?, className?, sortBy?, isLong?}, or {key, heading, make(get), …} for elements
 * that are made once a row; `get()` returns the row's present value. `keyOf(row)` tells rows apart.
 */
export class Table {
  #rows = new Map();

  constructor({ caption, columns, keyOf, onSort = null }) {
    this.columns = columns;
    this.keyOf = keyOf;
    this.body = el('tbody');
    this.headings = new Map();
    const cells = columns.map((column) => {
      const heading = el(`th.${column.className ?? column.key}`, { scope: 'col' });
      if (column.sortBy) {
        const button = el('button.sort', { type: 'button', onclick: () => onSort(column.sortBy) }, column.heading);
        heading.append(button);
        this.headings.set(column.sortBy, heading);
      } else heading.append(column.heading);
      heading.classList.toggle('number', Boolean(column.isNumber));
      return heading;
    });
    const table = el('table', {}, el('caption.visually-hidden', {}, caption), el('thead', {}, el('tr', {}, ...cells)), this.body);
    // Reached by Tab, so that the keyboard scrolls it.
    this.element = el('div.scrolls', { tabindex: 0, role: 'region', 'aria-label': caption }, table);
  }

  /** Show rows in this order; `sort` is {by, isDown}. */
  show(rows, sort = null, isCurrent = () => false) {
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    const found = new Map();
    const elements = rows.map((row) => {
      const key = this.keyOf(row);
      const shown = this.#rows.get(key) ?? this.#make();
      found.set(key, shown);
      this.#fill(shown, row);
      shown.element.classList.toggle('current', isCurrent(row));
      return shown.element;
    });
    this.#rows = found;
    setChildren(this.body, elements);
    // An element that is moved loses the focus.
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    for (const [by, heading] of this.headings) {
      if (by === sort?.by) heading.setAttribute('aria-sort', sort.isDown ? 'descending' : 'ascending');
      else heading.removeAttribute('aria-sort');
    }
    this.element.hidden = rows.length === 0;
  }

  #make() {
    const shown = { row: null, cells: [] };
    const cells = this.columns.map((column) => {
      const cell = el(`td.${column.className ?? column.key}`);
      cell.classList.toggle('number', Boolean(column.isNumber));
      const holder = column.isName ? cell.appendChild(el('bdi', { dir: 'auto' })) : cell;
      const made = column.make?.(() => shown.row);
      if (made) cell.append(made.element);
      shown.cells.push({ column, holder, made });
      return cell;
    });
    shown.element = el('tr', {}, ...cells);
    return shown;
  }

  #fill(shown, row) {
    shown.row = row;
    for (const { column, holder, made } of shown.cells) {
      if (made) made.show(row);
      else setText(holder, column.text(row));
      if (column.isLong) holder.title = column.text(row);
    }
  }
}

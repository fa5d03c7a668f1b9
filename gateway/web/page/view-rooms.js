// The left side: the rooms that this person is in, with what is unread there, and the others.

import { el, personName, setChildren } from './dom.js';
import { roomRow } from './view-enter.js';
import { words } from './words.js';

export class Rooms {
  #mine = null;
  #list = null;
  #active = '';

  constructor({ onShow, onEnter, onRefresh, onClose }) {
    this.handlers = { onShow, onEnter };
    this.mine = el('ul.room-list');
    this.others = el('ul.room-list');
    const another = el('button.wide', { type: 'button', onclick: () => onShow('') }, `＋ ${words.anotherRoom}`);
    const refresh = el('button.icon', { type: 'button', 'aria-label': words.refresh, title: words.refresh, onclick: onRefresh }, '↻');
    const close = el('button.icon.drawer-only', { type: 'button', 'aria-label': words.close, onclick: onClose }, '×');
    this.element = el(
      'nav.rooms',
      { id: 'rooms', 'aria-label': words.rooms },
      el('div.bar', {}, el('h2', {}, words.rooms), close),
      this.mine,
      another,
      el('div.bar', {}, el('h2', {}, words.otherRooms), refresh),
      this.others,
    );
  }

  show({ rooms, list, active }) {
    if (rooms === this.#mine && list === this.#list && active === this.#active) return;
    [this.#mine, this.#list, this.#active] = [rooms, list, active];
    update(this.mine, [...rooms.values()].filter(({ myName }) => myName).map((room) => this.#row(room, room.name === active)));
    const others = (list?.rooms ?? []).filter(({ name }) => !rooms.get(name)?.myName);
    const rows = others.map((row) => roomRow(row, () => this.handlers.onEnter(row.name)));
    update(this.others, rows.length ? rows : [el('li', {}, el('small', {}, words.noOtherRooms))]);
  }

  #row({ name, unread, mentions, phase }, isActive) {
    const button = el('button.room', { type: 'button', 'aria-current': isActive && 'true', onclick: () => this.handlers.onShow(name) });
    button.append(personName(name));
    if (unread) button.append(' ', mark('unread', unread, words.unread(unread)));
    if (mentions) button.append(' ', mark('for-me', `@${mentions}`, words.mentions(mentions)));
    button.classList.toggle('has-unread', unread > 0);
    button.classList.toggle('over', phase === 'ended');
    return el('li', {}, button);
  }
}

function mark(kind, text, about) {
  return el(`span.mark.${kind}`, { title: about }, el('span', { 'aria-hidden': 'true' }, text), el('span.visually-hidden', {}, about));
}

/** Put rows in place of those before; the one with the focus keeps it. */
function update(list, rows) {
  const at = [...list.children].findIndex((row) => row.contains(document.activeElement));
  setChildren(list, rows);
  if (at >= 0) rows[Math.min(at, rows.length - 1)]?.querySelector('button')?.focus();
}

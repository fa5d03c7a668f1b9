// The left side: the rooms that this person is in, with what is unread there, and the others.

import { Rows, el, setChildren, setText } from './dom.js';
import { OtherRooms } from './view-enter.js';
import { words } from './words.js';

export class Rooms {
  #mine = null;
  #list = null;
  #active = '';

  constructor({ onShow, onEnter, onMore, onRefresh, onClose }) {
    this.mine = new Rows(el('ul.room-list'), () => myRow(onShow));
    this.others = new OtherRooms({ onEnter, onMore });
    const another = el('button.wide', { type: 'button', onclick: () => onShow('') }, `＋ ${words.anotherRoom}`);
    const refresh = el('button.icon', { type: 'button', 'aria-label': words.refresh, title: words.refresh, onclick: onRefresh }, '↻');
    const close = el('button.icon.drawer-only', { type: 'button', 'aria-label': words.close, onclick: onClose }, '×');
    this.element = el(
      'nav.rooms',
      { id: 'rooms', 'aria-label': words.rooms },
      el('div.bar', {}, el('h2', {}, words.rooms), close),
      this.mine.list,
      another,
      el('div.bar', {}, el('h2', {}, words.otherRooms), refresh),
      ...this.others.elements,
    );
  }

  show({ rooms, list, active }) {
    if (rooms === this.#mine && list === this.#list && active === this.#active) return;
    [this.#mine, this.#list, this.#active] = [rooms, list, active];
    const mine = [...rooms.values()].filter(({ myName }) => myName);
    this.mine.show(mine.map((room) => ({ room, isActive: room.name === active })), ({ room }) => room.name);
    this.others.show(list, rooms);
  }
}

function myRow(onShow) {
  let shown = '';
  const name = el('bdi', { dir: 'auto' });
  const unread = mark('unread');
  const forMe = mark('for-me');
  const over = el('span.visually-hidden');
  const button = el('button.room', { type: 'button', onclick: () => onShow(shown) });
  return {
    element: el('li', {}, button),
    show({ room, isActive }) {
      shown = room.name;
      setText(name, room.name);
      unread.show(`${room.unread}`, words.unread(room.unread));
      forMe.show(`@${room.mentions}`, words.mentions(room.mentions));
      const isOver = room.phase === 'ended' || room.phase === 'refused';
      setText(over, words.ended(room.why));
      setChildren(button, [name, ...(room.unread ? [unread.element] : []), ...(room.mentions ? [forMe.element] : []), ...(isOver ? [over] : [])]);
      if (isActive) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
      button.classList.toggle('has-unread', room.unread > 0);
      button.classList.toggle('over', isOver);
    },
  };
}

function mark(kind) {
  const sign = el('span', { 'aria-hidden': 'true' });
  const about = el('span.visually-hidden');
  const element = el(`span.mark.${kind}`, {}, sign, about);
  return {
    element,
    show(text, told) {
      setText(sign, text);
      setText(about, told);
      element.title = told;
    },
  };
}

// The rooms: found by name, in the order of a column; a click shows a room's members.

import { el, setText } from './dom.js';
import { ago, short } from './numbers.js';
import { sortedRooms } from './state.js';
import { Table } from './view-tables.js';
import { words } from './words.js';

const FIND_MS = 250;

export class Rooms {
  constructor({ onPick, onFind, onSort }) {
    const field = el('input', { type: 'search', id: 'find', autocomplete: 'off', placeholder: words.find, 'aria-label': words.find });
    field.addEventListener('input', () => {
      clearTimeout(this.finding);
      this.finding = setTimeout(() => onFind(field.value.trim()), FIND_MS);
    });
    this.note = el('p.note');
    this.table = new Table({
      caption: words.rooms,
      keyOf: ({ name }) => name,
      onSort,
      columns: [
        { key: 'name', heading: words.room, sortBy: 'name', make: (get) => roomButton(() => onPick(get().name)) },
        { key: 'members', heading: words.members, isNumber: true, sortBy: 'members', text: ({ members }) => String(members) },
        { key: 'rate', heading: words.rate, isNumber: true, sortBy: 'rate', text: (room) => short(room.rate) },
        { key: 'host', heading: words.host, isName: true, isLong: true, text: ({ host }) => host },
        { key: 'marks', heading: words.marks, text: marksOf },
        { key: 'topic', heading: words.topic, isName: true, isLong: true, text: ({ topic }) => topic },
        { key: 'since', heading: words.since, text: ({ created_ms }) => words.ago(ago(Math.max(Date.now() - created_ms, 0))) },
      ],
    });
    this.element = el(
      'section.rooms',
      { 'aria-labelledby': 'rooms' },
      el('div.bar', {}, el('h2', { id: 'rooms' }, words.rooms), field),
      this.note,
      this.table.element,
    );
  }

  show(state) {
    const isEmpty = state.rooms.length === 0;
    setText(this.note, isEmpty ? (state.find ? words.noRoomFound : words.noRooms) : state.moreRooms ? words.moreRooms(state.rooms.length) : '');
    this.table.show(sortedRooms(state), state.sort, ({ name }) => name === state.room);
  }
}

function roomButton(onclick) {
  const name = el('bdi', { dir: 'auto' });
  const element = el('button.link', { type: 'button', onclick }, name);
  return { element, show: (room) => setText(name, room.name) };
}

function marksOf({ locked, persistent }) {
  return [locked && words.locked, persistent && words.persistent].filter(Boolean).join(', ');
}

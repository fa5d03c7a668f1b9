// The form by which a person enters: name, room, password; and the rooms that there are, which also stand on the left.

import { Rows, el, setText } from './dom.js';
import { Code } from './wire.js';
import { words } from './words.js';

export class Enter {
  #room = '';
  #refusal = '';

  /** `onEnter({name, room, password, create})`; `onRooms()`: show the rooms that the person is in; `onForget(room)`: it is none of them. */
  constructor({ onEnter, onRooms, onForget, onMore }) {
    this.onEnter = onEnter;
    this.name = el('input', { id: 'name', autocomplete: 'nickname', maxlength: 255, required: true, dir: 'auto' });
    this.room = el('input', { id: 'room', autocomplete: 'off', maxlength: 255, dir: 'auto', 'aria-describedby': 'room-hint' });
    this.password = el('input', { id: 'password', type: 'password', autocomplete: 'off', 'aria-describedby': 'password-hint' });
    this.alert = el('p.alert', { role: 'alert' });
    this.create = el('button', { type: 'button', hidden: true, onclick: () => this.#enter(true) }, words.create);
    this.forget = el('button', { type: 'button', hidden: true, onclick: () => onForget(this.#room) }, words.forget);
    this.rooms = new OtherRooms({ onEnter: (name) => { this.room.value = name; this.#enter(false); }, onMore });
    this.listed = el('section.listed', { hidden: true }, el('h2', {}, words.rooms), ...this.rooms.elements);
    this.form = el(
      'form',
      { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.#enter(false); } },
      field(words.yourName, this.name),
      field(words.room, this.room, words.roomHint, 'room-hint'),
      field(words.password, this.password, words.passwordHint, 'password-hint'),
      this.alert,
      el('div.buttons', {}, el('button.primary', {}, words.enter), this.create, this.forget),
    );
    const title = el('h1', {}, 'tsudoi');
    const mine = el('button.narrow-only', { type: 'button', 'aria-label': words.showRooms, onclick: onRooms }, '☰');
    this.element = el('div.enter', {}, mine, title, el('p', {}, words.about), this.form, this.listed);
  }

  /** A signed token was in the link: it may stand for a name. */
  hasToken = false;

  /** Put in what is known before anything was typed. */
  fill(name, room) {
    this.name.value = name;
    this.room.value = room;
    (name ? this.room : this.name).focus();
  }

  /** The person is in: nothing is left of the attempt. */
  entered() {
    this.password.value = '';
    this.#refusal = '';
  }

  show(state) {
    const room = state.rooms.get(state.active);
    const inRooms = [...state.rooms.values()].some(({ phase }) => phase === 'in' || phase === 'away');
    this.name.readOnly = inRooms;
    if (inRooms) this.name.value = state.name;
    if (room && room.name !== this.#room) this.room.value = room.name;
    this.#room = room?.name ?? '';
    setText(this.alert, alertOf(state, room));
    const mayCreate = room?.phase === 'refused' && room.code === Code.UNKNOWN_ROOM && this.room.value === room.name;
    if (mayCreate && this.create.hidden) setTimeout(() => this.create.focus());
    this.create.hidden = !mayCreate;
    this.forget.hidden = !(room?.phase === 'refused' && room.myName);
    this.#lookAt(state, room);
    this.listed.hidden = !state.list;
    this.rooms.show(state.list, state.rooms);
  }

  /** Put the focus where a refusal can be answered. */
  #lookAt({ list }, room) {
    const refusal = room?.phase === 'refused' ? `${room.name}\n${room.why}` : '';
    if (refusal === this.#refusal) return;
    this.#refusal = refusal;
    if (!refusal) return;
    if (this.create.hidden) this.password.value = ''; // a room that is created now gets it
    const isLocked = list?.rooms.some(({ name, locked }) => locked && name === room.name);
    if (isLocked) this.password.focus();
    else if (document.activeElement === document.body) this.room.focus();
  }

  #enter(create) {
    const name = this.name.value.normalize('NFC').trim();
    if (!name && !this.hasToken) {
      setText(this.alert, words.needName);
      this.name.focus();
      return;
    }
    const room = this.room.value.normalize('NFC').trim();
    this.onEnter({ name, room, password: this.password.value, create });
  }
}

/** The server's rooms that the person is not in. */
export class OtherRooms {
  constructor({ onEnter, onMore }) {
    this.rows = new Rows(el('ul.room-list'), () => roomRow(onEnter));
    this.none = el('small', {}, words.noOtherRooms);
    this.more = el('button', { type: 'button', hidden: true, onclick: onMore });
    this.elements = [this.rows.list, this.none, this.more];
  }

  show(list, mine) {
    const { rooms = [], count = 0 } = list ?? {};
    const others = rooms.filter(({ name }) => !mine.get(name)?.myName);
    this.rows.show(others, ({ name }) => name);
    this.none.hidden = others.length > 0;
    this.more.hidden = rooms.length >= count;
    setText(this.more, words.moreRooms(count - rooms.length));
  }
}

/** Return the row of a room that can be entered, for `Rows`. */
function roomRow(onEnter) {
  let shown = '';
  const bdi = el('bdi', { dir: 'auto' });
  const about = el('small');
  return {
    element: el('li', {}, el('button.room', { type: 'button', onclick: () => onEnter(shown) }, bdi, ' ', about)),
    show({ name, members, locked }) {
      shown = name;
      setText(bdi, name);
      setText(about, [words.people(members), locked && words.locked].filter(Boolean).join(', '));
    },
  };
}

function alertOf(state, room) {
  if (state.link === 'refused') return words.refused(state.why);
  if (state.link === 'connecting') return state.why ? words.noAnswer(location.host) : words.connecting;
  if (!room) return '';
  if (room.phase === 'entering') return words.entering;
  if (room.phase !== 'refused') return '';
  return room.code === Code.UNKNOWN_ROOM ? words.noSuchRoom(room.name) : words.cannotEnter(room.why);
}

function field(label, input, hint = '', id = '') {
  return el('div.field', {}, el('label', { for: input.id }, label), input, hint ? el('small', { id }, hint) : null);
}

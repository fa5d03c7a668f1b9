// The top of a room: its name and topic, what one can do with it, and the banner that tells the state of the connection.

import { el, setChildren, setText } from './dom.js';
import { linkTo } from './keep.js';
import { peopleOf } from './view-roster.js';
import { Code } from './wire.js';
import { words } from './words.js';

export class Header {
  #banner = '';

  constructor({ onRooms, onRoster, onLeave, onUnderstood, onEnterAgain, onNotify, onSound }) {
    this.handlers = { onUnderstood, onEnterAgain };
    this.title = el('h1', { dir: 'auto' });
    this.topic = el('p.topic', { dir: 'auto' });
    this.roomsButton = icon('☰', words.showRooms, onRooms, 'rooms', 'narrow-only');
    this.unread = el('span.dot', { hidden: true });
    this.roomsButton.append(this.unread);
    this.rosterButton = el('button.not-wide', { type: 'button', title: words.showPeople, 'aria-controls': 'roster', onclick: onRoster });
    this.more = icon('⋯', words.more, () => this.#open(!this.isOpen), 'more', 'menu-only');
    this.link = el('button', { type: 'button', onclick: () => this.#share() }, words.link);
    this.notify = el('button', { type: 'button', onclick: onNotify }, words.notify);
    this.sound = el('button', { type: 'button', onclick: onSound }, words.sound);
    this.leave = el('button', { type: 'button', onclick: onLeave }, words.leave);
    this.address = el('input', { readonly: true, 'aria-label': words.linkHere });
    this.sharing = el('div.sharing', { hidden: true }, words.linkHere, ' ', this.address);
    this.banner = el('div.banner', { role: 'status' });
    const names = el('div.names', {}, this.title, this.topic);
    this.buttons = el('div.buttons', { id: 'more' }, this.link, this.notify, this.sound, this.leave);
    const bar = el('div.bar', {}, this.roomsButton, names, this.rosterButton, this.more, this.buttons);
    this.element = el('header', {}, bar, this.sharing, this.banner);
    this.#open(false);
  }

  /** Show the buttons in a narrow window; a wide one has them always. */
  #open(isOpen) {
    this.isOpen = isOpen;
    this.buttons.classList.toggle('open', isOpen);
    this.more.setAttribute('aria-expanded', String(isOpen));
  }

  show(state, room, notifies, sounds) {
    if (this.title.textContent !== room.name) {
      this.sharing.hidden = true;
      this.#open(false);
    }
    setText(this.title, room.name);
    setText(this.topic, room.topic);
    this.topic.title = room.topic;
    this.room = room.name;
    setText(this.rosterButton, peopleOf(room));
    this.notify.hidden = notifies === null;
    setText(this.notify, notifies ? words.notifyOn : words.notify);
    this.sound.hidden = sounds === null;
    setText(this.sound, sounds ? words.soundOn : words.sound);
    this.unread.hidden = ![...state.rooms.values()].some(({ name, unread }) => unread && name !== room.name);
    this.#tell(bannerOf(state, room), room);
  }

  #tell(found, room) {
    const told = JSON.stringify(found);
    if (told === this.#banner) return;
    this.#banner = told;
    this.banner.className = `banner ${found?.kind ?? ''}`;
    const press = { again: () => this.handlers.onEnterAgain(room.name), ok: () => this.handlers.onUnderstood(room.name) };
    const button = found?.button && el('button', { type: 'button', onclick: press[found.press] }, found.button);
    setChildren(this.banner, found ? [el('span', {}, found.text), ...(button ? [button] : [])] : []);
    clearTimeout(this.fading);
    if (found?.kind === 'good') this.fading = setTimeout(() => this.handlers.onUnderstood(room.name), 6_000);
  }

  async #share() {
    const address = linkTo(this.room);
    try {
      await navigator.clipboard.writeText(address);
      setText(this.link, words.linkCopied);
      setTimeout(() => setText(this.link, words.link), 2_000);
    } catch {
      // Without HTTPS a page may not write to the clipboard: the person copies it.
      this.address.value = address;
      this.sharing.hidden = !this.sharing.hidden;
      this.address.select();
    }
  }
}

/** Return what the banner tells, {kind, text, button?, press?}, or null. */
function bannerOf(state, room) {
  if (room.phase === 'ended') {
    if (room.code === Code.ELSEWHERE) return { kind: 'bad', text: words.elsewhere, button: words.useHere, press: 'again' };
    return { kind: 'bad', text: words.ended(room.why), button: words.enterAgain, press: 'again' };
  }
  if (state.link === 'refused') return { kind: 'bad', text: words.refused(state.why) };
  // After a reload the first attempt tells nothing yet.
  if (state.link === 'connecting' && !state.why) return { kind: 'bad', text: words.connecting };
  if (room.phase !== 'in') return { kind: 'bad', text: state.isOffline ? words.offline : words.away };
  if (room.isCutOff) return { kind: 'bad', text: words.cutOff };
  const { back } = room;
  if (!back) return null;
  if (back.isReached) return { kind: 'good', text: words.reached };
  if (back.lost === 0) return { kind: 'good', text: back.missed ? words.backWith(back.missed) : words.back };
  const text = back.lost === null ? words.backUnknown : words.backLost(back.lost);
  return { kind: 'warning', text, button: words.understood, press: 'ok' };
}

function icon(sign, about, onclick, controls, only) {
  const attributes = { type: 'button', 'aria-label': about, title: about, 'aria-controls': controls, onclick };
  return el(`button.icon.${only}`, attributes, el('span', { 'aria-hidden': 'true' }, sign));
}

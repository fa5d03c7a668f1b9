// The right side: who is in the room, the host first, and who has been silent for long.

import { el, setChildren, setText } from './dom.js';
import { name as nameElement } from './view-line.js';
import { words } from './words.js';

const IDLE_S = 300;
const MOST = 300;

export class Roster {
  #members = null;
  #myName = '';

  /** `onPick(name)`: a member was chosen, to be written to. */
  constructor({ onPick, onClose }) {
    this.onPick = onPick;
    this.heading = el('h2');
    this.list = el('ul');
    const close = el('button.icon.drawer-only', { type: 'button', 'aria-label': words.close, onclick: onClose }, '×');
    this.element = el('aside.roster', { id: 'roster', 'aria-label': words.peopleHere }, el('div.bar', {}, this.heading, close), this.list);
  }

  show({ members, count, myName }) {
    setText(this.heading, words.people(Math.max(count, members.size)));
    if (members === this.#members && myName === this.#myName) return;
    [this.#members, this.#myName] = [members, myName];
    const sorted = [...members].sort(([one, a], [other, b]) => Number(b.host ?? 0) - Number(a.host ?? 0) || one.localeCompare(other));
    const hadFocus = this.list.contains(document.activeElement);
    setChildren(this.list, sorted.slice(0, MOST).map(([name, about]) => this.#row(name, about)));
    if (hadFocus) this.list.querySelector('button')?.focus();
  }

  #row(name, { host, idle }) {
    const isIdle = idle >= IDLE_S;
    const about = [host && words.host, name === this.#myName && words.you, isIdle && words.idleFor(Math.floor(idle / 60))];
    const button = el('button.member', { type: 'button', onclick: () => this.onPick(name) }, nameElement(name));
    const told = about.filter(Boolean).join(', ');
    if (told) button.append(' ', el('small', {}, told));
    button.classList.toggle('idle', isIdle);
    return el('li', {}, button);
  }
}

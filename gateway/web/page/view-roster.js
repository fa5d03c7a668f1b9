// The right side: who is in the room, the host first, and who has been silent for long.

import { Rows, el, setText } from './dom.js';
import { hueOf } from './lines.js';
import { words } from './words.js';

const IDLE_S = 300;
const MOST = 300;

export class Roster {
  #members = null;
  #myName = '';

  /** `onPick(name)`: a member was chosen, to be written to. */
  constructor({ onPick, onClose }) {
    this.heading = el('h2');
    this.rows = new Rows(el('ul'), () => row(onPick));
    const close = el('button.icon.drawer-only', { type: 'button', 'aria-label': words.close, onclick: onClose }, '×');
    this.element = el('aside.roster', { id: 'roster', 'aria-label': words.peopleHere }, el('div.bar', {}, this.heading, close), this.rows.list);
  }

  show(room) {
    const { members, myName } = room;
    setText(this.heading, peopleOf(room));
    if (members === this.#members && myName === this.#myName) return;
    [this.#members, this.#myName] = [members, myName];
    const sorted = [...members].sort(([one, a], [other, b]) => Number(b.host ?? 0) - Number(a.host ?? 0) || one.localeCompare(other));
    this.rows.show(sorted.slice(0, MOST).map(([name, about]) => ({ name, isMe: name === myName, ...about })), ({ name }) => name);
  }
}

/** Return how many are in a room; after the membership that is not known. */
export function peopleOf({ phase, members, count }) {
  return phase === 'ended' ? words.peopleHere : words.people(Math.max(count, members.size));
}

function row(onPick) {
  let shown = '';
  const bdi = el('bdi.name', { dir: 'auto' });
  const about = el('small');
  const button = el('button.member', { type: 'button', onclick: () => onPick(shown) }, bdi, ' ', about);
  return {
    element: el('li', {}, button),
    show({ name, isMe, host, idle }) {
      const isIdle = idle >= IDLE_S;
      shown = name;
      setText(bdi, name);
      bdi.style.setProperty('--hue', hueOf(name));
      const told = [host && words.host, isMe && words.you, isIdle && words.idleFor(Math.floor(idle / 60))];
      setText(about, told.filter(Boolean).join(', '));
      button.classList.toggle('idle', isIdle);
    },
  };
}

// One room: what can be done with it, and its members.

import { el, setText } from './dom.js';
import { ago, gatewayName } from './numbers.js';
import { Table } from './view-tables.js';
import { words } from './words.js';

export class Members {
  #room = null;

  /** Each handler gets the room, and the member if it is about one. */
  constructor({ onAnnounce, onClose, onPersist, onUnpersist, onKick, onBan }) {
    const button = (text, handler, kind = '') => el(`button${kind}`, { type: 'button', onclick: () => handler(this.#room) }, text);
    this.heading = el('h2', { id: 'members', tabindex: -1 });
    this.topic = el('p.note', { dir: 'auto' });
    this.persist = button(words.persist, onPersist);
    this.unpersist = button(words.unpersist, onUnpersist);
    this.buttons = el('div.buttons', {}, button(words.announce, onAnnounce), this.persist, this.unpersist, button(words.close, onClose, '.danger'));
    this.note = el('p.note');
    this.table = new Table({
      caption: words.members,
      keyOf: ({ name }) => name,
      columns: [
        { key: 'name', heading: words.name, isName: true, text: ({ name }) => name },
        {
          key: 'actions',
          heading: words.actions,
          make: (get) => orders({ [words.kick]: [words.kickWho, () => onKick(this.#room, get())], [words.ban]: [words.banWho, () => onBan(get())] }),
        },
        { key: 'marks', heading: words.marks, text: marksOf },
        { key: 'silent', heading: words.silent, isNumber: true, text: ({ silent_ms }) => ago(silent_ms) },
        { key: 'dialect', heading: words.dialect, text: ({ dialect }) => dialect },
        { key: 'from', heading: words.from, text: ({ ip }) => ip },
        { key: 'address', heading: words.address, text: ({ address }) => address || '–' },
        { key: 'gateway', heading: words.gateway, text: ({ gateway }) => gatewayName(gateway) },
      ],
    });
    this.element = el('section.members', { 'aria-labelledby': 'members' }, el('div.bar', {}, this.heading, this.buttons), this.topic, this.note, this.table.element);
  }

  show(state) {
    const room = state.rooms.find(({ name }) => name === state.room);
    this.#room = room ?? { name: state.room, members: state.members?.length ?? 0, persistent: false };
    const { members } = state;
    setText(this.heading, state.room ? words.membersOf(state.room) : words.members);
    setText(this.topic, room?.topic ?? '');
    this.buttons.hidden = !state.room || state.isGone;
    this.persist.hidden = !room || room.persistent;
    this.unpersist.hidden = !room?.persistent;
    const note = !state.room ? words.pickRoom : state.isGone ? words.roomGone : members === null ? words.loading : members.length === 0 ? words.noMembers : state.moreMembers ? words.moreMembers(members.length) : '';
    setText(this.note, note);
    this.table.show(members ?? []);
  }
}

/** Buttons of a row: word → [what it does to a name, handler]. */
function orders(handlers) {
  const buttons = Object.entries(handlers).map(([word, [about, onclick]]) => [about, el('button.small', { type: 'button', onclick }, word)]);
  const element = el('span.orders', {}, ...buttons.map(([, button]) => button));
  return {
    element,
    show: ({ name }) => { for (const [about, button] of buttons) button.setAttribute('aria-label', about(name)); },
  };
}

function marksOf({ host, moderator, verified }) {
  return [host && words.isHost, moderator && words.moderator, verified && words.verified].filter(Boolean).join(', ');
}

// Where a line is written: Enter sends, except the Enter of a composition; commands and names are completed.

import { complete } from './commands.js';
import { el, personName, setChildren, setText } from './dom.js';
import { MAX_TEXT, isHost } from './room.js';
import { words } from './words.js';

const encoder = new TextEncoder();

/**
 * Return whether a key press is Enter that sends. During a composition (Japanese, Chinese, Korean) Enter takes what was
 * composed. Safari ends the composition before that key press, which then has the key code 229 alone.
 */
function isSendingEnter(event) {
  return event.key === 'Enter' && !event.shiftKey && !event.altKey && !event.isComposing && event.keyCode !== 229;
}

export class Composer {
  #room = null;
  #found = { from: 0, options: [] };
  #chosen = -1;

  constructor({ onDraft, onSay, onPage, onEscape }) {
    this.handlers = { onDraft, onSay, onPage, onEscape };
    this.input = el('textarea', {
      rows: 1, dir: 'auto', enterkeyhint: 'send', autocomplete: 'off', 'aria-controls': 'suggestions', 'aria-autocomplete': 'list',
      oninput: () => this.#edited(), onkeydown: (event) => this.#pressed(event), onblur: () => this.#suggest(true),
    });
    this.send = el('button.primary', { onpointerdown: (event) => event.preventDefault() }, words.send);
    this.options = el('ul.suggestions', { id: 'suggestions', role: 'listbox', tabindex: -1, 'aria-label': words.suggestions, hidden: true, onmousedown: (event) => event.preventDefault() });
    this.problem = el('p.problem', { role: 'status' });
    const form = el('form', { onsubmit: (event) => { event.preventDefault(); this.#say(); } }, this.input, this.send);
    this.element = el('div.composer', {}, this.options, this.problem, form);
  }

  show(room) {
    const isOther = this.#room?.name !== room.name;
    this.#room = room;
    if (isOther) {
      this.input.value = room.draft;
      this.input.placeholder = words.write(room.name);
      this.input.setAttribute('aria-label', words.write(room.name));
      this.#edited();
    }
    this.input.disabled = this.send.disabled = room.phase === 'ended';
  }

  /** Put a text into the field, in front of what is there. */
  put(text) {
    this.input.value = text + this.input.value;
    this.#edited();
    this.input.focus();
  }

  focus() {
    this.input.focus();
  }

  #edited() {
    this.input.style.height = 'auto';
    this.input.style.height = `${this.input.scrollHeight + 2}px`;
    this.handlers.onDraft(this.#room.name, this.input.value);
    const over = encoder.encode(this.input.value).length - MAX_TEXT;
    setText(this.problem, over > 0 ? words.tooLong(over) : '');
    this.#suggest();
  }

  #pressed(event) {
    if (event.isComposing || event.keyCode === 229) return;
    const { options } = this.#found;
    if (options.length && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      event.preventDefault();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      this.#choose((Math.max(this.#chosen, step < 0 ? 0 : -1) + step + options.length) % options.length);
    } else if (options.length && !event.shiftKey && (event.key === 'Tab' || (event.key === 'Enter' && this.#chosen >= 0))) {
      event.preventDefault();
      this.#take(Math.max(this.#chosen, 0));
    } else if (event.key === 'Escape') {
      if (options.length) this.#suggest(true);
      else this.handlers.onEscape();
    } else if (event.key === 'PageUp' || event.key === 'PageDown') {
      event.preventDefault();
      this.handlers.onPage(event.key === 'PageUp' ? -1 : 1);
    } else if (isSendingEnter(event)) {
      event.preventDefault();
      this.#say();
    }
  }

  #say() {
    const text = this.input.value;
    if (!text.trim() || this.problem.textContent || this.input.disabled) return;
    this.input.value = '';
    this.#edited();
    this.handlers.onSay(text);
  }

  #suggest(isOver = false) {
    const { members, myName } = this.#room ?? {};
    const caret = this.input.selectionEnd;
    const names = members ? [...members.keys()].filter((name) => name !== myName) : [];
    this.#found = isOver || !members ? { from: 0, options: [] } : complete(this.input.value, caret, names, isHost(this.#room));
    const rows = this.#found.options.map(({ label, about }, at) => {
      const row = el('li', { role: 'option', id: `suggestion-${at}`, 'aria-selected': 'false', onclick: () => this.#take(at) }, personName(label));
      if (about) row.append(' ', el('small', {}, words.commands[about]));
      return row;
    });
    setChildren(this.options, rows);
    this.options.hidden = !rows.length;
    // A field of several lines is no combobox, but while it has a list it acts as one.
    for (const [name, value] of [['role', 'combobox'], ['aria-expanded', 'true']]) {
      if (rows.length) this.input.setAttribute(name, value);
      else this.input.removeAttribute(name);
    }
    this.#choose(-1);
  }

  #choose(at) {
    this.#chosen = at;
    [...this.options.children].forEach((row, index) => row.setAttribute('aria-selected', String(index === at)));
    this.options.children[at]?.scrollIntoView({ block: 'nearest' });
    if (at >= 0) this.input.setAttribute('aria-activedescendant', `suggestion-${at}`);
    else this.input.removeAttribute('aria-activedescendant');
  }

  #take(at) {
    const { from, options } = this.#found;
    this.input.setRangeText(options[at].insert, from, this.input.selectionEnd, 'end');
    this.#edited();
  }
}

// The timeline: a window of the room's lines, at most 300 elements; it stays where the reader is.
//
// A screen reader hears lines that are added at the end while the reader is there, once: it is switched off while a room
// is opened, and while older lines are put in.

import { el, setChildren, setText } from './dom.js';
import { continues, isSameDay } from './lines.js';
import { isCommand } from './room.js';
import { dayElement, lineElement, newElement } from './view-line.js';
import { dayName, words } from './words.js';

const MOST = 300;
const STEP = 100;
const NEAR_PX = 400;
const NEAR_LINES = 20; // before the first new one
const BURST = 20; // lines at once that are too many to be read out
const QUIET_MS = 500;

export class Timeline {
  #room = null;
  #items = [];
  #nodes = new Map(); // by key: {node, line, goesOn}
  #first = 0;
  #end = 0;
  #isAtEnd = true;
  #quiet = 0;
  #today = '';
  #seen = ''; // key of the last line when the reader was last at the end
  #sawNew = 0; // the offset of the first new line, once it was on the screen

  constructor({ onOlder, onEdit, onDiscard }) {
    this.handlers = { onOlder, onEdit, onDiscard };
    this.log = el('div.log', { role: 'log', 'aria-live': 'off', 'aria-relevant': 'additions', tabindex: '0' });
    this.firstNew = this.#jump('first-new', words.firstNew, () => this.#toNew());
    this.newest = this.#jump('newest', words.newest, () => this.toEnd());
    this.older = el('button.older', { type: 'button', onclick: () => onOlder() }, words.loadOlder);
    this.element = el('div.timeline', {}, this.firstNew, this.log, this.newest);
    this.log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#isAtEnd && this.#settle()).observe(this.log);
  }

  /** Show a room's lines. */
  show(room) {
    const isOther = this.#room?.name !== room.name;
    const today = new Date().toDateString(); // yesterday's lines are under another name then
    const isOlder = !isOther && this.#room.loads !== room.loads;
    if (!isOther && this.#room.lines === room.lines && this.#room.pending === room.pending &&
        this.#room.newFrom === room.newFrom && this.#room.history === room.history && this.#today === today) return;
    this.#today = today;
    const firstKey = this.#items[this.#first]?.key;
    const last = this.#room?.lines.at(-1);
    const atEnd = isOther || this.#isAtEnd;
    this.#room = room;
    this.#items = itemsOf(room);
    if (isOther) {
      this.#nodes.clear();
      this.#sawNew = 0;
      this.log.setAttribute('aria-label', words.timeline(room.name));
    }
    const isBurst = !isOther && last && !room.lines.slice(-BURST).some(({ key }) => key === last.key);
    if (isOther || isOlder || isBurst) this.#beQuiet();
    if (atEnd) {
      this.#end = this.#items.length;
      this.#first = Math.max(0, this.#end - STEP);
    } else {
      const at = this.#items.findIndex(({ key }) => key === firstKey);
      // What came in front is shown, too: at the very top no further scrolling would ask for it.
      this.#first = Math.max(0, isOlder ? at - STEP : at);
      this.#end = Math.min(this.#items.length, this.#first + MOST);
    }
    this.#isAtEnd = atEnd;
    this.#draw();
  }

  /** Go to the newest line. */
  toEnd() {
    if (this.#isAtEnd && this.#end === this.#items.length) return;
    this.#beQuiet();
    this.#isAtEnd = true;
    this.#end = this.#items.length;
    this.#first = Math.max(0, this.#end - STEP);
    this.#draw();
  }

  #toNew() {
    this.#beQuiet();
    this.#isAtEnd = false;
    this.#first = Math.max(0, this.#newAt() - NEAR_LINES);
    this.#end = Math.min(this.#items.length, this.#first + MOST);
    this.#draw();
    this.log.scrollTop = this.#nodes.get('new').node.offsetTop - 8;
    this.#showJumps();
  }

  /** Return a button that goes elsewhere in the log, and is gone then: the keyboard goes on there. A pointer leaves the focus where it is. */
  #jump(kind, text, go) {
    const press = () => {
      const isFocused = document.activeElement === button;
      go();
      if (isFocused) this.log.focus({ preventScroll: true });
    };
    const button = el(`button.jump.${kind}`, { type: 'button', hidden: true, onmousedown: (event) => event.preventDefault(), onclick: press }, text);
    return button;
  }

  /** Scroll by pages, for keys that are pressed elsewhere. */
  page(pages) {
    this.log.scrollBy({ top: pages * this.log.clientHeight * 0.85 });
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const below = scrollHeight - scrollTop - clientHeight;
    this.#isAtEnd = below < 40 && this.#end === this.#items.length;
    if (scrollTop < NEAR_PX && this.#first > 0) {
      this.#first = Math.max(0, this.#first - STEP);
      if (!this.#isAtEnd) this.#end = Math.min(this.#end, this.#first + MOST);
      this.#beQuiet();
      this.#draw();
    } else if (below < NEAR_PX && this.#end < this.#items.length) {
      this.#end = Math.min(this.#items.length, this.#end + STEP);
      this.#first = Math.max(this.#first, this.#end - MOST);
      this.#beQuiet();
      this.#draw();
    } else if (scrollTop < NEAR_PX && !this.#isAtEnd) {
      this.handlers.onOlder();
    }
    this.#showJumps();
  }

  #draw() {
    const anchor = this.#isAtEnd ? null : this.#topmost();
    const place = anchor?.offsetTop ?? 0;
    setChildren(this.log, this.#elements());
    if (this.#isAtEnd) this.#settle();
    else if (anchor?.isConnected) this.log.scrollTop += anchor.offsetTop - place;
    this.#showJumps();
  }

  #settle() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  #topmost() {
    const top = this.log.scrollTop;
    return [...this.log.children].find((node) => node.offsetTop + node.offsetHeight > top && node.classList.contains('line'));
  }

  #elements() {
    const { myName, history, phase } = this.#room;
    const now = Date.now();
    const newAt = this.#newAt();
    const found = this.#first > 0 || (phase !== 'in' && !this.#items.length) ? [] : [this.#beginning(history)];
    const kept = new Map();
    for (let at = this.#first; at < this.#end; at++) {
      const line = this.#items[at];
      const before = this.#items[at - 1];
      if (!before || at === this.#first || !isSameDay(before.time, line.time)) {
        const name = dayName(line.time, now);
        found.push(this.#once(kept, `d${new Date(line.time).toDateString()}`, name, () => dayElement(name)));
      }
      if (at === newAt) found.push(this.#once(kept, 'new', 0, newElement));
      // Whatever the window begins with: a line that is made anew is read out once more.
      const goesOn = continues(shown(line, myName), before && shown(before, myName));
      const make = () => lineElement(line, { goesOn, myName, ...this.handlers });
      found.push(this.#once(kept, line.key, line, make, goesOn));
    }
    this.#nodes = kept;
    return found;
  }

  /** Return the element of a key: the one that is there, if it shows the same. Its content changes in place. */
  #once(kept, key, line, make, goesOn = false) {
    let known = this.#nodes.get(key);
    if (!known) known = { node: make(), line, goesOn };
    else if (known.line !== line || known.goesOn !== goesOn) {
      const made = make();
      known.node.className = made.className;
      if (known.goesOn === goesOn && isWordForWord(known.line, line)) settle(known.node, made);
      else known.node.replaceChildren(...made.childNodes);
      known = { node: known.node, line, goesOn };
    }
    kept.set(key, known);
    return known.node;
  }

  #beginning(history) {
    this.older.disabled = history !== 'more';
    setText(this.older, { loading: words.loading, all: words.beginning }[history] ?? words.loadOlder);
    return this.older;
  }

  /** Return the index of the first new line, or -1. */
  #newAt() {
    const { newFrom, epoch } = this.#room;
    return newFrom > 0 ? this.#items.findIndex((line) => line.n >= newFrom && line.epoch === epoch) : -1;
  }

  #showJumps() {
    const newAt = this.#newAt();
    const below = this.#nodes.get('new')?.node.offsetTop - this.log.scrollTop; // its place on the screen
    if (below >= 0 && below < this.log.clientHeight) this.#sawNew = this.#room.newFrom;
    this.firstNew.hidden = this.#sawNew === this.#room.newFrom || !(below < 0 || (newAt >= 0 && newAt < this.#first));
    if (this.#isAtEnd) this.#seen = this.#items.at(-1)?.key;
    this.newest.hidden = this.#isAtEnd;
    const at = this.#items.findLastIndex(({ key }) => key === this.#seen);
    const count = at < 0 ? 0 : this.#items.length - 1 - at;
    setText(this.newest, count > 0 ? `${words.newest} (${count})` : words.newest);
  }

  #beQuiet() {
    this.log.setAttribute('aria-live', 'off');
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.log.setAttribute('aria-live', 'polite'), QUIET_MS);
  }
}

/** Return whether only the state of a line has changed: it was grey, and is kept now. */
function isWordForWord(before, after) {
  return before.kind === 'said' && after.kind === 'said' && before.text === after.text && ![before.state, after.state].includes('refused');
}

/** Make a line that was read out into a kept one, without adding anything that would be read out again. */
function settle(node, made) {
  if (!made.classList.contains('waiting')) node.querySelector('.visually-hidden')?.remove();
  setText(node.querySelector('time'), made.querySelector('time').textContent);
}

/** Return the lines that are shown: a command that is being carried out is none. */
function itemsOf({ lines, pending }) {
  return [...lines, ...pending.filter((line) => !(isCommand(line.text) && line.state === 'sent'))];
}

function shown(line, myName) {
  return line.from || line.kind !== 'said' ? line : { ...line, from: myName };
}

// The top of the page: in one line whether all is well, the facts behind it, and what the last order has done.

import { el, setChildren, setText } from './dom.js';
import { ago } from './numbers.js';
import { health } from './state.js';
import { words } from './words.js';

const SIGNS = { good: '✓', warning: '!', bad: '✕' };

export class Health {
  #told = '';

  constructor({ onAnnounce }) {
    this.summary = el('p.summary', { role: 'status' });
    this.facts = el('ul.facts');
    this.element = el(
      'header',
      {},
      el('div.bar', {}, el('h1', {}, 'tsudoi ', el('small', {}, words.title)), this.summary, el('button', { type: 'button', onclick: onAnnounce }, words.announceAll)),
      el('section', { 'aria-label': words.health }, this.facts),
    );
  }

  show(state, now) {
    const facts = state.link === 'starting' ? [] : health(state, now);
    const bad = facts.filter(({ kind }) => kind === 'bad').length;
    const kind = bad ? 'bad' : facts[0]?.kind ?? 'warning';
    const text = !facts.length ? words.starting : bad ? words.unhealthy(bad) : kind === 'good' ? words.healthy : words.doubtful;
    this.summary.className = `summary ${kind}`;
    setText(this.summary, text);
    document.title = bad ? `✕ tsudoi: ${words.title}` : `tsudoi: ${words.title}`;
    const told = facts.map((fact) => [fact.kind, words.facts[fact.what]({ ...fact, ago: fact.ms ? ago(fact.ms) : '' })]);
    if (JSON.stringify(told) === this.#told) return;
    this.#told = JSON.stringify(told);
    setChildren(this.facts, told.map(([kindOf, words_]) => factLine(kindOf, words_)));
  }
}

function factLine(kind, text) {
  return el(`li.${kind}`, {}, el('span.sign', { 'aria-hidden': 'true' }, SIGNS[kind]), el('span', {}, el('span.visually-hidden', {}, `${words.kinds[kind]}: `), text));
}

/** What the last order has done, until it is dismissed. */
export class Result {
  #number = 0;

  constructor() {
    this.text = el('span');
    this.element = el(
      'div.result',
      { role: 'status' },
      this.text,
      el('button.icon', { type: 'button', 'aria-label': words.dismiss, title: words.dismiss, onclick: () => this.element.classList.remove('shown') }, '×'),
    );
  }

  show({ result }) {
    if (!result || result.number === this.#number) return;
    this.#number = result.number;
    this.element.className = `result shown ${result.isGood ? 'good' : 'bad'}`;
    setText(this.text, result.text);
  }
}

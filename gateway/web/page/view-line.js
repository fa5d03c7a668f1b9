// One line of the timeline as an element.

import { el, personName } from './dom.js';
import { hueOf, mentions, pieces, split } from './lines.js';
import { timeOfDay, words } from './words.js';

/** Return the element of a line; `goesOn`: it belongs to the one before. */
export function lineElement(line, { goesOn, myName, onEdit, onDiscard }) {
  switch (line.kind) {
    case 'said':
      return said(line, goesOn, myName, onEdit, onDiscard);
    case 'acted':
      return el('div.line.acted', {}, clock(line), body('p', '* ', name(line.from), ' ', text(line.text)));
    case 'whisper':
      return whisper(line, myName);
    case 'gap':
      return el('div.line.gap', {}, words.gap(line.count));
    case 'announced':
      return el('div.line.announced', {}, clock(line), body('p', text(line.text)));
    case 'answer':
      return el('div.line.answer', {}, clock(line), body('div', el('span.apart', {}, words.onlyYou), text(line.text, 'p')));
    default:
      return el('div.line.event', {}, clock(line), body('p', sentence(line)));
  }
}

function said(line, goesOn, myName, onEdit, onDiscard) {
  const from = line.from || myName;
  const node = el('div.line.said', {}, goesOn ? clock(line) : face(from));
  node.classList.toggle('goes-on', goesOn);
  node.classList.toggle('mentions', mentions(line, myName));
  const head = el('div.head', {}, name(from), ' ', clock(line));
  node.append(body('div', goesOn ? null : head, text(line.text, 'p')));
  if (line.state === 'waiting' || line.state === 'sent') {
    node.classList.add('waiting');
    node.lastChild.append(el('span.visually-hidden', {}, words.waiting));
  } else if (line.state === 'refused') {
    node.classList.add('refused');
    const edit = el('button', { type: 'button', onclick: () => onEdit(line) }, words.again);
    const discard = el('button', { type: 'button', onclick: () => onDiscard(line) }, words.discard);
    node.lastChild.append(el('p.why', {}, words.notSaid(line.why), ' ', edit, ' ', discard));
  }
  return node;
}

function whisper(line, myName) {
  const isMine = line.from === myName;
  const about = el('span.apart', {}, isMine ? words.whisperTo(line.to) : words.whisperFrom);
  const head = el('div.head', {}, name(line.from), ' ', about, ' ', clock(line));
  return el('div.line.whisper', {}, face(line.from), body('div', head, text(line.text, 'p')));
}

function body(tag, ...children) {
  return el(`${tag}.body`, {}, ...children);
}

function text(content, tag = 'span') {
  const node = el(`${tag}.text`, { dir: 'auto' });
  node.append(...linked(content));
  return node;
}

/** Return a text's pieces, with links. */
function linked(content) {
  return pieces(content).map(({ text: piece, href }) =>
    href ? el('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, piece) : piece);
}

/** Return a sentence of the server: it is written as the page is, and each name in it for itself. */
function sentence(line) {
  const found = split(line.text, line.parts ?? []);
  return el('span.text', {}, ...found.map(({ text: piece, part }) => (part ? el('bdi', {}, ...linked(part)) : piece)));
}

function clock({ time }) {
  return el('time', { datetime: new Date(time).toISOString() }, timeOfDay(time));
}

/** Return a name in its colour. */
function name(who) {
  const node = personName(who);
  node.classList.add('name');
  return coloured(node, who);
}

function face(who) {
  const [first = ''] = who;
  return coloured(el('span.face', { 'aria-hidden': 'true' }, first.toUpperCase()), who);
}

function coloured(node, who) {
  node.style.setProperty('--hue', hueOf(who));
  return node;
}

/** Return the separator before a day's first line. */
export function dayElement(name) {
  return el('div.day', {}, el('span', {}, name));
}

/** Return the separator before the first new line. */
export function newElement() {
  return el('div.new', {}, el('span', {}, words.newLines));
}

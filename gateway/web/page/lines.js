// From a publication to a line of the timeline; which lines stand together; where a text has links. Pure.

/** Notices that stand apart from the conversation: answers to this member alone. */
const ANSWERS = new Set(['answer', 'who', 'rooms', 'bans', 'history', 'help']);
const GROUP_MS = 5 * 60_000;
/** Scripts that are written from right to left: Unicode's blocks for them. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/**
 * Return the line of a publication: kind 'said', 'acted', 'whisper', 'event', 'answer' or 'announced'.
 *
 * `n` is its offset in `epoch`, 0 for what is no entry. A line that this member has numbered keeps the key that it had
 * while it was grey. `now` is the time of what has none, `serial` makes its key.
 */
export function lineOf(publication, epoch, myName, now, serial = 0) {
  const { data, offset = 0, time = now } = publication;
  const n = offset || data.n || 0;
  const line = { n, epoch, time, from: '', text: String(data.text ?? ''), number: 0, to: '' };
  line.key = n ? `n${epoch}:${n}` : `a${serial}`;
  if (typeof data.from === 'string') {
    const mine = data.from === myName && data.number > 0;
    return { ...line, kind: 'said', from: data.from, number: data.number ?? 0, key: mine ? `p${data.number}` : line.key };
  }
  switch (data.notice) {
    case 'acted':
      return { ...line, kind: 'acted', from: data.name, text: data.said };
    case 'whispered':
      return { ...line, kind: 'whisper', from: data.name, to: data.to, text: data.said };
    case 'announced':
      return { ...line, kind: 'announced' };
    case 'bans':
      return { ...line, kind: 'answer', text: inLocalTime(line.text) };
    default:
      // What members have written from right to left, in a sentence that is not.
      line.parts = [data.name, data.to, data.by, data.topic].filter((part) => RIGHT_TO_LEFT.test(part ?? ''));
      return { ...line, kind: ANSWERS.has(data.notice) ? 'answer' : 'event' };
  }
}

/** Return a text of the server's with its times, which are in UTC, as they are where the reader is. */
function inLocalTime(text) {
  const local = (_, day, time) => new Date(`${day}T${time}Z`).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  return text.replace(/(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC/g, local);
}

/** Return whether a line goes on what the one before began: the same speaker, within five minutes. */
export function continues(line, before) {
  return (
    line.kind === 'said' &&
    before?.kind === 'said' &&
    line.from === before.from &&
    line.time - before.time < GROUP_MS &&
    isSameDay(line.time, before.time)
  );
}

/** Return whether two times are on one day, where the reader is. */
export function isSameDay(one, other) {
  return new Date(one).toDateString() === new Date(other).toDateString();
}

/** Return whether another member's line names this member, or is to it alone. */
export function mentions(line, myName) {
  if (line.from === myName) return false;
  if (line.kind === 'whisper') return true;
  if (line.kind !== 'said' && line.kind !== 'acted') return false;
  return namesIn(line.text, myName);
}

function namesIn(text, name) {
  const where = text.normalize('NFKC').toLowerCase();
  const what = name.normalize('NFKC').toLowerCase();
  if (!what) return false;
  for (let at = where.indexOf(what); at >= 0; at = where.indexOf(what, at + 1)) {
    const before = where.slice(0, at).match(/.?$/s)[0];
    const behind = where.slice(at + what.length);
    const isPart = WORDS.some(
      ({ kind, goesOn }) => (kind.test(what[0]) && kind.test(before)) || (kind.test(what.at(-1)) && goesOn.test(behind)),
    );
    if (!isPart) return true;
  }
  return false;
}

/* A name must not be a part of a word. Japanese has no gaps between words, but a run of katakana is one: アンケート does
   not name アン; アンー, a call, does. */
const WORDS = [
  { kind: /[0-9a-z_\u00c0-\u052f]/, goesOn: /^[0-9a-z_\u00c0-\u052f]/ },
  { kind: /[\u30a1-\u30fa\u30fc-\u30ff]/, goesOn: /^[ァィゥェォッャュョー]*(?![ァィゥェォッャュョー])[\u30a1-\u30fa\u30fc-\u30ff]/ },
];

const ADDRESS = /\bhttps?:\/\/[^\s<>"「」『』（）【】［］〔〕〈〉《》、。，．]+/gi;

const TRAILING = ".,;:!?'*_~！？";

/** Return a text in pieces, {text} or {text, href}; only http and https become links. */
export function pieces(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = withoutTrailing(match[0]);
    const href = safeAddress(address);
    if (!href) continue;
    if (match.index > end) found.push({ text: text.slice(end, match.index) });
    found.push({ text: address, href });
    end = match.index + address.length;
  }
  if (end < text.length) found.push({ text: text.slice(end) });
  return found;
}

/** Return a text in pieces, {text} or {part}, at each place where one of the parts stands. */
export function split(text, parts) {
  const found = [];
  let end = 0;
  for (let at = 0; at < text.length; at++) {
    const part = parts.reduce((longest, each) => (each.length > longest.length && text.startsWith(each, at) ? each : longest), '');
    if (!part) continue;
    if (at > end) found.push({ text: text.slice(end, at) });
    found.push({ part });
    end = at + part.length;
    at = end - 1;
  }
  if (end < text.length) found.push({ text: text.slice(end) });
  return found;
}

function withoutTrailing(address) {
  // Not by a pattern, which looks for the end from each of them anew: a member's line would hold up its readers' pages.
  let end = address.length;
  while (TRAILING.includes(address[end - 1])) end--;
  let bare = address.slice(0, end);
  if (bare.endsWith(')') && !bare.includes('(')) bare = bare.slice(0, -1);
  return bare;
}

function safeAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : '';
  } catch {
    return '';
  }
}

/** Return a colour's hue for a name, in degrees; the same everywhere. */
export function hueOf(name) {
  let hash = 0;
  for (const char of name) hash = (Math.imul(hash, 31) + char.codePointAt(0)) >>> 0;
  return (hash % 24) * 15;
}

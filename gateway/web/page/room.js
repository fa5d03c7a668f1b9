// The state of one room as a value: every function takes a room and returns another. No I/O, no clock.
//
// `offset` in `epoch` is the position up to which the room's log was received. Publications come in order, so one that
// is not beyond it came before: after a reconnect nothing is shown twice.

import { lineOf, mentions } from './lines.js';
import { Code } from './wire.js';

/** Lines that are kept in memory; older ones are asked for again. */
export const MAX_LINES = 5_000;
/** Bytes of the longest text; PROTOCOL.md, "WebSocket". */
export const MAX_TEXT = 3_807;

/** Return a room that is not entered yet; `kept` is what an earlier visit of this tab left. */
export function newRoom(name, kept = {}) {
  return {
    name,
    phase: 'entering', // in, away, ended, refused
    why: '',
    code: 0,
    myName: kept.myName ?? '',
    epoch: kept.epoch ?? '',
    offset: kept.offset ?? 0,
    lines: [],
    pending: (kept.pending ?? []).map(({ number, text, time }) => pendingLine(number, text, time)),
    history: 'none', // loading, more, all
    unread: kept.unread ?? 0,
    mentions: kept.mentions ?? 0,
    newFrom: kept.newFrom ?? 0, // offset of the first new line
    topic: kept.topic ?? '',
    members: new Map(),
    count: 0,
    draft: kept.draft ?? '', // what is being written
    lastNumber: kept.lastNumber ?? 0, // of own lines
    loads: 0, // how often older lines were put in
    serial: 0, // of publications, for the keys of those without an offset
    isCutOff: false, // the server has lost the room's broker: nothing is heard
    back: null, // how the last return went: {missed, lost}; lost null: not known how much; or {isReached}
  };
}

/** Enter, or return: the reply to the subscribe command. */
export function entered(room, reply, isSeen, now) {
  const isReturn = Boolean(reply.was_recovering);
  const { lost, name, members } = reply.data ?? {};
  let next = { ...room, phase: 'in', isCutOff: false, why: '', code: 0, myName: name ?? room.myName, count: members ?? room.count };
  if (reply.epoch !== room.epoch && room.history !== 'none') next.history = 'more'; // of the new epoch
  next.epoch = reply.epoch;
  next.back = null;
  if (isReturn && !reply.recovered) {
    next = append(next, [gapLine(reply, lost, now)]);
    next.back = { missed: 0, lost: lost ? lost.to - lost.from + 1 : null };
    if (!lost) next.newFrom = 0;
  } else if (isReturn) {
    next.back = { missed: 0, lost: 0 };
  }
  next.offset = reply.offset ?? 0;
  const publications = reply.publications ?? [];
  if (isReturn && isSeen && !next.newFrom) {
    const first = publications.find(({ data }) => counts(data) && (data.from ?? data.name) !== next.myName);
    if (first) next.newFrom = first.offset;
  }
  if (next.back) next.back.missed = publications.filter(({ data }) => counts(data)).length;
  next = publications.reduce((found, publication) => received(found, publication, isSeen, now, room.myName), next);
  // What is known as kept and did not come is behind us. What was sent before this entry, without an answer, is sent again.
  const pending = next.pending.filter((line) => line.state !== 'kept' || line.offset > next.offset).map(unsent);
  return { ...next, pending };
}

function counts(data) {
  return 'from' in data || data.notice === 'acted' || data.notice === 'whispered';
}

function gapLine(reply, lost, now) {
  const n = lost?.from ?? 0; // 0: older lines of this epoch go after it
  const count = lost ? lost.to - lost.from + 1 : null;
  return { key: `g${reply.epoch}:${n || now}`, kind: 'gap', n, epoch: reply.epoch, time: now, from: '', text: '', count };
}

/** Take a publication. `formerName`: as this member was called before a return under another name. */
export function received(room, publication, isSeen, now, formerName = room.myName) {
  const { offset = 0, data } = publication;
  if (offset && offset <= room.offset) return room;
  if (data.notice === 'away') return { ...room, isCutOff: true, back: null };
  if (data.notice === 'back') return { ...room, isCutOff: false, back: { isReached: true } };
  const line = lineOf(publication, room.epoch, room.myName, now, room.serial);
  const next = append({ ...room, offset: offset || room.offset, serial: room.serial + 1 }, [line]);
  if (line.number && [room.myName, formerName].includes(line.from)) {
    next.pending = room.pending.filter(({ number }) => number !== line.number);
  }
  if (counts(data) && line.from !== room.myName && !isSeen) {
    next.unread += 1;
    next.mentions += mentions(line, room.myName) ? 1 : 0;
    next.newFrom = room.newFrom || offset;
  }
  return applied(next, data);
}

/** Return a room after what a notice tells about it. */
function applied(room, data) {
  switch (data.notice) {
    case 'topic':
      return { ...room, topic: data.topic ?? '' };
    case 'answer':
      if (data.code === 'topic-is') return { ...room, topic: data.arg ?? '' };
      return data.code === 'no-topic' ? { ...room, topic: '' } : room;
    case 'renamed': {
      const members = new Map(room.members);
      if (members.has(data.name)) members.set(data.to, members.get(data.name));
      members.delete(data.name);
      return { ...room, members, myName: data.name === room.myName ? data.to : room.myName };
    }
    case 'host': {
      const members = new Map();
      for (const [name, about] of room.members) members.set(name, { ...about, host: name === data.name });
      return { ...room, members };
    }
    default:
      return room;
  }
}

function append(room, lines) {
  const all = [...room.lines, ...lines];
  if (all.length <= MAX_LINES) return { ...room, lines: all };
  return { ...room, lines: all.slice(-MAX_LINES), history: 'more' };
}

/** Take older publications, newest first, before the lines of this epoch; `isAll`: there are none before. */
export function older(room, publications, isAll, now) {
  const at = room.lines.findIndex((line) => line.epoch === room.epoch && line.n > 0);
  const [before, after] = at < 0 ? [room.lines, []] : [room.lines.slice(0, at), room.lines.slice(at)];
  const first = after[0]?.n ?? Infinity;
  const found = publications
    .filter(({ offset }) => offset < first)
    .reverse()
    .map((publication) => lineOf(publication, room.epoch, room.myName, now));
  return { ...room, lines: [...before, ...found, ...after], history: isAll || !found.length ? 'all' : 'more', loads: room.loads + 1 };
}

/** Return the offset before which older lines are to be asked for. */
export function oldest(room) {
  return room.lines.find((line) => line.epoch === room.epoch && line.n > 0)?.n ?? room.offset + 1;
}

/** Take members from the answer to `presence`. */
export function present(room, presence) {
  const members = new Map(Object.entries(presence).map(([name, { conn_info: about }]) => [name, about ?? {}]));
  return { ...room, members, count: Math.max(members.size, members.size < 1_000 ? 0 : room.count) };
}

/** Take a push that a member has come or gone. */
export function moved(room, name, isHere) {
  const members = new Map(room.members);
  const had = members.has(name);
  if (isHere) members.set(name, { host: false, idle: 0 });
  else members.delete(name);
  return { ...room, members, count: room.count + (isHere && !had ? 1 : 0) - (!isHere && had ? 1 : 0) };
}

/** Return whether a text is a command: `//` begins a message. */
export function isCommand(text) {
  return /^[/／](?![/／])/.test(text);
}

/** Say a line: it waits, grey, until it is kept. Numbers grow also over a reload, by the clock. */
export function say(room, text, now) {
  const number = Math.max(now, 1 + (room.pending.at(-1)?.number ?? 0), 1 + room.lastNumber);
  return { ...room, pending: [...room.pending, pendingLine(number, text, now)], newFrom: 0, lastNumber: number };
}

/** Return an own line that the server has not sent back yet; its states: waiting, sent, kept, refused. */
function pendingLine(number, text, time) {
  return { key: `p${number}`, kind: 'said', n: 0, time, from: '', text, number, state: 'waiting' };
}

/** Return the line that is to be sent now: one at a time, in order; undefined: none. */
export function nextToSend(room) {
  if (room.phase !== 'in' || room.pending.some(({ state }) => state === 'sent')) return undefined;
  return room.pending.find(({ state }) => state === 'waiting');
}

/** Change a pending line. */
export function changed(room, number, change) {
  return { ...room, pending: room.pending.map((line) => (line.number === number ? { ...line, ...change } : line)) };
}

/** Take the reply that a line is kept. A message stays until it comes; a command has done its work. */
export function kept(room, number, offset) {
  const line = room.pending.find((found) => found.number === number);
  if (!line) return room;
  if (isCommand(line.text) || offset <= room.offset) {
    return { ...room, pending: room.pending.filter((found) => found !== line) };
  }
  return changed(room, number, { state: 'kept', offset });
}

/** Forget a pending line. */
export function forgotten(room, number) {
  return { ...room, pending: room.pending.filter((line) => line.number !== number) };
}

/** The connection is gone: what was sent without an answer is sent again, with its number. */
export function away(room) {
  if (room.phase === 'ended' || room.phase === 'refused') return room;
  const pending = room.pending.map(unsent);
  const history = room.history === 'loading' ? 'more' : room.history;
  return { ...room, phase: room.phase === 'entering' ? 'entering' : 'away', pending, history, back: null };
}

/** The membership is over: what was kept has come before, so what has not was not said; but not if it went elsewhere. */
export function ended(room, code, why) {
  const isKnown = code !== Code.ELSEWHERE;
  const isOpen = ({ state }) => state === 'waiting' || state === 'sent';
  const pending = room.pending.map((line) => (isKnown && isOpen(line) ? { ...line, state: 'refused', why } : line));
  return { ...room, phase: 'ended', why, code, pending, members: new Map(), count: 0 };
}

function unsent(line) {
  return line.state === 'sent' ? { ...line, state: 'waiting' } : line;
}

/** Return whether this member is the room's host. */
export function isHost({ members, myName }) {
  return Boolean(members.get(myName)?.host);
}

/** The reader looks at the room (or no longer): all is read; the "new" mark stays until it looks away. */
export function looked(room, isSeen) {
  if (isSeen) return room.unread ? { ...room, unread: 0, mentions: 0 } : room;
  return room.newFrom && !room.unread ? { ...room, newFrom: 0 } : room;
}

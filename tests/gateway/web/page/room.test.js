import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as rooms from '../room.js';
import { START, reduce } from '../state.js';

const said = (offset, from, text, number) => ({ data: { n: offset, from, text, ...(number && { number }) }, offset, time: offset });
const reply = (more) => ({ epoch: '1', offset: 0, data: { name: 'alice', members: 1 }, ...more });
const inRoom = (offset = 0) => rooms.entered(rooms.newRoom('den'), reply({ offset }), true, 0);
const texts = (room) => room.lines.map(({ text, kind }) => text || kind);
const back = (room, more) => rooms.entered(rooms.away(room), reply({ was_recovering: true, recovered: true, ...more }), true, 9);

test('a line is grey until its publication comes, and keeps its key', () => {
  let room = rooms.say(inRoom(), 'hello', 100);
  const [waiting] = room.pending;
  assert.equal(waiting.state, 'waiting');
  room = rooms.received(room, said(1, 'alice', 'hello', waiting.number), true, 0);
  assert.deepEqual(room.pending, []);
  assert.equal(room.lines[0].key, waiting.key);
});

test('the reply alone makes a line kept, and the publication takes its place whichever comes first', () => {
  let room = rooms.say(inRoom(), 'hello', 100);
  const { number } = room.pending[0];
  const kept = rooms.kept(room, number, 1);
  assert.equal(kept.pending[0].state, 'kept');
  room = rooms.kept(rooms.received(room, said(1, 'alice', 'hello', number), true, 0), number, 1);
  assert.deepEqual([room.pending, texts(room)], [[], ['hello']]);
  assert.deepEqual(rooms.received(kept, said(1, 'alice', 'hello', number), true, 0).pending, []);
});

test('when a membership ends, what has not come was not said; but not when it went elsewhere', () => {
  let room = rooms.say(rooms.say(rooms.say(inRoom(), 'one', 100), 'two', 100), 'three', 100);
  room = rooms.changed(rooms.changed(room, room.pending[0].number, { state: 'kept', offset: 9 }), room.pending[1].number, { state: 'sent' });
  const states = (code) => rooms.ended(room, code, 'why').pending.map(({ state }) => state);
  assert.deepEqual(states(2100), ['kept', 'refused', 'refused']);
  assert.deepEqual(states(2105), ['kept', 'sent', 'waiting']);
});

test('who is in a room is not known when the membership has ended', () => {
  const room = rooms.present(inRoom(), { alice: {}, bob: {} });
  assert.equal(rooms.ended(room, 2101, 'why').members.size, 0);
});

test('one line is sent at a time, in order, again with its number after a lost connection', () => {
  let room = rooms.say(rooms.say(inRoom(), 'one', 100), 'two', 100);
  const [first, second] = room.pending;
  assert.ok(second.number > first.number);
  assert.equal(rooms.nextToSend(room).number, first.number);
  room = rooms.changed(room, first.number, { state: 'sent' });
  assert.equal(rooms.nextToSend(room), undefined);
  room = rooms.away(room);
  assert.equal(rooms.nextToSend(room), undefined);
  assert.equal(rooms.nextToSend(back(room, {})).number, first.number);
});

test('what had no answer before a room is entered again is sent again', () => {
  let room = rooms.say(inRoom(), 'hello', 100);
  room = rooms.changed(room, room.pending[0].number, { state: 'sent' });
  room = rooms.away({ ...room, phase: 'ended' });
  assert.equal(rooms.nextToSend(back(room, {}))?.text, 'hello');
});

test('a line that was kept is known although the return was under another name', () => {
  const room = rooms.say(inRoom(), 'hello', 100);
  const { number } = room.pending[0];
  const publications = [said(1, 'alice', 'hello', number)];
  assert.deepEqual(back(room, { data: { name: 'alice#2' }, publications }).pending, []);
});

test("another member's number is not ours", () => {
  const room = rooms.say(inRoom(), 'hello', 100);
  assert.equal(rooms.received(room, said(1, 'bob', 'hello', room.pending[0].number), true, 0).pending.length, 1);
});

test('a server that has lost the room says so, and again when it hears it; neither is a line', () => {
  const away = rooms.received(inRoom(), { data: { notice: 'away', text: 'x' } }, true, 0);
  assert.deepEqual([away.isCutOff, away.lines, away.phase], [true, [], 'in']);
  const reached = rooms.received(away, { data: { notice: 'back', text: 'x' } }, true, 0);
  assert.deepEqual([reached.isCutOff, reached.lines, reached.back], [false, [], { isReached: true }]);
  assert.equal(back(away, {}).isCutOff, false);
});

test('what was received before is not shown twice', () => {
  let room = rooms.received(inRoom(), said(1, 'bob', 'one'), true, 0);
  room = back(room, { offset: 1, publications: [said(1, 'bob', 'one'), said(2, 'bob', 'two')] });
  room = rooms.received(room, said(2, 'bob', 'two'), true, 0);
  assert.deepEqual(texts(room), ['one', 'two']);
  assert.deepEqual(room.back, { missed: 2, lost: 0 });
});

test('a gap is a line of its own and the banner tells how much is lost', () => {
  const room = rooms.received(inRoom(), said(5, 'bob', 'before'), true, 0);
  const after = back(room, { recovered: false, offset: 8, data: { name: 'alice', lost: { from: 6, to: 8 } }, publications: [said(9, 'bob', 'after')] });
  assert.deepEqual(texts(after), ['before', 'gap', 'after']);
  assert.equal(after.lines[1].count, 3);
  assert.equal(after.back.lost, 3);
});

test('another epoch: it is not known how much is lost, and older lines go after the gap', () => {
  const room = rooms.received(inRoom(), said(5, 'bob', 'before'), true, 0);
  const after = back(room, { recovered: false, epoch: '2', offset: 2 });
  assert.equal(after.back.lost, null);
  assert.deepEqual(texts(rooms.older(after, [said(2, 'bob', 'y'), said(1, 'bob', 'x')], true, 0)), ['before', 'gap', 'x', 'y']);
});

test('another epoch has older lines of its own, also where those of the one before had all come', () => {
  let room = rooms.older(rooms.received(inRoom(), said(1, 'bob', 'before'), true, 0), [], true, 0);
  assert.equal(room.history, 'all');
  assert.equal(back(room, { recovered: true, offset: 1 }).history, 'all');
  room = back(room, { recovered: false, epoch: '2', offset: 2 });
  assert.equal(room.history, 'more');
});

test('older lines go in front, once', () => {
  let room = rooms.received(inRoom(4), said(5, 'bob', 'five'), true, 0);
  room = rooms.older(room, [said(5, 'bob', 'five'), said(4, 'bob', 'four'), said(3, 'bob', 'three')], false, 0);
  assert.deepEqual(texts(room), ['three', 'four', 'five']);
  assert.equal(rooms.oldest(room), 3);
  assert.equal(room.history, 'more');
});

test('unread lines and mentions are counted while the reader looks away, and "new" stays when it is back', () => {
  let room = rooms.received(inRoom(), said(1, 'bob', 'hi'), true, 0);
  room = rooms.looked(room, false);
  room = rooms.received(room, said(2, 'bob', 'alice?'), false, 0);
  room = rooms.received(room, { data: { n: 3, notice: 'joined', name: 'carol', text: 'carol has joined.' }, offset: 3 }, false, 0);
  room = rooms.received(room, said(4, 'alice', 'from another place'), false, 0);
  assert.deepEqual([room.unread, room.mentions, room.newFrom], [1, 1, 2]);
  room = back(rooms.looked(room, true), { offset: 4, publications: [said(5, 'bob', 'more')] });
  assert.deepEqual([room.unread, room.mentions, room.newFrom], [0, 0, 2]);
  assert.equal(rooms.looked(room, false).newFrom, 0);
});

test('what came meanwhile is marked as new, though the reader looks', () => {
  const room = rooms.received(inRoom(), said(1, 'bob', 'hi'), true, 0);
  assert.equal(back(room, { offset: 1, publications: [said(2, 'alice', 'mine'), said(3, 'bob', 'new')] }).newFrom, 3);
});

test('memory is bounded', () => {
  let room = inRoom();
  for (let offset = 1; offset <= rooms.MAX_LINES + 10; offset++) room = rooms.received(room, said(offset, 'bob', `${offset}`), true, 0);
  assert.equal(room.lines.length, rooms.MAX_LINES);
  assert.equal(room.history, 'more');
});

test('a reload goes on: position, "new" mark, and lines that were not sent', () => {
  const kept = { name: 'den', myName: 'alice', epoch: '1', offset: 7, newFrom: 6, unread: 2, mentions: 0, topic: 't', pending: [{ number: 50, text: 'unsent', time: 1 }] };
  const opened = rooms.newRoom('den', kept);
  assert.equal(opened.myName, 'alice'); // so that it is shown, and kept over the next reload, while there is no server
  const room = back(opened, { offset: 7 });
  assert.deepEqual([room.offset, room.newFrom, room.topic], [7, 6, 't']);
  assert.equal(rooms.nextToSend(room).number, 50);
  assert.equal(rooms.say(room, 'next', 10).pending[1].number, 51);
});

test('roster, host, names and topic follow the notices', () => {
  const notice = (offset, data) => ({ data: { n: offset, text: '', ...data }, offset });
  let room = rooms.present(inRoom(), { alice: { conn_info: { host: true, idle: 3 } }, bob: { conn_info: { host: false, idle: 0 } } });
  room = rooms.moved(rooms.moved(room, 'carol', true), 'carol', true);
  assert.equal(room.count, 3);
  room = rooms.received(room, notice(1, { notice: 'host', name: 'bob', by: 'alice' }), true, 0);
  room = rooms.received(room, notice(2, { notice: 'renamed', name: 'alice', to: 'アリス' }), true, 0);
  room = rooms.received(room, notice(3, { notice: 'topic', name: 'bob', topic: 'tea' }), true, 0);
  assert.deepEqual([...room.members.keys()].sort(), ['bob', 'carol', 'アリス']);
  assert.deepEqual([room.members.get('bob').host, room.members.get('アリス').host], [true, false]);
  assert.deepEqual([room.myName, room.topic], ['アリス', 'tea']);
  assert.equal(rooms.moved(room, 'carol', false).count, 2);
});

test('a command is not shown once it is carried out, and // is a message', () => {
  const room = rooms.say(inRoom(), '/who', 100);
  assert.deepEqual(rooms.kept(room, room.pending[0].number, 0).pending, []);
  assert.deepEqual(['/who', '／who', '//who', 'who'].map(rooms.isCommand), [true, true, false, false]);
});

test('rooms are opened, shown and closed; a room may have any name', () => {
  const act = (state, type, fields) => reduce(state, { type, now: 0, ...fields });
  let state = act(START, 'opened', { room: '__proto__' });
  state = act(act(state, 'opened', { room: 'den' }), 'shown', { room: 'den' });
  state = act(state, 'entered', { room: 'den', reply: reply({}) });
  state = act(state, 'entered', { room: '__proto__', reply: reply({}) });
  state = act(state, 'received', { room: '__proto__', publication: said(1, 'bob', 'hi') });
  state = act(state, 'received', { room: 'den', publication: said(1, 'bob', 'hi') });
  assert.deepEqual([...state.rooms.values()].map(({ unread }) => unread), [1, 0]);
  state = act(state, 'shown', { room: '__proto__' });
  assert.equal(state.rooms.get('__proto__').unread, 0);
  assert.equal(act(state, 'unlinked', {}).rooms.get('den').phase, 'away');
  assert.ok(act(state, 'linked', { isOnline: true }).needsNetwork);
  assert.ok(!act(state, 'linked', { isOnline: false }).needsNetwork); // the server is on this machine
  assert.equal(act(state, 'closed', { room: '__proto__' }).active, 'den');
  assert.equal(act(state, 'received', { room: 'gone', publication: said(1, 'bob', 'hi') }), state);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { KEPT_MS, START, askAfter, health, listedRoom, reduce, sortedRooms } from '../state.js';
import { all } from '../words.js';

const standing = (more) => ({ endpoint: 'tcp://a:1', unhealthy_reason: '', store: 'file', survives_a_machine: false, shards: 1, of_shards: 1, ...more });
const sample = (at_ms, more) => ({ at_ms, canaries: [4, 0], lost_canaries: 0, ...more });
const gateway = (instance, more) => ({ instance, state: 'serves', members: 1, silent_ms: 100, ...more });

function watched(state, samples, { now = 1_000, brokers = [standing()], missing = {} } = {}) {
  return reduce(state, { type: 'watched', answer: { samples, every_ms: 2_000, bounds: [1], brokers }, missing, now });
}

function running(about = {}, gateways = [gateway('one/1')]) {
  const state = watched(START, about.samples ?? [sample(2_000), sample(4_000), sample(6_000)], about);
  return reduce(state, { type: 'listed gateways', answer: { gateways } });
}

const facts = (state, now = 1_000) => health(state, now).map(({ kind, what }) => `${kind}: ${what}`);

test('samples are kept once, in order, for ten minutes', () => {
  let state = watched(START, [sample(4_000), sample(2_000, { rooms: 1 })]);
  state = watched(state, [sample(2_000, { rooms: 2 }), sample(6_000)]);
  assert.deepEqual(state.samples.map(({ at_ms }) => at_ms), [2_000, 4_000, 6_000]);
  assert.equal(state.samples[0].rooms, 2);
  assert.equal(askAfter(state), 0);
  state = watched(state, [sample(KEPT_MS + 5_000)]);
  assert.deepEqual(state.samples.map(({ at_ms }) => at_ms), [6_000, KEPT_MS + 5_000]);
});

test('all is well while the broker answers and probes come back', () => {
  assert.deepEqual(facts(running()), ['good: broker well', 'good: canaries', 'good: file']);
});

test('nothing is told of gateways before they are known', () => {
  assert.deepEqual(facts(watched(START, [])), ['good: broker well', 'good: file']);
});

test('what is wrong comes first', () => {
  const ill = running({ brokers: [standing({ unhealthy_reason: 'no standby', store: 'database' })] });
  assert.deepEqual(facts(ill), ['bad: broker unhealthy', 'warning: one machine', 'good: canaries']);
  const kept = running({ brokers: [standing({ store: 'database', survives_a_machine: true })] });
  assert.deepEqual(facts(kept), ['good: broker well', 'good: canaries', 'good: two machines']);
  assert.deepEqual(facts(running({ missing: { 'tcp://b:1': 'no answer' } }))[0], 'bad: broker away');
  assert.deepEqual(facts(running({ brokers: [standing({ store: 'memory' })] }))[0], 'warning: memory');
});

test('without an answer that is told, before the first one and after', () => {
  const never = reduce(START, { type: 'unanswered', why: 'no broker' });
  assert.deepEqual(health(never, 5_000), [{ kind: 'bad', what: 'no answer', why: 'no broker', ms: null }]);
  const away = reduce(running(), { type: 'unanswered', why: 'x' });
  assert.deepEqual(health(away, 61_000), [{ kind: 'bad', what: 'no answer', why: 'x', ms: 60_000 }]);
  // The page itself has stood still, or its server is slow.
  assert.deepEqual(facts(running(), 12_000)[0], 'bad: no answer');
  assert.equal(watched(away, []).link, 'on');
});

test('probes that do not come back, and gateways that are not there, are told', () => {
  const silent = [2_000, 4_000, 6_000].map((at) => sample(at, { canaries: [0, 0] }));
  assert.deepEqual(facts(running({ samples: silent }))[0], 'bad: no canary');
  assert.deepEqual(facts(running({ samples: silent.slice(1) }))[0], 'good: broker well');
  assert.ok(facts(running({ samples: [sample(2_000, { lost_canaries: 3 })] })).includes('warning: canaries lost'));
  assert.deepEqual(facts(running({}, []))[0], 'bad: no gateway');
  const away = gateway('two/2', { state: 'away', silent_ms: 9_000 });
  assert.deepEqual(facts(running({}, [away, gateway('one/1')]))[0], 'bad: gateways away');
});

test('a run that is gone and serves nobody is no fault, and soon not listed', () => {
  const gone = gateway('one/0', { state: 'away', members: 0, silent_ms: 60_000 });
  const old = { ...gone, instance: 'one/00', silent_ms: 4_000_000 };
  const state = running({}, [old, gone, gateway('one/1')]);
  assert.deepEqual(facts(state)[0], 'good: broker well');
  assert.deepEqual(state.gateways.map(({ instance }) => instance), ['one/1', 'one/0']);
});

test('parts of the rooms without a broker are told', () => {
  const answer = { shards: [{ broker: 1 }, { broker: 0 }], brokers: [] };
  assert.deepEqual(facts(reduce(running(), { type: 'listed shards', answer }))[0], 'bad: shards free');
});

const room = (name, members, last, created_ms = 5) => ({ name, members, last, created_ms });
const listed = (state, rooms, now, find = '') => reduce(state, { type: 'listed rooms', answer: { rooms, more: false }, find, now });

test('a rate is what came since the list before, in the same room', () => {
  let state = listed(START, [room('den', 2, 10)], 1_000);
  assert.equal(state.rooms[0].rate, null);
  state = listed(state, [room('den', 2, 14)], 3_000);
  assert.equal(state.rooms[0].rate, 2);
  state = listed(state, [room('den', 2, 3, 9)], 5_000); // closed, and created again
  assert.equal(state.rooms[0].rate, null);
});

test('an answer to what is not asked any more is passed over', () => {
  const state = reduce(START, { type: 'found', find: 'tea' });
  assert.equal(listed(state, [room('den', 2, 10)], 1_000, ''), state);
  const picked = reduce(state, { type: 'picked', room: 'tea' });
  assert.equal(reduce(picked, { type: 'listed members', room: 'den', answer: { members: [1], more: false } }), picked);
});

test('rooms come in the order that was chosen', () => {
  let state = listed(START, [room('b', 2, 0), room('a', 2, 0), room('c', 9, 0)], 1_000);
  const names = () => sortedRooms(state).map(({ name }) => name).join('');
  assert.equal(names(), 'cab');
  state = reduce(state, { type: 'sorted', by: 'name' });
  assert.equal(names(), 'abc');
  state = reduce(state, { type: 'sorted', by: 'name' });
  assert.equal(names(), 'cba');
  state = listed(state, [room('b', 2, 8), room('a', 2, 0), room('c', 9, 4)], 2_000);
  state = reduce(state, { type: 'sorted', by: 'rate' });
  assert.equal(names(), 'bca');
});

test('members of the room before are not shown for another one', () => {
  let state = reduce(START, { type: 'picked', room: 'den' });
  state = reduce(state, { type: 'listed members', room: 'den', answer: { members: [{ name: 'bob' }], more: true } });
  assert.equal(reduce(state, { type: 'picked', room: 'den' }), state);
  assert.equal(reduce(state, { type: 'picked', room: 'tea' }).members, null);
});

test('a room that is gone is not asked for again before there is one of its name', () => {
  let state = reduce(START, { type: 'picked', room: 'den' });
  assert.equal(listedRoom(state), 'den');
  state = reduce(state, { type: 'gone', room: 'den' });
  assert.deepEqual([listedRoom(state), state.members], ['', []]);
  assert.equal(reduce(state, { type: 'gone', room: 'tea' }), state);
  assert.equal(listedRoom(listed(state, [room('den', 1, 0)], 1_000)), 'den');
});

test('both languages have all words, of the same kinds', () => {
  const shape = (value) => (value && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shape(each)])) : typeof value);
  assert.deepEqual(shape(all.ja), shape(all.en));
});

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Client } from '../client.js';
import { START, reduce } from '../state.js';

// A server that only the test moves: what was sent waits in `sent`, and `answer` replies to it.

let socket;
let sent;
let timers; // {ms, call}
const settled = () => new Promise((resolve) => { setImmediate(resolve); });

globalThis.document = { hidden: false };
Object.defineProperty(globalThis, 'navigator', { value: { onLine: true }, configurable: true });
globalThis.setInterval = () => 0;
globalThis.setTimeout = (call, ms) => timers[timers.push({ ms, call }) - 1];
globalThis.clearTimeout = (timer) => { timers = timers.filter((each) => each !== timer); };
globalThis.WebSocket = class {
  static OPEN = 1;
  readyState = 1;

  constructor() {
    socket = this;
  }

  send(text) {
    sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }
};

async function hear(...messages) {
  socket.onmessage({ data: messages.map((message) => JSON.stringify(message)).join('\n') });
  await settled();
}

/** Reply to the last command of a method: `reply` has the result, or `error`. */
async function answer(method, reply) {
  const { id } = sent.findLast((command) => method in command);
  await hear('error' in reply ? { id, ...reply } : { id, [method]: reply });
}

const methods = () => sent.map((command) => Object.keys(command).find((key) => key !== 'id'));
const subscribed = { epoch: '1', offset: 1, data: { name: 'alice', members: 2 } };
const lost = (code) => ({ push: { channel: 'den', unsubscribe: { code, reason: '' } } });

/** Return a client in the room den, and its store. */
async function inDen() {
  const store = { state: START, dispatch(action) { store.state = reduce(store.state, action); } };
  const client = new Client(store, () => ({ session: 's', token: '', language: 'en' }), 'ws://x');
  client.enter('den');
  client.start('alice');
  await connect();
  await answer('subscribe', subscribed);
  await answer('history', { publications: [] });
  return { client, store };
}

async function connect() {
  socket.onopen();
  await answer('connect', { ping: 25 });
}

/** Let the time pass after which something is tried again; no call is given up meanwhile. */
async function pass() {
  const due = timers.filter(({ ms }) => ms <= 2_000);
  timers = timers.filter(({ ms }) => ms > 2_000);
  for (const { call } of due) call();
  await settled();
}

beforeEach(() => {
  sent = [];
  timers = [];
});

test('a line that was on its way when the membership was lost is not refused, but sent again', async () => {
  const { client, store } = await inDen();
  client.say('den', 'hello');
  await hear(lost(2500));
  await answer('publish', { error: { code: 103, message: 'you are not in this room: subscribe first' } });
  assert.deepEqual(store.state.rooms.get('den').pending.map(({ state }) => state), ['waiting']);
  await pass();
  await answer('subscribe', { ...subscribed, was_recovering: true, recovered: true, publications: [] });
  assert.equal(sent.at(-1).publish?.data.text ?? sent.at(-2).publish?.data.text, 'hello');
});

test('who is removed while a line is on its way sees that it was not said', async () => {
  const { client, store } = await inDen();
  client.say('den', 'hello');
  await hear(lost(2101));
  await answer('publish', { error: { code: 103, message: 'you are not in this room: subscribe first' } });
  assert.deepEqual(store.state.rooms.get('den').pending.map(({ state }) => state), ['refused']);
});

test('the server is told of a room that was left while it was away', async () => {
  const { client, store } = await inDen();
  socket.onclose({ code: 1006 });
  client.leave('den');
  assert.equal(store.state.rooms.size, 0);
  sent = [];
  await pass();
  await connect();
  await answer('subscribe', subscribed);
  assert.deepEqual(sent.find((command) => command.unsubscribe)?.unsubscribe, { channel: 'den' });
  assert.equal(store.state.rooms.size, 0);
});

test('a room that was left and entered again while the server was away is not left', async () => {
  const { client, store } = await inDen();
  socket.onclose({ code: 1006 });
  client.leave('den');
  client.enter('den');
  sent = [];
  await pass();
  await connect();
  await answer('subscribe', subscribed);
  assert.ok(!methods().includes('unsubscribe'));
  assert.equal(store.state.rooms.get('den').phase, 'in');
});

test('a member that has taken another name enters again, and other rooms, under that', async () => {
  const { client, store } = await inDen();
  const renamed = (name, to, offset) => ({ push: { channel: 'den', pub: { data: { notice: 'renamed', name, to, n: offset }, offset } } });
  await hear(renamed('bob', 'eve', 2));
  client.enter('tea');
  assert.equal(sent.at(-1).subscribe.data.name, 'alice');
  await hear(renamed('alice', 'アリス', 3), lost(2101));
  client.enter('den');
  assert.equal(sent.at(-1).subscribe.data.name, 'アリス');
  client.enter('hall', { create: true });
  assert.deepEqual(sent.at(-1).subscribe.data, { name: 'アリス', create: true });
  assert.equal(store.state.name, 'アリス');
});

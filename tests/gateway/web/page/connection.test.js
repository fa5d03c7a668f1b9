import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Connection } from '../connection.js';

// A clock, its timers and a WebSocket that only the test moves.

let now;
let timers;
let sockets;
const settled = () => new Promise((resolve) => setImmediate(resolve));

globalThis.setTimeout = (call, ms) => timers.push({ at: now + ms, call }) && timers.at(-1);
globalThis.clearTimeout = (timer) => { timers = timers.filter((each) => each !== timer); };
Date.now = () => now;

globalThis.WebSocket = class {
  static OPEN = 1;
  readyState = 0;
  sent = [];

  constructor() {
    sockets.push(this);
  }

  send(text) {
    this.sent.push(text === '{}' ? {} : JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  /** Open, and answer the connect command. */
  async open() {
    this.readyState = 1;
    this.onopen();
    this.answer();
    await settled();
  }

  /** Answer the last command. */
  answer() {
    const { id, ...command } = this.sent.at(-1);
    this.onmessage({ data: JSON.stringify({ id, [Object.keys(command)[0]]: { ping: 25 } }) });
  }
};

async function wait(ms) {
  const end = now + ms;
  for (;;) {
    const next = timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0];
    if (!next) break;
    now = Math.max(now, next.at);
    clearTimeout(next);
    next.call();
    await settled();
  }
  now = end;
}

async function connected() {
  const told = [];
  const handlers = { onOpen: () => told.push('open'), onPush() {}, onAway: () => told.push('away'), onRefused: () => told.push('refused') };
  const connection = new Connection('ws://x', () => ({}), handlers);
  connection.start();
  await sockets[0].open();
  return { connection, told };
}

beforeEach(() => {
  now = 1_000_000;
  timers = [];
  sockets = [];
});

test('on waking, a connection that answers stays', async () => {
  const { connection, told } = await connected();
  connection.wake();
  await wait(300);
  sockets[0].answer();
  await wait(5_000);
  assert.deepEqual([sockets.length, told], [1, ['open']]);
});

test('on waking, one that does not answer is made again within a second', async () => {
  const { connection, told } = await connected();
  connection.wake();
  await wait(700);
  assert.equal(sockets.length, 2);
  await sockets[1].open();
  assert.deepEqual(told, ['open', 'away', 'open']);
});

test('on waking after a long sleep it is made again at once', async () => {
  const { connection } = await connected();
  now += 600_000; // no timer runs while a device sleeps
  connection.wake();
  await wait(0);
  assert.equal(sockets.length, 2);
});

test('on waking, no attempt waits for its time', async () => {
  const { connection } = await connected();
  sockets[0].onclose({ code: 1006 });
  for (let attempt = 1; attempt < 8; attempt++) {
    await wait(2_000);
    sockets.at(-1).onclose({ code: 1006 });
  }
  const before = sockets.length;
  connection.wake();
  assert.equal(sockets.length, before + 1);
});

test('on waking, an attempt that has just begun and fails is followed by the next one soon', async (t) => {
  t.mock.method(Math, 'random', () => 0.99);
  const { connection } = await connected();
  sockets[0].onclose({ code: 1006 });
  for (let attempt = 1; attempt < 12; attempt++) {
    await wait(15_000);
    sockets.at(-1).onclose({ code: 1006 });
  }
  await wait(14_900);
  const before = sockets.length;
  connection.wake();
  sockets.at(-1).onclose({ code: 1006 });
  await wait(400);
  assert.equal(sockets.length, before + 1);
});

test('on waking, an attempt from before is given up', async () => {
  const { connection } = await connected();
  sockets[0].onclose({ code: 1006 });
  await wait(500);
  assert.equal(sockets.length, 2);
  now += 5_000;
  connection.wake();
  await wait(0);
  assert.equal(sockets.length, 3);
});

test('silence that pings should have ended is noticed without waking', async () => {
  await connected();
  await wait(36_000);
  assert.ok(sockets.length > 1);
});

test('after a refusal for good there is no further attempt', async () => {
  const { told } = await connected();
  sockets[0].onclose({ code: 3501, reason: 'no' });
  await wait(600_000);
  assert.deepEqual([sockets.length, told], [1, ['open', 'refused']]);
});

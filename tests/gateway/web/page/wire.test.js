import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { decode, delayBefore, encode, mayReconnect } from '../wire.js';

const { vectors } = JSON.parse(readFileSync(new URL('web.json', import.meta.url), 'utf-8'));

test('vectors: commands', () => {
  const commands = vectors.filter(({ kind }) => kind === 'command');
  assert.ok(commands.length > 4);
  for (const { text, id, method } of commands) assert.equal(encode(id, method, JSON.parse(text)[method]), text);
});

test('vectors: replies and pushes', () => {
  for (const { text } of vectors.filter(({ kind }) => kind !== 'command')) {
    const kindOf = (message) => ['push', 'error'].find((key) => key in message) ?? ('id' in message ? 'reply' : 'ping');
    const expected = text.split('\n').map((line) => kindOf(JSON.parse(line)));
    assert.deepEqual(decode(text).map(({ kind }) => kind), expected);
  }
  const [pub, join] = decode('{"push":{"channel":"den","pub":{"offset":4}}}\n{"push":{"channel":"den","join":{"info":{}}}}');
  assert.deepEqual([pub.channel, pub.pub.offset, 'join' in join], ['den', 4, true]);
  assert.deepEqual(decode('{"id":3,"publish":{"offset":2}}'), [{ kind: 'reply', id: 3, result: { offset: 2 } }]);
  assert.equal(decode('{"id":3,"error":{"code":100,"temporary":true}}')[0].error.code, 100);
});

test('what is not understood is passed over', () => {
  assert.deepEqual(decode('nonsense\n[\nnull\n3'), []);
  assert.deepEqual(decode('{}'), [{ kind: 'ping' }]);
  assert.deepEqual(decode('{"id":7}'), [{ kind: 'reply', id: 7, result: {} }]);
});

test('a connection is made again, unless the server says that it is of no use', () => {
  assert.deepEqual([1006, 3001, 3008, 3499, 3500, 3501, 3999, 4000].map(mayReconnect), [true, true, true, true, false, false, false, true]);
});

test('pages come back spread over the whole delay, within 2 s in the first minute', () => {
  assert.equal(delayBefore(0, 0, 0), 0);
  assert.ok(delayBefore(0, 0, 0.99) < 400);
  assert.ok(delayBefore(9, 30_000, 0.999) < 2_000);
  assert.ok(delayBefore(9, 61_000, 0.999) > 10_000);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { complete, quoted } from '../commands.js';
import { readFragment } from '../keep.js';
import { continues, hueOf, lineOf, mentions, pieces, split } from '../lines.js';

const hrefs = (text) => pieces(text).filter(({ href }) => href).map(({ href }) => href);

test('only http and https become links, without the marks that follow', () => {
  assert.deepEqual(hrefs('see https://example.com/a?b=c#d, (http://x.test/y) javascript:alert(1)'), ['https://example.com/a?b=c#d', 'http://x.test/y']);
  assert.deepEqual(hrefs('これは https://example.jp/道です。「https://b.test」と'), ['https://example.jp/%E9%81%93%E3%81%A7%E3%81%99', 'https://b.test/']);
  assert.deepEqual(hrefs('【https://a.test/】［https://b.test/x］《https://c.test/》。'), ['https://a.test/', 'https://b.test/x', 'https://c.test/']);
  assert.deepEqual(hrefs('data:text/html,<b> ftp://x http:// https://[bad'), []);
  assert.deepEqual(hrefs('https://en.example/wiki/A_(b)'), ['https://en.example/wiki/A_(b)']);
});

test('a long row of marks holds up nothing', () => {
  const begin = performance.now();
  assert.deepEqual(hrefs(`https://a.test/${'.'.repeat(200_000)}x`).length, 1);
  assert.ok(performance.now() - begin < 2_000);
});

test('the pieces are the text', () => {
  for (const text of ['', 'a', 'https://a.test', ' x https://a.test. y', 'http://, https://a.test!']) {
    assert.equal(pieces(text).map((piece) => piece.text).join(''), text);
  }
});

test('a name is found as a word; in Japanese anywhere', () => {
  const line = (text, from = 'bob', kind = 'said') => ({ kind, from, text });
  assert.ok(mentions(line('Alice: hi'), 'alice'));
  assert.ok(mentions(line('@alice'), 'alice'));
  assert.ok(!mentions(line('malice'), 'alice'));
  assert.ok(mentions(line('malice, alice'), 'alice'));
  assert.ok(mentions(line('アリスさんへ'), 'アリス'));
  assert.ok(!mentions(line('アンケート'), 'アン'));
  assert.ok(!mentions(line('ｱﾝｹｰﾄ'), 'アン'));
  assert.ok(!mentions(line('マリアリスト'), 'アリス'));
  assert.ok(mentions(line('アンー、いる？'), 'アン'));
  assert.ok(!mentions(line('Иванов'), 'Иван'));
  assert.ok(!mentions(line('alice', 'alice'), 'alice'));
  assert.ok(mentions(line('psst', 'bob', 'whisper'), 'alice'));
  assert.ok(!mentions(line('alice has joined', '', 'event'), 'alice'));
});

test('lines of one speaker stand together for five minutes of one day', () => {
  const at = (time, from = 'bob', kind = 'said') => ({ kind, from, time });
  const noon = new Date(2026, 1, 3, 12).getTime();
  assert.ok(continues(at(noon + 60_000), at(noon)));
  assert.ok(!continues(at(noon + 301_000), at(noon)));
  assert.ok(!continues(at(noon, 'carol'), at(noon)));
  assert.ok(!continues(at(noon, 'bob', 'acted'), at(noon)));
  assert.ok(!continues(at(noon), undefined));
});

test('publications become lines', () => {
  const kind = (data) => lineOf({ data, offset: 1, time: 5 }, '1', 'alice', 9).kind;
  assert.equal(kind({ from: 'bob', text: 'x' }), 'said');
  assert.equal(kind({ notice: 'acted', name: 'bob', said: 'waves', text: '* bob waves' }), 'acted');
  assert.equal(kind({ notice: 'whispered', name: 'bob', to: 'alice', said: 'x', text: 'x' }), 'whisper');
  assert.equal(kind({ notice: 'who', text: '…' }), 'answer');
  assert.equal(kind({ notice: 'of a newer server', text: 'x' }), 'event');
  assert.equal(lineOf({ data: { notice: 'help' } }, '1', 'alice', 9, 3).key, 'a3');
  assert.equal(hueOf('alice'), hueOf('alice'));
});

test('names from right to left are found in the sentences of the server, and no others', () => {
  const line = (data) => lineOf({ data, offset: 1, time: 5 }, '1', 'alice', 9);
  const { text, parts } = line({ notice: 'renamed', name: 'דנה', to: 'has', text: 'דנה is now has.' });
  assert.deepEqual(split(text, parts), [{ part: 'דנה' }, { text: ' is now has.' }]);
  assert.deepEqual(line({ notice: 'joined', name: 'has', text: 'has has joined.' }).parts, []);
  assert.deepEqual(split('a ab b', ['a', 'ab']), [{ part: 'a' }, { text: ' ' }, { part: 'ab' }, { text: ' b' }]);
});

test('commands and names are completed', () => {
  const labels = (text, isHost = false) => complete(text, text.length, ['bob', 'carol x', 'ボブ'], isHost).options.map(({ insert }) => insert);
  assert.deepEqual(labels('/m'), ['/msg ', '/me ']);
  assert.deepEqual(labels('／mu', true), ['/mute ']);
  assert.deepEqual(labels('/kick', false), []);
  assert.deepEqual(labels('/msg c'), ['"carol x" ']);
  assert.deepEqual(labels('hi @ボ'), ['@ボブ ']);
  assert.deepEqual(labels('これは＠ボ'), ['@ボブ ']);
  assert.deepEqual(labels('mail@b'), []);
  assert.deepEqual(labels('https://a.test/@b'), []);
  assert.deepEqual(labels('hello'), []);
  assert.equal(quoted('a "b"'), '"a \\"b\\""');
});

test('a link has a room, and perhaps a token', () => {
  assert.deepEqual(readFragment('#%E9%83%A8%E5%B1%8B&token=a.b-c_d'), { room: '部屋', token: 'a.b-c_d' });
  assert.deepEqual(readFragment('#か\u3099 '), { room: 'が', token: '' });
  assert.deepEqual(readFragment('#100%'), { room: '100%', token: '' });
  assert.deepEqual(readFragment(''), { room: '', token: '' });
});

test('bans end at a time of the reader', () => {
  const data = { notice: 'bans', text: '1 ban:\nbob, banned until 2026-11-30 23:58 UTC' };
  const { text } = lineOf({ data }, '1', 'alice', 9);
  const local = new Date(Date.UTC(2026, 10, 30, 23, 58)).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  assert.equal(text, `1 ban:\nbob, banned until ${local}`);
});

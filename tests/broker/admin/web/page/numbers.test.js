import assert from 'node:assert/strict';
import { test } from 'node:test';

import { added, ago, duration, gatewayName, lines, niceTop, quantile, quantiles, short } from '../numbers.js';
import { all } from '../words.js';

const BOUNDS = [0.001, 0.01, 0.1];

test('a quantile lies within its bucket, as far as its rank does', () => {
  assert.equal(quantile(BOUNDS, [0, 0, 0, 0], 0.5), null);
  assert.equal(quantile(BOUNDS, [10, 0, 0, 0], 0.5), 0.0005);
  assert.equal(quantile(BOUNDS, [50, 50, 0, 0], 0.5), 0.001);
  assert.ok(Math.abs(quantile(BOUNDS, [50, 50, 0, 0], 0.75) - 0.0055) < 1e-9);
  assert.equal(quantile(BOUNDS, [0, 0, 0, 7], 0.99), 0.1);
});

test('percentiles look back over ten seconds', () => {
  const samples = [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]].map((canaries) => ({ canaries }));
  assert.deepEqual(quantiles(samples, BOUNDS, 'canaries', 1), [0.001, 0.001, 0.001, 0.001, 0.001, null]);
});

test('counts are added bucket by bucket', () => {
  assert.deepEqual(added([[1, 2], [3, 4], []]), [4, 6]);
  assert.deepEqual(added([]), []);
});

test('the top of an axis is a round number that nothing exceeds', () => {
  assert.deepEqual([0, 0.4, 1, 1.1, 3, 7, 12, 99, 100, 101].map((value) => niceTop(value)), [1, 1, 1, 2, 5, 10, 20, 100, 100, 200]);
  assert.equal(niceTop(0, 0.001), 0.001);
  assert.ok(Math.abs(niceTop(0.0031, 0.001) - 0.005) < 1e-9);
  assert.equal(niceTop(NaN), 1);
});

test('a line ends where a value is missing or no sample was taken', () => {
  const shape = { now: 100_000, span: 100_000, every: 2_000, top: 10, width: 100, height: 10 };
  assert.deepEqual(lines([0, 2_000, 4_000], [0, 5, 10], shape), ['0.0,10.0 2.0,5.0 4.0,0.0']);
  assert.deepEqual(lines([0, 2_000, 50_000, 52_000], [0, 0, 10, 20], shape), ['0.0,10.0 2.0,10.0', '50.0,0.0 52.0,0.0']);
  assert.deepEqual(lines([0, 2_000, 4_000], [0, null, 0], shape), ['0.0,10.0 0.0,10.0', '4.0,10.0 4.0,10.0']);
  assert.deepEqual(lines([-5_000], [1], shape), []);
  assert.deepEqual(lines([], [], shape), []);
});

test('numbers are short', () => {
  const written = [null, 0, 3, 0.494, 9.996, 12.34, 99.96, 123.4, 9_994, 12_345, 2_000_000].map(short);
  assert.deepEqual(written, ['–', '0', '3', '0.49', '10.0', '12.3', '100', '123', '9994', '12.3k', '2M']);
  assert.deepEqual([null, 0.00049, 0.5, 2].map(duration), ['–', '0.49 ms', '500 ms', '2 s']);
  const times = [0, 59_999, 60_000, 7_200_000, 200_000_000];
  assert.deepEqual(times.map((ms) => ago(ms, all.en.units)), ['0 s', '59 s', '1 min', '2 h', '2 d']);
  assert.deepEqual(times.map((ms) => ago(ms, all.ja.units)), ['0秒', '59秒', '1分', '2時間', '2日']);
});

test('a gateway is called by its name, or by its run if it has none', () => {
  assert.deepEqual(['lobby/00a1', '/00a1', 'a/b/00a1', 'x'].map(gatewayName), ['lobby', '00a1', 'a/b', 'x']);
});

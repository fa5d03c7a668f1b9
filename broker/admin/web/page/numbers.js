// Numbers of samples: percentiles from buckets, points of plots, and how numbers are written. Pure.

import { words } from './words.js';

const AVERAGED = 5; // samples that a percentile looks back on: ten seconds

/** Return the sum of lists of counts, bucket by bucket. */
export function added(lists) {
  const sums = [];
  for (const counts of lists) counts.forEach((count, at) => { sums[at] = (sums[at] ?? 0) + count; });
  return sums;
}

/** Return how many values a list of counts has. */
export function total(counts) {
  return counts.reduce((sum, count) => sum + count, 0);
}

/**
 * Return the quantile `q` of values in buckets whose upper ends are `bounds`; null without values.
 * Within a bucket values count as spread evenly; beyond the last bound it is that bound.
 */
export function quantile(bounds, counts, q) {
  const rank = q * total(counts);
  if (!rank) return null;
  let below = 0;
  for (let at = 0; at < bounds.length; at++) {
    const count = counts[at] ?? 0;
    if (below + count >= rank) {
      const low = at ? bounds[at - 1] : 0;
      return low + (bounds[at] - low) * ((rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1) ?? null;
}

/** Return for each sample the quantile over the last `AVERAGED` samples, null where there is none. */
export function quantiles(samples, bounds, field, q) {
  return samples.map((_, at) => quantile(bounds, added(samples.slice(Math.max(0, at + 1 - AVERAGED), at + 1).map((each) => each[field])), q));
}

/** Return the top of a plot's axis for its largest value: 1, 2 or 5 times a power of ten. */
export function niceTop(largest, least = 1) {
  if (!(largest > least)) return least;
  const power = 10 ** Math.floor(Math.log10(largest));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= largest * 0.999999);
}

/**
 * Return the lines of a plot as texts for `points`. A line ends where a value or a sample is missing.
 * `times` and `values` belong together; the right edge is `now`, the left one `span` before, all in ms.
 */
export function lines(times, values, { now, span, every, top, width, height }) {
  const found = [];
  let line = null;
  let before = -Infinity;
  values.forEach((value, at) => {
    if (value === null || times[at] < now - span) {
      line = null;
      return;
    }
    if (!line || times[at] - before > 3 * every) found.push((line = []));
    before = times[at];
    const x = width * (1 - (now - times[at]) / span);
    const y = height * (1 - Math.min(value / top, 1));
    line.push(`${x.toFixed(1)},${y.toFixed(1)}`);
  });
  return found.map((points) => (points.length > 1 ? points : [points[0], points[0]]).join(' '));
}

/** Write a rate or a count with three digits that count. */
export function short(value) {
  if (value === null || value === undefined) return '–';
  const [size, unit] = value >= 999_500 ? [1e6, 'M'] : value >= 9_995 ? [1e3, 'k'] : [1, ''];
  const scaled = value / size;
  const digits = Number.isInteger(scaled) || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return scaled.toFixed(digits) + unit;
}

/** Write a time in seconds, as ms below one second. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  return seconds < 1 ? `${short(seconds * 1000)} ms` : `${short(seconds)} s`;
}

/** Write how long ago something was, in ms, with the units of the page's language: 5 s, 3 min, 2 h, 4 d. */
export function ago(ms, units = words.units) {
  const [size, unit] = ms < 60_000 ? [1_000, 0] : ms < 3_600_000 ? [60_000, 1] : ms < 86_400_000 ? [3_600_000, 2] : [86_400_000, 3];
  return `${Math.floor(ms / size)}${units[unit]}`;
}

/** Return the name in a gateway's instance, NAME/RUN; without a name it is known by its run. */
export function gatewayName(instance) {
  const at = instance.lastIndexOf('/');
  return instance.slice(0, Math.max(at, 0)) || instance.slice(at + 1);
}

// Small plots of the last ten minutes.

import { el, setChildren, setText } from './dom.js';
import { duration, lines, niceTop, quantiles, short } from './numbers.js';
import { KEPT_MS } from './state.js';
import { words } from './words.js';

const WIDTH = 300;
const HEIGHT = 60;
const SVG = 'http://www.w3.org/2000/svg';

const rate = (field) => ({ samples }) => [{ values: samples.map((sample) => sample[field]) }];
const perSecond = (value) => words.perSecond(short(value));

/** Half, and 99 of a hundred, of the times in a field of samples. */
function spread(field) {
  return ({ samples, bounds }) => [
    { values: quantiles(samples, bounds, field, 0.5), label: 'p50' },
    { values: quantiles(samples, bounds, field, 0.99), label: 'p99' },
  ];
}

const PLOTS = [
  { key: 'messages', curves: rate('entries_s'), write: perSecond, least: 1 },
  { key: 'deliveries', curves: rate('deliveries_s'), write: perSecond, least: 1 },
  { key: 'latency', curves: spread('canaries'), write: duration, least: 0.001 },
  { key: 'accepted', curves: spread('accepted'), write: duration, least: 0.001 },
  { key: 'drops', curves: rate('drops_s'), write: perSecond, least: 1 },
  { key: 'members', curves: rate('members'), write: short, least: 1, more: ({ samples }) => words.inRooms(samples.at(-1)?.rooms ?? 0) },
];

export class Plots {
  #samples = null;

  constructor() {
    this.plots = PLOTS.map((about) => new Plot(about));
    this.element = el('section', { 'aria-labelledby': 'lately' }, el('h2', { id: 'lately' }, words.lately), el('div.plots', {}, ...this.plots.map(({ element }) => element)));
  }

  show(state) {
    if (state.samples === this.#samples) return;
    this.#samples = state.samples;
    for (const plot of this.plots) plot.show(state);
  }
}

class Plot {
  constructor(about) {
    this.about = about;
    [this.title, this.hint] = words.plots[about.key];
    this.now = el('span.now');
    this.top = el('span.top', { 'aria-hidden': 'true' });
    this.svg = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
    const caption = el('figcaption', {}, el('b', {}, this.title), ' ', el('small', {}, this.hint));
    this.element = el('figure.plot', {}, caption, this.now, el('div.canvas', {}, this.top, this.svg));
  }

  show(state) {
    const { curves, write, least, more } = this.about;
    const found = curves(state);
    const times = state.samples.map(({ at_ms }) => at_ms);
    const largest = Math.max(0, ...found.flatMap(({ values }) => values.filter((value) => value !== null)));
    const top = niceTop(largest, least);
    const shape = { now: times.at(-1) ?? 0, span: KEPT_MS, every: state.everyMs, top, width: WIDTH, height: HEIGHT };
    const drawn = found.flatMap(({ values }, at) => lines(times, values, shape).map((points) => svg('polyline', { points, class: `curve curve-${at}` })));
    this.svg.replaceChildren(...drawn);
    const now = found.map(({ values, label }) => [label, write(values.at(-1))]);
    const all = now.flatMap((pair) => pair.filter(Boolean)).join(' ') + (more ? ` ${more(state)}` : '');
    setChildren(this.now, now.map(([label, value], at) => el('span', {}, label && el(`small.label-${at}`, {}, `${label} `), value)));
    if (more) this.now.append(el('small', {}, ` ${more(state)}`));
    setText(this.top, write(top));
    this.svg.setAttribute('aria-label', words.plotLabel(this.title, all, write(top)));
  }
}

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// Starts the page: the token, the views, and the questions that are asked again and again.

import { Api, NoAnswer, Refused } from './api.js';
import { el, setChildren, setText } from './dom.js';
import { ago, gatewayName } from './numbers.js';
import { START, askAfter, isStale, listedRoom, reduce } from './state.js';
import { Actions } from './view-actions.js';
import { Health, Result } from './view-health.js';
import { Members } from './view-members.js';
import { Plots } from './view-plots.js';
import { Rooms } from './view-rooms.js';
import { Table } from './view-tables.js';
import { language, moment, words } from './words.js';

const EVERY_MS = 2_000;
const REST = 100; // a list rests so many times as long as its answer took: one of very many rooms holds the broker up
const REST_MS = 20_000; // but no longer than this: a broker that does not answer makes all answers slow
const BANS_MS = 10_000;
const KEY = 'tsudoi.operator';

document.documentElement.lang = language;
const api = new Api(takeToken());
let state = START;

function dispatch(action) {
  const before = state;
  state = reduce(state, action);
  if (state !== before) draw();
}

// --- views ------------------------------------------------------------------------------------------------------------

const actions = new Actions(api, (result) => dispatch({ type: 'resulted', ...result }), () => lookAgain());
const health = new Health({ onAnnounce: () => actions.announce() });
const result = new Result();
const plots = new Plots();
const rooms = new Rooms({
  onPick(room) {
    dispatch({ type: 'picked', room });
    members.heading.focus();
    listMembers();
  },
  onFind(find) {
    dispatch({ type: 'found', find });
    listRooms();
  },
  onSort: (by) => dispatch({ type: 'sorted', by }),
});
const members = new Members({
  onAnnounce: (room) => actions.announce(room),
  onClose: (room) => actions.close(room),
  onPersist: (room) => actions.persist(room),
  onUnpersist: (room) => actions.unpersist(room),
  onKick: (room, member) => actions.kick(room, member),
  onBan: (member) => actions.ban(member),
});
const gateways = new Table({
  caption: words.gateways,
  keyOf: ({ instance }) => instance,
  columns: [
    { key: 'gateway', heading: words.gateway, text: ({ instance }) => gatewayName(instance) },
    { key: 'state', heading: words.state, text: (gateway) => words.states[gateway.state] ?? gateway.state },
    { key: 'members', heading: words.members, isNumber: true, text: (gateway) => String(gateway.members) },
    { key: 'heard', heading: words.heard, isNumber: true, text: ({ silent_ms }) => words.ago(ago(silent_ms)) },
    { key: 'run', heading: words.run, text: ({ instance }) => instance.slice(instance.lastIndexOf('/') + 1) },
  ],
});
const brokers = new Table({
  caption: words.brokers,
  keyOf: ({ endpoint }) => endpoint,
  columns: [
    { key: 'broker', heading: words.broker, text: ({ endpoint }) => endpoint },
    { key: 'state', heading: words.state, text: ({ unhealthy_reason }) => unhealthy_reason || words.well },
    { key: 'shards', heading: words.shards, isNumber: true, text: ({ shards, of_shards }) => `${shards} / ${of_shards}` },
    { key: 'running', heading: words.runningFor, isNumber: true, text: ({ since_ms }) => ago(Math.max(Date.now() - since_ms, 0)) },
  ],
});
const bans = new Table({
  caption: words.bans,
  keyOf: ({ name, ip }) => `${name}\n${ip}`,
  columns: [
    { key: 'name', heading: words.who, isName: true, text: ({ name, ip }) => name || ip },
    { key: 'until', heading: words.until, text: ({ until_ms }) => (until_ms ? moment.format(until_ms) : words.untilLifted) },
    { key: 'actions', heading: words.actions, make: unbanButton },
  ],
});
const noBans = el('p.note');
const noGateways = el('p.note');
const main = el(
  'main',
  {},
  plots.element,
  el('div.columns', {}, rooms.element, members.element),
  el(
    'div.columns',
    {},
    el('section', { 'aria-labelledby': 'gateways' }, el('h2', { id: 'gateways' }, words.gateways), noGateways, gateways.element),
    el(
      'section',
      { 'aria-labelledby': 'bans' },
      el('div.bar', {}, el('h2', { id: 'bans' }, words.bans), el('button', { type: 'button', onclick: () => actions.banAnother() }, words.banAnother)),
      noBans,
      bans.element,
    ),
  ),
  el('section', { 'aria-labelledby': 'brokers' }, el('h2', { id: 'brokers' }, words.brokers), brokers.element),
);
const page = [health.element, main, result.element];

function unbanButton(get) {
  const element = el('button.small', { type: 'button', onclick: () => actions.unban(get()) }, words.unban);
  return { element, show: ({ name, ip }) => element.setAttribute('aria-label', words.unbanWho(name || ip)) };
}

const alert = el('p.alert', { role: 'alert' });
const field = el('input', { id: 'token', type: 'password', autocomplete: 'off', required: true });
const lock = el(
  'main.lock',
  {},
  el('h1', {}, 'tsudoi ', el('small', {}, words.title)),
  el('p', {}, words.tokenHint),
  el(
    'form',
    { onsubmit: (event) => { event.preventDefault(); useToken(field.value.trim()); } },
    el('div.field', {}, el('label', { for: 'token' }, words.token), field),
    alert,
    el('button.primary', {}, words.open),
  ),
);

function draw() {
  const isLocked = state.link === 'locked';
  setChildren(document.body, isLocked ? [lock] : [...page, ...document.querySelectorAll('dialog')]);
  if (isLocked) {
    setText(alert, state.why);
    return;
  }
  health.show(state, Date.now());
  main.classList.toggle('stale', isStale(state, Date.now()));
  result.show(state);
  plots.show(state);
  rooms.show(state);
  members.show(state);
  gateways.show(state.gateways ?? []);
  brokers.show(state.brokers);
  bans.show(state.bans);
  setText(noBans, state.bans.length ? '' : words.noBans);
  setText(noGateways, state.gateways?.length === 0 ? words.noGateways : '');
}

// --- questions --------------------------------------------------------------------------------------------------------

/** Ask, and dispatch what `toAction` makes of the answer; return whether one came. */
async function ask(question, fields, toAction) {
  const { token } = api;
  try {
    const { answer, missing } = await api.ask(question, fields);
    dispatch({ ...toAction(answer, missing), now: Date.now() });
    return true;
  } catch (error) {
    if (token !== api.token) return false; // another one was typed meanwhile
    if (error instanceof Refused && error.status === 401) lockUp(words.wrongToken);
    else if (!(error instanceof Refused || error instanceof NoAnswer)) throw error;
    // Only the watch tells whether the broker answers; a list comes with the next turn.
    else if (question === 'watch') dispatch({ type: 'unanswered', why: error instanceof Refused ? error.message : '' });
    return false;
  }
}

const watch = () => ask('watch', { after_ms: askAfter(state) }, (answer, missing) => ({ type: 'watched', answer, missing }));
const listGateways = () => ask('gateways', {}, (answer) => ({ type: 'listed gateways', answer }));
const listShards = () => ask('shards', {}, (answer) => ({ type: 'listed shards', answer }));
const listBans = () => ask('bans', {}, (answer) => ({ type: 'listed bans', answer }));

function listRooms() {
  const { find } = state;
  return ask('rooms', { text: find }, (answer) => ({ type: 'listed rooms', answer, find }));
}

function listMembers() {
  const room = listedRoom(state);
  if (!room) return true;
  return api.ask('members', { room }).then(
    ({ answer }) => dispatch({ type: 'listed members', room, answer }),
    (error) => { if (error.status === 409) dispatch({ type: 'gone', room }); }, // `status` tells of all other errors
  );
}

/** Ask something again and again, less often the longer the answer takes, and not while the page is hidden. */
async function repeat(question, everyMs, rest = REST) {
  for (;;) {
    const began = performance.now();
    if (!document.hidden && state.link !== 'locked') await question();
    const took = performance.now() - began;
    await new Promise((resolve) => { setTimeout(resolve, Math.max(everyMs, Math.min(rest * took, REST_MS))); });
  }
}

async function status() {
  if ((await watch()) && state.brokers[0]?.of_shards > 1) await listShards();
  draw(); // how long ago is told anew, also without an answer
}

function lookAgain() {
  return Promise.all([watch(), listGateways(), listRooms(), listMembers(), listBans()]);
}

// --- the token --------------------------------------------------------------------------------------------------------

/** Return the token of the address's fragment or of this tab, and take it out of the address. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    history.replaceState(null, '', location.pathname);
    store(given);
    return given;
  }
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

function store(token) {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // It is asked for after a reload.
  }
}

function useToken(token) {
  api.token = token;
  store(token);
  state = START;
  draw();
  status().then(lookAgain);
}

function lockUp(why) {
  if (state.link === 'locked') return;
  dispatch({ type: 'locked', why });
  field.value = '';
  field.focus();
}

window.addEventListener('hashchange', () => {
  const token = takeToken();
  if (token !== api.token) useToken(token);
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && state.link !== 'locked') status().then(lookAgain);
});

draw();
if (!api.token) lockUp('');
repeat(status, EVERY_MS, 1);
repeat(listGateways, EVERY_MS);
repeat(listRooms, EVERY_MS);
repeat(listMembers, EVERY_MS);
repeat(listBans, BANS_MS);

// The state of the page as a value, and the one function that changes it. Pure: no I/O, no clock.

export const KEPT_MS = 600_000;

export const START = {
  link: 'starting', // on, away, locked: no token, or a wrong one
  why: '',
  answeredAt: 0,
  samples: [],
  everyMs: 2_000,
  bounds: [],
  brokers: [],
  missing: {}, // brokers without an answer → why
  gateways: null, // not known yet
  shards: null,
  rooms: [],
  moreRooms: false,
  find: '',
  sort: { by: 'members', isDown: true },
  seen: new Map(), // room → {last, at} as listed before
  room: '',
  members: null, // of that room; null: not known yet
  isGone: false, // there is no such room any more
  moreMembers: false,
  bans: [],
  result: null, // of the last order: {isGood, text, number}
};

/** Return the state after an action: {type, now?, …}. */
export function reduce(state, action) {
  switch (action.type) {
    case 'watched':
      return watched(state, action);
    case 'unanswered':
      return { ...state, link: 'away', why: action.why };
    case 'locked':
      return { ...state, link: 'locked', why: action.why };
    case 'listed gateways':
      return { ...state, gateways: action.answer.gateways.filter(isOfToday).sort(byStateAndName) };
    case 'listed shards':
      return { ...state, shards: action.answer };
    case 'listed bans':
      return { ...state, bans: action.answer.bans };
    case 'listed rooms':
      return action.find === state.find ? listedRooms(state, action) : state;
    case 'listed members':
      if (action.room !== state.room) return state;
      return { ...state, members: action.answer.members, moreMembers: action.answer.more, isGone: false };
    case 'gone':
      return action.room === state.room ? { ...state, members: [], moreMembers: false, isGone: true } : state;
    case 'found':
      return { ...state, find: action.find };
    case 'sorted':
      return { ...state, sort: { by: action.by, isDown: state.sort.by === action.by ? !state.sort.isDown : action.by !== 'name' } };
    case 'picked':
      return action.room === state.room ? state : { ...state, room: action.room, members: null, moreMembers: false, isGone: false };
    case 'resulted':
      return { ...state, result: { isGood: action.isGood, text: action.text, number: (state.result?.number ?? 0) + 1 } };
    default:
      throw new Error(`no such action: ${action.type}`);
  }
}

function watched(state, { answer, missing, now }) {
  const known = new Map(state.samples.map((sample) => [sample.at_ms, sample]));
  for (const sample of answer.samples) known.set(sample.at_ms, sample);
  const sorted = [...known.values()].sort((one, other) => one.at_ms - other.at_ms);
  const newest = sorted.at(-1)?.at_ms ?? 0;
  return {
    ...state,
    link: 'on',
    why: '',
    answeredAt: now,
    samples: sorted.filter(({ at_ms }) => at_ms > newest - KEPT_MS),
    everyMs: answer.every_ms,
    bounds: answer.bounds,
    brokers: answer.brokers,
    missing,
  };
}

/** Return the room whose members are to be listed: not one that is gone, unless there is one of its name again. */
export function listedRoom({ room, isGone, rooms }) {
  return isGone && !rooms.some(({ name }) => name === room) ? '' : room;
}

/** Return after which sample to ask: once more for the last ones, as of several brokers one's may have come later. */
export function askAfter({ samples, everyMs }) {
  return Math.max(0, (samples.at(-1)?.at_ms ?? 0) - 3 * everyMs);
}

function listedRooms(state, { answer, now }) {
  const seen = new Map();
  const rooms = answer.rooms.map((room) => {
    const before = state.seen.get(room.name);
    const isKnown = before && before.last <= room.last && now > before.at && before.since === room.created_ms;
    seen.set(room.name, { last: room.last, at: now, since: room.created_ms });
    return { ...room, rate: isKnown ? ((room.last - before.last) * 1000) / (now - before.at) : null };
  });
  return { ...state, rooms, moreRooms: answer.more, seen };
}

/** Whether a gateway serves, has members, or ended within the last hour. */
function isOfToday({ state, members, silent_ms }) {
  return state === 'serves' || members > 0 || silent_ms < 3_600_000;
}

const STATES = ['serves', 'away', 'stopped'];

function byStateAndName(one, other) {
  return STATES.indexOf(one.state) - STATES.indexOf(other.state) || compare(one.instance, other.instance);
}

function compare(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Return the rooms in the order that the operator has chosen. */
export function sortedRooms({ rooms, sort }) {
  const values = { name: (room) => room.name, members: (room) => room.members, rate: (room) => room.rate ?? -1 };
  const value = values[sort.by];
  const sorted = [...rooms].sort((one, other) => compare(value(one), value(other)) || compare(other.name, one.name));
  return sort.isDown ? sorted.reverse() : sorted;
}

/** Return whether the page shows what was, because no answer comes. */
export function isStale({ link, answeredAt, everyMs }, now) {
  return link === 'away' || (link === 'on' && now - answeredAt > 5 * everyMs);
}

/**
 * Return what is to be told about the health, the worst first: {kind: bad|warning|good, what, …}.
 * `now` is by the same clock as that of the actions.
 */
export function health(state, now) {
  // What was well before the silence may be so no more.
  if (isStale(state, now)) return [{ kind: 'bad', what: 'no answer', why: state.why, ms: state.answeredAt ? now - state.answeredAt : null }];
  if (!state.answeredAt) return [];
  const found = [];
  for (const [endpoint, why] of Object.entries(state.missing)) found.push({ kind: 'bad', what: 'broker away', endpoint, why });
  for (const { endpoint, unhealthy_reason } of state.brokers) {
    if (unhealthy_reason) found.push({ kind: 'bad', what: 'broker unhealthy', endpoint, why: unhealthy_reason });
  }
  const free = state.shards?.shards.filter(({ broker }) => !broker).length ?? 0;
  if (free) found.push({ kind: 'bad', what: 'shards free', count: free });
  if (!found.length) found.push({ kind: 'good', what: 'broker well', count: state.brokers.length });
  found.push(...gatewaysHealth(state), ...storeHealth(state));
  const order = ['bad', 'warning', 'good'];
  return found.sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind));
}

const LOOKED_BACK = 3; // samples

function gatewaysHealth({ gateways, samples }) {
  if (!gateways) return [];
  const serving = gateways.filter((gateway) => gateway.state === 'serves');
  // A run that is gone and has left no member behind is history, and no fault.
  const away = gateways.filter((gateway) => gateway.state === 'away' && gateway.members);
  const found = away.length ? [{ kind: 'bad', what: 'gateways away', count: away.length }] : [];
  if (!serving.length) return [...found, { kind: 'bad', what: 'no gateway' }];
  const last = samples.slice(-LOOKED_BACK);
  const back = last.reduce((sum, { canaries }) => sum + canaries.reduce((all, count) => all + count, 0), 0);
  const lost = last.reduce((sum, sample) => sum + sample.lost_canaries, 0);
  if (last.length === LOOKED_BACK && !back) return [...found, { kind: 'bad', what: 'no canary' }];
  if (lost) found.push({ kind: 'warning', what: 'canaries lost', count: lost });
  if (back) found.push({ kind: 'good', what: 'canaries', count: serving.length });
  return found;
}

function storeHealth({ brokers }) {
  const [first] = brokers;
  if (!first) return [];
  if (first.store === 'database') {
    const isKept = brokers.every(({ survives_a_machine }) => survives_a_machine);
    return [isKept ? { kind: 'good', what: 'two machines' } : { kind: 'warning', what: 'one machine' }];
  }
  return [{ kind: first.store === 'memory' ? 'warning' : 'good', what: first.store }];
}

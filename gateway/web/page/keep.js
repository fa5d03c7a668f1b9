// What outlives a reload: who we are, our rooms and positions; and what a link's fragment says.
//
// A session belongs to one tab. A tab that is closed leaves its session to the next one that is opened.

const KEY = 'tsudoi';
const LEFT_BEHIND = 'tsudoi.left';
const LEFT_MS = 12 * 3_600_000;

/** Return {session, name, token, active, rooms} of this tab, or of the last one that was closed; or a new session. */
export function restore(now) {
  const own = read('sessionStorage', KEY);
  const left = read('localStorage', LEFT_BEHIND);
  const kept = own ?? (left && now - left.at < LEFT_MS ? left : null);
  if (left && left.session === kept?.session) forget('localStorage', LEFT_BEHIND);
  return { session: newSecret(), name: localName(), token: '', active: '', rooms: [], ...kept };
}

/** Keep what a state needs to go on after a reload. */
export function keep(state, session, token) {
  write('sessionStorage', KEY, { ...essence(state), session, token });
  write('localStorage', 'tsudoi.name', state.name);
}

/** The page goes away: leave the session to the next tab, without the signed token. */
export function leaveBehind(state, session, now) {
  if (state.rooms.size) write('localStorage', LEFT_BEHIND, { ...essence(state), session, at: now });
}

/** The page was not gone: the session is this tab's again. */
export function comeBack(session) {
  if (read('localStorage', LEFT_BEHIND)?.session === session) forget('localStorage', LEFT_BEHIND);
}

function essence({ name, active, rooms }) {
  const kept = [...rooms.values()].filter(({ phase, myName }) => myName && phase !== 'refused' && phase !== 'ended');
  return { name, active, rooms: kept.map(roomEssence) };
}

function roomEssence({ name, myName, epoch, offset, newFrom, unread, mentions, topic, draft, pending, lastNumber }) {
  const unsaid = pending.filter(({ state }) => state === 'waiting' || state === 'sent');
  return { name, myName, epoch, offset, newFrom, unread, mentions, topic, draft, lastNumber, pending: unsaid };
}

/** Return {room, token} of a fragment: `#room`, or `#room&token=…` with what a bot or an operator has signed. */
export function readFragment(fragment) {
  const [first, ...rest] = fragment.replace(/^#/, '').split('&');
  const fields = new URLSearchParams(rest.join('&'));
  return { room: normalName(decoded(first)), token: fields.get('token') ?? '' };
}

/** Return whether a setting of this device is on: 'notify', 'sound'. */
export function isOn(setting) {
  return read('localStorage', `tsudoi.${setting}`) === 'yes';
}

/** Keep a setting of this device. */
export function setOn(setting, on) {
  write('localStorage', `tsudoi.${setting}`, on ? 'yes' : 'no');
}

/** Return the link to a room, to be shared. */
export function linkTo(room) {
  return `${location.origin}${location.pathname}#${encodeURIComponent(room)}`;
}

/** Return a name in normal form; PROTOCOL.md, "Names". */
function normalName(name) {
  return name.normalize('NFC').trim();
}

/** Return the name that was used last on this device. */
function localName() {
  const name = read('localStorage', 'tsudoi.name');
  return typeof name === 'string' ? name : '';
}

function newSecret() {
  return Array.from(crypto.getRandomValues(new Uint8Array(24)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Storage can be switched off (then its very name throws) or full: then a reload begins anew.

function read(storage, key) {
  try {
    return JSON.parse(window[storage].getItem(key));
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    window[storage].setItem(key, JSON.stringify(value));
  } catch {
    // Nothing is kept.
  }
}

function forget(storage, key) {
  try {
    window[storage].removeItem(key);
  } catch {
    // Nothing was kept.
  }
}

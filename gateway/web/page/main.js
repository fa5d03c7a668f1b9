// Starts the page: the store, the client, the views, and the events of the window that concern them.

import { Client } from './client.js';
import { quoted } from './commands.js';
import { confirm } from './dialog.js';
import { el, setChildren } from './dom.js';
import { comeBack, keep, leaveBehind, linkTo, readFragment, restore } from './keep.js';
import { isHost } from './room.js';
import { sound, sounds, switchSounds } from './sound.js';
import { START, reduce } from './state.js';
import { Composer } from './view-composer.js';
import { Enter } from './view-enter.js';
import { Header } from './view-header.js';
import { Rooms } from './view-rooms.js';
import { Roster } from './view-roster.js';
import { Timeline } from './view-timeline.js';
import { mentionedIn, notifies, notifyOf, showTitle, switchNotifications } from './view-title.js';
import { language, words } from './words.js';

const KEEP_MS = 300;
const DRAWERS = { rooms: matchMedia('(max-width: 639px)'), roster: matchMedia('(max-width: 899px)') }; // as page.css has it

const kept = restore(Date.now());
const asked = readFragment(location.hash);
const session = kept.session;
let token = asked.token || kept.token;

const store = {
  state: { ...START, isLooking: isLooking() },
  dispatch(action) {
    const before = store.state;
    store.state = reduce(before, action);
    if (store.state === before) return;
    showTitle(store.state);
    if (store.state.active !== before.active) showAddress(store.state.active);
    if (action.type === 'closed' && before.active && !store.state.active) startAnew();
    const mentioned = mentionedIn(before, store.state);
    notifyOf(mentioned, show);
    if (mentioned.length && sounds()) sound();
    scheduleKeep();
    if (action.type !== 'drafted') scheduleDraw(); // a draft is on the screen already
  },
};

const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const client = new Client(store, () => ({ session, token, language }), `${scheme}://${location.host}/connection/websocket`);

// --- views ------------------------------------------------------------------------------------------------------------

const enter = new Enter({
  onRooms: () => open('rooms'),
  onForget: (room) => client.leave(room),
  onMore: () => client.listMore(),
  onEnter({ name, room, password, create }) {
    const { state } = store;
    if (room) enterRoom(room, { password, create });
    if (state.name !== name || state.link === 'off' || state.link === 'refused') client.start(name);
    else if (!room) client.list();
  },
});
const header = new Header({
  onRooms: () => open('rooms'),
  onRoster: () => open('roster'),
  onLeave: leave,
  onUnderstood: (room) => store.dispatch({ type: 'understood', room }),
  onEnterAgain: (room) => client.enter(room),
  onNotify: () => switchNotifications().then(draw),
  onSound() {
    switchSounds();
    draw();
  },
});
const timeline = new Timeline({
  onOlder: () => client.older(store.state.active),
  onEdit(line) {
    store.dispatch({ type: 'forgotten', room: store.state.active, number: line.number });
    composer.put(line.text);
  },
  onDiscard: (line) => store.dispatch({ type: 'forgotten', room: store.state.active, number: line.number }),
});
const composer = new Composer({
  onDraft: (room, text) => store.dispatch({ type: 'drafted', room, text }),
  onSay(text) {
    client.say(store.state.active, text);
    timeline.toEnd();
  },
  onPage: (pages) => timeline.page(pages),
  onEscape: () => timeline.toEnd(),
});
const roster = new Roster({
  onPick(name) {
    open('');
    composer.put(`/msg ${quoted(name)} `);
  },
  onClose: () => open(''),
});
const rooms = new Rooms({
  onShow: show,
  onEnter: (name) => enterRoom(name),
  onMore: () => client.listMore(),
  onRefresh: () => client.list(),
  onClose: () => open(''),
});
const chat = el('main.chat', {}, header.element, timeline.element, composer.element);
const doorway = el('main.doorway', {}, enter.element);
const shade = el('div.shade', { onclick: () => open('') });
document.documentElement.lang = language;

function draw() {
  const { state } = store;
  const room = state.rooms.get(state.active);
  const isIn = Boolean(room?.myName) && room.phase !== 'refused';
  const hasRooms = [...state.rooms.values()].some(({ myName }) => myName);
  setChildren(document.body, [
    ...(hasRooms || isIn ? [rooms.element] : []),
    ...(isIn ? [chat, roster.element] : [doorway]),
    shade,
    ...document.querySelectorAll('dialog'),
  ]);
  document.body.classList.toggle('alone', !hasRooms);
  rooms.show(state);
  if (!isIn) {
    shownRoom = '';
    enter.show(state);
    return;
  }
  enter.entered();
  header.show({ ...state, isOffline: state.needsNetwork && !navigator.onLine }, room, notifies(), sounds());
  timeline.show(room);
  composer.show(room);
  roster.show(room);
  // On a phone the keyboard comes when it is wanted.
  if (shownRoom !== room.name && matchMedia('(pointer: fine)').matches) composer.focus();
  shownRoom = room.name;
}
let shownRoom = '';

let isScheduled = false;
function scheduleDraw() {
  if (isScheduled) return;
  isScheduled = true;
  const now = () => {
    isScheduled = false;
    draw();
  };
  // A hidden page has no frames, and its timers are slow.
  if (document.hidden) setTimeout(now, 100);
  else requestAnimationFrame(now);
}

/** Open a drawer ('rooms', 'roster') of a narrow window, or none. */
function open(drawer) {
  const was = document.body.dataset.open;
  const isOpen = drawer === was ? '' : drawer;
  document.body.dataset.open = isOpen;
  header.roomsButton.setAttribute('aria-expanded', String(isOpen === 'rooms'));
  header.rosterButton.setAttribute('aria-expanded', String(isOpen === 'roster'));
  chat.inert = doorway.inert = isOpen !== '';
  if (drawer) document.getElementById(drawer)?.querySelector('button')?.focus();
  else if (was === 'rooms') header.roomsButton.focus();
  else if (was === 'roster') header.rosterButton.focus();
}

for (const [drawer, isDrawer] of Object.entries(DRAWERS)) {
  isDrawer.addEventListener('change', () => !isDrawer.matches && document.body.dataset.open === drawer && open(''));
}

// --- rooms ------------------------------------------------------------------------------------------------------------

function show(room) {
  open('');
  store.dispatch({ type: 'shown', room });
  if (!room) startAnew();
}

/** Show the empty form, and which rooms there are now. */
function startAnew() {
  draw(); // what is not on the page can not have the focus
  enter.fill(store.state.name, '');
  client.list();
}

/** Make the address that of a room, so that it can be shared, and "back" leads to the room before. */
function showAddress(room) {
  const address = room ? linkTo(room) : location.origin + location.pathname;
  if (address !== location.href) history.pushState(null, '', address);
}

/** Leave the room that is shown; ask before, if it closes for others. */
async function leave() {
  const { active, rooms: all } = store.state;
  const room = all.get(active);
  const about = { title: words.leaveAsHost(active), text: words.leaveAsHostText, button: words.leave, cancel: words.stay, isDangerous: true };
  if (isHost(room) && room.count > 1 && room.phase !== 'ended' && !(await confirm(about))) return;
  client.leave(active);
}

/** Use what a link has: the token has a name, and vouches for it. */
function enterWithToken(room, signed) {
  // Out of the address bar, so that it is not shared with the link.
  history.replaceState(null, '', room ? linkTo(room) : location.pathname);
  token = signed;
  enter.hasToken = true;
  const { link } = store.state;
  if (!room) return;
  if (link === 'off' || link === 'refused') client.start('');
  enterRoom(room, { token });
}

function enterRoom(room, options) {
  const known = store.state.rooms.get(room);
  if (known?.phase !== 'in' && known?.phase !== 'away') client.enter(room, options);
  show(room);
}

// --- the window -------------------------------------------------------------------------------------------------------

function isLooking() {
  return document.visibilityState === 'visible' && document.hasFocus();
}

function lookedAgain() {
  store.dispatch({ type: 'looked', isLooking: isLooking() });
}

let keeping = 0;
function scheduleKeep() {
  keeping ||= setTimeout(keepNow, KEEP_MS);
}
function keepNow() {
  clearTimeout(keeping);
  keeping = 0;
  keep(store.state, session, token);
}

for (const event of ['focus', 'blur']) window.addEventListener(event, lookedAgain);
for (const event of ['online', 'focus', 'pageshow', 'resume']) window.addEventListener(event, () => client.wake());
window.addEventListener('offline', () => { client.wake(); scheduleDraw(); });
document.addEventListener('visibilitychange', () => {
  lookedAgain();
  if (!document.hidden) client.wake();
  scheduleDraw();
});
window.addEventListener('pagehide', () => {
  keepNow();
  leaveBehind(store.state, session, Date.now());
});
window.addEventListener('pageshow', () => comeBack(session));
window.addEventListener('hashchange', () => {
  const { room, token: signed } = readFragment(location.hash);
  if (signed) enterWithToken(room, signed);
  else if (!room || store.state.rooms.has(room)) show(room);
  else if (store.state.link !== 'off') enterRoom(room);
  else enter.fill(kept.name, room);
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && document.body.dataset.open) open('');
  if (!event.altKey || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
  event.preventDefault();
  const names = [...store.state.rooms.values()].filter(({ myName }) => myName).map(({ name }) => name);
  const step = event.key === 'ArrowDown' ? 1 : -1;
  if (names.length) show(names.at((names.indexOf(store.state.active) + step) % names.length));
});

for (const room of kept.rooms) client.enter(room.name, { kept: room });
if (kept.rooms.length) {
  if (asked.room) enterRoom(asked.room);
  else show(kept.active || kept.rooms[0].name);
  client.start(kept.name);
} else {
  enter.hasToken = Boolean(token);
  draw(); // what is not on the page can not have the focus
  enter.fill(kept.name, asked.room);
}
if (asked.token) enterWithToken(asked.room, asked.token);
draw();

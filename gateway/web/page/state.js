// The state of the page as a value, and the one function that changes it. Pure: no I/O, no clock.

import * as rooms from './room.js';

export const START = {
  link: 'off', // connecting, on, away, refused
  why: '',
  needsNetwork: true, // false: the server was reached while the browser said that there is no network (both on one machine)
  name: '',
  rooms: new Map(),
  active: '',
  isLooking: true,
  list: null, // of the server's rooms: {count, rooms}
};

/** Return the state after an action: {type, room?, now?, …}. */
export function reduce(state, action) {
  switch (action.type) {
    case 'named':
      return { ...state, name: action.name, link: 'connecting', why: '' };
    case 'linked':
      return { ...state, link: 'on', why: '', needsNetwork: action.isOnline };
    case 'unlinked':
      if (state.link === 'connecting') return { ...state, why: 'no answer' };
      return { ...each(state, rooms.away), link: 'away' };
    case 'turned away':
      return { ...each(state, rooms.away), link: 'refused', why: action.why };
    case 'listed':
      return { ...state, list: action.list };
    case 'opened':
      return opened(state, action);
    case 'closed':
      return closed(state, action.room);
    case 'shown':
      return looked({ ...looked(state, false), active: action.room }, state.isLooking);
    case 'looked':
      return looked({ ...state, isLooking: action.isLooking }, action.isLooking);
    case 'received':
      return renamed(state, changeIn(state, action), action.room);
    default:
      return changeIn(state, action);
  }
}

function inRoom(room, action, seen) {
  switch (action.type) {
    case 'entered':
      return rooms.entered(room, action.reply, seen, action.now);
    case 'refused':
      return { ...room, phase: 'refused', why: action.why, code: action.code };
    case 'ended':
      return rooms.ended(room, action.code, action.why);
    case 'interrupted':
      return rooms.away(room);
    case 'received':
      return rooms.received(room, action.publication, seen, action.now);
    case 'moved':
      return rooms.moved(room, action.name, action.isHere);
    case 'present':
      return rooms.present(room, action.presence);
    case 'loading':
      return { ...room, history: 'loading' };
    case 'not loaded':
      return { ...room, history: 'more' };
    case 'older':
      return rooms.older(room, action.publications, action.isAll, action.now);
    case 'drafted':
      return room.draft === action.text ? room : { ...room, draft: action.text };
    case 'said':
      return rooms.say(room, action.text, action.now);
    case 'sent':
      return rooms.changed(room, action.number, { state: 'sent' });
    case 'held':
      return rooms.changed(room, action.number, { state: 'waiting' });
    case 'kept':
      return rooms.kept(room, action.number, action.offset);
    case 'not said':
      return rooms.changed(room, action.number, { state: 'refused', why: action.why });
    case 'forgotten':
      return rooms.forgotten(room, action.number);
    case 'understood':
      return { ...room, back: null };
    default:
      throw new Error(`no such action: ${action.type}`);
  }
}

function opened(state, { room: name, kept }) {
  const known = state.rooms.get(name);
  const found = known ? { ...known, phase: 'entering', why: '', code: 0 } : rooms.newRoom(name, kept);
  return { ...state, rooms: new Map(state.rooms).set(name, found) };
}

function closed(state, name) {
  const names = [...state.rooms.keys()];
  const left = new Map(state.rooms);
  left.delete(name);
  const beside = names[names.indexOf(name) + 1] ?? names[names.indexOf(name) - 1] ?? '';
  return looked({ ...state, rooms: left, active: state.active === name ? beside : state.active }, state.isLooking);
}

function changeIn(state, action) {
  return change(state, action.room, (room) => inRoom(room, action, isSeen(state, action.room)));
}

/** A new name that the member has taken in one room is also the one under which rooms are entered from now on. */
function renamed(before, state, room) {
  const [was, is] = [before, state].map(({ rooms: all }) => all.get(room)?.myName);
  return is === was ? state : { ...state, name: is };
}

function change(state, name, changeRoom) {
  const room = state.rooms.get(name);
  if (!room) return state;
  const next = changeRoom(room);
  return next === room ? state : { ...state, rooms: new Map(state.rooms).set(name, next) };
}

function each(state, changeRoom) {
  return { ...state, rooms: new Map([...state.rooms].map(([name, room]) => [name, changeRoom(room)])) };
}

function looked(state, isLooking) {
  return change(state, state.active, (room) => rooms.looked(room, isLooking));
}

/** Return whether the reader has a room before its eyes. */
export function isSeen(state, name) {
  return state.isLooking && state.active === name;
}

// What is sent when: enters rooms, returns to them, sends lines until they are kept, asks for older ones.
// It turns what the server answers into actions of `state.js`.

import { Connection, ConnectionLost, Refused } from './connection.js';
import { nextToSend, oldest } from './room.js';
import { Code } from './wire.js';

const HISTORY = 60;
const PRESENCE_MS = 60_000;

export class Client {
  #connection;
  #entry = new Map(); // by room: the data of its subscribe command, until it has succeeded
  #tokens = new Map(); // by room: the signed token that came for it
  #pages = 1; // of the server's rooms that are wanted
  #left = new Set(); // rooms that were left while the server could not be told

  /** `store` has state and dispatch(action); `who()` returns {session, token, language}. */
  constructor(store, who, url) {
    this.store = store;
    const hello = () => {
      const { session, token, language } = who();
      return { name: 'page', token, data: { name: this.store.state.name, session, language } };
    };
    this.#connection = new Connection(url, hello, {
      onOpen: () => this.#linked(),
      onPush: (push) => this.#pushed(push),
      onAway: () => this.#do('unlinked'),
      onRefused: (why) => this.#do('turned away', { why }),
    });
    setInterval(() => document.hidden || this.#lookAround(), PRESENCE_MS);
  }

  /** Connect under a name. */
  start(name) {
    this.#connection.stop();
    this.#do('named', { name });
    this.#connection.start();
  }

  /** Notice what happened while the page slept. */
  wake() {
    this.#connection.wake();
  }

  /** Enter a room, with `password`, `create` and a signed `token` as wanted; `kept` is what an earlier visit left. */
  enter(room, { password = '', create = false, token = '', kept } = {}) {
    this.#left.delete(room);
    this.#entry.set(room, { ...(password && { password }), create });
    if (token) this.#tokens.set(room, token);
    this.#do('opened', { room, kept });
    if (this.#connection.isOpen) this.#subscribe(room);
  }

  /** Leave a room for good. */
  leave(room) {
    const { phase, epoch } = this.store.state.rooms.get(room) ?? {};
    this.#do('closed', { room });
    if (phase === 'in') this.#call('unsubscribe', { channel: room });
    else if (epoch && (phase === 'away' || phase === 'entering')) this.#left.add(room);
  }

  /** Say a line, or carry out a command. */
  say(room, text) {
    this.#do('said', { room, text });
    this.#pump(room);
  }

  /** Ask for the lines before the oldest one. */
  async older(room) {
    const found = this.store.state.rooms.get(room);
    if (!found || found.phase !== 'in' || found.history === 'loading' || found.history === 'all') return;
    this.#do('loading', { room });
    const since = { epoch: found.epoch, offset: oldest(found) };
    const answer = await this.#call('history', { channel: room, limit: HISTORY, reverse: true, since });
    if (!answer) this.#do('not loaded', { room });
    else this.#do('older', { room, publications: answer.publications ?? [], isAll: isFirst(answer.publications) });
  }

  /** Ask for the server's rooms. */
  async list() {
    const list = { count: 0, rooms: [] };
    for (let page = 1; page <= this.#pages; page++) {
      const answer = await this.#call('rpc', { method: 'rooms', data: { page } });
      if (!answer) return;
      list.count = answer.data.count;
      list.rooms.push(...answer.data.rooms);
    }
    this.#do('listed', { list });
  }

  /** Ask for a page more of them from now on. */
  listMore() {
    this.#pages += 1;
    this.list();
  }

  #do(type, fields = {}) {
    this.store.dispatch({ type, now: Date.now(), ...fields });
  }

  /** Return the reply, or null if the command was refused or the connection is gone. */
  async #call(method, params) {
    try {
      return await this.#connection.call(method, params);
    } catch (error) {
      if (error instanceof Refused || error instanceof ConnectionLost) return null;
      throw error;
    }
  }

  #linked() {
    this.#do('linked', { isOnline: navigator.onLine });
    for (const { name, phase } of this.store.state.rooms.values()) {
      if (phase === 'entering' || phase === 'away') this.#subscribe(name);
    }
    for (const room of this.#left) this.#subscribe(room); // only a member that is back can leave
    this.list();
  }

  async #subscribe(room) {
    const { epoch, offset, phase } = this.store.state.rooms.get(room) ?? {};
    if (!phase && !this.#left.has(room)) return;
    const data = { name: this.store.state.name, ...this.#entry.get(room) };
    const params = { channel: room, token: this.#tokens.get(room), data };
    if (epoch) Object.assign(params, { recover: true, epoch, offset });
    try {
      const reply = await this.#connection.call('subscribe', params);
      this.#entry.delete(room);
      this.#left.delete(room);
      if (!this.store.state.rooms.has(room)) {
        this.#call('unsubscribe', { channel: room }); // it was left meanwhile
        return;
      }
      this.#do('entered', { room, reply });
      this.#pump(room);
      this.#refresh(room);
      if (this.store.state.rooms.get(room)?.history === 'none' || (params.recover && !reply.recovered)) this.older(room);
    } catch (error) {
      if (error instanceof ConnectionLost || error.code === Code.ALREADY_SUBSCRIBED) return;
      if (!(error instanceof Refused)) throw error;
      if (error.isTemporary) this.#soon(() => this.#subscribe(room), room, phase);
      else {
        this.#left.delete(room);
        this.#do('refused', { room, why: error.message, code: error.code });
      }
    }
  }

  /** Try again in a second or two, if the room still waits for it. */
  #soon(again, room, phase) {
    setTimeout(() => {
      if (this.#connection.isOpen && this.store.state.rooms.get(room)?.phase === phase) again();
    }, 500 + 1_500 * Math.random());
  }

  #lookAround() {
    if (!this.#connection.isOpen) return;
    this.#refresh(this.store.state.active);
    this.list();
  }

  async #refresh(room) {
    if (this.store.state.rooms.get(room)?.phase !== 'in') return;
    const answer = await this.#call('presence', { channel: room });
    if (answer) this.#do('present', { room, presence: answer.presence });
  }

  /** Send the room's next line; the one after it goes when that one is answered. */
  async #pump(room) {
    const found = this.store.state.rooms.get(room);
    const line = found && this.#connection.isOpen && nextToSend(found);
    if (!line) return;
    const { number, text } = line;
    this.#do('sent', { room, number });
    try {
      const reply = await this.#connection.call('publish', { channel: room, data: { text, number } });
      this.#do('kept', { room, number, offset: reply.offset ?? 0 });
    } catch (error) {
      if (error instanceof ConnectionLost) return; // it is sent again after the return
      if (!(error instanceof Refused)) throw error;
      // The membership was lost before the line came: it is sent again after the return.
      if (this.store.state.rooms.get(room)?.phase === 'away') return;
      if (error.isTemporary) {
        this.#soon(() => {
          this.#do('held', { room, number });
          this.#pump(room);
        }, room, 'in');
        return;
      }
      this.#do('not said', { room, number, why: error.message });
    }
    this.#pump(room);
  }

  #pushed({ channel: room, pub, join, leave, unsubscribe }) {
    if (pub) this.#do('received', { room, publication: pub });
    else if (join) this.#do('moved', { room, name: join.info.client, isHere: true });
    else if (leave) this.#do('moved', { room, name: leave.info.client, isHere: false });
    else if (unsubscribe) this.#ended(room, unsubscribe);
  }

  #ended(room, { code, reason }) {
    if (!this.store.state.rooms.has(room)) return;
    if (code === Code.LEFT) {
      this.#do('closed', { room });
    } else if (code >= Code.SUBSCRIBE_AGAIN) {
      this.#do('interrupted', { room });
      this.#soon(() => this.#subscribe(room), room, 'away');
    } else {
      this.#do('ended', { room, code, why: reason });
    }
  }
}

/** Return whether older publications, newest first, lead to the room's beginning. */
function isFirst(publications = []) {
  return !publications.length || publications.at(-1).offset <= 1;
}

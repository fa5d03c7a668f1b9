// One WebSocket at a time, made again until `stop`: replies find their calls, silence and sleep are noticed.

import { PONG, decode, delayBefore, encode, mayReconnect } from './wire.js';

const CONNECT_MS = 8_000;
const CALL_MS = 10_000;
const PONG_MS = 10_000; // as the server allows us
const PROBE_MS = 600; // or four times what the connect command took, on a slow network

/** The connection went away before the reply: whether the command was carried out is not known. */
export class ConnectionLost extends Error {}

/** The server has refused a command: `code`, and `isTemporary` if the same command may succeed later. */
export class Refused extends Error {
  constructor({ code, message, temporary }) {
    super(message);
    this.code = code;
    this.isTemporary = Boolean(temporary);
  }
}

export class Connection {
  #socket = null;
  #calls = new Map();
  #lastId = 0;
  #attempt = 0;
  #awaySince = 0;
  #heardAt = 0;
  #triedAt = 0;
  #silenceMs = 35_000;
  #probeMs = PROBE_MS;
  #isProbing = false; // the device has just woken: without an answer, connect at once
  #retry = 0;
  #watch = 0;
  #isWanted = false;

  /** `hello()` returns the params of the connect command. Handlers: onOpen(reply), onPush(push), onAway(), onRefused(words). */
  constructor(url, hello, handlers) {
    this.url = url;
    this.hello = hello;
    this.handlers = handlers;
    this.isOpen = false;
  }

  /** Connect, and go on connecting. */
  start() {
    this.#isWanted = true;
    this.#awaySince = Date.now();
    this.#connect();
  }

  /** Close the connection for good. */
  stop() {
    this.#isWanted = false;
    clearTimeout(this.#retry);
    this.#drop();
  }

  /** Notice at once what happened while the device slept or had no network. */
  wake() {
    if (!this.#isWanted) return;
    this.#attempt = 0; // should the attempt fail that is being made, the next one comes soon
    if (!this.#socket) {
      this.#connect();
    } else if (this.isOpen) {
      // More silence than the server's pings allow: it is gone. Less: see whether it answers.
      this.#isProbing = true;
      if (Date.now() - this.#heardAt > this.#silenceMs) this.#lost();
      else this.#probe();
    } else if (Date.now() - this.#triedAt > this.#probeMs) {
      // An attempt from before the device slept.
      this.#isProbing = true;
      this.#lost();
    }
  }

  /** Send a command and return its reply; throws Refused or ConnectionLost. */
  call(method, params) {
    return new Promise((resolve, reject) => {
      if (!this.#socket || this.#socket.readyState !== WebSocket.OPEN) {
        reject(new ConnectionLost());
        return;
      }
      const id = ++this.#lastId;
      const socket = this.#socket;
      const timer = setTimeout(() => socket === this.#socket && this.#lost(), CALL_MS);
      this.#calls.set(id, { resolve, reject, timer });
      socket.send(encode(id, method, params));
    });
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#triedAt = Date.now();
    const socket = (this.#socket = new WebSocket(this.url));
    this.#watchFor(CONNECT_MS);
    socket.onopen = async () => {
      try {
        const asked = Date.now();
        const reply = await this.call('connect', this.hello());
        if (socket !== this.#socket) return;
        this.isOpen = true;
        this.#attempt = 0;
        this.#probeMs = Math.max(PROBE_MS, 4 * (Date.now() - asked));
        this.#silenceMs = (reply.ping ?? 25) * 1_000 + PONG_MS;
        this.handlers.onOpen(reply);
      } catch (error) {
        if (socket !== this.#socket) return;
        if (error instanceof Refused && !error.isTemporary) this.#refused(error.message);
        else this.#lost();
      }
    };
    socket.onmessage = ({ data }) => socket === this.#socket && this.#heard(data);
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      if (mayReconnect(code)) this.#lost();
      else this.#refused(reason);
    };
  }

  #heard(text) {
    this.#heardAt = Date.now();
    this.#isProbing = false;
    this.#watchFor(this.#silenceMs);
    for (const message of decode(text)) {
      if (message.kind === 'ping') this.#socket?.send(PONG);
      else if (message.kind === 'push') this.handlers.onPush(message);
      else {
        const call = this.#calls.get(message.id);
        if (!call) continue;
        this.#calls.delete(message.id);
        clearTimeout(call.timer);
        if (message.kind === 'error') call.reject(new Refused(message.error));
        else call.resolve(message.result);
      }
    }
  }

  /** Give the connection up if nothing is received for so long. */
  #watchFor(ms) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lost(), ms);
  }

  /** Send what is always answered, if only by an error. */
  #probe() {
    this.call('presence_stats', { channel: '' }).catch(() => {});
    this.#watchFor(this.#probeMs);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.isOpen = false;
    clearTimeout(this.#watch);
    socket?.close();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) {
      clearTimeout(call.timer);
      call.reject(new ConnectionLost());
    }
  }

  #refused(words) {
    this.stop();
    this.handlers.onRefused(words);
  }

  #lost() {
    if (this.isOpen) this.#awaySince = Date.now();
    this.#drop();
    if (!this.#isWanted) return;
    const delay = this.#isProbing ? 0 : delayBefore(this.#attempt++, Date.now() - this.#awaySince, Math.random());
    this.#isProbing = false;
    this.#retry = setTimeout(() => this.#connect(), delay);
    this.handlers.onAway();
  }
}

// Orders: a dialog asks before each, and the result is told in words.

import { NoAnswer, Refused } from './api.js';
import { confirm as ask } from './dialog.js';
import { words } from './words.js';

const confirm = (about) => ask({ cancel: words.cancel, ...about });

/** The orders that there are, each with its dialog. `api` asks; `onResult({isGood, text})` tells; `onDone()` looks again. */
export class Actions {
  constructor(api, onResult, onDone) {
    this.api = api;
    this.onResult = onResult;
    this.onDone = onDone;
  }

  async #order(question, fields, told) {
    try {
      const { answer } = await this.api.ask(question, fields);
      this.onResult({ isGood: true, text: told(answer.count) });
    } catch (error) {
      if (!(error instanceof Refused || error instanceof NoAnswer)) throw error;
      // A broker that does not answer may have carried it out.
      const isKnown = error instanceof Refused && error.status < 500;
      this.onResult({ isGood: false, text: isKnown ? words.notDone(error.message) : words.unknownOutcome(error.message) });
    }
    this.onDone();
  }

  async announce(room = null) {
    const title = room ? words.announceIn(room.name) : words.announceAll;
    const text = `${words.announceText} ${room ? room.name : words.everyRoom}`;
    const given = await confirm({ title, text, fields: [{ name: 'text', label: words.text, isNeeded: true }], button: words.announce });
    if (given) await this.#order('announce', { text: given.text, room: room?.name ?? '' }, words.announced);
  }

  async close(room) {
    const given = await confirm({ title: words.closeWhat(room.name), text: words.closeText(room.members), button: words.close, isDangerous: true });
    if (given) await this.#order('close', { room: room.name }, () => words.closed(room.name));
  }

  async persist(room) {
    const fields = [{ name: 'topic', label: words.topic, value: room.topic }];
    const given = await confirm({ title: words.persist, text: words.persistText(room.name), fields, button: words.persist });
    if (given) await this.#order('persist', { room: room.name, topic: given.topic }, () => words.persisted(room.name));
  }

  async unpersist(room) {
    const given = await confirm({ title: words.unpersist, text: words.unpersistText(room.name), button: words.unpersist, isDangerous: true });
    if (given) await this.#order('unpersist', { room: room.name }, () => words.unpersisted(room.name));
  }

  async kick(room, { name }) {
    const fields = [{ name: 'reason', label: words.reason }];
    const given = await confirm({ title: words.kickWho(name), text: words.kickText(name, room.name), fields, button: words.kick, isDangerous: true });
    if (given) await this.#order('remove', { room: room.name, name, reason: given.reason }, () => words.kicked(name, room.name));
  }

  async ban({ name, ip }) {
    const choices = [['name', words.byName(name)], ['ip', words.byAddress(ip)]];
    const given = await this.#askBan(words.banWho(name), [{ name: 'by', label: words.banBy, choices }]);
    if (given) await this.#ban(given, given.by === 'ip' ? { ip } : { name });
  }

  async banAnother() {
    const choices = [['name', words.aName], ['ip', words.anAddress]];
    const fields = [{ name: 'by', label: words.banBy, choices }, { name: 'who', label: words.who, isNeeded: true }];
    const given = await this.#askBan(words.banAnother, fields);
    if (given) await this.#ban(given, { [given.by]: given.who });
  }

  #askBan(title, fields) {
    const more = [{ name: 'minutes', label: words.minutes, kind: 'number', value: 0, isNeeded: true }, { name: 'reason', label: words.reason }];
    return confirm({ title, text: words.banText, fields: [...fields, ...more], button: words.ban, isDangerous: true });
  }

  #ban({ minutes, reason }, whom) {
    const [who] = Object.values(whom);
    return this.#order('ban', { ...whom, minutes: Number(minutes), reason }, (count) => words.banned(who, count));
  }

  async unban({ name, ip }) {
    const who = name || ip;
    const given = await confirm({ title: words.unbanWho(who), text: words.unbanText(who), button: words.unban });
    if (given) await this.#order('unban', { who }, () => words.unbanned(who));
  }
}

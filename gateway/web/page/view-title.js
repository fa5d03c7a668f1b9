// What shows outside the page: its title, its icon, and notifications where they are wanted.

import { isOn, setOn } from './keep.js';
import { mentions } from './lines.js';

let isRefused = false; // a browser of Android has the constructor, and throws

/** Show in title and icon how much is unread. */
export function showTitle({ rooms, active }) {
  let unread = 0;
  let forMe = 0;
  for (const room of rooms.values()) {
    unread += room.unread;
    forMe += room.mentions;
  }
  const where = active || 'tsudoi';
  const title = forMe ? `(@${forMe}) ${where}` : unread ? `(${unread}) ${where}` : where;
  if (document.title !== title) document.title = title;
  const icon = unread ? 'icon-unread.svg' : 'icon.svg';
  const link = document.getElementById('icon');
  if (link.getAttribute('href') !== icon) link.setAttribute('href', icon);
}

/** Return whether the person wants notifications; null: this page can not show any. */
export function notifies() {
  if (isRefused || !('Notification' in window) || !window.isSecureContext || Notification.permission === 'denied') return null;
  return Notification.permission === 'granted' && isOn('notify');
}

/** Switch notifications on or off; asks the browser for permission if need be. */
export async function switchNotifications() {
  const wanted = !notifies();
  if (wanted && Notification.permission !== 'granted') await Notification.requestPermission();
  setOn('notify', wanted);
}

/** Return the rooms in which a line for this person has come while it looked elsewhere. */
export function mentionedIn(before, after) {
  return [...after.rooms.values()].filter(({ name, mentions }) => mentions > (before.rooms.get(name)?.mentions ?? 0));
}

/** Notify of lines for this person. */
export function notifyOf(rooms, onOpen) {
  if (!rooms.length || !notifies()) return;
  for (const { name, lines, myName } of rooms) {
    const line = lines.findLast((found) => mentions(found, myName));
    let note;
    try {
      note = new Notification(`${line.from} · ${name}`, { body: line.text, tag: name, icon: 'icon.svg' });
    } catch {
      isRefused = true;
      return;
    }
    note.onclick = () => {
      window.focus();
      onOpen(name);
      note.close();
    };
  }
}

// A short tone for lines to this person alone, or that name it; off by default.

import { isOn, setOn } from './keep.js';

const NOTES_HZ = [660, 880];
const NOTE_S = 0.12;
const VOLUME = 0.15;

let context = null;

/** Return whether the person wants sounds; null: this browser has none. */
export function sounds() {
  return 'AudioContext' in window ? isOn('sound') : null;
}

/** Switch sounds on or off; on is heard at once. A browser lets a page sound after such a click only. */
export function switchSounds() {
  setOn('sound', !sounds());
  if (sounds()) sound();
}

/** Play the tone. */
export async function sound() {
  try {
    context ??= new AudioContext();
    await context.resume();
  } catch {
    return; // There is no device for sounds.
  }
  NOTES_HZ.forEach((hertz, index) => note(hertz, context.currentTime + index * NOTE_S));
}

function note(hertz, at) {
  const oscillator = new OscillatorNode(context, { frequency: hertz });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(VOLUME, at + 0.01);
  gain.gain.linearRampToValueAtTime(0, at + NOTE_S);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(at);
  oscillator.stop(at + NOTE_S);
}

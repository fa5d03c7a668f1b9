// A dialog that asks before something is done that can not be undone.

import { el } from './dom.js';

/**
 * Ask for confirmation, and for the values of fields: {name, label, value?, kind?, choices?, isNeeded?}.
 * `cancel` is on the button that does nothing. Resolves with the values by name, or null if the person thinks better of it.
 */
export function confirm({ title, text = '', fields = [], button, cancel, isDangerous = false }) {
  return new Promise((resolve) => {
    const inputs = fields.map((field) => [field.name, makeInput(field)]);
    const form = el(
      'form',
      { novalidate: false },
      el('h2', { id: 'dialog-title', dir: 'auto' }, title),
      text && el('p', { dir: 'auto' }, text),
      ...inputs.map(([name, input], at) => el('div.field', {}, el('label', { for: `field-${name}` }, fields[at].label), input)),
      el('div.buttons', {}, el(isDangerous ? 'button.danger' : 'button.primary', {}, button), el('button', { type: 'button', onclick: () => dialog.close() }, cancel)),
    );
    const dialog = el('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    let values = null;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      values = Object.fromEntries(inputs.map(([name, input]) => [name, input.value.trim()]));
      dialog.close();
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(values);
    });
    document.body.append(dialog);
    dialog.showModal();
    // Not the button that does it: Enter pressed twice is no confirmation.
    (inputs[0]?.[1] ?? form.querySelector('button[type=button]')).focus();
  });
}

function makeInput({ name, value = '', kind = 'text', choices = null, isNeeded = false }) {
  const attributes = { id: `field-${name}`, name, required: isNeeded, autocomplete: 'off' };
  if (choices) return el('select', attributes, ...choices.map(([key, label]) => el('option', { value: key }, label)));
  const limits = kind === 'number' ? { min: 0, max: 10_000_000, step: 1 } : { maxlength: 1000, dir: 'auto' };
  return el('input', { ...attributes, type: kind, value, ...limits });
}

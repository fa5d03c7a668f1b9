// The commands of PROTOCOL.md and the completion of what is being typed. Pure.

/** Name, arguments, and whether it is the host's. */
export const COMMANDS = [
  ['/help', '', false],
  ['/who', '', false],
  ['/rooms', '', false],
  ['/msg', 'NAME TEXT', false],
  ['/r', 'TEXT', false],
  ['/me', 'TEXT', false],
  ['/nick', 'NAME', false],
  ['/history', '[N]', false],
  ['/topic', '[TEXT]', false],
  ['/time', '', false],
  ['/leave', '', false],
  ['/kick', 'NAME [REASON]', true],
  ['/ban', 'NAME [MINUTES]', true],
  ['/unban', 'NAME', true],
  ['/bans', '', true],
  ['/mute', 'NAME [MINUTES]', true],
  ['/unmute', 'NAME', true],
  ['/password', '[NEW]', true],
  ['/host', 'NAME', true],
  ['/close', '', true],
];
const TAKES_NAME = new Set(['/msg', '/kick', '/ban', '/mute', '/unmute', '/host']);
const MAX_OPTIONS = 30;

/**
 * Return {from, options} for what stands before the caret: commands after a slash, members where a command takes one or
 * after `@`, which Japanese has no gap before. An option is {label, insert, about?}; `insert` replaces what stands from `from` to the caret.
 */
export function complete(text, caret, members, isHost) {
  const before = text.slice(0, caret).replace(/^／/, '/');
  if (/^\/[a-z]*$/i.test(before)) {
    const found = COMMANDS.filter(([name, , hosts]) => name.startsWith(before.toLowerCase()) && (isHost || !hosts));
    return options(0, found.map(([name, takes]) => ({ label: `${name} ${takes}`.trim(), insert: `${name} `, about: name })));
  }
  const command = /^(\/[a-z]+)\s+("?)([^\s"]*)$/i.exec(before);
  if (command && TAKES_NAME.has(command[1].toLowerCase())) {
    const from = caret - command[3].length - command[2].length;
    return options(from, matching(members, command[3]).map((name) => ({ label: name, insert: `${quoted(name)} ` })));
  }
  const at = /(?:^|[^!-~])[@＠]([^\s@＠]*)$/.exec(before);
  if (at) {
    const from = caret - at[1].length - 1;
    return options(from, matching(members, at[1]).map((name) => ({ label: name, insert: `@${name} ` })));
  }
  return options(caret, []);
}

function options(from, found) {
  return { from, options: found.slice(0, MAX_OPTIONS) };
}

function matching(members, beginning) {
  const wanted = beginning.normalize('NFKC').toLowerCase();
  return members.filter((name) => name.normalize('NFKC').toLowerCase().startsWith(wanted)).sort();
}

/** Return a name as commands take it: in double quotes if it has white space. */
export function quoted(name) {
  return /[\s"]/.test(name) ? `"${name.replace(/[\\"]/g, '\\$&')}"` : name;
}

// The codec of PROTOCOL.md, "WebSocket": commands to text, text to replies and pushes. No I/O, no state.

export const Code = {
  UNKNOWN_ROOM: 102,
  FORBIDDEN: 103,
  ALREADY_SUBSCRIBED: 105,
  LEFT: 2000,
  ELSEWHERE: 2105,
  SUBSCRIBE_AGAIN: 2500,
};

export const PONG = '{}';

/** Return the text of one command. */
export function encode(id, method, params) {
  return JSON.stringify({ id, [method]: params });
}

/**
 * Return what a frame has, in order: {kind: 'ping'}, {kind: 'reply', id, result}, {kind: 'error', id, error}, or
 * {kind: 'push', channel, pub | join | leave | unsubscribe}. What this page does not know is passed over.
 */
export function decode(text) {
  const found = [];
  for (const line of text.split('\n')) {
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      continue;
    }
    if (message === null || typeof message !== 'object') continue;
    if (message.push) found.push({ kind: 'push', ...message.push });
    else if (message.error) found.push({ kind: 'error', id: message.id, error: message.error });
    else if (message.id) found.push({ kind: 'reply', id: message.id, result: replyOf(message) });
    else found.push({ kind: 'ping' });
  }
  return found;
}

function replyOf(message) {
  const method = Object.keys(message).find((key) => key !== 'id');
  return method === undefined ? {} : message[method];
}

/** Return whether a connection that was closed with this code is made again. */
export function mayReconnect(code) {
  return code < 3500 || code >= 4000;
}

/**
 * Return the milliseconds to wait before an attempt to connect; `attempt` counts from 0.
 *
 * The whole delay is random, so that all the pages of a server that is back do not come at once. In the first minute
 * it is at most 2 s, later 15 s. `random` is in [0, 1).
 */
export function delayBefore(attempt, awayMs, random) {
  const longest = awayMs < 60_000 ? 2_000 : 15_000;
  return Math.round(random * Math.min(longest, 400 * 2 ** attempt));
}

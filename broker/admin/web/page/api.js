// Questions to the server: POST of JSON, with the token in a header.

const PATIENCE_MS = 20_000;

/** The server has answered with an error: `status`, and in words why. */
export class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

/** No answer came: the page's server is gone, or the network is. */
export class NoAnswer extends Error {}

export class Api {
  constructor(token) {
    this.token = token;
  }

  /** Return {answer, missing}; throws Refused or NoAnswer. */
  async ask(question, fields = {}) {
    let response;
    let content;
    try {
      response = await fetch('ask', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${this.token}` },
        body: JSON.stringify({ ask: question, ...fields }),
        signal: AbortSignal.timeout(PATIENCE_MS),
        cache: 'no-store',
        redirect: 'error',
      });
      content = await response.json();
    } catch (error) {
      throw new NoAnswer(error.message);
    }
    if (!response.ok) throw new Refused(response.status, content.error ?? String(response.status));
    return content;
  }
}

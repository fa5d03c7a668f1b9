// A member by WebSocket, for tests/integration/test_web_js.py: says what it is told on its standard input, a line each,
// and writes what it hears as lines of JSON.
import { createInterface } from "node:readline";
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const [url, name, session, room] = process.argv.slice(2);
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
const client = new Centrifuge(url, { websocket: WebSocket, data: { name, session }, maxReconnectDelay: 500 });
client.on("disconnected", ({ code, reason }) => tell({ event: "disconnected", code, reason }));
const chat = client.newSubscription(room, { data: { create: true }, maxResubscribeDelay: 500 });
chat.on("subscribed", ({ wasRecovering, recovered, data }) => tell({ event: "subscribed", wasRecovering, recovered, data }));
chat.on("unsubscribed", ({ code, reason }) => tell({ event: "unsubscribed", code, reason }));
chat.on("publication", ({ offset, data }) => tell({ event: "publication", offset, data }));
chat.on("join", ({ info }) => tell({ event: "join", info }));
chat.subscribe();
client.connect();

let number = 0;
for await (const text of createInterface({ input: process.stdin })) {
  number += 1;
  for (;;) {
    try {
      await chat.publish({ text, number });
      tell({ event: "kept", number });
      break;
    } catch (error) {
      tell({ event: "not kept", number, code: error.code });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
chat.unsubscribe();
client.disconnect();

// The Durable Streams reference server, and an agent that reads and writes as any client of it does: a chat is a stream
// of JSON events at /chats/{id}; people append {type: "user"}, and the agent answers with {type: "delta"} and {type: "end"}.
import { DurableStream, IdempotentProducer } from '@durable-streams/client';
import { DurableStreamTestServer } from '@durable-streams/server';

const sleep = ms => new Promise(done => setTimeout(done, ms));

// Answers one question after another. What it said is in the stream, so it needs no memory of its own.
async function serve(url) {
  const chat = new DurableStream({ url, contentType: 'application/json' });
  const said = new IdempotentProducer(chat, 'agent', { lingerMs: 0, maxInFlight: 1 });
  const questions = [];
  let wake = () => {};
  const answer = async ({ id, text }) => {
    for (let number = 0; number < 60; number += 1) {
      said.append(JSON.stringify({ type: 'delta', id: `to ${id}`, text: `${text.slice(0, 4)}${number} ` }));
      await sleep(40);
    }
    said.append(JSON.stringify({ type: 'end', id: `to ${id}` }));
    await said.flush();
  };
  const read = await chat.stream({ offset: '-1', live: 'long-poll' });
  read.subscribeJson(async ({ items }) => {
    questions.push(...items.filter(item => item.type === 'user'));
    wake();
  });
  for (;;) {
    if (questions.length) await answer(questions.shift());
    else await new Promise(done => (wake = done));
  }
}

const server = new DurableStreamTestServer({
  port: Number(process.argv[2]),
  host: '127.0.0.1',
  onStreamCreated: ({ path }) => void serve(`http://127.0.0.1:${process.argv[2]}${path}`).catch(console.error),
});
await server.start();

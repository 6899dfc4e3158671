// The AI SDK's "resume streams" recipe: streamText, resumable-stream, POST /api/chat and GET /api/chat/{id}/stream, and
// the endpoint for stopping that its documentation of version 7 says to add: DELETE /api/chat/{id}.
// GET /api/chat/{id} gives the messages that the recipe's page loads from its database. The publisher and subscriber that resumable-stream asks for are in memory: one process needs no Redis.
import { createServer } from 'node:http';
import { convertToModelMessages, createUIMessageStreamResponse, streamText, toUIMessageStream, UI_MESSAGE_STREAM_HEADERS } from 'ai';
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test';
import { createResumableStreamContext } from 'resumable-stream/generic';

const values = new Map();
const channels = new Map();
const publisher = {
  connect: async () => {},
  publish: async (channel, message) => [...(channels.get(channel) ?? [])].map(call => call(message)).length,
  set: async (key, value) => values.set(key, String(value)) && 'OK',
  get: async key => values.get(key) ?? null,
  incr: async key => {
    const next = Number(values.get(key) ?? 0) + 1;
    if (Number.isNaN(next)) throw new Error('not a number');
    values.set(key, String(next));
    return next;
  },
};
const subscriber = {
  connect: async () => {},
  subscribe: async (channel, call) => channels.set(channel, [...(channels.get(channel) ?? []), call]).size,
  unsubscribe: async channel => channels.delete(channel),
};
const streams = createResumableStreamContext({ waitUntil: null, publisher, subscriber });
const active = new Map(); // the chat's stream id and its messages, where the recipe has a database
const chats = new Map();
const stops = new Map(); // what the stop endpoint aborts: closing a connection is no stop here

function counting(text) {
  const words = Array.from({ length: 60 }, (_, n) => ({ type: 'text-delta', id: 't1', delta: `${text.slice(0, 4)}${n} ` }));
  const usage = { inputTokens: { total: 1 }, outputTokens: { total: 60 } };
  return new MockLanguageModelV4({
    doStream: async () => ({
      stream: simulateReadableStream({
        initialDelayInMs: 10,
        chunkDelayInMs: 40,
        chunks: [
          { type: 'text-start', id: 't1' }, ...words, { type: 'text-end', id: 't1' },
          { type: 'finish', finishReason: { unified: 'stop', raw: 'stop' }, usage },
        ],
      }),
    }),
  });
}

async function post(request) {
  const { id, messages } = await request.json();
  active.delete(id);
  chats.set(id, [...(chats.get(id) ?? []), messages.at(-1)]);
  const text = messages.at(-1).parts.map(part => part.text ?? '').join('');
  const stop = new AbortController();
  stops.set(id, stop);
  const result = streamText({
    model: counting(text), messages: await convertToModelMessages(messages), abortSignal: stop.signal,
  });
  return createUIMessageStreamResponse({
    stream: toUIMessageStream({
      stream: result.stream,
      originalMessages: chats.get(id),
      generateMessageId: () => crypto.randomUUID(),
      onFinish: ({ messages: all }) => chats.set(id, all) && active.delete(id),
    }),
    async consumeSseStream({ stream }) {
      const streamId = crypto.randomUUID();
      await streams.createNewResumableStream(streamId, () => stream);
      active.set(id, streamId);
    },
  });
}

async function resume(id) {
  const streamId = active.get(id);
  if (!streamId) return new Response(null, { status: 204 });
  return new Response(await streams.resumeExistingStream(streamId), { headers: UI_MESSAGE_STREAM_HEADERS });
}

createServer(async (incoming, outgoing) => {
  const body = [];
  for await (const part of incoming) body.push(part);
  const request = new Request(`http://local${incoming.url}`, {
    method: incoming.method, ...(incoming.method === 'POST' ? { body: Buffer.concat(body) } : {}),
  });
  const found = incoming.url.match(/^\/api\/chat\/([^/]+)\/stream$/);
  const chat = incoming.url.match(/^\/api\/chat\/([^/]+)$/);
  let answer = new Response('no such page', { status: 404 });
  try {
    if (incoming.method === 'POST' && incoming.url === '/api/chat') answer = await post(request);
    else if (chat && incoming.method === 'DELETE') {
      stops.get(chat[1])?.abort();
      answer = new Response(null, { status: 204 });
    } else if (chat) answer = Response.json({ messages: chats.get(chat[1]) ?? [] });
    else if (found) answer = await resume(found[1]);
  } catch (error) {
    answer = new Response(String(error), { status: 500 });
  }
  outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
  if (!answer.body) return outgoing.end();
  const reader = answer.body.getReader();
  outgoing.on('close', () => reader.cancel().catch(() => {}));
  for (let part = await reader.read(); !part.done; part = await reader.read()) outgoing.write(part.value);
  outgoing.end();
}).listen(Number(process.argv[2]), '127.0.0.1');

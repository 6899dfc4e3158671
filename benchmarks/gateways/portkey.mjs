// Given to Node by --import. On some versions of Node (20.20.2 is one) Portkey's gateway answers nothing but 500: the headers
// of what fetch returns cannot be changed, and the gateway changes them. A copy of the response has headers that can.
const fetched = globalThis.fetch;
globalThis.fetch = async (...request) => {
  const r = await fetched(...request);
  return new Response(r.body, { status: r.status, statusText: r.statusText, headers: r.headers });
};
